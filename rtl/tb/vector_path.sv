// SPDX-License-Identifier: Apache-2.0
// The way of ADD, AVERAGE and MAXPOOL: the vector unit, the choice between its bytes and sums and the
// lanes, one tile of pixels at a time. Constants, residual and bounds stay while a tile is under way.
module vector_path (
  input  logic                                     clk_i,
  input  logic                                     step_i,
  input  logic                                     first_i,
  input  logic                                     last_i,
  input  logic                                     average_i,
  input  logic [pronghorn_types::TileBits-1:0]     x_i,
  input  logic [pronghorn_types::ConstantBits-1:0] constants_i,
  input  logic [7:0]                               z_res_i,
  input  logic [31:0]                              m_res_i,
  input  logic                                     has_res_i,
  input  logic [pronghorn_types::TileBits-1:0]     res_i,
  input  logic [7:0]                               z_i,
  input  logic [7:0]                               lo_i,
  input  logic [7:0]                               hi_i,
  output logic [pronghorn_types::TileBits-1:0]     data_o
);
  import pronghorn_pkg::*;
  import pronghorn_types::*;

  logic                hold;
  logic [TileBits-1:0] bytes;
  logic [IC*20-1:0]    sum;
  logic                average;
  delay_line #(.Width(1), .Cycles(AccAt - SrcAt)) u_hold (.clk_i, .d_i(last_i), .q_o(hold));
  vector_unit u_vector (
    .clk_i, .first_i, .step_i, .x_i, .hold_i(hold), .average_i, .byte_o(bytes), .sum_o(sum),
    .average_o(average)
  );

  logic [PX*IC*32-1:0] acc_q;
  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < IC; i++) begin
      for (int unsigned p = 0; p < PX; p++) begin
        acc_q[(i*PX+p)*32+:32] <= average ? 32'($signed(sum[i*20+:20]))
                                          : 32'($signed(bytes[(p*IC+i)*8+:8]));
      end
    end
  end
  lanes u_lanes (
    .clk_i, .acc_i(acc_q), .constants_i, .quarter_i(2'd0), .pixel_i('0), .z_res_i, .m_res_i,
    .has_res_i, .res_i, .z_i, .lo_i, .hi_i, .logits_i(1'b0), .data_o
  );
endmodule
