// SPDX-License-Identifier: Apache-2.0
// The array in hardware: a feed for each pair of pixels, a feed for each pair of output channels, and
// a tile where they cross. acc_o of the selected group: index (channel in group) * PX + pixel.
module mac_tiles (
  input  logic                                   clk_i,
  input  logic                                   clk2x_i,
  input  logic [pronghorn_types::TileBits-1:0]   x_i,
  input  logic [pronghorn_types::WeightBits-1:0] w_i,
  input  logic                                   add_i,
  input  logic                                   first_i,
  input  logic                                   hold_i,
  input  logic [$clog2(pronghorn_types::GroupsPerTile)-1:0] group_i,
  output logic [pronghorn_pkg::PX*pronghorn_pkg::IC*32-1:0] acc_o
);
  import pronghorn_pkg::*;
  import pronghorn_types::*;

  // High in the first half of a logic cycle: a register of each clock, compared.
  logic toggle_q = 1'b0;
  logic toggle2x_q = 1'b0;
  logic second_half;
  always_ff @(posedge clk_i) toggle_q <= ~toggle_q;
  always_ff @(posedge clk2x_i) toggle2x_q <= toggle_q;
  assign second_half = toggle_q == toggle2x_q;

  logic [PX/2-1:0][IC*8-1:0]  x2x;
  logic [OC/2-1:0][IC*27-1:0] w2x;
  for (genvar p = 0; p < PX / 2; p++) begin : gen_pixels
    pixel_feed u_feed (
      .clk2x_i, .second_half_i(second_half),
      .even_i(x_i[2*p*WordBits+:WordBits]), .odd_i(x_i[(2*p+1)*WordBits+:WordBits]), .x_o(x2x[p])
    );
  end
  for (genvar o = 0; o < OC / 2; o++) begin : gen_channels
    weight_feed u_feed (
      .clk2x_i, .low_i(w_i[2*o*WordBits+:WordBits]), .high_i(w_i[(2*o+1)*WordBits+:WordBits]),
      .w_o(w2x[o])
    );
  end
  // [channel][pixel]
  logic [OC-1:0][PX-1:0][31:0] held;
  for (genvar o = 0; o < OC / 2; o++) begin : gen_rows
    for (genvar p = 0; p < PX / 2; p++) begin : gen_columns
      mac_tile u_tile (
        .clk_i, .clk2x_i, .x_i(x2x[p]), .w_i(w2x[o]), .add_i, .first_i, .hold_i,
        .low_even_o(held[2*o][2*p]), .low_odd_o(held[2*o][2*p+1]),
        .high_even_o(held[2*o+1][2*p]), .high_odd_o(held[2*o+1][2*p+1])
      );
    end
  end
  always_comb begin
    for (int unsigned i = 0; i < IC; i++) begin
      acc_o[i*PX*32+:PX*32] = held[32'(group_i)*IC+i];
    end
  end
endmodule
