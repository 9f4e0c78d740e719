// SPDX-License-Identifier: Apache-2.0
// A model of the DSP48E2 as mac_cascade uses it: registers A2, B2, M and P, the 27 x 18 multiplier, the
// adder with X, Y = M, Z = 0 or PCIN, W = 0 or RND. Anything else it is asked for stops the simulation.
// After the DSP48E2 user guide (UG579). A vendor model may take its place.
module DSP48E2 #(
  parameter int ACASCREG = 1, parameter int ADREG = 1, parameter int ALUMODEREG = 1,
  parameter AMULTSEL = "A", parameter int AREG = 1, parameter int BCASCREG = 1,
  parameter BMULTSEL = "B", parameter int BREG = 1, parameter int CARRYINREG = 1,
  parameter int CARRYINSELREG = 1, parameter int CREG = 1, parameter int DREG = 1,
  parameter int INMODEREG = 1, parameter int MREG = 1, parameter int OPMODEREG = 1,
  parameter int PREG = 1, parameter logic [47:0] RND = 48'h0, parameter USE_MULT = "MULTIPLY"
) (
  input  logic        CLK,
  input  logic [29:0] A,
  input  logic [17:0] B,
  input  logic [47:0] C,
  input  logic [26:0] D,
  input  logic [47:0] PCIN,
  output logic [47:0] P,
  output logic [47:0] PCOUT,
  input  logic [8:0]  OPMODE,
  input  logic [3:0]  ALUMODE,
  input  logic [4:0]  INMODE,
  input  logic [2:0]  CARRYINSEL,
  input  logic        CARRYIN, CARRYCASCIN, MULTSIGNIN,
  input  logic [29:0] ACIN,
  input  logic [17:0] BCIN,
  input  logic        CEA1, CEA2, CEB1, CEB2, CEM, CEP, CEAD, CEALUMODE, CEC, CECARRYIN, CECTRL, CED,
  input  logic        CEINMODE,
  input  logic        RSTA, RSTB, RSTM, RSTP, RSTALLCARRYIN, RSTALUMODE, RSTC, RSTCTRL, RSTD, RSTINMODE,
  output logic [29:0] ACOUT,
  output logic [17:0] BCOUT,
  output logic        CARRYCASCOUT, MULTSIGNOUT, OVERFLOW, PATTERNBDETECT, PATTERNDETECT, UNDERFLOW,
  output logic [3:0]  CARRYOUT,
  output logic [7:0]  XOROUT
);
  logic signed [26:0] a_q;
  logic signed [17:0] b_q;
  logic signed [44:0] m_q;
  logic [47:0]        p_q;

  initial begin
    assert (AREG == 1 && BREG == 1 && MREG == 1 && PREG == 1 && OPMODEREG == 0 && USE_MULT == "MULTIPLY")
      else $fatal(1, "DSP48E2: registers that this model does not have");
  end
  always_ff @(posedge CLK) begin
    assert (OPMODE[3:0] == 4'b0101 && ALUMODE == 0 && INMODE == 0)
      else $fatal(1, "DSP48E2: a mode that this model does not have");
    if (CEA2) a_q <= $signed(A[26:0]);
    if (CEB2) b_q <= $signed(B);
    if (CEM) m_q <= 45'(a_q) * 45'(b_q);
    if (CEP) p_q <= 48'(m_q) + ((OPMODE[6:4] == 3'b001) ? PCIN : '0) + ((OPMODE[8:7] == 2'b10) ? RND : '0);
  end
  assign P = p_q;
  assign PCOUT = p_q;

  // Outputs that the array leaves open, inputs that it ties off.
  assign {ACOUT, BCOUT, CARRYCASCOUT, MULTSIGNOUT, OVERFLOW, PATTERNBDETECT, PATTERNDETECT, UNDERFLOW,
          CARRYOUT, XOROUT} = '0;
  logic unused;
  assign unused = ^{A[29:27], C, D, CARRYINSEL, CARRYIN, CARRYCASCIN, MULTSIGNIN, ACIN, BCIN, CEA1, CEB1, CEAD,
                    CEALUMODE, CEC, CECARRYIN, CECTRL, CED, CEINMODE, RSTA, RSTB, RSTM, RSTP, RSTALLCARRYIN,
                    RSTALUMODE, RSTC, RSTCTRL, RSTD, RSTINMODE, ACASCREG[0], ADREG[0], ALUMODEREG[0],
                    BCASCREG[0], CARRYINREG[0], CARRYINSELREG[0], CREG[0], DREG[0], INMODEREG[0]};
endmodule
