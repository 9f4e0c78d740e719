// SPDX-License-Identifier: Apache-2.0
// -z * m for the residuals of one cycle, three cycles later, with what else residual_value wants of
// m_res, a binary32 in [2^-7, 2^4). Significand and product are 0 if use_i is 0.
module zero_product (
  input  logic        clk_i,
  input  logic [7:0]  z_i,
  input  logic [31:0] m_i,
  input  logic        use_i,
  output logic [23:0] m_o,
  output logic [32:0] minus_zm_o,
  output logic [3:0]  left_o
);
  import pronghorn_types::multiple;
  logic [23:0]        m1_q, m2_q;
  logic [8:0]         minus_z1_q;
  logic [3:0]         left1_q, left2_q;
  logic signed [32:0] low2_q, high2_q;

  // Booth's digit of z times m.
  function automatic logic signed [32:0] part(logic [23:0] m, logic [2:0] bits);
    return 33'($signed(multiple({2'b00, m}, bits))) + 33'(bits[2]);
  endfunction

  always_ff @(posedge clk_i) begin
    m1_q       <= use_i ? {1'b1, m_i[22:0]} : '0;
    minus_z1_q <= -9'($signed(z_i));
    left1_q    <= 4'(m_i[30:23] - 8'd120);
    low2_q     <= part(m1_q, {minus_z1_q[1:0], 1'b0}) + (part(m1_q, minus_z1_q[3:1]) <<< 2);
    high2_q    <= part(m1_q, minus_z1_q[5:3]) + (part(m1_q, minus_z1_q[7:5]) <<< 2) +
                  (part(m1_q, {{2{minus_z1_q[8]}}, minus_z1_q[7]}) <<< 4);
    m2_q       <= m1_q;
    left2_q    <= left1_q;
    minus_zm_o <= low2_q + (high2_q <<< 4);
    m_o        <= m2_q;
    left_o     <= left2_q;
  end
endmodule
