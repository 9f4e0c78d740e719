// SPDX-License-Identifier: Apache-2.0
// The multiplier array with its accumulators and the registers that hold a finished tile. Sums of a
// step appear ten cycles after its operands; with hold_i they are kept one cycle later.
//   x_i      PX pixels of IC s8     w_i    OC output channels of IC s8
//   first_i  the step begins a tile instead of adding to it
// Structural = 1 is the hardware (DSP48E2, clk2x_i); 0 is its twin for simulation, the same cycles and
// bits: tb/mac_array_tb proves it.
module mac_array #(
  parameter bit Structural = 1'b0
) (
  input  logic                                   clk_i,
  input  logic                                   clk2x_i,
  input  logic                                   step_i,
  input  logic                                   first_i,
  input  logic [pronghorn_types::TileBits-1:0]   x_i,
  input  logic [pronghorn_types::WeightBits-1:0] w_i,
  input  logic                                   hold_i,   // AccAt - SrcAt cycles after the last step
  input  logic [$clog2(pronghorn_types::GroupsPerTile)-1:0] group_i,
  output logic [pronghorn_pkg::PX*pronghorn_pkg::IC*32-1:0] acc_o
);
  import pronghorn_pkg::*;
  import pronghorn_types::*;
  localparam int unsigned ToSum = AccAt - SrcAt - 1;

  logic step9, first9;
  delay_line #(.Width(2), .Cycles(ToSum)) u_flags (
    .clk_i, .d_i({step_i, first_i}), .q_o({step9, first9})
  );

  if (Structural) begin : gen_structural
    mac_tiles u_tiles (
      .clk_i, .clk2x_i, .x_i, .w_i, .add_i(step9), .first_i(first9), .hold_i, .group_i, .acc_o
    );
  end else begin : gen_twin
    logic [TileBits-1:0]   x8;
    logic [WeightBits-1:0] w8;
    logic                  step8;
    delay_line #(.Width(TileBits), .Cycles(ToSum - 1)) u_x (.clk_i, .d_i(x_i), .q_o(x8));
    delay_line #(.Width(WeightBits), .Cycles(ToSum - 1)) u_w (.clk_i, .d_i(w_i), .q_o(w8));
    delay_line #(.Width(1), .Cycles(ToSum - 1)) u_step (.clk_i, .d_i(step_i), .q_o(step8));

    // Blocking assignments, last stage first: Verilator then keeps the loops as loops. Only hold_q is
    // read elsewhere.
    int x_q[PX][IC];
    int w_q[OC][IC];
    int acc_q[OC][PX];
    logic [OC*PX*32-1:0] hold_q;

    always_ff @(posedge clk_i) begin
      if (hold_i) begin
        for (int o = 0; o < OC; o++) begin
          for (int p = 0; p < PX; p++) hold_q[(o*PX+p)*32+:32] <= acc_q[o][p];
        end
      end
      if (step9) begin
        for (int o = 0; o < OC; o++) begin
          for (int p = 0; p < PX; p++) begin
            automatic int sum;
            sum = first9 ? 0 : acc_q[o][p];
            for (int i = 0; i < IC; i++) sum = sum + w_q[o][i] * x_q[p][i];
            acc_q[o][p] = sum;
          end
        end
      end
      if (step8) begin
        for (int p = 0; p < PX; p++) begin
          for (int i = 0; i < IC; i++) x_q[p][i] = 32'($signed(x8[(p*IC+i)*8+:8]));
        end
        for (int o = 0; o < OC; o++) begin
          for (int i = 0; i < IC; i++) w_q[o][i] = 32'($signed(w8[(o*IC+i)*8+:8]));
        end
      end
    end
    assign acc_o = hold_q[32'(group_i)*(IC*PX*32)+:IC*PX*32];

    logic unused_clk2x;
    assign unused_clk2x = clk2x_i;
  end
endmodule
