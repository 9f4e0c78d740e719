// SPDX-License-Identifier: Apache-2.0
// A logit: fp32(acc + bias) * m in binary32, 19 cycles later. m in [2^-126, 2^95); 0 gives +0.
module float_lane (
  input  logic        clk_i,
  input  logic [31:0] acc_i,
  input  logic [31:0] bias_i,
  input  logic [31:0] m_i,
  output logic [31:0] x_o
);
  logic [25:0] a4;
  logic [2:0]  sh4;
  logic [31:0] m4;
  logic [49:0] p11;
  logic [9:0]  exponent5_q, exponent11, exponent12_q;
  logic        sign12_q;
  logic [48:0] size12_q;

  delay_line #(.Width(32), .Cycles(4)) u_m (.clk_i, .d_i(m_i), .q_o(m4));
  acc_round #(.Lanes(1)) u_round (.clk_i, .acc_i, .bias_i, .a_o(a4), .sh_o(sh4));
  booth_product #(.Lanes(1)) u_product (.clk_i, .a_i(a4), .m_i({1'b1, m4[22:0]}), .p_o(p11));
  delay_line #(.Width(10), .Cycles(6)) u_exponent (.clk_i, .d_i(exponent5_q), .q_o(exponent11));

  // Coarse and fine normalisation: |p| is 0 or in [2^23, 2^48].
  logic [1:0]  coarse13_q;
  logic [2:0]  fine15_q;
  logic [48:0] size13_q, size14_q, size15_q, size16_q;
  logic [23:0] kept17_q;
  logic        up17_q;
  logic [9:0]  exponent13_q, exponent14_q, exponent15_q, exponent16_q, exponent17_q, exponent18_q;
  logic        sign13_q, sign14_q, sign15_q, sign16_q, sign17_q, sign18_q;
  logic        zero13_q, zero14_q, zero15_q, zero16_q, zero17_q, zero18_q;
  logic [24:0] rounded18_q;

  // Zeros before the leading one, of seven bits.
  function automatic logic [2:0] zeros(logic [6:0] bits);
    return bits[6] ? 3'd0 : bits[5] ? 3'd1 : bits[4] ? 3'd2 : bits[3] ? 3'd3 : bits[2] ? 3'd4
           : bits[1] ? 3'd5 : 3'd6;
  endfunction

  always_ff @(posedge clk_i) begin
    // p * 2^(e - 150 + sh); normalised to bit 48: 1.f * 2^(48 - lead) so the biased exponent is
    // e - 150 + sh + 48 + 127 = e + sh + 25 before the leading zeros are taken off.
    exponent5_q <= 10'({2'b00, m4[30:23]} + {7'd0, sh4} + 10'd25);
    // 12: sign and magnitude
    sign12_q     <= p11[49];
    size12_q     <= p11[49] ? 49'(-p11) : p11[48:0];
    exponent12_q <= exponent11;
    // 13: which seventh holds the leading bit: 48..42, 41..35, 34..28, 27..21
    coarse13_q <= |size12_q[48:42] ? 2'd0 : |size12_q[41:35] ? 2'd1 : |size12_q[34:28] ? 2'd2 : 2'd3;
    size13_q     <= size12_q;
    zero13_q     <= ~|size12_q;
    sign13_q     <= sign12_q;
    exponent13_q <= exponent12_q;
    // 14: coarse
    unique case (coarse13_q)
      2'd0: begin size14_q <= size13_q;       exponent14_q <= exponent13_q;          end
      2'd1: begin size14_q <= size13_q << 7;  exponent14_q <= exponent13_q - 10'd7;  end
      2'd2: begin size14_q <= size13_q << 14; exponent14_q <= exponent13_q - 10'd14; end
      2'd3: begin size14_q <= size13_q << 21; exponent14_q <= exponent13_q - 10'd21; end
    endcase
    zero14_q <= zero13_q;
    sign14_q <= sign13_q;
    // 15: how far to the leading one
    fine15_q     <= zeros(size14_q[48:42]);
    size15_q     <= size14_q;
    exponent15_q <= exponent14_q;
    zero15_q     <= zero14_q;
    sign15_q     <= sign14_q;
    // 16: fine; 24 bits are kept
    size16_q     <= size15_q << fine15_q;
    exponent16_q <= exponent15_q - {7'd0, fine15_q};
    zero16_q     <= zero15_q;
    sign16_q     <= sign15_q;
    // 17: up or down
    kept17_q     <= size16_q[48:25];
    up17_q       <= size16_q[24] & (|size16_q[23:0] | size16_q[25]);
    exponent17_q <= exponent16_q;
    zero17_q     <= zero16_q;
    sign17_q     <= sign16_q;
    // 18: round
    rounded18_q  <= {1'b0, kept17_q} + {24'd0, up17_q};
    exponent18_q <= exponent17_q;
    zero18_q     <= zero17_q;
    sign18_q     <= sign17_q;
    // 19: pack; rounding up to a power of two moves the exponent
    x_o <= zero18_q ? 32'd0
                    : {sign18_q, 8'(exponent18_q + {9'd0, rounded18_q[24]}),
                       rounded18_q[24] ? 23'd0 : rounded18_q[22:0]};
  end
endmodule
