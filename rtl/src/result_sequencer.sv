// SPDX-License-Identifier: Apache-2.0
// Turns a finished tile into beats, one cycle of results each: a group of its channels (and, with planes,
// one row of its pixels; with logits, one word of one pixel), where its constants and residuals are and
// where it is written. A beat leaves five cycles after tile_i, the next ones behind it; the sequencer
// does not send the next tile before they are through.
module result_sequencer (
  input  logic                            clk_i,
  input  logic                            rst_ni,
  input  pronghorn_types::tile_t          tile_i,
  input  pronghorn_types::kind_t [1:0]    kind_i,
  input  pronghorn_types::compute_t [1:0] command_i,
  // rows of a tile in planes
  output logic                            next_rows_o,
  output logic [3:0]                      row_index_o,
  input  pronghorn_types::span_t          row_i,
  output pronghorn_types::beat_t          beat_o,
  output pronghorn_types::write_t         write_o
);
  import pronghorn_pkg::*;
  import pronghorn_types::*;

  // What results need of their command.
  typedef struct packed {
    logic                planes;
    logic                logits;
    logic                average;
    logic                dst_mem;
    logic [15:0]         dcol_row;
    logic [15:0]         dst_gs;
    logic [15:0]         res_gs;
  } use_t;

  // The coming tile, beside its command. subs: the cycles of one group's results.
  tile_t               next_q;
  use_t                next_use_q;
  logic                next_single_q;
  logic [5:0]          next_before_q;
  logic [15:0]         next_dst_q, next_res_q, next_constant_q;
  logic [BankBits-1:0] next_bank_q;
  compute_t            t;
  logic [5:0]          subs;
  assign t    = command_i[tile_i.slot];
  assign subs = t.logits ? tile_i.pixels : tile_i.passes;
  always_ff @(posedge clk_i) begin
    next_q          <= tile_i;
    next_use_q      <= '{planes: t.planes, logits: t.logits, average: kind_i[tile_i.slot].average,
                         dst_mem: t.dst_mem, dcol_row: t.dcol_row, dst_gs: t.dst_gs, res_gs: t.res_gs};
    next_single_q   <= subs == 6'd1;
    next_before_q   <= subs - 6'd2;
    next_dst_q      <= t.dst_row;
    next_res_q      <= t.res_row;
    next_bank_q     <= t.dst_bank[BankBits-1:0];
    next_constant_q <= t.c_addr;
    if (!rst_ni) next_q.valid <= 1'b0;
  end

  // The tile being emitted.
  tile_t      tile_q;
  use_t       use_q;
  logic       busy_q, group_q;
  logic [1:0] quarter_q;
  logic [5:0] sub_q, sub_before_q;   // the last but one; sub_end is registered
  logic       sub_end, sub_single_q;

  logic quarter_end, group_end;
  assign quarter_end = sub_end && (!use_q.logits || quarter_q == 2'd3);
  assign group_end   = quarter_end && (group_q == tile_q.two_groups);

  // Rows of the current group; of the current tile of pixels.
  logic [15:0] dst_q, res_q, constant_q, pixels_dst_q, pixels_res_q;
  logic [BankBits-1:0] pixels_bank_q, bank_q;

  // Where a tile of pixels begins: dst and res rows move on by one; AVERAGE by one pixel.
  logic [15:0] begin_dst, begin_res;
  logic [BankBits-1:0] begin_bank;
  always_comb begin
    begin_dst  = next_use_q.planes ? pixels_dst_q : pixels_dst_q + 16'd1;  // the walker moves in planes
    begin_res  = pixels_res_q + 16'd1;
    begin_bank = pixels_bank_q;
    if (next_use_q.average) {begin_dst, begin_bank} = advance(pixels_dst_q, pixels_bank_q, BankBits'(1));
    if (next_q.first_of_command) begin
      begin_dst  = next_dst_q;
      begin_res  = next_res_q;
      begin_bank = next_bank_q;
    end
  end
  assign next_rows_o = next_q.valid && next_q.first_of_pixels && next_use_q.planes;
  assign row_index_o = sub_q[3:0];

  always_ff @(posedge clk_i) begin
    if (busy_q) begin
      sub_q   <= sub_end ? '0 : sub_q + 6'd1;
      sub_end <= sub_end ? sub_single_q : sub_q == sub_before_q;
      if (sub_end) quarter_q <= quarter_end ? '0 : quarter_q + 2'd1;
      if (sub_end) dst_q <= dst_q + use_q.dst_gs;
      if (quarter_end) begin
        group_q    <= ~group_q;
        res_q      <= res_q + use_q.res_gs;
        constant_q <= constant_q + 16'd1;
      end
      if (group_end) begin
        busy_q  <= 1'b0;
        group_q <= 1'b0;
      end
    end
    if (next_q.valid) begin
      tile_q    <= next_q;
      use_q     <= next_use_q;
      busy_q    <= 1'b1;
      group_q   <= 1'b0;
      quarter_q <= '0;
      sub_q     <= '0;
      sub_end      <= next_single_q;
      sub_single_q <= next_single_q;
      sub_before_q <= next_before_q;
      if (next_q.first_of_pixels) begin
        pixels_dst_q  <= begin_dst;
        pixels_res_q  <= begin_res;
        pixels_bank_q <= begin_bank;
        dst_q         <= begin_dst;
        res_q         <= begin_res;
        bank_q        <= begin_bank;
        constant_q    <= next_constant_q;
      end
    end
    if (!rst_ni) busy_q <= 1'b0;
  end

  // One: the beat, and the pixels it writes. Two: their row. Three: the mask.
  beat_t       beat1_q, beat2_q;
  use_t        use1_q, use2_q;
  logic [15:0] dst1_q, row2_q;
  span_t       span1_q, span2_q;
  always_ff @(posedge clk_i) begin
    beat1_q <= '{valid: busy_q && rst_ni, slot: tile_q.slot, group: group_q, quarter: quarter_q,
                 pixel: BankBits'(sub_q), c_word: constant_q, res_row: res_q,
                 pixels_done: busy_q && rst_ni && group_end && tile_q.last_of_pixels,
                 command_done: busy_q && rst_ni && group_end && tile_q.last_of_command};
    use1_q  <= use_q;
    dst1_q  <= dst_q;
    span1_q <= use_q.planes ? row_i
               : '{row: '0, bank: bank_q, lane: use_q.logits ? sub_q : '0,
                   stop: use_q.logits ? sub_q + 6'd1 : use_q.average ? 6'd1 : tile_q.pixels};

    beat2_q <= beat1_q;
    use2_q  <= use1_q;
    row2_q  <= dst1_q + span1_q.row;
    span2_q <= span1_q;

    beat_o  <= beat2_q;
    write_o.valid     <= beat2_q.valid;
    write_o.mem       <= use2_q.dst_mem;
    write_o.deshuffle <= use2_q.planes;
    write_o.dcol_row  <= use2_q.dcol_row;
    write_o.row       <= row2_q;
    write_o.bank      <= span2_q.bank;
    for (int unsigned l = 0; l < PX; l++) begin
      write_o.mask[l] <= (6'(l) >= span2_q.lane) && (6'(l) < span2_q.stop);
    end
  end
endmodule
