// SPDX-License-Identifier: Apache-2.0
// Spreads image rows for a first convolution (docs/fpga.md, IMAGE): while one row is written, PX
// positions a cycle, the next one arrives. Word (x, g) holds bytes step * x + g * IC to + IC - 1.
module image_spreader (
  input  logic                                  clk_i,
  input  logic                                  rst_ni,
  input  logic                                  start_i,
  input  logic [7:0]                            beats_i,      // in a row
  input  logic [15:0]                           rows_i,
  input  logic [15:0]                           positions_i,
  input  logic                                  step6_i,      // step: 6 bytes, else 3
  input  logic [2:0]                            groups_i,
  input  logic                                  mem_i,
  input  logic [15:0]                           dst_row_i,
  input  logic [pronghorn_types::BankBits-1:0]  dst_bank_i,
  input  logic                                  two_planes_i,
  input  logic [15:0]                           dst_gs_i,
  input  logic [15:0]                           plane_row_i,
  input  logic [pronghorn_types::BankBits-1:0]  plane_bank_i,
  input  logic [15:0]                           line_rows_i,  // positions div PX
  input  logic [pronghorn_types::BankBits-1:0]  line_banks_i, // positions mod PX
  output logic                                  idle_o,
  input  logic                                  valid_i,
  output logic                                  ready_o,
  input  logic [pronghorn_types::AxiBits-1:0]   data_i,
  output pronghorn_types::write_t               write_o,
  output logic [pronghorn_types::TileBits-1:0]  write_data_o,
  input  logic                                  write_ready_i
);
  import pronghorn_pkg::*;
  import pronghorn_types::*;
  // Read past a row's end, zeros: the last position reaches 4 groups further.
  localparam int unsigned Bytes = RowBytes;
  localparam int unsigned Reach = (PX - 1) * 6 + 4 * IC;
  localparam int unsigned Wide = (Bytes > Reach) ? Bytes : Reach;

  // The arriving row.
  logic [Bytes*8-1:0] next_q;
  logic [7:0]         beat_q;
  logic               full_q;
  logic [15:0]        rows_left_q;  // to arrive
  // The row being written; its first byte belongs to the current tile's first position.
  logic [Wide*8-1:0]  row_q;
  logic               busy_q;
  logic [15:0]        left_q;       // positions of the row not yet written, this tile's included
  logic [2:0]         group_q;
  logic [15:0]        dst_q, tile_row_q;
  logic [BankBits-1:0] bank_q;
  // Where an even row begins; the odd row beside it; the next pair's even row.
  logic [15:0]        even_row_q, odd_row_q, after_row_q;
  logic [BankBits-1:0] even_bank_q, odd_bank_q, after_bank_q;
  logic               odd_q;
  logic               tile_end, row_end, take;

  logic               more_q;       // rows_left_q is not 0
  logic               last_tile_q;  // left_q is at most PX
  logic               move;         // the write in write_o is taken, or there is none
  assign ready_o  = more_q && !full_q;
  assign tile_end = group_q + 3'd1 == groups_i;
  assign move     = !write_o.valid || write_ready_i;
  assign row_end  = busy_q && move && tile_end && last_tile_q;
  assign take     = full_q && (!busy_q || row_end);
  assign idle_o   = !more_q && !full_q && !busy_q && !write_o.valid;

  logic accept, last_beat_q;
  assign accept = valid_i && ready_o;
  for (genvar b = 0; b < Bytes / AxiBytes; b++) begin : gen_beat
    // The first beat clears the others: a row may be shorter than the one before.
    always_ff @(posedge clk_i) begin
      if (b != 0 && accept && beat_q == 0) next_q[b*AxiBits+:AxiBits] <= '0;
      else if (accept && beat_q == 8'(b)) next_q[b*AxiBits+:AxiBits] <= data_i;
    end
  end

  always_ff @(posedge clk_i) begin
    more_q <= rows_left_q != 0;
    if (accept) begin
      beat_q      <= last_beat_q ? '0 : beat_q + 8'd1;
      last_beat_q <= last_beat_q ? beats_i == 8'd1 : beat_q + 8'd2 == beats_i;
      if (last_beat_q) begin
        full_q      <= 1'b1;
        more_q      <= rows_left_q != 16'd1;
        rows_left_q <= rows_left_q - 16'd1;
      end
    end
    if (busy_q && move) begin
      group_q <= tile_end ? '0 : group_q + 3'd1;
      dst_q   <= tile_end ? tile_row_q + 16'd1 : dst_q + dst_gs_i;
      if (tile_end) begin
        tile_row_q <= tile_row_q + 16'd1;
        left_q     <= left_q - 16'(PX);
        last_tile_q <= left_q <= 16'(2 * PX);
        row_q      <= step6_i ? row_q >> (PX * 6 * 8) : row_q >> (PX * 3 * 8);
      end
      if (row_end) busy_q <= 1'b0;
    end
    if (take) begin
      row_q   <= (Wide*8)'(next_q);
      full_q  <= 1'b0;
      busy_q  <= 1'b1;
      group_q <= '0;
      left_q  <= positions_i;
      last_tile_q <= positions_i <= 16'(PX);
      // An even row begins where the pair of rows does, an odd one in the other plane.
      dst_q      <= odd_q ? odd_row_q : even_row_q;
      tile_row_q <= odd_q ? odd_row_q : even_row_q;
      bank_q     <= odd_q ? odd_bank_q : even_bank_q;
      odd_q      <= two_planes_i && !odd_q;
      if (!two_planes_i || odd_q) {even_row_q, even_bank_q} <= {after_row_q, after_bank_q};
    end
    // Two rows are taken at least two cycles apart: known when they are needed.
    {odd_row_q, odd_bank_q}     <= advance(even_row_q + plane_row_i, even_bank_q, plane_bank_i);
    {after_row_q, after_bank_q} <= advance(even_row_q + line_rows_i, even_bank_q, line_banks_i);
    if (start_i) begin
      rows_left_q <= rows_i;
      more_q      <= 1'b1;
      beat_q      <= '0;
      last_beat_q <= beats_i == 8'd1;
      full_q      <= 1'b0;
      busy_q      <= 1'b0;
      odd_q       <= 1'b0;
      {even_row_q, even_bank_q} <= {dst_row_i, dst_bank_i};
    end
    if (!rst_ni) begin
      rows_left_q <= '0;
      more_q      <= 1'b0;
      full_q      <= 1'b0;
      busy_q      <= 1'b0;
    end
  end

  // The words of a tile, in a register before the memories.
  logic [TileBits-1:0] words;
  always_comb begin
    for (int unsigned l = 0; l < PX; l++) begin
      automatic logic [WordBits-1:0] three;
      automatic logic [WordBits-1:0] six;
      three = row_q[l*24+:WordBits];
      six   = row_q[l*48+:WordBits];
      for (int unsigned g = 1; g < 4; g++) begin
        if (group_q == 3'(g)) begin
          three = row_q[l*24+g*WordBits+:WordBits];
          six   = row_q[l*48+g*WordBits+:WordBits];
        end
      end
      words[l*WordBits+:WordBits] = step6_i ? six : three;
    end
  end
  always_ff @(posedge clk_i) begin
    if (move) begin
      write_o       <= '0;
      write_o.valid <= busy_q;
      write_o.mem   <= mem_i;
      write_o.row   <= dst_q;
      write_o.bank  <= bank_q;
      for (int unsigned l = 0; l < PX; l++) write_o.mask[l] <= 16'(l) < left_q;
      write_data_o  <= words;
    end
    if (!rst_ni || start_i) write_o.valid <= 1'b0;
  end
endmodule
