// SPDX-License-Identifier: Apache-2.0
// Unpacks the two fields of each cascade, adds the cascades and accumulates. The low field holds its sum
// plus 2^17 - 1: inverting its top bit and adding one, as a carry into an adder, takes that away.
module mac_sum (
  input  logic                                                               clk_i,
  input  logic [pronghorn_pkg::IC/pronghorn_pkg::Cascade-1:0][36:0]          p_i,
  input  logic                                                               add_i,
  input  logic                                                               first_i,
  input  logic                                                               hold_i,
  output logic [31:0]                                                        low_o,
  output logic [31:0]                                                        high_o
);
  import pronghorn_pkg::*;
  localparam int unsigned Cascades = IC / Cascade;
  localparam int unsigned Halves = (Cascades + 1) / 2;
  if (Halves > 2) begin : gen_unsupported
    $error("mac_sum adds at most four cascades");
  end

  logic signed [20:0] low1_q[Halves];
  logic signed [20:0] high1_q[Halves];
  logic signed [21:0] low2_q, high2_q;
  logic signed [31:0] low_q, high_q;

  always_ff @(posedge clk_i) begin
    automatic logic [21:0] pair;
    automatic logic [22:0] low;
    automatic logic [21:0] high;
    automatic logic [32:0] sum;
    // The carries enter below the lowest bit: one a cascade in all.
    for (int unsigned h = 0; h < Halves; h++) begin
      if (2 * h + 1 < Cascades) begin
        pair = {21'($signed({~p_i[2*h][17], p_i[2*h][16:0]})), 1'b1} +
               {21'($signed({~p_i[2*h+1][17], p_i[2*h+1][16:0]})), 1'b1};
        low1_q[h]  <= pair[21:1];
        high1_q[h] <= 21'($signed(p_i[2*h][36:18])) + 21'($signed(p_i[2*h+1][36:18]));
      end else begin
        low1_q[h]  <= 21'($signed({~p_i[2*h][17], p_i[2*h][16:0]}));
        high1_q[h] <= 21'($signed(p_i[2*h][36:18]));
      end
    end
    low  = {22'(low1_q[0]), 1'b1};
    high = 22'(high1_q[0]);
    for (int unsigned h = 1; h < Halves; h++) begin
      low  = low + {22'(low1_q[h]), 1'b1};
      high = high + 22'(high1_q[h]);
    end
    low2_q  <= low[22:1];
    high2_q <= high;
    if (add_i) begin
      sum = {32'(low2_q), 1'b1} + {first_i ? '0 : low_q, 1'b1};
      low_q  <= sum[32:1];
      high_q <= 32'(high2_q) + (first_i ? '0 : high_q);
    end
    if (hold_i) begin
      low_o  <= low_q;
      high_o <= high_q;
    end
  end
endmodule
