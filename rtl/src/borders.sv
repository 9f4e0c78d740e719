// SPDX-License-Identifier: Apache-2.0
// Which pixels of a tile have their tap inside the source; three cycles after x_i, y_i and tap_i.
module borders (
  input  logic                            clk_i,
  input  logic [pronghorn_pkg::PX*12-1:0] x_i,
  input  logic [pronghorn_pkg::PX*12-1:0] y_i,
  input  logic signed [4:0]               ro_i,
  input  logic signed [4:0]               co_i,
  input  logic                            check_i,
  input  logic [11:0]                     iw_i,
  input  logic [11:0]                     ih_i,
  output logic [pronghorn_pkg::PX-1:0]    inside_o
);
  import pronghorn_pkg::PX;
  logic signed [13:0] row_q[PX], column_q[PX];
  logic               row_inside_q[PX], column_inside_q[PX];
  logic               check_q, check2_q;
  logic signed [13:0] iw_q, ih_q;
  // Last stage first (docs/fpga.md, "The RTL").
  always_ff @(posedge clk_i) begin
    for (int unsigned l = 0; l < PX; l++) begin
      inside_o[l]        <= !check2_q || (row_inside_q[l] && column_inside_q[l]);
      row_inside_q[l]    = (row_q[l] >= 0) && (row_q[l] < ih_q);
      column_inside_q[l] = (column_q[l] >= 0) && (column_q[l] < iw_q);
      row_q[l]           = $signed({2'b00, y_i[l*12+:12]}) + 14'(ro_i);
      column_q[l]        = $signed({2'b00, x_i[l*12+:12]}) + 14'(co_i);
    end
    check2_q <= check_q;
    check_q  <= check_i;
    iw_q     <= $signed({2'b00, iw_i});
    ih_q     <= $signed({2'b00, ih_i});
  end
endmodule
