// SPDX-License-Identifier: Apache-2.0
// a * m, exact, seven cycles later: |a| <= 2^24, m a 24-bit significand whose top bit is set. Radix-4
// Booth, two rows a cycle from the low end, one LUT and a carry chain a row: the array has the DSPs.
// Lanes of one output channel share m. |row| < 2^25 * 4 / 3: 27 bits hold it.
module booth_product #(
  parameter int unsigned Lanes = 1
) (
  input  logic                clk_i,
  input  logic [Lanes*26-1:0] a_i,
  input  logic [23:0]         m_i,
  output logic [Lanes*50-1:0] p_o
);
  import pronghorn_types::multiple;
  localparam int unsigned Stages = 6;

  logic signed [25:0] a_q[Stages][Lanes];
  logic signed [26:0] high_q[Stages][Lanes];
  logic [23:0]        low_q[Stages][Lanes];
  // The digits not yet used: three bits for each, overlapping; the lowest bit of the first is 0.
  logic [24:0]        m_q[Stages];

  // Two rows below `high`: the sum's upper part and its four finished bits.
  function automatic logic [30:0] rows(logic signed [26:0] high, logic signed [25:0] a,
                                       logic [4:0] bits);
    logic signed [27:0] first;
    logic signed [27:0] second;
    first  = {high, 1'b1} + {multiple(a, bits[2:0]), bits[2]};
    second = {27'($signed(first[27:3])), 1'b1} + {multiple(a, bits[4:2]), bits[4]};
    return {27'($signed(second[27:3])), second[2:1], first[2:1]};
  endfunction

  // Last stage first (docs/fpga.md, "The RTL").
  always_ff @(posedge clk_i) begin
    for (int unsigned l = 0; l < Lanes; l++) begin
      p_o[l*50+:50] <= {26'(high_q[Stages-1][l]) + a_q[Stages-1][l], low_q[Stages-1][l]};
    end
    for (int unsigned s = Stages - 1; s > 0; s--) begin
      for (int unsigned l = 0; l < Lanes; l++) begin
        automatic logic [3:0] done;
        {high_q[s][l], done} = rows(high_q[s-1][l], a_q[s-1][l], m_q[s-1][4:0]);
        low_q[s][l] = {done, low_q[s-1][l][23:4]};
        a_q[s][l]   = a_q[s-1][l];
      end
      m_q[s] = m_q[s-1] >> 4;
    end
    for (int unsigned l = 0; l < Lanes; l++) begin
      automatic logic [3:0] done;
      {high_q[0][l], done} = rows('0, a_i[l*26+:26], {m_i[3:0], 1'b0});
      low_q[0][l] = {done, 20'd0};
      a_q[0][l]   = a_i[l*26+:26];
    end
    m_q[0] = {4'd0, m_i[23:3]};
  end
endmodule
