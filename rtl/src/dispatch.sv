// SPDX-License-Identifier: Apache-2.0
// Loads a program into the command memory, then hands its commands to the engines in order, a word
// every two cycles; ends when END finds every engine empty, or with an error.
module dispatch (
  input  logic                                  clk_i,
  input  logic                                  rst_ni,
  input  logic                                  start_i,
  input  logic [63:0]                           program_i,
  input  logic [31:0]                           program_words_i,
  output logic                                  busy_o,
  output logic                                  done_o,       // a pulse
  output logic [2:0]                            error_o,
  input  logic                                  read_error_i,
  input  logic                                  write_error_i,
  // the shared reader, while fetching_o; every beat is taken at once
  output logic                                  fetching_o,
  output logic                                  read_start_o,
  output logic [63:0]                           read_address_o,
  output logic [31:0]                           read_beats_o,
  input  logic                                  beat_valid_i,
  input  logic [pronghorn_types::AxiBits-1:0]   beat_i,
  input  logic                                  beat_last_i,
  // engines: 0 LOAD, 1 COMPUTE, 2 STORE
  input  logic [2:0]                            engine_ready_i,
  input  logic [2:0]                            engine_empty_i,
  output logic [2:0]                            word_valid_o,
  output logic [7:0]                            word_index_o,
  output logic [63:0]                           word_o,
  output logic                                  word_last_o
);
  import pronghorn_pkg::*;
  import pronghorn_types::*;
  localparam int unsigned Beats = CommandWords / (AxiBytes / 8);
  localparam int unsigned BeatBits = $clog2(Beats);
  localparam int unsigned InBeat = $clog2(AxiBytes / 8);
  localparam int unsigned PcBits = BeatBits + InBeat;

  (* ram_style = "block" *) logic [AxiBits-1:0] words[Beats];
  logic [BeatBits-1:0] fill_q;
  logic [AxiBits-1:0]  beat_q;
  logic [PcBits:0]     pc_q;

  typedef enum logic [2:0] {Idle, Fetch, Read, Align, Look, Send, SendAlign, Finish}
      state_e;
  state_e state_q;
  logic [63:0] word_q;
  logic [7:0]  index_q, length_q;
  logic [1:0]  engine_q;
  logic        known, ends;
  logic [1:0]  engine;
  logic [7:0]  op;

  assign op    = word_q[7:0];
  assign ends  = op == OpEnd;
  assign known = op >= OpConv && op <= OpEnd && word_q[15:8] >= 8'd2;
  assign engine = (op <= OpMaxpool) ? 2'd1 : (op == OpStore) ? 2'd2 : 2'd0;

  assign busy_o         = state_q != Idle;
  assign read_address_o = program_i;
  assign read_beats_o   = (program_words_i + 32'(AxiBytes / 8 - 1)) >> InBeat;
  assign word_o         = word_q;
  assign word_index_o   = index_q;

  // A cycle old, which is new enough: a command's words end two cycles before the next is looked at.
  logic [2:0] ready_q;
  logic       empty_q;
  always_ff @(posedge clk_i) begin
    ready_q <= engine_ready_i;
    empty_q <= &engine_empty_i;
  end

  always_ff @(posedge clk_i) begin
    if (beat_valid_i && fetching_o) words[fill_q] <= beat_i;
    beat_q <= words[pc_q[PcBits-1:InBeat]];
  end
  always_ff @(posedge clk_i) begin
    done_o       <= 1'b0;
    read_start_o <= 1'b0;
    word_valid_o <= '0;
    unique case (state_q)
      Idle: if (start_i) begin
        error_o <= '0;
        pc_q    <= '0;
        fill_q  <= '0;
        if (program_words_i > 32'(CommandWords)) begin
          error_o <= 3'd4;
          state_q <= Finish;
        end else if (program_words_i == 0) begin
          state_q <= Read;
        end else begin
          fetching_o   <= 1'b1;
          read_start_o <= 1'b1;
          state_q      <= Fetch;
        end
      end
      Fetch: if (beat_valid_i) begin
        fill_q <= fill_q + 1'b1;
        if (beat_last_i) begin
          fetching_o <= 1'b0;
          state_q    <= Read;
        end
      end
      // The word at pc_q: memory, its place in the beat, its meaning.
      Read: begin
        if (pc_q[PcBits]) begin
          error_o <= 3'd4;
          state_q <= Finish;
        end else begin
          state_q <= Align;
        end
      end
      Align: begin
        word_q  <= beat_q[32'(pc_q[InBeat-1:0])*64+:64];
        state_q <= Look;
      end
      Look: begin
        index_q     <= '0;
        word_last_o <= 1'b0;
        length_q <= word_q[15:8];
        engine_q <= engine;
        if (!known) begin
          error_o <= 3'd1;
          state_q <= Finish;
        end else if (ends) begin
          if (empty_q) state_q <= Finish;
        end else if (ready_q[engine]) begin
          state_q <= Send;
          pc_q    <= pc_q + 1'b1;
          word_valid_o[engine] <= 1'b1;
        end
      end
      // Word index_q goes out; the next is being read.
      Send: begin
        index_q <= index_q + 8'd1;
        state_q <= word_last_o ? Read : SendAlign;
      end
      SendAlign: begin
        word_q <= beat_q[32'(pc_q[InBeat-1:0])*64+:64];
        pc_q   <= pc_q + 1'b1;
        state_q <= Send;
        word_valid_o[engine_q] <= 1'b1;
        word_last_o            <= index_q + 8'd1 == length_q;
      end
      Finish: begin
        // What has started runs to its end.
        if (empty_q) begin
          state_q <= Idle;
          done_o  <= 1'b1;
        end
      end
      default: state_q <= Idle;
    endcase
    if (read_error_i && error_o == 0) error_o <= 3'd2;
    if (write_error_i && error_o == 0) error_o <= 3'd3;
    // A bus error ends the run after the commands under way.
    if (error_o != 0 && (state_q == Look || state_q == Read)) begin
      state_q      <= Finish;
      word_valid_o <= '0;
    end
    if (!rst_ni) begin
      state_q      <= Idle;
      error_o      <= '0;
      done_o       <= 1'b0;
      fetching_o   <= 1'b0;
      read_start_o <= 1'b0;
      word_valid_o <= '0;
    end
  end
endmodule
