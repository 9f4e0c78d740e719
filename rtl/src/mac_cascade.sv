// SPDX-License-Identifier: Apache-2.0
// Cascade DSP48E2s, each high * x * 2^18 + low * x plus the one before; the first adds 2^17 - 1, so that
// the low field of up to eight s8 products, -128 included, is never negative and never overflows.
// Operands of DSP i come i ticks after those of DSP 0; the sum is there Cascade + 2 ticks after those.
module mac_cascade (
  input  logic                                clk2x_i,
  input  logic [pronghorn_pkg::Cascade*8-1:0]  x_i,
  input  logic [pronghorn_pkg::Cascade*27-1:0] w_i,
  output logic [36:0]                         p_o
);
  import pronghorn_pkg::Cascade;
  logic [47:0] p [Cascade];
  logic [47:0] carry [Cascade];

  for (genvar i = 0; i < Cascade; i++) begin : gen_dsp
    logic [47:0] from;
    if (i == 0) begin : gen_first
      assign from = '0;
    end else begin : gen_next
      assign from = carry[i-1];
    end
    // OPMODE: W = RND for the first, else 0; Z = 0 for the first, else PCIN; Y and X = the product.
    DSP48E2 #(
      .ACASCREG(1), .ADREG(0), .ALUMODEREG(0), .AMULTSEL("A"), .AREG(1), .BCASCREG(1), .BMULTSEL("B"),
      .BREG(1), .CARRYINREG(0), .CARRYINSELREG(0), .CREG(0), .DREG(0), .INMODEREG(0), .MREG(1),
      .OPMODEREG(0), .PREG(1), .RND(48'h00000001FFFF), .USE_MULT("MULTIPLY")
    ) u_dsp (
      .CLK(clk2x_i), .A({{3{w_i[i*27+26]}}, w_i[i*27+:27]}), .B({{10{x_i[i*8+7]}}, x_i[i*8+:8]}),
      .C('0), .D('0), .PCIN(from), .P(p[i]), .PCOUT(carry[i]),
      .OPMODE((i == 0) ? 9'b10_000_01_01 : 9'b00_001_01_01), .ALUMODE(4'b0000), .INMODE(5'b00000),
      .CARRYINSEL(3'b000), .CARRYIN(1'b0), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0), .ACIN('0), .BCIN('0),
      .CEA1(1'b0), .CEA2(1'b1), .CEB1(1'b0), .CEB2(1'b1), .CEM(1'b1), .CEP(1'b1), .CEAD(1'b0),
      .CEALUMODE(1'b0), .CEC(1'b0), .CECARRYIN(1'b0), .CECTRL(1'b0), .CED(1'b0), .CEINMODE(1'b0),
      .RSTA(1'b0), .RSTB(1'b0), .RSTM(1'b0), .RSTP(1'b0), .RSTALLCARRYIN(1'b0), .RSTALUMODE(1'b0),
      .RSTC(1'b0), .RSTCTRL(1'b0), .RSTD(1'b0), .RSTINMODE(1'b0),
      .ACOUT(), .BCOUT(), .CARRYCASCOUT(), .CARRYOUT(), .MULTSIGNOUT(), .OVERFLOW(), .PATTERNBDETECT(),
      .PATTERNDETECT(), .UNDERFLOW(), .XOROUT()
    );
  end
  assign p_o = p[Cascade-1][36:0];
endmodule
