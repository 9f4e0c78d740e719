// SPDX-License-Identifier: Apache-2.0
// The COMPUTE engine: sequencer, array, vector unit, result sequencer and lanes, with the delays that
// keep them in step. Positions in pronghorn_types count from a step's read request.
module compute #(
  parameter bit Structural = 1'b0
) (
  input  logic                                     clk_i,
  input  logic                                     clk2x_i,
  input  logic                                     rst_ni,
  // commands
  output logic                                     load_ready_o,
  input  logic                                     word_valid_i,
  input  logic [7:0]                               word_index_i,
  input  logic [63:0]                              word_i,
  input  logic                                     word_last_i,
  input  logic [15:0]                              loads_done_i,
  input  logic [15:0]                              stores_done_i,
  output logic                                     command_done_o,
  output logic                                     empty_o,
  output logic                                     conv_step_o,
  // activation memories: data ReadLatency cycles after a request
  output logic                                     src_valid_o,
  output logic                                     src_mem_o,
  output logic [15:0]                              src_row_o,
  output logic [pronghorn_types::BankBits-1:0]     src_bank_o,
  output logic                                     res_valid_o,
  output logic                                     res_mem_o,
  output logic [15:0]                              res_row_o,
  output logic [pronghorn_types::BankBits-1:0]     res_bank_o,
  input  logic [1:0][pronghorn_types::TileBits-1:0] data_i,
  output pronghorn_types::write_t                  write_o,
  output logic [pronghorn_types::TileBits-1:0]     write_data_o,
  output logic [1:0]                               write_soon_o,  // to which memory it writes in the next cycle
  // weights four, constants three cycles after the word
  output logic                                     weight_read_o,
  output logic [15:0]                              weight_word_o,
  input  logic [pronghorn_types::WeightBits-1:0]   weight_data_i,
  output logic [15:0]                              constant_word_o,
  input  logic [pronghorn_types::ConstantBits-1:0] constant_data_i
);
  import pronghorn_pkg::*;
  import pronghorn_types::*;

  // Commands, coordinates, steps.
  kind_t [1:0]     kind;
  compute_t [1:0]  command;
  logic            loaded, start, slot, prepare, prepared, load_slot, ready_q;
  logic [15:0]     wait_load, wait_store;
  logic            done, done_slot, pixels_done;
  logic [6:0]      tap_index;
  tap_t            tap;
  command_slots u_slots (
    .clk_i, .rst_ni, .load_ready_o, .word_valid_i, .word_index_i, .word_i, .word_last_i,
    .loaded_o(loaded), .start_i(start), .slot_i(slot), .wait_load_o(wait_load),
    .wait_store_o(wait_store), .done_i(done), .done_slot_i(done_slot), .empty_o, .kind_o(kind),
    .command_o(command), .prepare_o(prepare), .load_slot_o(load_slot), .prepared_i(prepared),
    .tap_i(tap_index), .tap_o(tap)
  );
  assign command_done_o = done;

  // Counts only grow, so a condition that held a cycle ago holds.
  always_ff @(posedge clk_i) begin
    ready_q <= rst_ni && loaded && !start && 16'(loads_done_i - wait_load) < 16'h8000 &&
               16'(stores_done_i - wait_store) < 16'h8000;
  end

  logic [PX*12-1:0] x, y, x_q, y_q;
  logic             next_pixels, next_is_last;
  logic [5:0]       passes;
  coordinates u_coordinates (
    .clk_i, .rst_ni, .prepare_i(prepare), .next_command_i(command[load_slot]),
    .prepared_o(prepared), .start_i(start), .advance_i(next_pixels), .command_i(command[slot]),
    .next_is_last_i(next_is_last), .x_o(x), .y_o(y), .passes_o(passes)
  );

  step_t               step;
  tile_t               tile, tile_late;
  logic                tap_valid, tail, idle;
  logic [15:0]         weight_word;
  sequencer u_sequencer (
    .clk_i, .rst_ni, .ready_i(ready_q), .kind_i(kind), .command_i(command), .slot_o(slot),
    .start_o(start), .tap_o(tap_index), .tap_i(tap), .advance_o(next_pixels),
    .next_is_last_o(next_is_last), .passes_i(passes), .pixels_done_i(pixels_done),
    .command_done_i(done), .done_slot_i(done_slot), .step_o(step), .read_mem_o(src_mem_o),
    .read_row_o(src_row_o), .read_bank_o(src_bank_o), .weight_o(weight_word), .tail_o(tail),
    .tap_valid_o(tap_valid), .idle_o(idle), .tile_o(tile)
  );
  assign src_valid_o = step.valid;
  assign conv_step_o = step.valid && kind[step.slot].conv;

  // Borders: coordinates one cycle later, beside the tap.
  logic [PX-1:0] inside2, counted;
  always_ff @(posedge clk_i) begin
    x_q <= x;
    y_q <= y;
  end
  logic slot1_q;
  always_ff @(posedge clk_i) slot1_q <= slot;
  borders u_borders (
    .clk_i, .x_i(x_q), .y_i(y_q), .ro_i(tap.ro), .co_i(tap.co),
    .check_i(command[slot1_q].pad_check && tap_valid), .iw_i(command[slot1_q].iw),
    .ih_i(command[slot1_q].ih), .inside_o(inside2)
  );

  // Src tile: chosen memory, borders and tails replaced.
  step_t         step5, step6, step16;
  logic          mem5, tail2;
  logic [PX-1:0] counted2;
  delay_line #(.Width(1), .Cycles(2)) u_tail (.clk_i, .d_i(tail), .q_o(tail2));
  step_t step2;
  reset_delay_line #(.Width($bits(step_t)), .Cycles(2)) u_step2 (
    .clk_i, .rst_ni, .d_i(step), .q_o(step2)
  );
  reset_delay_line #(.Width($bits(step_t)), .Cycles(3)) u_step5 (
    .clk_i, .rst_ni, .d_i(step2), .q_o(step5)
  );
  reset_delay_line #(.Width($bits(step_t)), .Cycles(1)) u_step6 (
    .clk_i, .rst_ni, .d_i(step5), .q_o(step6)
  );
  reset_delay_line #(.Width($bits(step_t)), .Cycles(AccAt - SrcAt)) u_step16 (
    .clk_i, .rst_ni, .d_i(step6), .q_o(step16)
  );
  delay_line #(.Width(1), .Cycles(ReadLatency)) u_mem5 (.clk_i, .d_i(src_mem_o), .q_o(mem5));
  always_comb begin
    for (int unsigned l = 0; l < PX; l++) begin
      counted2[l] = inside2[l] && (!tail2 || l < 32'(command[step2.slot].last_px));
    end
  end
  delay_line #(.Width(PX), .Cycles(ReadLatency - 2)) u_inside (
    .clk_i, .d_i(counted2), .q_o(counted)
  );
  logic [7:0]          fill_q;
  logic [TileBits-1:0] src6_q;
  step_t               step4;
  reset_delay_line #(.Width($bits(step_t)), .Cycles(2)) u_step4 (
    .clk_i, .rst_ni, .d_i(step2), .q_o(step4)
  );
  always_ff @(posedge clk_i) begin
    fill_q <= kind[step4.slot].maxpool ? 8'h80
              : kind[step4.slot].average ? 8'h00 : command[step4.slot].pad;
    for (int unsigned l = 0; l < PX; l++) begin
      src6_q[l*WordBits+:WordBits] <= counted[l] ? data_i[mem5][l*WordBits+:WordBits] : {IC{fill_q}};
    end
  end

  // Weights arrive with the src tile.
  delay_line #(.Width(17), .Cycles(SrcAt - 4)) u_weight (
    .clk_i, .d_i({conv_step_o, weight_word}), .q_o({weight_read_o, weight_word_o})
  );

  // Results of a tile.
  reset_delay_line #(.Width($bits(tile_t)), .Cycles(BeatAt + 2 - 5)) u_tile (
    .clk_i, .rst_ni, .d_i(tile), .q_o(tile_late)
  );
  beat_t  beat13, beat17, beat18;
  write_t write13, write39;
  logic       next_rows;
  logic [3:0] row_index;
  span_t      row;
  planes_walker u_walker (
    .clk_i, .rst_ni, .tile_i(tile), .command_i(command[tile.slot]), .next_i(next_rows),
    .index_i(row_index), .span_o(row)
  );
  result_sequencer u_results (
    .clk_i, .rst_ni, .tile_i(tile_late), .kind_i(kind), .command_i(command),
    .next_rows_o(next_rows), .row_index_o(row_index), .row_i(row), .beat_o(beat13), .write_o(write13)
  );
  reset_delay_line #(.Width($bits(beat_t)), .Cycles(HoldAt - BeatAt)) u_beat17 (
    .clk_i, .rst_ni, .d_i(beat13), .q_o(beat17)
  );
  reset_delay_line #(.Width($bits(beat_t)), .Cycles(1)) u_beat18 (
    .clk_i, .rst_ni, .d_i(beat17), .q_o(beat18)
  );
  delay_line #(.Width(16), .Cycles(LaneAt - 3 - BeatAt)) u_constant (
    .clk_i, .d_i(beat13.c_word), .q_o(constant_word_o)
  );

  // Sums: the array's, or the vector unit's.
  logic [PX*IC*32-1:0] array_acc, acc18_q;
  logic [TileBits-1:0] vector_bytes;
  logic [IC*20-1:0]    vector_sum;
  logic                vector_average, conv17;
  logic [ConstantBits-1:0] constants18;
  mac_array #(.Structural(Structural)) u_array (
    .clk_i, .clk2x_i, .step_i(step6.valid && kind[step6.slot].conv), .first_i(step6.first),
    .x_i(src6_q), .w_i(weight_data_i),
    .hold_i(step16.valid && step16.last && kind[step16.slot].conv), .group_i(beat17.group),
    .acc_o(array_acc)
  );
  vector_unit u_vector (
    .clk_i, .first_i(step6.first), .step_i(step6.valid && !kind[step6.slot].conv), .x_i(src6_q),
    .hold_i(step16.valid && step16.last && !kind[step16.slot].conv),
    .average_i(kind[step16.slot].average), .byte_o(vector_bytes), .sum_o(vector_sum),
    .average_o(vector_average)
  );
  assign conv17 = kind[beat17.slot].conv;
  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < IC; i++) begin
      for (int unsigned p = 0; p < PX; p++) begin
        acc18_q[(i*PX+p)*32+:32] <= conv17 ? array_acc[(i*PX+p)*32+:32]
            : vector_average ? 32'($signed(vector_sum[i*20+:20]))
                             : 32'($signed(vector_bytes[(p*IC+i)*8+:8]));
      end
    end
  end
  always_comb begin
    for (int unsigned i = 0; i < IC; i++) begin
      constants18[i*64+:64] = kind[beat18.slot].maxpool ? 64'h3f80_0000_0000_0000
                                                             : constant_data_i[i*64+:64];
    end
  end

  // Residuals: requested with beat18.
  compute_t c17;
  assign c17 = command[beat17.slot];
  always_ff @(posedge clk_i) begin
    res_valid_o <= rst_ni && beat17.valid && c17.has_res && !kind[beat17.slot].maxpool;
    res_mem_o   <= c17.res_mem;
    res_row_o   <= beat17.res_row;
    res_bank_o  <= c17.res_bank[BankBits-1:0];
  end
  logic                res_mem23, res_valid20, slot20;
  logic [TileBits-1:0] res24_q;
  logic [7:0]          z_res21_q;
  logic [31:0]         m_res21_q;
  logic                has_res21_q;
  delay_line #(.Width(2), .Cycles(ReadLatency - 3)) u_res20 (
    .clk_i, .d_i({res_valid_o, beat18.slot}), .q_o({res_valid20, slot20})
  );
  delay_line #(.Width(1), .Cycles(ReadLatency)) u_res23 (.clk_i, .d_i(res_mem_o), .q_o(res_mem23));
  always_ff @(posedge clk_i) begin
    res24_q     <= data_i[res_mem23];
    z_res21_q   <= command[slot20].z_res;
    m_res21_q   <= command[slot20].m_res;
    has_res21_q <= res_valid20;
  end

  // Zero point and bounds.
  logic       slot35, slot36;
  logic [7:0] z36_q, lo37_q, hi37_q;
  delay_line #(.Width(1), .Cycles(17)) u_slot35 (.clk_i, .d_i(beat18.slot), .q_o(slot35));
  delay_line #(.Width(1), .Cycles(1)) u_slot36 (.clk_i, .d_i(slot35), .q_o(slot36));
  always_ff @(posedge clk_i) begin
    z36_q  <= kind[slot35].maxpool ? 8'h00 : command[slot35].z_dst;
    lo37_q <= kind[slot36].maxpool ? 8'h80 : command[slot36].lo;
    hi37_q <= kind[slot36].maxpool ? 8'h7f : command[slot36].hi;
  end

  beat_t  beat38, beat39;
  write_t write38;
  logic   logits39_q;
  reset_delay_line #(.Width($bits(beat_t)), .Cycles(LaneLatency - 1)) u_beat38 (
    .clk_i, .rst_ni, .d_i(beat18), .q_o(beat38)
  );
  reset_delay_line #(.Width($bits(beat_t)), .Cycles(1)) u_beat39 (
    .clk_i, .rst_ni, .d_i(beat38), .q_o(beat39)
  );
  reset_delay_line #(.Width($bits(write_t)), .Cycles(LaneAt + LaneLatency - BeatAt - 1)) u_write38 (
    .clk_i, .rst_ni, .d_i(write13), .q_o(write38)
  );
  reset_delay_line #(.Width($bits(write_t)), .Cycles(1)) u_write39 (
    .clk_i, .rst_ni, .d_i(write38), .q_o(write39)
  );
  always_ff @(posedge clk_i) logits39_q <= command[beat38.slot].logits;
  lanes u_lanes (
    .clk_i, .acc_i(acc18_q), .constants_i(constants18), .quarter_i(beat18.quarter),
    .pixel_i(beat18.pixel), .res_i(res24_q), .z_res_i(z_res21_q), .m_res_i(m_res21_q),
    .has_res_i(has_res21_q), .z_i(z36_q), .lo_i(lo37_q), .hi_i(hi37_q),
    .logits_i(logits39_q), .data_o(write_data_o)
  );
  assign write_o      = write39;
  assign write_soon_o = {write38.valid && write38.mem, write38.valid && !write38.mem};
  assign pixels_done = beat39.valid && beat39.pixels_done;
  assign done        = beat39.valid && beat39.command_done;
  assign done_slot   = beat39.slot;

  logic unused;
  assign unused = idle;
endmodule
