// SPDX-License-Identifier: Apache-2.0
// A requantize column with the product of zero point and multiplier that all columns share.
module requantize_path #(
  parameter int unsigned Lanes = 2
) (
  input  logic                clk_i,
  input  logic [Lanes*32-1:0] acc_i,
  input  logic [31:0]         bias_i,
  input  logic [31:0]         m_i,
  // three cycles later
  input  logic [7:0]          z_res_i,
  input  logic [31:0]         m_res_i,
  input  logic                has_res_i,
  // six cycles later
  input  logic [Lanes*8-1:0]  res_i,
  // 18 cycles later
  input  logic [7:0]          z_i,
  // 19 cycles later
  input  logic [7:0]          lo_i,
  input  logic [7:0]          hi_i,
  output logic [Lanes*8-1:0]  q_o
);
  logic [23:0] m_res;
  logic [32:0] minus_zm_res;
  logic [3:0]  left_res;
  zero_product u_zero (
    .clk_i, .z_i(z_res_i), .m_i(m_res_i), .use_i(has_res_i), .m_o(m_res), .minus_zm_o(minus_zm_res),
    .left_o(left_res)
  );
  requantize_column #(.Lanes(Lanes)) u_column (
    .clk_i, .acc_i, .bias_i, .m_i, .res_i, .m_res_i(m_res), .minus_zm_res_i(minus_zm_res),
    .left_res_i(left_res), .z_i, .lo_i, .hi_i, .q_o
  );
endmodule
