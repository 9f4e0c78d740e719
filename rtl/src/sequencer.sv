// SPDX-License-Identifier: Apache-2.0
// Issues the steps of COMPUTE commands (docs/fpga.md, "Commands" and "Cycles"): walks pixels, result
// tiles, taps and groups, makes addresses, and holds back
//   - the first step of a tile of pixels until the command before has landed what it reads,
//   - the last step of a tile of results until the tile before has left the hold registers.
// Commands alternate between two slots. A step's read request leaves two cycles after its issue.
module sequencer (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  // the slots
  input  logic                          ready_i,        // the next command is loaded and may start
  input  pronghorn_types::kind_t [1:0]  kind_i,
  input  pronghorn_types::compute_t [1:0] command_i,
  output logic                          slot_o,         // of the running or, idle, the next command
  output logic                          start_o,        // it starts: takes the first coordinates
  // tap memory, read one cycle after tap_o; its bank includes src_bank
  output logic [6:0]                    tap_o,
  input  pronghorn_types::tap_t         tap_i,
  // coordinates
  output logic                          advance_o,
  output logic                          next_is_last_o,
  input  logic [5:0]                    passes_i,
  // progress of results
  input  logic                          pixels_done_i,
  input  logic                          command_done_i,
  input  logic                          done_slot_i,
  // a step: the request, and its flags and tap with it
  output pronghorn_types::step_t        step_o,
  output logic                          read_mem_o,
  output logic [15:0]                   read_row_o,
  output logic [pronghorn_types::BankBits-1:0] read_bank_o,
  output logic [15:0]                   weight_o,
  output logic                          tail_o,         // AVERAGE: only last_px pixels count
  output logic                          tap_valid_o,    // one cycle before step_o: tap_i belongs to it
  output logic                          idle_o,
  // a tile of results, in the cycle of its last step's issue
  output pronghorn_types::tile_t        tile_o
);
  import pronghorn_pkg::*;
  import pronghorn_types::*;

  logic     active_q, slot_q;
  compute_t c;
  logic     conv, average;
  assign c       = command_i[slot_q];
  assign conv    = kind_i[slot_q].conv;
  assign average = kind_i[slot_q].average;

  // Counters. inner: groups of a CONV, else taps; middle: taps of a CONV, else once; tile: tiles of
  // output channels of a CONV, else groups.
  // output channels of a CONV, else groups. Whether a counter is at its end is a register of its own: set one
  // count before (*_before_q), or always if there is only one (*_single_q).
  logic [9:0]  inner_q, inner_last_q, inner_before_q;
  logic [5:0]  middle_q, middle_last_q, middle_before_q;
  logic [9:0]  tile_q, tile_last_q, tile_before_q;
  logic        inner_end, inner_single_q, middle_end, middle_single_q, tile_end, tile_single_q;
  logic        first_step, first_tile_q;
  logic [15:0] left_q;      // tiles of pixels after this one
  logic        pixels_last_q, first_pixels_q;
  logic        odd_groups_q;
  logic        one_tile_q;  // the coming command has one tile of pixels; known before it may start

  logic [15:0] base_q, group_q, weight_q;
  logic [BankBits-1:0] bank_q;
  logic        loading_q;
  // From one tile of pixels to the next: a row, or an image of AVERAGE; the bank's next value below and past PX.
  logic [15:0]       step_row_q;
  logic [BankBits:0] step_bank_q, step_over_q, bank_sum, bank_over;
  assign bank_sum  = {1'b0, bank_q} + step_bank_q;
  assign bank_over = {1'b0, bank_q} + step_over_q;

  // The previous command's progress: tiles of pixels that have landed.
  logic [1:0][15:0]   landed_q;
  logic               previous_done_q, previous_landed;
  logic signed [17:0] spare_q;   // those beyond what the next tile of pixels needs
  logic               go_q;
  assign previous_landed = pixels_done_i && done_slot_i != slot_q;

  // Cycles until the residual reads of the command before have left its memory's port.
  logic [8:0] residual_q;
  logic       residual_mem_q, residual_free_q;
  logic       port_free;
  assign port_free = residual_free_q || residual_mem_q != c.src_mem;

  logic [2:0] spacing_q;  // cycles until the next tile of pixels may start
  logic       spaced_q;
  logic [7:0] busy_q;     // cycles until the hold registers are free, less one
  logic       free_q;     // busy_q is 0

  logic pixels_start, last_step, step;
  assign pixels_start = first_step && first_tile_q;
  assign last_step    = inner_end && middle_end;
  // The last step of a tile of pixels also waits for the coordinates of the next tile.
  assign step = active_q && !loading_q && (!pixels_start || go_q) &&
                (!last_step || (free_q && (!tile_end || spaced_q)));

  logic pixels_end, command_end;
  assign pixels_end  = step && last_step && tile_end;
  assign command_end = pixels_end && pixels_last_q;
  assign start_o     = !active_q && ready_i && port_free;
  assign advance_o   = pixels_end;
  assign slot_o      = slot_q;
  assign idle_o      = !active_q;

  logic two_groups;
  logic [5:0] pixels, passes;
  logic       counting_q;   // the cycle after a tile of pixels starts
  logic [7:0] logits_cycles_q, group_cycles, cycles;   // of results, less one: of one group, of the tile's
  assign two_groups    = conv && !(tile_end && odd_groups_q);
  assign pixels        = average ? 6'd1 : pixels_last_q ? c.last_px : 6'(PX);
  assign passes        = c.planes ? passes_i : 6'd1;
  assign group_cycles  = c.planes ? {2'b00, passes_i} - 8'd1 : logits_cycles_q;
  assign cycles        = two_groups ? {group_cycles[6:0], 1'b1} : group_cycles;

  always_ff @(posedge clk_i) begin
    if (spacing_q != 0) spacing_q <= spacing_q - 3'd1;
    spaced_q <= spacing_q <= 3'd1;
    if (!free_q) busy_q <= busy_q - 8'd1;
    if (busy_q == 8'd1) free_q <= 1'b1;
    loading_q <= 1'b0;
    one_tile_q  <= c.tiles == 16'd1;
    step_row_q  <= average ? c.step_row : 16'd1;
    step_bank_q <= average ? (BankBits + 1)'(c.step_bank) : '0;
    step_over_q <= (average ? (BankBits + 1)'(c.step_bank) : '0) - (BankBits + 1)'(PX);

    if (start_o) begin
      active_q  <= 1'b1;
      loading_q <= 1'b1;
      inner_q   <= '0;
      middle_q  <= '0;
      tile_q    <= '0;
      left_q    <= c.tiles - 16'd1;
      pixels_last_q <= one_tile_q;
      first_step   <= 1'b1;
      first_tile_q <= 1'b1;
      inner_last_q  <= conv ? c.src_groups - 10'd1 : {4'd0, c.taps} - 10'd1;
      middle_last_q <= conv ? c.taps - 6'd1 : '0;
      tile_last_q   <= conv ? (c.dst_groups - 10'd1) >> 1 : c.src_groups - 10'd1;
      first_pixels_q <= 1'b1;
      odd_groups_q  <= c.dst_groups[0];
      base_q    <= c.src_row;
      bank_q    <= BankBits'(c.src_bank);
      group_q   <= '0;
      weight_q  <= c.w_addr;
    end
    // No step in the cycle after the start: what follows from the counts.
    if (loading_q) begin
      inner_end       <= inner_last_q == 0;
      inner_single_q  <= inner_last_q == 0;
      inner_before_q  <= inner_last_q - 10'd1;
      middle_end      <= middle_last_q == 0;
      middle_single_q <= middle_last_q == 0;
      middle_before_q <= middle_last_q - 6'd1;
      tile_end        <= tile_last_q == 0;
      tile_single_q   <= tile_last_q == 0;
      tile_before_q   <= tile_last_q - 10'd1;
      next_is_last_o  <= left_q == 16'd1;
    end
    // Logits: no last step comes sooner than two cycles after the start, or after the tile of pixels before.
    counting_q <= start_o || pixels_end;
    if (counting_q) logits_cycles_q <= c.logits ? {pixels, 2'b00} - 8'd1 : '0;
    if (step) begin
      first_step <= last_step;
      inner_q    <= inner_end ? '0 : inner_q + 10'd1;
      inner_end  <= inner_end ? inner_single_q : inner_q == inner_before_q;
      if (inner_end) begin
        middle_q   <= middle_end ? '0 : middle_q + 6'd1;
        middle_end <= middle_end ? middle_single_q : middle_q == middle_before_q;
      end
      if (last_step) begin
        first_tile_q <= tile_end;
        tile_q       <= tile_end ? '0 : tile_q + 10'd1;
        tile_end     <= tile_end ? tile_single_q : tile_q == tile_before_q;
        busy_q       <= cycles;
        free_q       <= !two_groups && (passes == 6'd1) && logits_cycles_q == 0;
      end
      weight_q <= pixels_end ? c.w_addr : weight_q + 16'd1;
      // The group's rows: within a tap for CONV, from tile to tile else.
      if (conv) group_q <= inner_end ? '0 : group_q + c.src_gs;
      else if (last_step) group_q <= tile_end ? '0 : group_q + c.src_gs;
    end
    if (pixels_end) begin
      left_q         <= left_q - 16'd1;
      pixels_last_q  <= next_is_last_o;
      next_is_last_o <= left_q == 16'd2;
      first_pixels_q <= 1'b0;
      base_q <= base_q + step_row_q + {15'd0, !bank_over[BankBits]};
      bank_q <= bank_over[BankBits] ? bank_sum[BankBits-1:0] : bank_over[BankBits-1:0];
    end
    if (start_o || pixels_end) begin
      spacing_q <= c.planes ? 3'd5 : c.pad_check ? 3'd3 : 3'd0;
      spaced_q  <= !c.planes && !c.pad_check;
    end
    if (!residual_free_q) residual_q <= residual_q - 9'd1;
    if (residual_q == 9'd1) residual_free_q <= 1'b1;
    if (command_end) begin
      residual_q      <= 9'(LaneAt + 1) + {1'b0, cycles};
      residual_free_q <= !c.has_res || average;
      residual_mem_q  <= c.res_mem;
      active_q <= 1'b0;
      slot_q   <= ~slot_q;
    end

    // Progress of the other slot's command: spare_q is landed - 1 - lookahead - tiles that started; the check
    // takes a cycle after it changes.
    spare_q <= active_q ? spare_q + 18'(previous_landed) - 18'(step && pixels_start)
                        : 18'($signed({1'b0, landed_q[!slot_q]})) + {2'b11, ~c.lookahead} +
                          18'(previous_landed);
    go_q <= !(start_o || (step && pixels_start)) && (c.no_wait || previous_done_q || !spare_q[17]);
    if (pixels_done_i) landed_q[done_slot_i] <= landed_q[done_slot_i] + 16'd1;
    if (command_end) previous_done_q <= 1'b0;
    else if (command_done_i && done_slot_i != slot_q) previous_done_q <= 1'b1;
    // A command's count starts with it; the command two before is complete.
    if (start_o) landed_q[slot_q] <= '0;

    if (!rst_ni) begin
      active_q        <= 1'b0;
      loading_q       <= 1'b0;
      slot_q          <= 1'b0;
      spacing_q       <= '0;
      free_q          <= 1'b1;
      residual_free_q <= 1'b1;
      previous_done_q <= 1'b1;
      go_q            <= 1'b0;
    end
  end

  // Second stage: the tap arrives; third stage: the request.
  assign tap_o = {slot_q, conv ? middle_q : inner_q[5:0]};
  step_t step1_q;
  logic  average1_q, mem1_q, tail1_q;
  logic [15:0] row1_q, weight1_q, inner1_q;
  logic [BankBits-1:0] bank1_q;
  assign tap_valid_o = step1_q.valid;
  always_ff @(posedge clk_i) begin
    step1_q    <= '{valid: step && rst_ni, first: first_step,
                    last: last_step, slot: slot_q};
    average1_q <= average;
    mem1_q     <= c.src_mem;
    tail1_q    <= average && inner_end;
    row1_q     <= base_q + group_q;
    bank1_q    <= bank_q;
    inner1_q   <= {6'd0, inner_q};
    weight1_q  <= weight_q;

    step_o       <= '{valid: step1_q.valid && rst_ni, first: step1_q.first, last: step1_q.last,
                      slot: step1_q.slot};
    read_mem_o   <= mem1_q;
    read_row_o   <= row1_q + (average1_q ? inner1_q : tap_i.row);
    read_bank_o  <= average1_q ? bank1_q : BankBits'(tap_i.bank);
    weight_o     <= weight1_q;
    tail_o       <= tail1_q;
  end

  assign tile_o = '{valid: step && last_step, slot: slot_q,
                    first_of_command: first_pixels_q && first_tile_q,
                    first_of_pixels: first_tile_q, last_of_pixels: tile_end,
                    last_of_command: tile_end && pixels_last_q, two_groups: two_groups,
                    pixels: pixels, passes: passes};
  logic unused;
  assign unused = ^{tap_i.unused, tap_i.ro, tap_i.co};
endmodule
