// SPDX-License-Identifier: Apache-2.0
// Activations of a pair of pixels for one column of the array: the even pixel in one half of the logic
// cycle, the odd one in the other; input channel i comes i mod Cascade ticks late, as the cascade wants.
module pixel_feed (
  input  logic                                 clk2x_i,
  input  logic                                 second_half_i,
  input  logic [pronghorn_types::WordBits-1:0] even_i,
  input  logic [pronghorn_types::WordBits-1:0] odd_i,
  output logic [pronghorn_types::WordBits-1:0] x_o
);
  import pronghorn_pkg::*;
  logic [IC*8-1:0] chosen_q;
  always_ff @(posedge clk2x_i) chosen_q <= second_half_i ? odd_i : even_i;
  for (genvar i = 0; i < IC; i++) begin : gen_skew
    delay_line #(.Width(8), .Cycles(i % Cascade)) u_skew (
      .clk_i(clk2x_i), .d_i(chosen_q[i*8+:8]), .q_o(x_o[i*8+:8])
    );
  end
endmodule
