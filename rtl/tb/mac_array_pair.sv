// SPDX-License-Identifier: Apache-2.0
// The array of DSPs and its twin, side by side.
module mac_array_pair (
  input  logic                                   clk_i,
  input  logic                                   clk2x_i,
  input  logic                                   step_i,
  input  logic                                   first_i,
  input  logic [pronghorn_types::TileBits-1:0]   x_i,
  input  logic [pronghorn_types::WeightBits-1:0] w_i,
  input  logic                                   hold_i,
  input  logic [$clog2(pronghorn_types::GroupsPerTile)-1:0] group_i,
  output logic [pronghorn_pkg::PX*pronghorn_pkg::IC*32-1:0] acc_o,
  output logic                                   differ_o
);
  logic [pronghorn_pkg::PX*pronghorn_pkg::IC*32-1:0] twin;
  mac_array #(.Structural(1'b1)) u_structural (.*);
  mac_array #(.Structural(1'b0)) u_twin (
    .clk_i, .clk2x_i, .step_i, .first_i, .x_i, .w_i, .hold_i, .group_i, .acc_o(twin)
  );
  assign differ_o = twin != acc_o;
endmodule
