// SPDX-License-Identifier: Apache-2.0
// All requantize lanes and the float lanes behind them: PX x IC sums in, PX words of IC bytes out,
// LaneLatency cycles later. Float results: the IC/4 channels of one quarter of one pixel, the same word
// for every pixel.
module lanes (
  input  logic                                   clk_i,
  input  logic [pronghorn_pkg::PX*pronghorn_pkg::IC*32-1:0] acc_i,  // [channel][pixel]
  input  logic [pronghorn_types::ConstantBits-1:0] constants_i,
  input  logic [1:0]                             quarter_i,
  input  logic [pronghorn_types::BankBits-1:0]   pixel_i,
  // ResAt - 3 cycles later
  input  logic [7:0]                             z_res_i,
  input  logic [31:0]                            m_res_i,
  input  logic                                   has_res_i,
  // ResAt cycles later
  input  logic [pronghorn_types::TileBits-1:0]   res_i,
  // 18 and 19 cycles later
  input  logic [7:0]                             z_i,
  input  logic [7:0]                             lo_i,
  input  logic [7:0]                             hi_i,
  // with the results
  input  logic                                   logits_i,
  output logic [pronghorn_types::TileBits-1:0]   data_o
);
  import pronghorn_pkg::*;
  import pronghorn_types::*;
  localparam int unsigned Floats = IC / 4;

  logic [23:0] m_res;
  logic [32:0] minus_zm_res;
  logic [3:0]  left_res;
  zero_product u_zero (
    .clk_i, .z_i(z_res_i), .m_i(m_res_i), .use_i(has_res_i), .m_o(m_res), .minus_zm_o(minus_zm_res),
    .left_o(left_res)
  );

  logic [TileBits-1:0] bytes;
  for (genvar i = 0; i < IC; i++) begin : gen_column
    logic [PX*8-1:0] res, q;
    for (genvar p = 0; p < PX; p++) begin : gen_pixel
      assign res[p*8+:8] = res_i[(p*IC+i)*8+:8];
      assign bytes[(p*IC+i)*8+:8] = q[p*8+:8];
    end
    requantize_column #(.Lanes(PX)) u_column (
      .clk_i, .acc_i(acc_i[i*PX*32+:PX*32]), .bias_i(constants_i[i*64+:32]),
      .m_i(constants_i[i*64+32+:32]), .res_i(res), .m_res_i(m_res),
      .minus_zm_res_i(minus_zm_res), .left_res_i(left_res), .z_i, .lo_i, .hi_i, .q_o(q)
    );
  end

  // One: the quarter. Two: the pixel.
  logic [Floats*PX*32-1:0] quarter_q;
  logic [Floats*64-1:0]    constants1_q, constants2_q;
  logic [BankBits-1:0]     pixel1_q;
  logic [Floats*32-1:0]    acc2_q;
  logic [WordBits-1:0]     word;
  always_ff @(posedge clk_i) begin
    quarter_q    <= acc_i[32'(quarter_i)*Floats*PX*32+:Floats*PX*32];
    constants1_q <= constants_i[32'(quarter_i)*Floats*64+:Floats*64];
    pixel1_q     <= pixel_i;
    for (int unsigned f = 0; f < Floats; f++) begin
      acc2_q[f*32+:32] <= quarter_q[(f*PX+32'(pixel1_q))*32+:32];
    end
    constants2_q <= constants1_q;
  end
  for (genvar f = 0; f < Floats; f++) begin : gen_float
    float_lane u_lane (
      .clk_i, .acc_i(acc2_q[f*32+:32]), .bias_i(constants2_q[f*64+:32]),
      .m_i(constants2_q[f*64+32+:32]), .x_o(word[f*32+:32])
    );
  end
  assign data_o = logits_i ? {PX{word}} : bytes;
endmodule
