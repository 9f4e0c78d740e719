// SPDX-License-Identifier: Apache-2.0
// The overlay: dispatcher, three engines and the memories they share. COMPUTE has the first right to
// every port; the loader's writes and the storer's reads wait.
module core #(
  parameter bit Structural = 1'b0
) (
  input  logic                                clk_i,
  input  logic                                clk2x_i,
  input  logic                                rst_ni,
  // control
  input  logic                                start_i,
  input  logic [63:0]                         program_i,
  input  logic [31:0]                         program_words_i,
  input  logic [2:0][63:0]                    base_i,
  output logic                                busy_o,
  output logic                                done_o,
  output logic [2:0]                          error_o,
  output logic                                conv_step_o,
  output logic [2:0]                          command_done_o /*verilator public_flat_rd*/, // by engine
  // AXI4
  output logic                                arvalid_o,
  input  logic                                arready_i,
  output logic [63:0]                         araddr_o,
  output logic [7:0]                          arlen_o,
  input  logic                                rvalid_i,
  output logic                                rready_o,
  input  logic [pronghorn_types::AxiBits-1:0] rdata_i,
  input  logic [1:0]                          rresp_i,
  output logic                                awvalid_o,
  input  logic                                awready_i,
  output logic [63:0]                         awaddr_o,
  output logic [7:0]                          awlen_o,
  output logic                                wvalid_o,
  input  logic                                wready_i,
  output logic [pronghorn_types::AxiBits-1:0] wdata_o,
  output logic                                wlast_o,
  input  logic                                bvalid_i,
  output logic                                bready_o,
  input  logic [1:0]                          bresp_i
);
  import pronghorn_pkg::*;
  import pronghorn_types::*;

  // Completed commands of each engine since the start.
  logic [2:0][15:0] done_q;
  always_ff @(posedge clk_i) begin
    for (int unsigned e = 0; e < 3; e++) begin
      if (!rst_ni || start_i) done_q[e] <= '0;
      else if (command_done_o[e]) done_q[e] <= done_q[e] + 16'd1;
    end
  end

  logic [2:0]  ready, empty, word_valid;
  logic [7:0]  word_index;
  logic [63:0] word;
  logic        word_last;

  // One reader, for programs and for the loader: never at the same time.
  logic               fetching /*verilator public_flat_rd*/;
  logic               fetch_start, load_start, load_ready;
  logic [63:0]        fetch_address, load_address;
  logic [31:0]        fetch_beats, load_beats;
  logic               beat_valid, beat_last, read_error, write_error;
  logic [AxiBits-1:0] beat;
  logic               reader_idle;
  axi_reader u_reader (
    .clk_i, .rst_ni, .start_i(fetch_start || load_start),
    .address_i(fetching ? fetch_address : load_address),
    .beats_i(fetching ? fetch_beats : load_beats), .idle_o(reader_idle), .error_o(read_error),
    .valid_o(beat_valid), .ready_i(load_ready), .data_o(beat),
    .last_o(beat_last), .arvalid_o, .arready_i, .araddr_o, .arlen_o, .rvalid_i, .rready_o, .rdata_i,
    .rresp_i
  );

  dispatch u_dispatch (
    .clk_i, .rst_ni, .start_i, .program_i, .program_words_i, .busy_o, .done_o, .error_o,
    .read_error_i(read_error), .write_error_i(write_error), .fetching_o(fetching),
    .read_start_o(fetch_start), .read_address_o(fetch_address), .read_beats_o(fetch_beats),
    .beat_valid_i(beat_valid), .beat_i(beat),
    .beat_last_i(beat_last), .engine_ready_i(ready), .engine_empty_i(empty),
    .word_valid_o(word_valid), .word_index_o(word_index), .word_o(word), .word_last_o(word_last)
  );

  write_t                       load_write, compute_write;
  logic [TileBits-1:0]          load_data, compute_data;
  logic                         weight_write, constant_write;
  logic [1:0]                   write_soon, compute_writes_q;  // COMPUTE writes, by memory
  logic [15:0]                  load_word;
  logic [WeightBits-1:0]        weight_in, weight_out;
  logic [ConstantBits-1:0]      constant_in, constant_out;
  loader u_loader (
    .clk_i, .rst_ni, .load_ready_o(ready[0]), .word_valid_i(word_valid[0]),
    .word_index_i(word_index), .word_i(word), .word_last_i(word_last), .base_i,
    .computes_done_i(done_q[1]), .stores_done_i(done_q[2]), .command_done_o(command_done_o[0]),
    .empty_o(empty[0]), .read_start_o(load_start), .read_address_o(load_address),
    .read_beats_o(load_beats), .beat_valid_i(beat_valid), .beat_ready_o(load_ready),
    .beat_i(beat), .write_o(load_write), .write_data_o(load_data),
    .write_ready_i(~compute_writes_q), .weight_write_o(weight_write),
    .constant_write_o(constant_write), .word_address_o(load_word), .weight_data_o(weight_in),
    .constant_data_o(constant_in)
  );

  logic                src_valid, src_mem, res_valid, res_mem;
  logic [15:0]         src_row, res_row;
  logic [BankBits-1:0] src_bank, res_bank;
  logic [1:0][TileBits-1:0] data;
  logic                weight_read;
  logic [15:0]         weight_word, constant_word;
  compute #(.Structural(Structural)) u_compute (
    .clk_i, .clk2x_i, .rst_ni, .load_ready_o(ready[1]), .word_valid_i(word_valid[1]),
    .word_index_i(word_index), .word_i(word), .word_last_i(word_last), .loads_done_i(done_q[0]),
    .stores_done_i(done_q[2]), .command_done_o(command_done_o[1]), .empty_o(empty[1]),
    .conv_step_o, .src_valid_o(src_valid), .src_mem_o(src_mem), .src_row_o(src_row),
    .src_bank_o(src_bank), .res_valid_o(res_valid), .res_mem_o(res_mem), .res_row_o(res_row),
    .res_bank_o(res_bank), .data_i(data), .write_o(compute_write),
    .write_data_o(compute_data), .write_soon_o(write_soon), .weight_read_o(weight_read), .weight_word_o(weight_word),
    .weight_data_i(weight_out), .constant_word_o(constant_word), .constant_data_i(constant_out)
  );

  logic        store_valid, store_mem, store_ready;
  logic [15:0] store_row;
  storer u_storer (
    .clk_i, .rst_ni, .load_ready_o(ready[2]), .word_valid_i(word_valid[2]),
    .word_index_i(word_index), .word_i(word), .word_last_i(word_last), .base_i,
    .loads_done_i(done_q[0]), .computes_done_i(done_q[1]), .command_done_o(command_done_o[2]),
    .empty_o(empty[2]), .error_o(write_error), .read_valid_o(store_valid),
    .read_mem_o(store_mem), .read_row_o(store_row), .read_ready_i(store_ready), .data_i(data),
    .awvalid_o, .awready_i, .awaddr_o, .awlen_o, .wvalid_o, .wready_i, .wdata_o, .wlast_o, .bvalid_i,
    .bready_o, .bresp_i
  );

  // Ports.
  logic [1:0] src_here, res_here;
  always_ff @(posedge clk_i) compute_writes_q <= rst_ni ? write_soon : '0;
  for (genvar m = 0; m < 2; m++) begin : gen_memory
    logic [15:0]         row;
    logic [BankBits-1:0] bank;
    write_t              write;
    logic [TileBits-1:0] write_data;
    assign src_here[m]       = src_valid && src_mem == 1'(m);
    assign res_here[m]       = res_valid && res_mem == 1'(m);
    assign row  = src_here[m] ? src_row : res_here[m] ? res_row : store_row;
    assign bank = src_here[m] ? src_bank : res_here[m] ? res_bank : '0;
    always_comb begin
      write       = compute_writes_q[m] ? compute_write : load_write;
      write.valid = compute_writes_q[m] || (load_write.valid && load_write.mem == 1'(m));
      write_data  = compute_writes_q[m] ? compute_data : load_data;
    end
    activation_memory #(
      .Rows((m == 0) ? M0Rows : M1Rows), .Uram((m == 0) ? M0Uram : M1Uram)
    ) u_memory (
      .clk_i, .read_row_i(row), .read_bank_i(bank), .data_o(data[m]), .write_i(write),
      .data_i(write_data)
    );
`ifndef SYNTHESIS
    always_ff @(posedge clk_i) begin
      if (rst_ni) begin
        assert (!(src_here[m] && res_here[m])) else $error("src and residual in the same memory");
        assert (compute_writes_q[m] == (compute_write.valid && compute_write.mem == 1'(m)))
          else $error("a write that was not foretold");
      end
    end
`endif
  end
  assign store_ready = store_valid && !src_here[store_mem] && !res_here[store_mem];

  weight_memory u_weights (
    .clk_i, .write_i(weight_write), .write_word_i(load_word), .data_i(weight_in),
    .read_i(weight_read), .read_word_i(weight_word), .data_o(weight_out)
  );
  constant_memory u_constants (
    .clk_i, .write_i(constant_write), .write_word_i(load_word), .data_i(constant_in),
    .read_word_i(constant_word), .data_o(constant_out)
  );
  logic unused;
  assign unused = reader_idle;
endmodule
