// SPDX-License-Identifier: Apache-2.0
// Two output channels x IC input channels x two pixels: IC DSPs in cascades, the sum over the cascades,
// four accumulators and the registers that hold them. clk_i and clk2x_i are edge-aligned.
module mac_tile (
  input  logic                            clk_i,
  input  logic                            clk2x_i,
  input  logic [pronghorn_pkg::IC*8-1:0]  x_i,
  input  logic [pronghorn_pkg::IC*27-1:0] w_i,
  input  logic                            add_i,
  input  logic                            first_i,
  input  logic                            hold_i,
  output logic [31:0]                     low_even_o,
  output logic [31:0]                     low_odd_o,
  output logic [31:0]                     high_even_o,
  output logic [31:0]                     high_odd_o
);
  import pronghorn_pkg::*;
  localparam int unsigned Cascades = IC / Cascade;

  logic [Cascades-1:0][36:0] p2x, p2x_q;
  for (genvar c = 0; c < Cascades; c++) begin : gen_cascade
    mac_cascade u_cascade (
      .clk2x_i, .x_i(x_i[c*Cascade*8+:Cascade*8]), .w_i(w_i[c*Cascade*27+:Cascade*27]),
      .p_o(p2x[c])
    );
  end
  always_ff @(posedge clk2x_i) p2x_q <= p2x;

  // The even pixel's sum leaves in the second half of a cycle, the odd one's in the first half of the next.
  logic [Cascades-1:0][36:0] even6_q, even7_q, odd7_q;
  always_ff @(posedge clk_i) begin
    even6_q <= p2x;
    even7_q <= even6_q;
    odd7_q  <= p2x_q;
  end

  mac_sum u_even (
    .clk_i, .p_i(even7_q), .add_i, .first_i, .hold_i, .low_o(low_even_o), .high_o(high_even_o)
  );
  mac_sum u_odd (
    .clk_i, .p_i(odd7_q), .add_i, .first_i, .hold_i, .low_o(low_odd_o), .high_o(high_odd_o)
  );
endmodule
