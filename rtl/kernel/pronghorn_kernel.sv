// SPDX-License-Identifier: Apache-2.0
// The top of the Vitis kernel: the overlay and the clock at twice ap_clk that its multipliers need, made
// in the kernel so that the two are edge-aligned. ap_clk is the logic clock of rtl/configs.toml (300 MHz):
// the VCO runs at 4 x 300 = 1200 MHz; other clocks need other factors (800 to 1600 MHz).
module pronghorn_kernel (
  input  logic         ap_clk,
  input  logic         ap_rst_n,
  output logic         interrupt,
  input  logic         s_axi_control_awvalid,
  output logic         s_axi_control_awready,
  input  logic [6:0]   s_axi_control_awaddr,
  input  logic         s_axi_control_wvalid,
  output logic         s_axi_control_wready,
  input  logic [31:0]  s_axi_control_wdata,
  input  logic [3:0]   s_axi_control_wstrb,
  output logic         s_axi_control_bvalid,
  input  logic         s_axi_control_bready,
  output logic [1:0]   s_axi_control_bresp,
  input  logic         s_axi_control_arvalid,
  output logic         s_axi_control_arready,
  input  logic [6:0]   s_axi_control_araddr,
  output logic         s_axi_control_rvalid,
  input  logic         s_axi_control_rready,
  output logic [31:0]  s_axi_control_rdata,
  output logic [1:0]   s_axi_control_rresp,
  output logic         m_axi_gmem_arvalid,
  input  logic         m_axi_gmem_arready,
  output logic [63:0]  m_axi_gmem_araddr,
  output logic [7:0]   m_axi_gmem_arlen,
  output logic [2:0]   m_axi_gmem_arsize,
  output logic [1:0]   m_axi_gmem_arburst,
  input  logic         m_axi_gmem_rvalid,
  output logic         m_axi_gmem_rready,
  input  logic [511:0] m_axi_gmem_rdata,
  input  logic         m_axi_gmem_rlast,
  input  logic [1:0]   m_axi_gmem_rresp,
  output logic         m_axi_gmem_awvalid,
  input  logic         m_axi_gmem_awready,
  output logic [63:0]  m_axi_gmem_awaddr,
  output logic [7:0]   m_axi_gmem_awlen,
  output logic [2:0]   m_axi_gmem_awsize,
  output logic [1:0]   m_axi_gmem_awburst,
  output logic         m_axi_gmem_wvalid,
  input  logic         m_axi_gmem_wready,
  output logic [511:0] m_axi_gmem_wdata,
  output logic [63:0]  m_axi_gmem_wstrb,
  output logic         m_axi_gmem_wlast,
  input  logic         m_axi_gmem_bvalid,
  output logic         m_axi_gmem_bready,
  input  logic [1:0]   m_axi_gmem_bresp
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
