// SPDX-License-Identifier: Apache-2.0
// Weights of a pair of output channels for one row of the array: high * 2^18 + low in 27 bits; input
// channel i comes i mod Cascade ticks late.
module weight_feed (
  input  logic                                 clk2x_i,
  input  logic [pronghorn_types::WordBits-1:0] low_i,
  input  logic [pronghorn_types::WordBits-1:0] high_i,
  output logic [pronghorn_pkg::IC*27-1:0]      w_o
);
  import pronghorn_pkg::*;
  logic [IC*27-1:0] packed_q;
  always_ff @(posedge clk2x_i) begin
    for (int unsigned i = 0; i < IC; i++) begin
      packed_q[i*27+:27] <= {9'($signed(high_i[i*8+:8])) - {8'd0, low_i[i*8+7]},
                             {10{low_i[i*8+7]}}, low_i[i*8+:8]};
    end
  end
  for (genvar i = 0; i < IC; i++) begin : gen_skew
    delay_line #(.Width(27), .Cycles(i % Cascade)) u_skew (
      .clk_i(clk2x_i), .d_i(packed_q[i*27+:27]), .q_o(w_o[i*27+:27])
    );
  end
endmodule
