// SPDX-License-Identifier: Apache-2.0
// Registers, AXI reader and dispatcher, with the overlay's bus ports; the bench is the three engines. Nothing is
// written to memory.
module control (
  input  logic                                ap_clk,
  input  logic                                clk2x_i,
  input  logic                                ap_rst_n,
  // the engines
  input  logic [2:0]                          engine_ready_i,
  input  logic [2:0]                          engine_empty_i,
  input  logic [2:0]                          command_done_i,
  input  logic                                conv_step_i,
  output logic [2:0]                          word_valid_o,
  output logic [7:0]                          word_index_o,
  output logic [63:0]                         word_o,
  output logic                                word_last_o,
  output logic                                busy_o,
  output logic [2:0][63:0]                    base_o,
`include "bus_ports.svh"
);
  import pronghorn_types::AxiBits;
  logic               start, done;
  logic [2:0]         error;
  logic [63:0]        program_address;
  logic [31:0]        program_words;
  registers u_registers (
    .clk_i(ap_clk), .rst_ni(ap_rst_n), .start_o(start), .busy_i(busy_o), .done_i(done),
    .error_i(error), .conv_step_i, .command_done_i, .program_o(program_address), .base_o,
    .program_words_o(program_words),
`include "control_connections.svh"
  );

  logic               fetching, read_start, read_error, beat_valid, beat_last, idle;
  logic [63:0]        read_address;
  logic [31:0]        read_beats;
  logic [AxiBits-1:0] beat;
  axi_reader u_reader (
    .clk_i(ap_clk), .rst_ni(ap_rst_n), .start_i(read_start), .address_i(read_address),
    .beats_i(read_beats), .idle_o(idle), .error_o(read_error), .valid_o(beat_valid), .ready_i(1'b1),
    .data_o(beat), .last_o(beat_last), .arvalid_o(m_axi_gmem_arvalid),
    .arready_i(m_axi_gmem_arready), .araddr_o(m_axi_gmem_araddr), .arlen_o(m_axi_gmem_arlen),
    .rvalid_i(m_axi_gmem_rvalid), .rready_o(m_axi_gmem_rready), .rdata_i(m_axi_gmem_rdata),
    .rresp_i(m_axi_gmem_rresp)
  );
  dispatch u_dispatch (
    .clk_i(ap_clk), .rst_ni(ap_rst_n), .start_i(start), .program_i(program_address),
    .program_words_i(program_words), .busy_o, .done_o(done), .error_o(error),
    .read_error_i(read_error), .write_error_i(1'b0), .fetching_o(fetching),
    .read_start_o(read_start), .read_address_o(read_address), .read_beats_o(read_beats),
    .beat_valid_i(beat_valid), .beat_i(beat), .beat_last_i(beat_last), .engine_ready_i,
    .engine_empty_i, .word_valid_o, .word_index_o, .word_o, .word_last_o
  );
  assign m_axi_gmem_arsize  = '0;
  assign m_axi_gmem_arburst = '0;
  assign m_axi_gmem_awsize  = '0;
  assign m_axi_gmem_awburst = '0;
  assign m_axi_gmem_wstrb   = '0;
  assign m_axi_gmem_awvalid = 1'b0;
  assign m_axi_gmem_awaddr  = '0;
  assign m_axi_gmem_awlen   = '0;
  assign m_axi_gmem_wvalid  = 1'b0;
  assign m_axi_gmem_wdata   = '0;
  assign m_axi_gmem_wlast   = 1'b0;
  assign m_axi_gmem_bready  = 1'b1;
endmodule
