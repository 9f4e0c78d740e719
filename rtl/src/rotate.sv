// SPDX-License-Identifier: Apache-2.0
// data_o element i = data_i element (i + amount) mod Count, two cycles later. amount < Count <= 32.
module rotate #(
  parameter int unsigned Count = 4,
  parameter int unsigned Width = 8
) (
  input  logic                     clk_i,
  input  logic [$clog2(Count)-1:0] amount_i,
  input  logic [Count*Width-1:0]   data_i,
  output logic [Count*Width-1:0]   data_o
);
  localparam int unsigned Bits = $clog2(Count);
  localparam int unsigned High = Bits / 2;  // steps of the second cycle
  localparam int unsigned Size = Count * Width;

  // A barrel shifter around Count elements, one place a bit of the amount, from the highest.
  logic [Size-1:0] data1_q;
  logic [Bits-1:0] amount1_q;
  for (genvar step = 0; step < Bits; step++) begin : gen_step
    localparam int unsigned Part = (1 << step) * Width;
    logic [Size-1:0] from, to;
    logic            here;
    if (step == Bits - 1) begin : gen_first
      assign from = data_i;
    end else if (step == High - 1) begin : gen_late
      assign from = data1_q;
    end else begin : gen_next
      assign from = gen_step[step+1].to;
    end
    assign here = (step < High) ? amount1_q[step] : amount_i[step];
    assign to   = here ? {from[Part-1:0], from[Size-1:Part]} : from;
  end
  always_ff @(posedge clk_i) begin
    data1_q   <= gen_step[High].to;
    amount1_q <= amount_i;
    data_o    <= gen_step[0].to;
  end
endmodule
