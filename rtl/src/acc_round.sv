// SPDX-License-Identifier: Apache-2.0
// fp32(acc + bias): adds the bias and rounds to 24 significant bits, ties to even.
// The result is a_o * 2^sh_o, |a_o| <= 2^24, four cycles later. Lanes of one output channel share the
// bias. Rounding works on two's complement directly: to nearest even is the same for both signs, and a
// negative power of two, whose length looks one bit shorter, is exact either way.
module acc_round #(
  parameter int unsigned Lanes = 1
) (
  input  logic                clk_i,
  input  logic [Lanes*32-1:0] acc_i,
  input  logic [31:0]         bias_i,
  output logic [Lanes*26-1:0] a_o,
  output logic [Lanes*3-1:0]  sh_o
);
  logic signed [31:0] sum1_q[Lanes], sum2_q[Lanes];
  logic [2:0]         sh2_q[Lanes], sh3_q[Lanes];
  logic signed [25:0] kept3_q[Lanes];
  logic               half3_q[Lanes];
  logic               sticky3_q[Lanes];

  // How many bits the magnitude is longer than 24.
  function automatic logic [2:0] excess(logic [31:0] sum);
    logic [6:0] lead;
    lead = sum[30:24] ^ {7{sum[31]}};
    return lead[6] ? 3'd7 : lead[5] ? 3'd6 : lead[4] ? 3'd5 : lead[3] ? 3'd4 : lead[2] ? 3'd3
           : lead[1] ? 3'd2 : {2'b00, lead[0]};
  endfunction

  // Last stage first: every lane's registers in one loop (docs/fpga.md, "The RTL").
  always_ff @(posedge clk_i) begin
    for (int unsigned l = 0; l < Lanes; l++) begin
      // 4: round to even
      a_o[l*26+:26] <= kept3_q[l] + {25'd0, half3_q[l] & (sticky3_q[l] | kept3_q[l][0])};
      sh_o[l*3+:3]  <= sh3_q[l];
      // 3: what stays, the half and what lies below it
      kept3_q[l]   = 26'(sum2_q[l] >>> sh2_q[l]);
      half3_q[l]   = |({sum2_q[l][6:0], 1'b0} & (8'd1 << sh2_q[l]));
      sticky3_q[l] = |({sum2_q[l][5:0], 2'b00} & ~(8'hfe << sh2_q[l]));
      sh3_q[l]     = sh2_q[l];
      // 2: how far
      sum2_q[l] = sum1_q[l];
      sh2_q[l]  = excess(sum1_q[l]);
      // 1: the bias
      sum1_q[l] = $signed(acc_i[l*32+:32]) + $signed(bias_i);
    end
  end
endmodule
