// SPDX-License-Identifier: Apache-2.0
// What is not a product: the byte itself (ADD), the largest byte of a tile's steps (MAXPOOL) and the sum
// over the pixels of a tile's steps (AVERAGE, in pixel 0; other pixels 0), kept as 32-bit sums beside
// the array's: hold_i has the same timing as there.
module vector_unit #(
  parameter int unsigned Channels = pronghorn_pkg::IC
) (
  input  logic                                      clk_i,
  input  logic                                      first_i,
  input  logic                                      step_i,
  input  logic [pronghorn_pkg::PX*Channels*8-1:0]   x_i,
  input  logic                                      hold_i,
  input  logic                                      average_i,  // with hold_i
  output logic [pronghorn_pkg::PX*Channels*8-1:0]   byte_o,
  output logic [Channels*20-1:0]                    sum_o,
  output logic                                      average_o
);
  import pronghorn_pkg::PX;
  import pronghorn_types::AccAt;
  import pronghorn_types::SrcAt;
  localparam int unsigned TileBits = PX * Channels * 8;
  localparam int unsigned Quads = (PX + 3) / 4;
  localparam int unsigned Sixteens = (Quads + 3) / 4;

  // Largest byte: one cycle.
  logic [TileBits-1:0] largest_q, largest_late;
  always_ff @(posedge clk_i) begin
    for (int unsigned b = 0; b < PX * Channels; b++) begin
      if (step_i && (first_i || $signed(x_i[b*8+:8]) > $signed(largest_q[b*8+:8]))) begin
        largest_q[b*8+:8] <= x_i[b*8+:8];
      end
    end
  end
  delay_line #(.Width(TileBits), .Cycles(AccAt - SrcAt - 1)) u_largest (
    .clk_i, .d_i(largest_q), .q_o(largest_late)
  );

  // Sum over pixels: fours, sixteens, all, accumulated.
  logic [Quads*Channels*10-1:0]    quad_q;
  logic [Sixteens*Channels*12-1:0] sixteen_q;
  logic [Channels*13-1:0]          all_q;
  logic [Channels*20-1:0]   sum_q, sum_late;
  logic               step4, first4;
  delay_line #(.Width(2), .Cycles(3)) u_flags (
    .clk_i, .d_i({step_i, first_i}), .q_o({step4, first4})
  );
  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Channels; i++) begin
      automatic logic signed [12:0] all;
      for (int unsigned q = 0; q < Quads; q++) begin
        automatic logic signed [9:0] sum;
        sum = '0;
        for (int unsigned p = 4 * q; p < 4 * q + 4 && p < PX; p++) begin
          sum = sum + 10'($signed(x_i[(p*Channels+i)*8+:8]));
        end
        quad_q[(q*Channels+i)*10+:10] <= sum;
      end
      for (int unsigned s = 0; s < Sixteens; s++) begin
        automatic logic signed [11:0] sum;
        sum = '0;
        for (int unsigned q = 4 * s; q < 4 * s + 4 && q < Quads; q++) begin
          sum = sum + 12'($signed(quad_q[(q*Channels+i)*10+:10]));
        end
        sixteen_q[(s*Channels+i)*12+:12] <= sum;
      end
      all = '0;
      for (int unsigned s = 0; s < Sixteens; s++) begin
        all = all + 13'($signed(sixteen_q[(s*Channels+i)*12+:12]));
      end
      all_q[i*13+:13] <= all;
      if (step4) sum_q[i*20+:20] <= (first4 ? 20'd0 : sum_q[i*20+:20]) + 20'($signed(all_q[i*13+:13]));
    end
  end
  delay_line #(.Width(Channels * 20), .Cycles(AccAt - SrcAt - 4)) u_sum (
    .clk_i, .d_i(sum_q), .q_o(sum_late)
  );

  always_ff @(posedge clk_i) begin
    if (hold_i) begin
      byte_o    <= largest_late;
      sum_o     <= sum_late;
      average_o <= average_i;
    end
  end
endmodule
