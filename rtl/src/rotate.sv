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

  // Steps First to Last - 1 of a barrel shifter around Count elements.
  function automatic logic [Count*Width-1:0] turn(logic [Count*Width-1:0] data,
                                                  logic [Bits-1:0] amount, int unsigned first,
                                                  int unsigned last);
    logic [Count*Width-1:0] from;
    logic [Count*Width-1:0] to;
    from = data;
    to = data;
    for (int unsigned step = first; step < last; step++) begin
      for (int unsigned i = 0; i < Count; i++) begin
        to[i*Width+:Width] = amount[step] ? from[((i + (1 << step)) % Count)*Width+:Width]
                                          : from[i*Width+:Width];
      end
      from = to;
    end
    return to;
  endfunction

  logic [Count*Width-1:0] data1_q;
  logic [Bits-1:0]        amount1_q;
  always_ff @(posedge clk_i) begin
    data1_q   <= turn(data_i, amount_i, High, Bits);
    amount1_q <= amount_i;
    data_o    <= turn(data1_q, amount1_q, 0, High);
  end
endmodule
