// SPDX-License-Identifier: Apache-2.0
// clamp(rne(rn24(s)) + z) for s_i / 2^30 plus something below one unit if sticky_i is set; four cycles
// later. rn24, the rounding to binary32, changes the outcome only where it lands on one half beyond an
// integer: within 2^-24 of that half, times the power of two that the magnitude begins with.
module round_clamp #(
  parameter int unsigned Lanes = 1
) (
  input  logic                clk_i,
  input  logic [Lanes*45-1:0] s_i,
  input  logic [Lanes-1:0]    sticky_i,
  input  logic [7:0]          z_i,      // two cycles after s_i
  input  logic [7:0]          lo_i,     // three cycles after s_i
  input  logic [7:0]          hi_i,
  output logic [Lanes*8-1:0]  q_o
);
  logic [28:0]        away1_q[Lanes];   // distance from the half, one less below it
  logic [14:4]        above1_q[Lanes];  // bits from the interval's half width up
  logic [14:4]        width1_q[Lanes];  // that half width
  logic signed [9:0]  whole1_q[Lanes], whole2_q[Lanes];
  logic               upper1_q[Lanes], upper2_q[Lanes];
  logic               sticky1_q[Lanes];
  logic [1:0]         big1_q[Lanes], big2_q[Lanes], big3_q[Lanes];
  logic               half2_q[Lanes];
  logic signed [11:0] q3_q[Lanes];

  always_ff @(posedge clk_i) begin
    for (int unsigned l = 0; l < Lanes; l++) begin
      automatic logic [44:0] s;
      automatic logic        negative;
      automatic logic        upper;
      automatic logic [8:0]  j;
      automatic logic [14:4] above;
      automatic logic        below;
      automatic logic        edge_hit;
      automatic logic [12:0] q;
      // 1: integer part, distance from one half, width of the interval
      s        = s_i[l*45+:45];
      negative = s[44];
      upper    = s[29];
      j        = s[38:30] ^ {9{negative}};
      above[14] = 1'b1;
      for (int unsigned t = 6; t < 14; t++) above[t] = ~|(j >> (t - 5));
      above[5] = ~|j;
      above[4] = ~|j & (upper == negative);
      away1_q[l]  <= s[28:0] ^ {29{~upper}};
      above1_q[l] <= above;
      width1_q[l] <= above & ~{above[13:4], 1'b0};
      whole1_q[l] <= s[39:30];
      upper1_q[l] <= upper;
      sticky1_q[l] <= sticky_i[l];
      big1_q[l]   <= {negative & ~&s[43:39], ~negative & |s[43:39]};
      // 2: inside the interval?
      below    = ~|away1_q[l][28:15] & ~|(away1_q[l][14:4] & above1_q[l]);
      edge_hit = ~|away1_q[l][28:15] & ~|(away1_q[l][14:4] ^ width1_q[l]) & ~|away1_q[l][3:0];
      half2_q[l]  <= below | (edge_hit & upper1_q[l] & ~sticky1_q[l]);
      whole2_q[l] <= whole1_q[l];
      upper2_q[l] <= upper1_q[l];
      big2_q[l]   <= big1_q[l];
      // 3: to even on the half
      q = {12'(whole2_q[l]), 1'b1} +
          {12'($signed(z_i)), half2_q[l] ? whole2_q[l][0] : upper2_q[l]};
      q3_q[l] <= q[12:1];
      big3_q[l] <= big2_q[l];
      // 4
      if (big3_q[l][1] || (!big3_q[l][0] && q3_q[l] < 12'($signed(lo_i)))) q_o[l*8+:8] <= lo_i;
      else if (big3_q[l][0] || q3_q[l] > 12'($signed(hi_i))) q_o[l*8+:8] <= hi_i;
      else q_o[l*8+:8] <= q3_q[l][7:0];
    end
  end
endmodule
