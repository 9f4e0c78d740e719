// SPDX-License-Identifier: Apache-2.0
// a * m, exact, seven cycles later: |a| <= 2^24, m a 24-bit significand whose top bit is set. Radix-4
// Booth, two rows a cycle from the low end, one LUT and a carry chain a row: the array has the DSPs.
// Lanes of one output channel share m.
module booth_product #(
  parameter int unsigned Lanes = 1
) (
  input  logic                clk_i,
  input  logic [Lanes*26-1:0] a_i,
  input  logic [23:0]         m_i,
  output logic [Lanes*50-1:0] p_o
);
  import pronghorn_types::booth;
  localparam int unsigned Stages = 6;

  logic signed [25:0] a_q[Stages][Lanes];
  logic signed [27:0] high_q[Stages][Lanes];
  logic [23:0]        low_q[Stages][Lanes];
  // The digits not yet used: three bits for each, overlapping; the lowest bit of the first is 0.
  logic [24:0]        m_q[Stages];

  always_ff @(posedge clk_i) begin
    for (int unsigned s = 0; s < Stages; s++) begin
      m_q[s] <= (s == 0) ? {4'b0, m_i[23:3]} : (m_q[(s == 0) ? 0 : s-1] >> 4);
      for (int unsigned l = 0; l < Lanes; l++) begin
        automatic logic signed [25:0] a;
        automatic logic signed [27:0] first;
        automatic logic signed [27:0] second;
        automatic logic [4:0]         bits;
        a      = (s == 0) ? a_i[l*26+:26] : a_q[(s == 0) ? 0 : s-1][l];
        bits   = (s == 0) ? {m_i[3:0], 1'b0} : m_q[(s == 0) ? 0 : s-1][4:0];
        first  = booth((s == 0) ? '0 : high_q[(s == 0) ? 0 : s-1][l], a, bits[2:0]);
        second = booth(first >>> 2, a, bits[4:2]);
        a_q[s][l]    <= a;
        high_q[s][l] <= second >>> 2;
        low_q[s][l]  <= {second[1:0], first[1:0],
                         (s == 0) ? 20'd0 : low_q[(s == 0) ? 0 : s-1][l][23:4]};
      end
    end
    for (int unsigned l = 0; l < Lanes; l++) begin
      p_o[l*50+:50] <= {26'(high_q[Stages-1][l] + 28'(a_q[Stages-1][l])), low_q[Stages-1][l]};
    end
  end
endmodule
