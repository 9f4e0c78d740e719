// SPDX-License-Identifier: Apache-2.0
// The ports of UltraScale+'s clock generator that the kernel uses, for lint: Vivado brings the cell.
module MMCME4_BASE #(
  parameter real         CLKIN1_PERIOD = 0.0,
  parameter real         CLKFBOUT_MULT_F = 5.0,
  parameter int unsigned DIVCLK_DIVIDE = 1,
  parameter real         CLKOUT0_DIVIDE_F = 1.0,
  parameter int unsigned CLKOUT1_DIVIDE = 1
) (
  input  logic CLKIN1,
  input  logic CLKFBIN,
  output logic CLKFBOUT,
  output logic CLKOUT0,
  output logic CLKOUT1,
  output logic LOCKED,
  input  logic PWRDWN,
  input  logic RST
);
  assign {CLKFBOUT, CLKOUT0, CLKOUT1} = {3{CLKIN1}};
  assign LOCKED = !RST && !PWRDWN;
endmodule
