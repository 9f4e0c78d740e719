// SPDX-License-Identifier: Apache-2.0
// Splits a tile of pixels in grid order into rows, one a cycle, and says where each row's first pixel
// lies in the planes of the destination: relative to the plane of its row's parity, as (row, bank).
// A tile is walked once for each group of results: restart_i goes back to its first pixel, keep_i
// makes the current end the next tile's start.
module planes_walker (
  input  logic                                 clk_i,
  input  logic                                 init_i,      // a command starts
  input  pronghorn_types::compute_t            command_i,
  input  logic                                 load_i,      // pixels_i is the next tile's
  input  logic [5:0]                           pixels_i,
  input  logic                                 next_i,      // to the next row
  input  logic                                 restart_i,   // with next_i, after the tile's last row
  input  logic                                 keep_i,      // with restart_i
  output logic [15:0]                          row_o,
  output logic [pronghorn_types::BankBits-1:0] bank_o,
  output logic                                 odd_o,       // an odd row of the grid
  output logic [5:0]                           lane_o,      // the row's first pixel in the tile
  output logic [5:0]                           count_o      // pixels of this row
);
  import pronghorn_pkg::PX;
  import pronghorn_types::*;

  typedef struct packed {
    logic [15:0]         row;
    logic [BankBits-1:0] bank;
    logic [15:0]         line_row;   // where the even row of this pair of rows began
    logic [BankBits-1:0] line_bank;
    logic [11:0]         left;       // pixels to the end of the grid row
    logic [11:0]         y;
  } place_t;
  place_t start_q, place_q, place_next;
  logic [5:0] lane_q, pixels_q;

  logic [5:0]  rest;
  logic        ends;
  logic [15+BankBits:0] moved;
  logic        wide;
  assign rest    = pixels_q - lane_q;
  assign wide    = |place_q.left[11:6];
  assign ends    = !wide && place_q.left[5:0] <= rest;
  assign count_o = ends ? place_q.left[5:0] : rest;
  assign moved   = advance(place_q.row, place_q.bank, BankBits'(count_o >> 1));
  assign {row_o, bank_o} = {place_q.row, place_q.bank};
  assign odd_o  = place_q.y[0];
  assign lane_o = lane_q;

  always_comb begin
    logic last_row;
    place_next = place_q;
    last_row = place_q.y + 12'd1 == command_i.height;
    if (ends) begin
      place_next.left = command_i.pitch;
      place_next.y    = last_row ? '0 : place_q.y + 12'd1;
      if (place_q.y[0] || last_row) begin
        {place_next.row, place_next.bank}           = moved;
        {place_next.line_row, place_next.line_bank} = moved;
      end else begin
        {place_next.row, place_next.bank} = {place_q.line_row, place_q.line_bank};
      end
    end else begin
      place_next.left = place_q.left - {6'd0, rest};
      {place_next.row, place_next.bank} = moved;
    end
  end

  always_ff @(posedge clk_i) begin
    if (next_i) begin
      place_q <= place_next;
      lane_q  <= lane_q + count_o;
      if (restart_i) begin
        lane_q <= '0;
        if (keep_i) start_q <= place_next;
        else place_q <= start_q;
      end
    end
    if (load_i) begin
      lane_q   <= '0;
      pixels_q <= pixels_i;
    end
    if (init_i) begin
      start_q <= '{row: '0, bank: command_i.dst_bank[BankBits-1:0], line_row: '0,
                   line_bank: command_i.dst_bank[BankBits-1:0], left: command_i.pitch,
                   y: command_i.y0};
      place_q <= '{row: '0, bank: command_i.dst_bank[BankBits-1:0], line_row: '0,
                   line_bank: command_i.dst_bank[BankBits-1:0], left: command_i.pitch,
                   y: command_i.y0};
    end
  end
endmodule
