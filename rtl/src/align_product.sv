// SPDX-License-Identifier: Apache-2.0
// A product as fixed point with 30 fraction bits, rounded down, and whether anything was lost; three
// cycles later. p_i * 2^-16 * 2^-shift is meant, in units of 2^-30. Values of 2^13 and more, which any
// clamp cuts, set over_o: the sign in v_o is right even then, the rest is not.
module align_product #(
  parameter int unsigned Lanes = 1
) (
  input  logic                clk_i,
  input  logic [Lanes*50-1:0] p_i,
  input  logic [Lanes*6-1:0]  shift_i,
  input  logic [Lanes-1:0]    huge_i,   // the shift would be negative
  output logic [Lanes*44-1:0] v_o,
  output logic [Lanes-1:0]    over_o,
  output logic [Lanes-1:0]    sticky_o
);
  logic signed [58:0] v1_q[Lanes];
  logic signed [46:0] v2_q[Lanes];
  logic [3:0]         shift1_q[Lanes];
  logic [1:0]         shift2_q[Lanes];
  logic               sticky1_q[Lanes], sticky2_q[Lanes];
  logic               over1_q[Lanes], over2_q[Lanes];

  // Last stage first (docs/fpga.md, "The RTL"). A stage keeps the bits that the largest shift of the
  // stages behind it can still bring below 2^43.
  always_ff @(posedge clk_i) begin
    for (int unsigned l = 0; l < Lanes; l++) begin
      automatic logic signed [49:0] p;
      automatic logic signed [58:0] by4;
      automatic logic signed [46:0] by1;
      automatic logic [1:0]         k;
      // 3: by 0 to 3
      by1 = v2_q[l] >>> shift2_q[l];
      v_o[l*44+:44] <= {v2_q[l][46], by1[42:0]};
      over_o[l]     <= over2_q[l] | (by1[46:43] != {4{v2_q[l][46]}});
      sticky_o[l]   <= sticky2_q[l] | (shift2_q[l][1] & (|v2_q[l][1:0])) |
                       (shift2_q[l] == 2'd1 & v2_q[l][0]) | (&shift2_q[l] & v2_q[l][2]);
      // 2: by 0, 4, 8, 12
      k   = shift1_q[l][3:2];
      by4 = v1_q[l] >>> {k, 2'b00};
      v2_q[l]      = {v1_q[l][58], by4[45:0]};
      over2_q[l]   = over1_q[l] | (by4[58:46] != {13{v1_q[l][58]}});
      sticky2_q[l] = sticky1_q[l] | (k != 2'd0 & (|v1_q[l][3:0])) | (k[1] & (|v1_q[l][7:4])) |
                     (&k & (|v1_q[l][11:8]));
      shift2_q[l]  = shift1_q[l][1:0];
      // 1: left by 16, or right by 0, 16, 32
      p = p_i[l*50+:50];
      k = shift_i[l*6+4+:2];
      v1_q[l] = k[1] ? (k[0] ? 59'($signed(p[49:32])) : 59'($signed(p[49:16])))
                     : (k[0] ? 59'(p) : {p[49], p[41:0], 16'd0});
      over1_q[l]   = (k == 2'd0 & (p[48:42] != {7{p[49]}})) | (huge_i[l] & (|p));
      sticky1_q[l] = k[1] & ((|p[15:0]) | (k[0] & (|p[31:16])));
      shift1_q[l]  = shift_i[l*6+:4];
    end
  end
endmodule
