// SPDX-License-Identifier: Apache-2.0
// A product as fixed point with 30 fraction bits, rounded down, and whether anything was lost; three
// cycles later. p_i * 2^-16 * 2^-shift is meant, in units of 2^-30. Values of 2^13 and more, which any
// clamp cuts, become +-2^13.
module align_product #(
  parameter int unsigned Lanes = 1
) (
  input  logic                clk_i,
  input  logic [Lanes*50-1:0] p_i,
  input  logic [Lanes*6-1:0]  shift_i,
  input  logic [Lanes-1:0]    huge_i,   // the shift would be negative
  output logic [Lanes*45-1:0] v_o,
  output logic [Lanes-1:0]    sticky_o
);
  logic signed [65:0] v1_q[Lanes];
  logic               sticky1_q[Lanes];
  logic [3:0]         shift1_q[Lanes];
  logic               huge1_q[Lanes];
  logic signed [65:0] v2_q[Lanes];
  logic               sticky2_q[Lanes];
  logic               huge2_q[Lanes];

  always_ff @(posedge clk_i) begin
    for (int unsigned l = 0; l < Lanes; l++) begin
      automatic logic signed [65:0] wide;
      automatic logic signed [65:0] coarse;
      automatic logic               fits;
      wide = {p_i[l*50+:50], 16'd0};
      unique case (shift_i[l*6+4+:2])
        2'd0: begin v1_q[l] <= wide;        sticky1_q[l] <= 1'b0;         end
        2'd1: begin v1_q[l] <= wide >>> 16; sticky1_q[l] <= 1'b0;         end
        2'd2: begin v1_q[l] <= wide >>> 32; sticky1_q[l] <= |wide[31:16]; end
        2'd3: begin v1_q[l] <= wide >>> 48; sticky1_q[l] <= |wide[47:16]; end
      endcase
      shift1_q[l] <= shift_i[l*6+:4];
      huge1_q[l]  <= huge_i[l] & (p_i[l*50+:50] != '0);

      coarse = v1_q[l] >>> {shift1_q[l][3:2], 2'b00};
      v2_q[l] <= coarse >>> shift1_q[l][1:0];
      sticky2_q[l] <= sticky1_q[l] | |(v1_q[l][14:0] & ~(15'h7fff << shift1_q[l]));
      huge2_q[l]   <= huge1_q[l];

      fits = (&v2_q[l][65:43] | ~|v2_q[l][65:43]) & ~huge2_q[l];
      v_o[l*45+:45] <= fits ? v2_q[l][44:0]
                            : {v2_q[l][65], ~v2_q[l][65], 43'd0} | {v2_q[l][65], v2_q[l][65], 43'd0};
      sticky_o[l] <= sticky2_q[l];
    end
  end
endmodule
