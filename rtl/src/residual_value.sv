// SPDX-License-Identifier: Apache-2.0
// fp32(q - z) * m_res rounded to binary32, as fixed point with 30 fraction bits, eight cycles later.
// m_res in [2^-7, 2^4): the fixed point holds every such value exactly. The product is q * m - z * m;
// zero_product makes -z * m once for all lanes.
module residual_value #(
  parameter int unsigned Lanes = 1
) (
  input  logic                clk_i,
  input  logic [Lanes*8-1:0]  q_i,
  input  logic [23:0]         m_i,     // significand, 0: no residual
  input  logic [32:0]         minus_zm_i,
  input  logic [3:0]          left_i,  // exponent of m_res above 2^-7, at most 10
  output logic [Lanes*45-1:0] r_o
);
  import pronghorn_types::multiple;

  // Shared by the lanes, along the pipeline.
  logic signed [25:0] m1_q, m2_q;
  logic [3:0]         left6;
  logic [1:0]         left7_q;
  delay_line #(.Width(4), .Cycles(6)) u_left (.clk_i, .d_i(left_i), .q_o(left6));

  logic signed [29:0] high1_q[Lanes];
  logic [3:0]         low1_q[Lanes];
  logic [4:0]         q1_q[Lanes];
  logic signed [27:0] high2_q[Lanes];
  logic [5:0]         low2_q[Lanes];
  logic [2:0]         q2_q[Lanes];
  logic signed [32:0] p3_q[Lanes], p4_q[Lanes], p5_q[Lanes], p6_q[Lanes];
  logic [7:0]         drop4_q[Lanes], drop5_q[Lanes];
  logic               odd5_q[Lanes];
  logic signed [40:0] p7_q[Lanes];

  // Booth's row in as many bits as the highest sums have.
  function automatic logic [32:0] row(logic signed [32:0] high, logic signed [25:0] a,
                                      logic [2:0] bits);
    logic [33:0] sum;
    sum = {high, 1'b1} + {33'($signed(multiple(a, bits))), bits[2]};
    return sum[33:1];
  endfunction

  // Last stage first (docs/fpga.md, "The RTL").
  always_ff @(posedge clk_i) begin
    for (int unsigned l = 0; l < Lanes; l++) begin
      automatic logic [32:0] first;
      automatic logic [32:0] second;
      automatic logic [7:0]  lead;
      automatic logic [33:0] rounded;
      automatic logic [7:0]  q;
      // 8, 7: the binary point
      r_o[l*45+:45] <= 45'(p7_q[l]) << left7_q;
      p7_q[l] = left6[3] ? {p6_q[l], 8'd0} : left6[2] ? {{4{p6_q[l][32]}}, p6_q[l], 4'd0}
                                           : {{8{p6_q[l][32]}}, p6_q[l]};
      // 6: round to nearest even
      rounded = {p5_q[l], 1'b1} + {26'd0, drop5_q[l][7:1], odd5_q[l]};
      p6_q[l] = rounded[33:1] & ~{25'd0, drop5_q[l]};
      // 5: whether the last kept bit is one
      odd5_q[l]  = (|(p4_q[l][8:1] & drop4_q[l] & ~{1'b0, drop4_q[l][7:1]}));
      p5_q[l]    = p4_q[l];
      drop5_q[l] = drop4_q[l];
      // 4: which bits are beyond 24 significant ones
      lead = p3_q[l][31:24] ^ {8{p3_q[l][32]}};
      drop4_q[l] = {lead[7], |lead[7:6], |lead[7:5], |lead[7:4], |lead[7:3], |lead[7:2], |lead[7:1],
                    |lead};
      p4_q[l] = p3_q[l];
      // 3, 2, 1: Booth digits of q
      first   = row(33'(high2_q[l]), m2_q, q2_q[l]);
      p3_q[l] = {first[26:0], low2_q[l]};
      first      = row(33'(high1_q[l]), m1_q, q1_q[l][2:0]);
      high2_q[l] = 28'($signed(first[29:2]));
      low2_q[l]  = {first[1:0], low1_q[l]};
      q2_q[l]    = q1_q[l][4:2];
      q = q_i[l*8+:8];
      first  = row(minus_zm_i, {2'b00, m_i}, {q[1:0], 1'b0});
      second = row(33'($signed(first[32:2])), {2'b00, m_i}, q[3:1]);
      high1_q[l] = 30'($signed(second[31:2]));
      low1_q[l]  = {second[1:0], first[1:0]};
      q1_q[l]    = q[7:3];
    end
    left7_q = left6[1:0];
    m2_q    = m1_q;
    m1_q    = {2'b00, m_i};
  end
endmodule
