// SPDX-License-Identifier: Apache-2.0
// Control bits, Cycles later, zero after reset.
module reset_delay_line #(
  parameter int unsigned Width = 1,
  parameter int unsigned Cycles = 1
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic [Width-1:0] d_i,
  output logic [Width-1:0] q_o
);
  logic [Width-1:0] pipe_q[Cycles];
  always_ff @(posedge clk_i) pipe_q[0] <= rst_ni ? d_i : '0;
  for (genvar i = 1; i < Cycles; i++) begin : gen_stage
    always_ff @(posedge clk_i) pipe_q[i] <= rst_ni ? pipe_q[i-1] : '0;
  end
  assign q_o = pipe_q[Cycles-1];
endmodule
