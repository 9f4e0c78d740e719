// SPDX-License-Identifier: Apache-2.0
// Types and pipeline positions that the modules of the overlay share. docs/fpga.md gives the meaning
// of every field of a command.
package pronghorn_types;
  import pronghorn_pkg::*;

  localparam int unsigned GroupsPerTile = 2;
  localparam int unsigned BankBits = $clog2(PX);
  localparam int unsigned WordBits = 8 * IC;
  localparam int unsigned TileBits = PX * WordBits;
  localparam int unsigned AxiBits = 8 * AxiBytes;
  localparam int unsigned WeightBits = 8 * OC * IC;
  localparam int unsigned ConstantBits = 64 * IC;

  // Cycles after the read request of a step (which is two after its issue).
  localparam int unsigned ReadLatency = 5;   // activation memory
  localparam int unsigned SrcAt = 6;         // src tile and weight word at the array's input
  localparam int unsigned AccAt = SrcAt + 10;
  localparam int unsigned LaneAt = AccAt + 2;
  localparam int unsigned ResAt = 6;         // after LaneAt: the residual at the lanes
  localparam int unsigned LaneLatency = 21;
  localparam int unsigned HoldAt = AccAt + 1;
  localparam int unsigned BeatAt = AccAt - 3; // a beat leaves the result sequencer

  localparam logic [7:0] OpConv = 8'd1;
  localparam logic [7:0] OpAdd = 8'd2;
  localparam logic [7:0] OpAverage = 8'd3;
  localparam logic [7:0] OpMaxpool = 8'd4;
  localparam logic [7:0] OpLoad = 8'd5;
  localparam logic [7:0] OpImage = 8'd6;
  localparam logic [7:0] OpStore = 8'd7;
  localparam logic [7:0] OpEnd = 8'd8;

  // Words 2 to 9 of a COMPUTE command; the last member is word 2.
  typedef struct packed {
    logic [58:0] unused9;
    logic [4:0]  step_bank;
    // word 8
    logic [15:0] step_row;
    logic [11:0] step_y;
    logic [11:0] step_x;
    logic [11:0] ih;
    logic [11:0] iw;
    // word 7
    logic [11:0] height;
    logic [11:0] pitch;
    logic [11:0] y0;
    logic [11:0] x0;
    logic [15:0] dcol_row;
    // word 6
    logic [10:0] unused6;
    logic [4:0]  drow_bank;
    logic [15:0] drow_row;
    logic [31:0] m_res;
    // word 5
    logic [15:0] lookahead;
    logic [7:0]  z_res;
    logic [7:0]  hi;
    logic [7:0]  lo;
    logic [7:0]  z_dst;
    logic [7:0]  pad;
    logic        no_wait;
    logic        pad_check;
    logic        planes;
    logic        logits;
    logic        has_res;
    logic        res_mem;
    logic        dst_mem;
    logic        src_mem;
    // word 4
    logic [4:0]  res_bank;
    logic [4:0]  dst_bank;
    logic [5:0]  src_bank;
    logic [5:0]  last_px;
    logic [5:0]  taps;
    logic [9:0]  dst_groups;
    logic [9:0]  src_groups;
    logic [15:0] tiles;
    // word 3
    logic [15:0] c_addr;
    logic [15:0] w_addr;
    logic [15:0] res_gs;
    logic [15:0] res_row;
    // word 2
    logic [15:0] dst_gs;
    logic [15:0] dst_row;
    logic [15:0] src_gs;
    logic [15:0] src_row;
  } compute_t;

  typedef struct packed {
    logic        unused;
    logic signed [4:0] co;
    logic signed [4:0] ro;
    logic [4:0]  bank;
    logic [15:0] row;
  } tap_t;

  // What a COMPUTE command does; all 0: ADD.
  typedef struct packed {
    logic conv;
    logic average;
    logic maxpool;
  } kind_t;

  // What a tile of results carries from the sequencer to the result sequencer.
  typedef struct packed {
    logic       valid;
    logic       slot;
    logic       first_of_command;
    logic       first_of_pixels;
    logic       last_of_pixels;
    logic       last_of_command;
    logic       two_groups;
    logic [5:0] pixels;   // valid ones
    logic [5:0] passes;
  } tile_t;

  // A step on its way from the sequencer to the array.
  typedef struct packed {
    logic valid;
    logic first;  // of its tile
    logic last;
    logic slot;
  } step_t;

  // One cycle of results.
  typedef struct packed {
    logic                valid;
    logic                slot;
    logic                group;     // which half of the held tile
    logic [1:0]          quarter;   // logits: which word of the group
    logic [BankBits-1:0] pixel;     // logits
    logic [15:0]         c_word;
    logic [15:0]         res_row;
    logic                pixels_done;
    logic                command_done;
  } beat_t;

  // A write of one tile of words.
  typedef struct packed {
    logic                valid;
    logic                mem;
    logic [15:0]         row;
    logic [BankBits-1:0] bank;
    logic                deshuffle;  // even pixels first, odd pixels dcol_row rows further
    logic [15:0]         dcol_row;
    logic [PX-1:0]       mask;       // by pixel
  } write_t;

  // Pixels lane to stop - 1 of a tile, all in one row of the grid; (row, bank): where the tile's first pixel
  // would lie, from the group's first row.
  typedef struct packed {
    logic [15:0]         row;
    logic [BankBits-1:0] bank;
    logic [5:0]          lane;
    logic [5:0]          stop;
  } span_t;

  // (row, bank) + n with n < PX.
  function automatic logic [15+BankBits:0] advance(logic [15:0] row, logic [BankBits-1:0] bank,
                                                   logic [BankBits-1:0] n);
    logic [BankBits:0] sum;
    logic [BankBits:0] over;
    sum  = {1'b0, bank} + {1'b0, n};
    over = sum - (BankBits + 1)'(PX);
    return (sum >= (BankBits + 1)'(PX)) ? {row + 16'd1, over[BankBits-1:0]}
                                        : {row, sum[BankBits-1:0]};
  endfunction

  // digit * a for a radix-4 Booth product, digit in -2..2 from three bits, |a| <= 2^24; one too small when
  // the digit is negative. That carry, bits[2], enters below a sum's lowest bit, so that one carry chain
  // does the row.
  function automatic logic [26:0] multiple(logic signed [25:0] a, logic [2:0] bits);
    logic [26:0] size;
    size = (bits == 3'b011 || bits == 3'b100) ? {a, 1'b0}
           : (bits == 3'b000 || bits == 3'b111) ? '0 : 27'(a);
    return size ^ {27{bits[2]}};
  endfunction
endpackage
