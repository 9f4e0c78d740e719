// SPDX-License-Identifier: Apache-2.0
// A value, Cycles later. Without reset: synthesis makes shift registers in LUTs of it.
module delay_line #(
  parameter int unsigned Width = 1,
  parameter int unsigned Cycles = 1
) (
  input  logic             clk_i,
  input  logic [Width-1:0] d_i,
  output logic [Width-1:0] q_o
);
  if (Cycles == 0) begin : gen_wire
    assign q_o = d_i;
  end else begin : gen_shift
    logic [Width-1:0] pipe_q[Cycles];
    always_ff @(posedge clk_i) pipe_q[0] <= d_i;
    for (genvar i = 1; i < Cycles; i++) begin : gen_stage
      always_ff @(posedge clk_i) pipe_q[i] <= pipe_q[i-1];
    end
    assign q_o = pipe_q[Cycles-1];
  end
endmodule
