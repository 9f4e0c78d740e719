// SPDX-License-Identifier: Apache-2.0
// The law's requantization for Lanes pixels of one output channel, 21 cycles from acc_i to q_o:
//   clamp(rne(fma(fp32(acc + bias), m, fp32(q_res - z_res) * m_res)) + z)
module requantize_column #(
  parameter int unsigned Lanes = 1
) (
  input  logic                clk_i,
  input  logic [Lanes*32-1:0] acc_i,
  input  logic [31:0]         bias_i,
  input  logic [31:0]         m_i,
  // six cycles later
  input  logic [Lanes*8-1:0]  res_i,
  input  logic [23:0]         m_res_i,         // of zero_product: significand,
  input  logic [32:0]         minus_zm_res_i,  // -z_res * m_res,
  input  logic [3:0]          left_res_i,      // exponent
  // 18 cycles later
  input  logic [7:0]          z_i,
  // 19 cycles later
  input  logic [7:0]          lo_i,
  input  logic [7:0]          hi_i,
  output logic [Lanes*8-1:0]  q_o
);
  logic [Lanes*26-1:0] a4;
  logic [Lanes*3-1:0]  sh4;
  logic [30:0]         m3;
  logic [22:0]         significand4_q;
  logic signed [9:0]   base4_q;
  delay_line #(.Width(31), .Cycles(3)) u_m (.clk_i, .d_i(m_i[30:0]), .q_o(m3));
  always_ff @(posedge clk_i) begin
    significand4_q <= m3[22:0];
    base4_q        <= 10'sd136 - $signed({2'b00, m3[30:23]});
  end
  acc_round #(.Lanes(Lanes)) u_round (.clk_i, .acc_i, .bias_i, .a_o(a4), .sh_o(sh4));

  logic [Lanes*50-1:0] p11;
  booth_product #(.Lanes(Lanes)) u_product (.clk_i, .a_i(a4), .m_i({1'b1, significand4_q}), .p_o(p11));

  // m = significand * 2^(exponent - 150): in units of 2^-30, p * 2^(exponent - 120 + sh).
  logic [Lanes*6-1:0] shift5_q, shift11;
  logic [Lanes-1:0]   huge5_q, huge11;
  always_ff @(posedge clk_i) begin
    for (int unsigned l = 0; l < Lanes; l++) begin
      automatic logic signed [9:0] shift;
      shift = base4_q - $signed({7'd0, sh4[l*3+:3]});
      huge5_q[l] <= shift[9];
      shift5_q[l*6+:6] <= (|shift[8:6]) ? 6'd63 : shift[5:0];
    end
  end
  delay_line #(.Width(Lanes * 7), .Cycles(6)) u_shift (
    .clk_i, .d_i({huge5_q, shift5_q}), .q_o({huge11, shift11})
  );

  logic [Lanes*44-1:0] v14;
  logic [Lanes*45-1:0] r14, s15_q;
  logic [Lanes-1:0]    over14, sticky14, sticky15_q;
  align_product #(.Lanes(Lanes)) u_align (
    .clk_i, .p_i(p11), .shift_i(shift11), .huge_i(huge11), .v_o(v14), .over_o(over14),
    .sticky_o(sticky14)
  );
  residual_value #(.Lanes(Lanes)) u_residual (
    .clk_i, .q_i(res_i), .m_i(m_res_i), .minus_zm_i(minus_zm_res_i), .left_i(left_res_i), .r_o(r14)
  );
  always_ff @(posedge clk_i) begin
    // What is over counts as +-2^43.
    for (int unsigned l = 0; l < Lanes; l++) begin
      s15_q[l*45+:45] <= r14[l*45+:45] +
          {v14[l*44+43], v14[l*44+43] | over14[l], v14[l*44+:43] & {43{~over14[l]}}};
    end
    sticky15_q <= sticky14;
  end
  round_clamp #(.Lanes(Lanes)) u_clamp (
    .clk_i, .s_i(s15_q), .sticky_i(sticky15_q), .z_i, .lo_i, .hi_i, .q_o
  );
endmodule
