// SPDX-License-Identifier: Apache-2.0
// The LOAD engine: LOAD and IMAGE commands. Holds the active and one pending command.
module loader (
  input  logic                                     clk_i,
  input  logic                                     rst_ni,
  output logic                                     load_ready_o,
  input  logic                                     word_valid_i,
  input  logic [7:0]                               word_index_i,
  input  logic [63:0]                              word_i,
  input  logic                                     word_last_i,
  input  logic [2:0][63:0]                         base_i,
  input  logic [15:0]                              computes_done_i,
  input  logic [15:0]                              stores_done_i,
  output logic                                     command_done_o,
  output logic                                     empty_o,
  // the shared reader
  output logic                                     read_start_o,
  output logic [63:0]                              read_address_o,
  output logic [31:0]                              read_beats_o,
  input  logic                                     beat_valid_i,
  output logic                                     beat_ready_o,  // always, while no command runs
  input  logic [pronghorn_types::AxiBits-1:0]      beat_i,
  // writes: rows to the activation memories when they are free, words to the others at once
  output pronghorn_types::write_t                  write_o,
  output logic [pronghorn_types::TileBits-1:0]     write_data_o,
  input  logic [1:0]                               write_ready_i,  // by memory; from a register
  output logic                                     weight_write_o,
  output logic                                     constant_write_o,
  output logic [15:0]                              word_address_o,
  output logic [pronghorn_types::WeightBits-1:0]   weight_data_o,
  output logic [pronghorn_types::ConstantBits-1:0] constant_data_o
);
  import pronghorn_pkg::*;
  import pronghorn_types::*;
  localparam int unsigned RowBeats = PX * IC / AxiBytes;
  localparam int unsigned WeightBeats = OC * IC / AxiBytes;
  localparam int unsigned ConstantBeats = 8 * IC / AxiBytes;

  // Words 0 to 5 of the pending and of the active command.
  logic [5:0][63:0] pending_q, active_q;
  logic             pending_full_q, arriving_q, ready_q;
  assign load_ready_o = !pending_full_q && !arriving_q;

  typedef enum logic [2:0] {Idle, Factors, Divide, Begin, Run, Drain} state_e;
  state_e state_q;
  logic   running_q, running_image_q;    // state_q is Run: of a LOAD, of an IMAGE
  logic   begin_q, begin_image_q;        // state_q is Begin, and there is something to read
  assign empty_o = !pending_full_q && !arriving_q && state_q == Idle;

  // What the active command's words say.
  logic       image_q, none_q;
  logic [1:0] target_q;
  logic       memory_q, weights_q, constants_q;

  // A command's beats: count * beats per row, by shift and add over the bits of the smaller factor.
  logic [31:0] product_q, addend_q;
  logic [7:0]  factor_q, per_row_q;
  // positions div and mod PX, by subtraction.
  logic [15:0] line_rows_q, line_rest_q;
  logic        divided;
  assign divided = !image_q || line_rest_q < 16'(PX);

  // Collects a row or a word.
  logic [WeightBits-1:0] collect_q;
  logic [7:0]            to_come_q;     // beats of the word
  logic                  last_beat_q;
  logic [31:0]           words_q;       // to come
  logic                  last_word_q;
  logic [15:0]           address_q;
  logic                  word_full_q;
  logic                  word_taken, spread_ready, spread_idle, spread_idle_q;
  logic [2:0]            drain_q;
  write_t                spread_write;
  logic [TileBits-1:0]   spread_data;

  image_spreader u_spreader (
    .clk_i, .rst_ni, .start_i(begin_image_q), .beats_i(active_q[3][15:8]),
    .rows_i(active_q[3][31:16]), .positions_i(active_q[3][47:32]), .step6_i(active_q[3][50]),
    .groups_i(active_q[3][58:56]), .mem_i(active_q[3][0]), .dst_row_i(active_q[4][15:0]),
    .dst_bank_i(active_q[4][16+:BankBits]), .two_planes_i(active_q[4][25]),
    .dst_gs_i(active_q[4][47:32]), .plane_row_i(active_q[4][63:48]),
    .plane_bank_i(active_q[5][BankBits-1:0]), .line_rows_i(line_rows_q),
    .line_banks_i(BankBits'(line_rest_q)), .idle_o(spread_idle),
    .valid_i(beat_valid_i && running_image_q), .ready_o(spread_ready), .data_i(beat_i),
    .write_o(spread_write), .write_data_o(spread_data), .write_ready_i(write_ready_i[active_q[3][0]])
  );

  // No beat comes before a run, so its ready may stay: a program's beats are not held up here.
  assign beat_ready_o = running_image_q ? spread_ready : !running_q || !word_full_q || word_taken;
  assign word_taken   = word_full_q && (!memory_q || write_ready_i[target_q[0]]);

  assign read_start_o   = begin_q;
  assign read_address_o = base_i[active_q[2][49:48]] + {16'd0, active_q[2][47:0]};
  assign read_beats_o   = product_q;

  always_ff @(posedge clk_i) begin
    command_done_o <= 1'b0;
    begin_q        <= 1'b0;
    begin_image_q  <= 1'b0;
    spread_idle_q  <= spread_idle;
    if (word_valid_i) begin
      arriving_q <= !word_last_i;
      if (word_index_i < 8'd6) pending_q[word_index_i[2:0]] <= word_i;
      if (word_last_i) pending_full_q <= 1'b1;
    end
    ready_q <= pending_full_q && 16'(computes_done_i - pending_q[1][31:16]) < 16'h8000 &&
               16'(stores_done_i - pending_q[1][47:32]) < 16'h8000;

    unique case (state_q)
      Idle: if (ready_q && pending_full_q) begin
        active_q       <= pending_q;
        pending_full_q <= 1'b0;
        ready_q        <= 1'b0;
        state_q        <= Factors;
        product_q      <= '0;
        line_rows_q    <= '0;
        line_rest_q    <= pending_q[3][47:32];
        image_q        <= pending_q[0][7:0] == OpImage;
      end
      Factors: begin
        target_q    <= active_q[3][1:0];
        memory_q    <= !active_q[3][1];
        weights_q   <= active_q[3][2:0] == 3'd2;
        constants_q <= active_q[3][2:0] == 3'd3;
        addend_q    <= image_q ? {16'd0, active_q[3][31:16]} : active_q[3][63:32];
        factor_q    <= image_q ? active_q[3][15:8]
                       : (active_q[3][2:0] == 3'd2) ? 8'(WeightBeats)
                       : (active_q[3][2:0] == 3'd3) ? 8'(ConstantBeats) : 8'(RowBeats);
        per_row_q   <= (active_q[3][2:0] == 3'd2) ? 8'(WeightBeats)
                       : (active_q[3][2:0] == 3'd3) ? 8'(ConstantBeats) : 8'(RowBeats);
        words_q     <= active_q[3][63:32];
        address_q   <= active_q[3][31:16];
        state_q     <= Divide;
      end
      Divide: begin
        if (factor_q[0]) product_q <= product_q + addend_q;
        addend_q <= addend_q << 1;
        factor_q <= factor_q >> 1;
        if (!divided) begin
          line_rest_q <= line_rest_q - 16'(PX);
          line_rows_q <= line_rows_q + 16'd1;
        end
        none_q      <= product_q == 0;
        last_word_q <= words_q == 32'd1;
        last_beat_q <= per_row_q == 8'd1;
        to_come_q   <= per_row_q;
        if (factor_q == 0 && divided) begin
          state_q       <= Begin;
          begin_q       <= product_q != 0;
          begin_image_q <= product_q != 0 && image_q;
        end
      end
      Begin: begin
        word_full_q     <= 1'b0;
        spread_idle_q   <= 1'b0;
        drain_q         <= '0;
        state_q         <= none_q ? Drain : Run;
        running_q       <= !none_q && !image_q;
        running_image_q <= !none_q && image_q;
      end
      Run: begin
        if (word_taken) begin
          word_full_q <= 1'b0;
          address_q   <= address_q + 16'd1;
          words_q     <= words_q - 32'd1;
          last_word_q <= words_q == 32'd2;
        end
        if (running_q && beat_valid_i && beat_ready_o) begin
          // Beats enter at the top; the last one completes the word.
          collect_q   <= {beat_i, collect_q[WeightBits-1:AxiBits]};
          to_come_q   <= last_beat_q ? per_row_q : to_come_q - 8'd1;
          last_beat_q <= last_beat_q ? per_row_q == 8'd1 : to_come_q == 8'd2;
          if (last_beat_q) word_full_q <= 1'b1;
        end
        if (running_image_q ? spread_idle_q : (word_taken && last_word_q)) begin
          state_q         <= Drain;
          running_q       <= 1'b0;
          running_image_q <= 1'b0;
        end
      end
      // Until the last write is in its bank.
      Drain: begin
        drain_q <= drain_q + 3'd1;
        if (drain_q == 3'd5) begin
          state_q        <= Idle;
          command_done_o <= 1'b1;
        end
      end
      default: state_q <= Idle;
    endcase
    if (!rst_ni) begin
      state_q         <= Idle;
      pending_full_q  <= 1'b0;
      arriving_q      <= 1'b0;
      ready_q         <= 1'b0;
      begin_q         <= 1'b0;
      begin_image_q   <= 1'b0;
      running_q       <= 1'b0;
      running_image_q <= 1'b0;
      word_full_q     <= 1'b0;
    end
  end

  // A word of n beats is in the top n beats of collect_q. The spreader has nothing to write in a LOAD.
  always_comb begin
    write_o      = spread_write;
    write_data_o = spread_data;
    if (!image_q) begin
      write_o       = '0;
      write_o.valid = word_full_q && memory_q;
      write_o.mem   = target_q[0];
      write_o.row   = address_q;
      write_o.mask  = '1;
      write_data_o  = collect_q[WeightBits-1-:TileBits];
    end
  end
  assign weight_write_o   = word_full_q && weights_q;
  assign constant_write_o = word_full_q && constants_q;
  assign word_address_o   = address_q;
  assign weight_data_o    = collect_q;
  assign constant_data_o  = collect_q[WeightBits-1-:ConstantBits];

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (rst_ni && word_valid_i && word_index_i == 8'd0) begin
      assert (load_ready_o) else $error("a command while the last one waits");
    end
  end
`endif
endmodule
