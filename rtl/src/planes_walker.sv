// SPDX-License-Identifier: Apache-2.0
// Splits tiles of pixels into rows of the grid for destinations in planes: which pixels of the tile each row
// holds and where in the planes they lie. It walks a tile when its last step is issued, one row a cycle, and
// keeps the rows in one of four buffers, from which the result sequencer reads them once for each group of
// results. The first row is there eight cycles after tile_i; the next tile comes when this one's rows are
// walked (it takes at least as many cycles of results).
module planes_walker (
  input  logic                            clk_i,
  input  logic                            rst_ni,
  input  pronghorn_types::tile_t          tile_i,
  input  pronghorn_types::compute_t       command_i,  // the tile's
  input  logic                            next_i,     // the next cycle reads the next tile's rows
  input  logic [3:0]                      index_i,    // of the row
  output pronghorn_types::span_t          span_o
);
  import pronghorn_pkg::PX;
  import pronghorn_types::*;

  // One: the tile and its command.
  tile_t       tile_q;
  logic        planes_q;
  logic [11:0] pitch0_q, height0_q, y0_q;
  logic [15:0] drow0_q;
  logic [4:0]  dst_bank_q, drow_bank0_q;
  logic        load;
  assign load = tile_q.valid && tile_q.first_of_pixels && planes_q;
  always_ff @(posedge clk_i) begin
    tile_q     <= tile_i;
    planes_q   <= command_i.planes;
    pitch0_q   <= command_i.pitch;
    height0_q  <= command_i.height;
    y0_q       <= command_i.y0;
    dst_bank_q <= command_i.dst_bank;
    {drow0_q, drow_bank0_q} <= {command_i.drow_row, command_i.drow_bank};
    if (!rst_ni) tile_q.valid <= 1'b0;
  end

  // Two: what stays for the whole command. Three: how many pixels a row holds, from what is left of the tile
  // and of the grid row. The next tile goes on where this one ended.
  logic        walking_q, init2_q, init3_q, init4_q;
  logic [5:0]  rest_q;
  logic [11:0] left_q, pitch_q, y0_1_q, last_y_q;
  logic [4:0]  dst_bank1_q;
  logic [12:0] over, under;
  logic        ends, last;
  assign over  = 13'(rest_q) - {1'b0, left_q};
  assign under = {1'b0, left_q} - 13'(rest_q);
  assign ends  = !over[12];    // the grid row ends inside the tile or with it
  assign last  = !under[12];   // the tile ends inside the grid row or with it
  logic        valid3_q, ends3_q, last3_q;
  logic [5:0]  count3_q;
  always_ff @(posedge clk_i) begin
    valid3_q <= walking_q;
    ends3_q  <= ends;
    last3_q  <= last;
    count3_q <= ends ? left_q[5:0] : rest_q;
    init2_q  <= load && tile_q.first_of_command;
    init3_q  <= init2_q;
    init4_q  <= init3_q;
    if (walking_q) begin
      rest_q <= over[5:0];
      left_q <= ends ? pitch_q : under[11:0];
      if (last) walking_q <= 1'b0;
    end
    if (load) begin
      walking_q   <= 1'b1;
      rest_q      <= tile_q.pixels;
      pitch_q     <= pitch0_q;
      last_y_q    <= height0_q - 12'd1;
      y0_1_q      <= y0_q;
      dst_bank1_q <= dst_bank_q;
      if (tile_q.first_of_command) left_q <= pitch0_q;
    end
    if (!rst_ni) begin
      walking_q <= 1'b0;
      valid3_q  <= 1'b0;
    end
  end

  // Four: half the pixels, for the bank's next value below and past PX.
  logic              valid4_q, ends4_q, last4_q, one_row_q;
  logic [5:0]        count4_q;
  logic [BankBits:0] half4_q, half_over4_q;
  logic [11:0]       before_last_y_q;
  always_ff @(posedge clk_i) begin
    valid4_q     <= valid3_q && rst_ni;
    ends4_q      <= ends3_q;
    last4_q      <= last3_q;
    count4_q     <= count3_q;
    half4_q      <= (BankBits + 1)'(count3_q >> 1);
    half_over4_q <= (BankBits + 1)'(count3_q >> 1) - (BankBits + 1)'(PX);
    before_last_y_q <= last_y_q - 12'd1;
    one_row_q       <= last_y_q == 0;
  end

  // Five: the place in the plane of a row's parity, and where its pair of rows began.
  typedef struct packed {
    logic [15:0]         row;
    logic [BankBits-1:0] bank;
  } place_t;
  place_t            place_q, pair_q, moved;
  logic [11:0]       y_q;
  logic              last_row_q, fresh_q;   // fresh: the next row is its tile's first
  logic [5:0]        lane_q;
  logic [BankBits:0] sum, sum_over;
  assign sum      = {1'b0, place_q.bank} + half4_q;
  assign sum_over = {1'b0, place_q.bank} + half_over4_q;
  assign moved    = sum_over[BankBits] ? '{row: place_q.row, bank: sum[BankBits-1:0]}
                                       : '{row: place_q.row + 16'd1, bank: sum_over[BankBits-1:0]};
  logic              valid5_q, last5_q, odd5_q;
  logic [5:0]        lane5_q, stop5_q, lane;
  place_t            place5_q;
  assign lane = fresh_q ? '0 : lane_q;
  always_ff @(posedge clk_i) begin
    valid5_q <= valid4_q && rst_ni;
    last5_q  <= last4_q;
    odd5_q   <= y_q[0];
    place5_q <= place_q;
    lane5_q  <= lane;
    stop5_q  <= lane + count4_q;
    if (valid4_q) begin
      place_q <= (ends4_q && !y_q[0] && !last_row_q) ? pair_q : moved;
      lane_q  <= lane + count4_q;
      fresh_q <= last4_q;
      if (ends4_q) begin
        if (y_q[0] || last_row_q) pair_q <= moved;
        y_q        <= last_row_q ? '0 : y_q + 12'd1;
        last_row_q <= last_row_q ? one_row_q : y_q == before_last_y_q;
      end
    end
    if (init3_q) begin
      place_q    <= '{row: '0, bank: dst_bank1_q[BankBits-1:0]};
      pair_q     <= '{row: '0, bank: dst_bank1_q[BankBits-1:0]};
      y_q        <= y0_1_q;
      last_row_q <= last_y_q == y0_1_q;
      fresh_q    <= 1'b1;
    end
    if (!rst_ni) fresh_q <= 1'b1;
  end

  // Six: the odd rows' plane. Seven: back to where the tile's first pixel would lie.
  logic              valid6_q, last6_q, valid7_q, last7_q;
  logic [15:0]       drow_q, drow6_q;
  logic [4:0]        drow_bank_q, drow_bank6_q;
  logic [5:0]        lane6_q, stop6_q;
  place_t            place6_q, odd_place;
  span_t             span7_q;
  logic [BankBits:0] back;
  always_comb begin
    odd_place = advance(place5_q.row + (odd5_q ? drow6_q : '0), place5_q.bank,
                        odd5_q ? drow_bank6_q[BankBits-1:0] : '0);
    back      = {1'b0, place6_q.bank} - (BankBits + 1)'(lane6_q >> 1);
  end
  always_ff @(posedge clk_i) begin
    if (load) {drow_q, drow_bank_q} <= {drow0_q, drow_bank0_q};
    if (init4_q) {drow6_q, drow_bank6_q} <= {drow_q, drow_bank_q};
    valid6_q     <= valid5_q && rst_ni;
    last6_q      <= last5_q;
    lane6_q      <= lane5_q;
    stop6_q      <= stop5_q;
    place6_q     <= odd_place;
    valid7_q     <= valid6_q && rst_ni;
    last7_q      <= last6_q;
    span7_q.row  <= place6_q.row - 16'(back[BankBits]);
    span7_q.bank <= BankBits'(back[BankBits] ? back + (BankBits + 1)'(PX) : back);
    span7_q.lane <= lane6_q;
    span7_q.stop <= stop6_q;
  end

  // Four buffers of at most PX / 2 rows (their length is even): read by the result sequencer for the tile two
  // before, at most, when one is written.
  (* ram_style = "distributed" *) logic [$bits(span_t)-1:0] rows[64];
  logic [1:0] write_buffer_q, read_buffer_q;
  logic [3:0] write_index_q;
  always_ff @(posedge clk_i) begin
    if (valid7_q) begin
      rows[{write_buffer_q, write_index_q}] <= span7_q;
      write_index_q <= last7_q ? '0 : write_index_q + 4'd1;
      if (last7_q) write_buffer_q <= write_buffer_q + 2'd1;
    end
    if (next_i) read_buffer_q <= read_buffer_q + 2'd1;
    if (!rst_ni) begin
      write_index_q  <= '0;
      write_buffer_q <= '0;
      read_buffer_q  <= '1;
    end
  end
  assign span_o = rows[{read_buffer_q, index_i}];

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (rst_ni && load) assert (!walking_q || last) else $error("a tile before the last one is walked");
    if (rst_ni && valid7_q) begin
      assert (write_buffer_q != read_buffer_q || write_index_q >= index_i)
        else $error("rows of a tile in use are written over");
    end
  end
`endif
endmodule
