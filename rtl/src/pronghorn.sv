// SPDX-License-Identifier: Apache-2.0
// The overlay with its bus ports, named as Vitis wants them. clk2x_i: twice ap_clk, edge-aligned; only
// the multipliers use it (Structural = 1).
module pronghorn #(
  parameter bit Structural = 1'b0
) (
  input  logic                                ap_clk,
  input  logic                                clk2x_i,
  input  logic                                ap_rst_n,
`include "bus_ports.svh"
);
  import pronghorn_pkg::AxiBytes;

  logic             start, busy, done, conv_step;
  logic [2:0]       error, command_done;
  logic [63:0]      program_address;
  logic [2:0][63:0] base;
  logic [31:0]      program_words;
  registers u_registers (
    .clk_i(ap_clk), .rst_ni(ap_rst_n), .start_o(start), .busy_i(busy), .done_i(done),
    .error_i(error), .conv_step_i(conv_step), .command_done_i(command_done),
    .program_o(program_address), .base_o(base), .program_words_o(program_words),
`include "control_connections.svh"
  );
  core #(.Structural(Structural)) u_core (
    .clk_i(ap_clk), .clk2x_i, .rst_ni(ap_rst_n), .start_i(start), .program_i(program_address),
    .program_words_i(program_words), .base_i(base), .busy_o(busy), .done_o(done), .error_o(error),
    .conv_step_o(conv_step), .command_done_o(command_done),
    .arvalid_o(m_axi_gmem_arvalid), .arready_i(m_axi_gmem_arready),
    .araddr_o(m_axi_gmem_araddr), .arlen_o(m_axi_gmem_arlen), .rvalid_i(m_axi_gmem_rvalid),
    .rready_o(m_axi_gmem_rready), .rdata_i(m_axi_gmem_rdata), .rresp_i(m_axi_gmem_rresp),
    .awvalid_o(m_axi_gmem_awvalid), .awready_i(m_axi_gmem_awready),
    .awaddr_o(m_axi_gmem_awaddr), .awlen_o(m_axi_gmem_awlen), .wvalid_o(m_axi_gmem_wvalid),
    .wready_i(m_axi_gmem_wready), .wdata_o(m_axi_gmem_wdata), .wlast_o(m_axi_gmem_wlast),
    .bvalid_i(m_axi_gmem_bvalid), .bready_o(m_axi_gmem_bready), .bresp_i(m_axi_gmem_bresp)
  );
  assign m_axi_gmem_arsize  = 3'($clog2(AxiBytes));
  assign m_axi_gmem_awsize  = 3'($clog2(AxiBytes));
  assign m_axi_gmem_arburst = 2'b01;
  assign m_axi_gmem_awburst = 2'b01;
  assign m_axi_gmem_wstrb   = '1;
  logic unused;
  assign unused = m_axi_gmem_rlast;
endmodule
