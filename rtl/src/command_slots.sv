// SPDX-License-Identifier: Apache-2.0
// Two COMPUTE commands: the one that runs and the one before, still landing, or the one after. Takes a
// command word by word and keeps its parameters and taps until all its results have landed.
module command_slots (
  input  logic                            clk_i,
  input  logic                            rst_ni,
  // words from the dispatcher; taken only while ready
  output logic                            load_ready_o,  // between commands: the next may come
  input  logic                            word_valid_i,
  input  logic [7:0]                      word_index_i,
  input  logic [63:0]                     word_i,
  input  logic                            word_last_i,
  // the next command to start
  output logic                            loaded_o,
  input  logic                            start_i,
  input  logic                            slot_i,        // the sequencer's
  output logic [15:0]                     wait_load_o,
  output logic [15:0]                     wait_store_o,
  // completion
  input  logic                            done_i,
  input  logic                            done_slot_i,
  output logic                            empty_o,
  // contents
  output pronghorn_types::kind_t [1:0]    kind_o,
  output pronghorn_types::compute_t [1:0] command_o,
  output logic                            prepare_o,     // the coming command's parameters are in
  output logic                            load_slot_o,
  input  logic                            prepared_i,
  input  logic [6:0]                      tap_i,
  output pronghorn_types::tap_t           tap_o          // one cycle later
);
  import pronghorn_pkg::PX;
  import pronghorn_types::*;

  logic [1:0]        full_q, loaded_q;
  logic              load_slot_q, prepare_q, preparing_q, finishing_q;
  logic [1:0][15:0]  wait_load_q, wait_store_q;
  logic [1:0][511:0] words_q;
  assign load_ready_o = !full_q[load_slot_q] && !finishing_q;
  assign empty_o      = full_q == 2'b00;
  assign loaded_o     = loaded_q[slot_i];
  assign wait_load_o  = wait_load_q[slot_i];
  assign wait_store_o = wait_store_q[slot_i];
  assign command_o    = words_q;
  assign prepare_o    = prepare_q;
  assign load_slot_o  = load_slot_q;

  always_ff @(posedge clk_i) begin
    prepare_q <= 1'b0;
    if (word_valid_i) begin
      full_q[load_slot_q] <= 1'b1;
      if (word_index_i == 8'd0) begin
        kind_o[load_slot_q] <= '{conv: word_i[7:0] == OpConv, average: word_i[7:0] == OpAverage,
                                 maxpool: word_i[7:0] == OpMaxpool};
      end
      if (word_index_i == 8'd1) begin
        wait_load_q[load_slot_q]  <= word_i[15:0];
        wait_store_q[load_slot_q] <= word_i[47:32];
      end
      for (int unsigned w = 0; w < 8; w++) begin
        if (word_index_i == 8'(w + 2)) words_q[load_slot_q][w*64+:64] <= word_i;
      end
      if (word_last_i) finishing_q <= 1'b1;
    end
    // The first coordinates are computed in one place: not before the command before has taken its own.
    if (finishing_q && !preparing_q && loaded_q == 2'b00) begin
      prepare_q   <= 1'b1;
      preparing_q <= 1'b1;
    end
    if (preparing_q && !prepare_q && prepared_i) begin
      preparing_q           <= 1'b0;
      finishing_q           <= 1'b0;
      loaded_q[load_slot_q] <= 1'b1;
      load_slot_q           <= ~load_slot_q;
    end
    if (start_i) loaded_q[slot_i] <= 1'b0;
    if (done_i) full_q[done_slot_i] <= 1'b0;
    if (!rst_ni) begin
      full_q      <= '0;
      loaded_q    <= '0;
      load_slot_q <= 1'b0;
      prepare_q   <= 1'b0;
      preparing_q <= 1'b0;
      finishing_q <= 1'b0;
    end
  end

  // Taps, with src_bank added to the bank; two arrive in a word.
  function automatic tap_t placed(logic [31:0] word, logic [5:0] src_bank);
    tap_t tap;
    logic [5:0] bank;
    tap  = word;
    bank = {1'b0, tap.bank} + src_bank;
    if (bank >= 6'(PX)) begin
      bank    = bank - 6'(PX);
      tap.row = tap.row + 16'd1;
    end
    tap.bank = bank[4:0];
    return tap;
  endfunction

  (* ram_style = "distributed" *) logic [31:0] even_taps[64];
  (* ram_style = "distributed" *) logic [31:0] odd_taps[64];
  logic [7:0] pair;
  logic [5:0] src_bank;
  assign pair     = word_index_i - 8'd10;
  assign src_bank = command_o[load_slot_q].src_bank;
  always_ff @(posedge clk_i) begin
    if (word_valid_i && word_index_i >= 8'd10) begin
      even_taps[{load_slot_q, pair[4:0]}] <= placed(word_i[31:0], src_bank);
      odd_taps[{load_slot_q, pair[4:0]}]  <= placed(word_i[63:32], src_bank);
    end
    tap_o <= tap_i[0] ? odd_taps[tap_i[6:1]] : even_taps[tap_i[6:1]];
  end
  logic unused;
  assign unused = ^pair[7:5];

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (rst_ni && word_valid_i && word_index_i == 8'd0) begin
      assert (load_ready_o) else $error("a command while the last one waits");
    end
    if (rst_ni && start_i) assert (loaded_o) else $error("a command starts that is not loaded");
    if (rst_ni && done_i) assert (full_q[done_slot_i]) else $error("an empty slot is done");
  end
`endif
endmodule
