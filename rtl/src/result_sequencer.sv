// SPDX-License-Identifier: Apache-2.0
// Turns a finished tile into beats, one cycle of results each: a group of its channels (and, with planes,
// one row of its pixels; with logits, one word of one pixel), where its constants and residuals are and
// where it is written. A beat leaves four cycles after tile_i, the next ones behind it; the sequencer
// does not send the next tile before they are through.
module result_sequencer (
  input  logic                            clk_i,
  input  logic                            rst_ni,
  input  pronghorn_types::tile_t          tile_i,
  input  pronghorn_types::kind_t [1:0]    kind_i,
  input  pronghorn_types::compute_t [1:0] command_i,
  output pronghorn_types::beat_t          beat_o,
  output pronghorn_types::write_t         write_o
);
  import pronghorn_pkg::*;
  import pronghorn_types::*;

  // The tile being emitted.
  tile_t    tile_q;
  compute_t c;
  logic     average;
  assign c       = command_i[tile_q.slot];
  assign average = kind_i[tile_q.slot].average;

  logic       busy_q, group_q;
  logic [1:0] quarter_q;
  logic [5:0] sub_q, sub_before_q;   // the last but one; sub_end is registered
  logic       sub_end, sub_single_q;

  logic quarter_end, group_end;
  assign quarter_end = sub_end && (!c.logits || quarter_q == 2'd3);
  assign group_end   = quarter_end && (group_q == tile_q.two_groups);

  // Rows of the current group; of the current tile of pixels.
  logic [15:0] dst_q, res_q, constant_q, pixels_dst_q, pixels_res_q;
  logic [BankBits-1:0] pixels_bank_q, bank_q;

  // Where a tile of pixels begins: dst and res rows move on by one; AVERAGE by one pixel.
  compute_t t;
  logic     t_average;
  logic [5:0]  begin_subs;
  logic [15:0] begin_dst, begin_res;
  logic [BankBits-1:0] begin_bank;
  assign t         = command_i[tile_i.slot];
  assign t_average = kind_i[tile_i.slot].average;
  assign begin_subs = t.logits ? tile_i.pixels : tile_i.passes;
  always_comb begin
    begin_dst  = t.planes ? pixels_dst_q : pixels_dst_q + 16'd1;  // the walker moves in planes
    begin_res  = pixels_res_q + 16'd1;
    begin_bank = pixels_bank_q;
    if (t_average) {begin_dst, begin_bank} = advance(pixels_dst_q, pixels_bank_q, BankBits'(1));
    if (tile_i.first_of_command) begin
      begin_dst  = t.dst_row;
      begin_res  = t.res_row;
      begin_bank = t.dst_bank[BankBits-1:0];
    end
  end

  logic [15:0]         walk_row;
  logic [BankBits-1:0] walk_bank;
  logic                walk_odd;
  logic [5:0]          walk_lane, walk_count;
  planes_walker u_walker (
    .clk_i, .init_i(tile_i.valid && tile_i.first_of_command), .command_i(tile_i.valid ? t : c),
    .load_i(tile_i.valid), .pixels_i(tile_i.pixels),
    .next_i(busy_q && c.planes), .restart_i(sub_end), .keep_i(group_end && tile_q.last_of_pixels),
    .row_o(walk_row), .bank_o(walk_bank), .odd_o(walk_odd), .lane_o(walk_lane),
    .count_o(walk_count)
  );

  always_ff @(posedge clk_i) begin
    if (busy_q) begin
      sub_q   <= sub_end ? '0 : sub_q + 6'd1;
      sub_end <= sub_end ? sub_single_q : sub_q == sub_before_q;
      if (sub_end) quarter_q <= quarter_end ? '0 : quarter_q + 2'd1;
      if (sub_end) dst_q <= dst_q + c.dst_gs;
      if (quarter_end) begin
        group_q    <= ~group_q;
        res_q      <= res_q + c.res_gs;
        constant_q <= constant_q + 16'd1;
      end
      if (group_end) begin
        busy_q  <= 1'b0;
        group_q <= 1'b0;
      end
    end
    if (tile_i.valid) begin
      tile_q    <= tile_i;
      busy_q    <= 1'b1;
      group_q   <= 1'b0;
      quarter_q <= '0;
      sub_q     <= '0;
      sub_end      <= begin_subs == 6'd1;
      sub_single_q <= begin_subs == 6'd1;
      sub_before_q <= begin_subs - 6'd2;
      if (tile_i.first_of_pixels) begin
        pixels_dst_q  <= begin_dst;
        pixels_res_q  <= begin_res;
        pixels_bank_q <= begin_bank;
        dst_q         <= begin_dst;
        res_q         <= begin_res;
        bank_q        <= begin_bank;
        constant_q    <= t.c_addr;
      end
    end
    if (!rst_ni) busy_q <= 1'b0;
  end

  // One: the beat, and the planes' distances chosen. Two: the position. Three: back to lane 0's
  // position, and the mask.
  beat_t               beat1_q, beat2_q;
  logic                planes1_q, planes2_q, mem1_q, mem2_q;
  logic [15:0]         row1_q, add1_q, dcol1_q, row2_q, dcol2_q;
  logic [BankBits-1:0] bank1_q, add_bank1_q, bank2_q;
  logic [5:0]          lane1_q, lane2_q, count1_q, count2_q;
  always_ff @(posedge clk_i) begin
    beat1_q <= '{valid: busy_q && rst_ni, slot: tile_q.slot, group: group_q, quarter: quarter_q,
                 pixel: BankBits'(sub_q), c_word: constant_q, res_row: res_q,
                 pixels_done: busy_q && rst_ni && group_end && tile_q.last_of_pixels,
                 command_done: busy_q && rst_ni && group_end && tile_q.last_of_command};
    planes1_q   <= c.planes;
    mem1_q      <= c.dst_mem;
    dcol1_q     <= c.dcol_row;
    row1_q      <= dst_q;
    add1_q      <= !c.planes ? '0 : walk_odd ? walk_row + c.drow_row : walk_row;
    bank1_q     <= c.planes ? walk_bank : bank_q;
    add_bank1_q <= (c.planes && walk_odd) ? c.drow_bank[BankBits-1:0] : '0;
    lane1_q     <= c.planes ? walk_lane : c.logits ? sub_q : '0;
    count1_q    <= c.planes ? walk_count : (c.logits || average) ? 6'd1 : tile_q.pixels;

    beat2_q   <= beat1_q;
    planes2_q <= planes1_q;
    mem2_q    <= mem1_q;
    dcol2_q   <= dcol1_q;
    {row2_q, bank2_q} <= advance(row1_q + add1_q, bank1_q, add_bank1_q);
    lane2_q   <= lane1_q;
    count2_q  <= count1_q;

    beat_o <= beat2_q;
    write_o.valid      <= beat2_q.valid;
    write_o.mem        <= mem2_q;
    write_o.deshuffle  <= planes2_q;
    write_o.dcol_row   <= dcol2_q;
    {write_o.row, write_o.bank} <= (planes2_q && lane2_q != 0)
        ? advance(row2_q - 16'd1, bank2_q, BankBits'(6'(PX) - (lane2_q >> 1))) : {row2_q, bank2_q};
    for (int unsigned l = 0; l < PX; l++) begin
      write_o.mask[l] <= (6'(l) >= lane2_q) && (6'(l) < lane2_q + count2_q);
    end
  end
endmodule
