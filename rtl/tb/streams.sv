// SPDX-License-Identifier: Apache-2.0
// The LOAD and STORE engines with the AXI reader, as core.sv joins them; the bench is the dispatcher, COMPUTE
// and the memories on chip.
module streams (
  input  logic                                     clk_i,
  input  logic                                     rst_ni,
  // commands: 0 LOAD, 1 STORE
  output logic [1:0]                               load_ready_o,
  input  logic [1:0]                               word_valid_i,
  input  logic [7:0]                               word_index_i,
  input  logic [63:0]                              word_i,
  input  logic                                     word_last_i,
  input  logic [2:0][63:0]                         base_i,
  input  logic [2:0][15:0]                         done_i,     // completed: LOAD, COMPUTE, STORE
  output logic [1:0]                               command_done_o,
  output logic [1:0]                               empty_o,
  output logic [1:0]                               error_o,
  // memories on chip
  input  logic [1:0]                               write_ready_i,
  output logic                                     write_valid_o,
  output logic                                     write_mem_o,
  output logic [15:0]                              write_row_o,
  output logic [pronghorn_types::BankBits-1:0]     write_bank_o,
  output logic [pronghorn_pkg::PX-1:0]             write_mask_o,
  output logic [pronghorn_types::TileBits-1:0]     write_data_o,
  output logic                                     weight_write_o,
  output logic                                     constant_write_o,
  output logic [15:0]                              word_address_o,
  output logic [pronghorn_types::WeightBits-1:0]   weight_data_o,
  output logic [pronghorn_types::ConstantBits-1:0] constant_data_o,
  output logic                                     read_valid_o,
  output logic                                     read_mem_o,
  output logic [15:0]                              read_row_o,
  input  logic                                     read_ready_i,
  input  logic [1:0][pronghorn_types::TileBits-1:0] data_i,
`include "memory_ports.svh"
);
  import pronghorn_types::*;
  logic               start, idle, valid, ready, last;
  logic [63:0]        address;
  logic [31:0]        beats;
  logic [AxiBits-1:0] beat;
  write_t             write;
  axi_reader u_reader (
    .clk_i, .rst_ni, .start_i(start), .address_i(address), .beats_i(beats), .idle_o(idle),
    .error_o(error_o[0]), .valid_o(valid), .ready_i(ready), .data_o(beat), .last_o(last),
    .arvalid_o(m_axi_gmem_arvalid), .arready_i(m_axi_gmem_arready), .araddr_o(m_axi_gmem_araddr),
    .arlen_o(m_axi_gmem_arlen), .rvalid_i(m_axi_gmem_rvalid), .rready_o(m_axi_gmem_rready),
    .rdata_i(m_axi_gmem_rdata), .rresp_i(m_axi_gmem_rresp)
  );
  loader u_loader (
    .clk_i, .rst_ni, .load_ready_o(load_ready_o[0]), .word_valid_i(word_valid_i[0]), .word_index_i,
    .word_i, .word_last_i, .base_i, .computes_done_i(done_i[1]), .stores_done_i(done_i[2]),
    .command_done_o(command_done_o[0]), .empty_o(empty_o[0]), .read_start_o(start),
    .read_address_o(address), .read_beats_o(beats), .beat_valid_i(valid), .beat_ready_o(ready),
    .beat_i(beat), .write_o(write), .write_data_o, .write_ready_i, .weight_write_o,
    .constant_write_o, .word_address_o, .weight_data_o, .constant_data_o
  );
  assign write_valid_o = write.valid;
  assign write_mem_o   = write.mem;
  assign write_row_o   = write.row;
  assign write_bank_o  = write.bank;
  assign write_mask_o  = write.mask;
  storer u_storer (
    .clk_i, .rst_ni, .load_ready_o(load_ready_o[1]), .word_valid_i(word_valid_i[1]), .word_index_i,
    .word_i, .word_last_i, .base_i, .loads_done_i(done_i[0]), .computes_done_i(done_i[1]),
    .command_done_o(command_done_o[1]), .empty_o(empty_o[1]), .error_o(error_o[1]), .read_valid_o,
    .read_mem_o, .read_row_o, .read_ready_i, .data_i, .awvalid_o(m_axi_gmem_awvalid),
    .awready_i(m_axi_gmem_awready), .awaddr_o(m_axi_gmem_awaddr), .awlen_o(m_axi_gmem_awlen),
    .wvalid_o(m_axi_gmem_wvalid), .wready_i(m_axi_gmem_wready), .wdata_o(m_axi_gmem_wdata),
    .wlast_o(m_axi_gmem_wlast), .bvalid_i(m_axi_gmem_bvalid), .bready_o(m_axi_gmem_bready),
    .bresp_i(m_axi_gmem_bresp)
  );
  assign m_axi_gmem_arsize  = '0;
  assign m_axi_gmem_arburst = '0;
  assign m_axi_gmem_awsize  = '0;
  assign m_axi_gmem_awburst = '0;
  assign m_axi_gmem_wstrb   = '0;
endmodule
