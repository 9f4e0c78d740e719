// SPDX-License-Identifier: Apache-2.0
// The top of the Vitis kernel: the overlay and the clock at twice ap_clk that its multipliers need, made
// in the kernel so that the two are edge-aligned. ap_clk is the logic clock of rtl/configs.toml (300 MHz):
// the VCO runs at 4 x 300 = 1200 MHz; other clocks need other factors (800 to 1600 MHz).
module pronghorn_kernel (
  input  logic         ap_clk,
  input  logic         ap_rst_n,
`include "bus_ports.svh"
);
  logic feedback, feedback_buffered, logic_raw, double_raw, logic_clock, double_clock, locked;
  MMCME4_BASE #(
    .CLKIN1_PERIOD(3.333), .CLKFBOUT_MULT_F(4.0), .DIVCLK_DIVIDE(1), .CLKOUT0_DIVIDE_F(4.0),
    .CLKOUT1_DIVIDE(2)
  ) u_clocks (
    .CLKIN1(ap_clk), .CLKFBIN(feedback_buffered), .CLKFBOUT(feedback), .CLKOUT0(logic_raw),
    .CLKOUT1(double_raw), .LOCKED(locked), .PWRDWN(1'b0), .RST(~ap_rst_n)
  );
  BUFG u_feedback (.I(feedback), .O(feedback_buffered));
  BUFG u_logic (.I(logic_raw), .O(logic_clock));
  BUFG u_double (.I(double_raw), .O(double_clock));

  // ap_clk's edges are the logic clock's (the MMCM aligns them through its feedback): the bus ports stay
  // in ap_clk's domain.
  (* ASYNC_REG = "TRUE" *) logic [2:0] reset_q;
  always_ff @(posedge logic_clock) reset_q <= {reset_q[1:0], ap_rst_n & locked};

  pronghorn #(.Structural(1'b1)) u_pronghorn (
    .ap_clk(logic_clock), .clk2x_i(double_clock), .ap_rst_n(reset_q[2]), .*
  );
endmodule
