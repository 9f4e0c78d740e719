// SPDX-License-Identifier: Apache-2.0
// clamp(rne(rn24(s)) + z) for s_i / 2^30 plus something below one unit if sticky_i is set; six cycles
// later. rn24, the rounding to binary32, changes the outcome only where it lands on one half beyond an
// integer: within 2^-24 of that half, times the power of two that the magnitude begins with.
module round_clamp #(
  parameter int unsigned Lanes = 1
) (
  input  logic                clk_i,
  input  logic [Lanes*45-1:0] s_i,
  input  logic [Lanes-1:0]    sticky_i,
  input  logic [7:0]          z_i,      // three cycles after s_i
  input  logic [7:0]          lo_i,     // four cycles after s_i
  input  logic [7:0]          hi_i,
  output logic [Lanes*8-1:0]  q_o
);
  logic [28:0]        away1_q[Lanes];   // distance from the half, one less below it
  logic [8:0]         j1_q[Lanes];      // integer part of the magnitude, one less below 0
  logic               near1_q[Lanes];   // the half that is nearer to 0
  logic [14:4]        away2_q[Lanes];
  logic               close2_q[Lanes];  // no bit of the distance above those
  logic               even2_q[Lanes];   // none below
  logic [14:4]        above2_q[Lanes];  // bits from the interval's half width up
  logic [14:4]        width2_q[Lanes];  // that half width
  logic signed [9:0]  whole1_q[Lanes], whole2_q[Lanes], whole3_q[Lanes];
  logic               upper1_q[Lanes], upper2_q[Lanes], upper3_q[Lanes];
  logic               sticky1_q[Lanes], sticky2_q[Lanes];
  logic [1:0]         big1_q[Lanes], big2_q[Lanes], big3_q[Lanes], big4_q[Lanes];
  logic               half3_q[Lanes];
  logic signed [11:0] q4_q[Lanes];
  logic [7:0]         q5_q[Lanes];
  logic [1:0]         cut5_q[Lanes];
  logic [7:0]         lo5_q, hi5_q;

  // Last stage first (docs/fpga.md, "The RTL").
  always_ff @(posedge clk_i) begin
    for (int unsigned l = 0; l < Lanes; l++) begin
      automatic logic [44:0] s;
      automatic logic        negative;
      automatic logic [8:0]  j;
      automatic logic [14:4] above;
      automatic logic        below;
      automatic logic        edge_hit;
      automatic logic [12:0] q;
      // 6, 5: the bounds
      q_o[l*8+:8] <= cut5_q[l][1] ? lo5_q : cut5_q[l][0] ? hi5_q : q5_q[l];
      cut5_q[l] = {big4_q[l][1] | (~big4_q[l][0] & (q4_q[l] < 12'($signed(lo_i)))),
                   big4_q[l][0] | (q4_q[l] > 12'($signed(hi_i)))};
      q5_q[l]   = q4_q[l][7:0];
      // 4: to even on the half
      q = {12'(whole3_q[l]), 1'b1} +
          {12'($signed(z_i)), half3_q[l] ? whole3_q[l][0] : upper3_q[l]};
      q4_q[l]   = q[12:1];
      big4_q[l] = big3_q[l];
      // 3: inside the interval?
      below    = close2_q[l] & ~|(away2_q[l] & above2_q[l]);
      edge_hit = close2_q[l] & ~|(away2_q[l] ^ width2_q[l]) & even2_q[l];
      half3_q[l]  = below | (edge_hit & upper2_q[l] & ~sticky2_q[l]);
      whole3_q[l] = whole2_q[l];
      upper3_q[l] = upper2_q[l];
      big3_q[l]   = big2_q[l];
      // 2: its width
      j     = j1_q[l];
      above = {1'b1, ~j[8], ~|j[8:7], ~|j[8:6], ~|j[8:5], ~|j[8:4], ~|j[8:3], ~|j[8:2], ~|j[8:1], ~|j,
               ~|j & near1_q[l]};
      above2_q[l]  = above;
      width2_q[l]  = above & ~{above[13:4], 1'b0};
      away2_q[l]   = away1_q[l][14:4];
      close2_q[l]  = ~|away1_q[l][28:15];
      even2_q[l]   = ~|away1_q[l][3:0];
      whole2_q[l]  = whole1_q[l];
      upper2_q[l]  = upper1_q[l];
      sticky2_q[l] = sticky1_q[l];
      big2_q[l]    = big1_q[l];
      // 1: integer part, distance from one half
      s        = s_i[l*45+:45];
      negative = s[44];
      j1_q[l]      = s[38:30] ^ {9{negative}};
      near1_q[l]   = s[29] == negative;
      away1_q[l]   = s[28:0] ^ {29{~s[29]}};
      whole1_q[l]  = s[39:30];
      upper1_q[l]  = s[29];
      sticky1_q[l] = sticky_i[l];
      big1_q[l]    = {negative & ~&s[43:39], ~negative & |s[43:39]};
    end
    lo5_q = lo_i;
    hi5_q = hi_i;
  end
endmodule
