// SPDX-License-Identifier: Apache-2.0
// Where the pixels of a tile are on the grid of their command, and how many grid rows they touch.
//   prepare_i  computes the coordinates of a command's first tile beside those in use; prepared_o falls
//              at once and rises when they are there
//   start_i    takes them into use
//   advance_i  goes to the next tile: four cycles after start_i or the last advance_i at the earliest;
//              passes_o of a tile is right if the advance to it came six cycles after the one before
module coordinates (
  input  logic                         clk_i,
  input  logic                         rst_ni,
  input  logic                         prepare_i,
  input  pronghorn_types::compute_t    next_command_i,
  output logic                         prepared_o,
  input  logic                         start_i,
  input  logic                         advance_i,
  input  pronghorn_types::compute_t    command_i,
  input  logic                         next_is_last_i,  // the tile after the current one
  output logic [pronghorn_pkg::PX*12-1:0] x_o,
  output logic [pronghorn_pkg::PX*12-1:0] y_o,
  output logic [5:0]                   passes_o
);
  import pronghorn_pkg::PX;
  import pronghorn_types::*;

  // The first tile, one lane a cycle.
  logic [PX*12-1:0] first_x_q, first_y_q;
  logic [11:0]      x_q, y_q;
  logic [5:0]       lane_q;
  logic [5:0]       first_passes_q;
  logic             x_end, y_end;
  logic [11:0]      x_last_q, y_last_q;
  logic             zero1_q, one_tile_q;
  assign x_end = x_q == x_last_q;
  assign y_end = y_q == y_last_q;
  always_ff @(posedge clk_i) begin
    x_last_q   <= next_command_i.pitch - 12'd1;
    y_last_q   <= next_command_i.height - 12'd1;
    one_tile_q <= next_command_i.tiles == 16'd1;
    // Rows that begin inside the tile, a cycle behind.
    zero1_q    <= x_q == 0 && lane_q != 0 && lane_q < 6'(PX) &&
                  (!one_tile_q || lane_q < next_command_i.last_px);
    first_passes_q <= prepare_i ? 6'd1 : first_passes_q + 6'(zero1_q);
    if (prepare_i) begin
      x_q    <= next_command_i.x0;
      y_q    <= next_command_i.y0;
      lane_q <= '0;
    end else if (lane_q != 6'(PX + 2)) begin
      x_q    <= x_end ? '0 : x_q + 12'd1;
      y_q    <= !x_end ? y_q : y_end ? '0 : y_q + 12'd1;
      lane_q <= lane_q + 6'd1;
      if (lane_q < 6'(PX)) begin
        first_x_q    <= {x_q, first_x_q[PX*12-1:12]};
        first_y_q    <= {y_q, first_y_q[PX*12-1:12]};
      end
    end
    if (!rst_ni) lane_q <= 6'(PX + 2);
  end
  assign prepared_o = lane_q == 6'(PX + 2);

  // The tile after the current one, in three cycles; its rows in two more.
  logic signed [12:0] step_x_q, step_wrapped_q;
  logic [12:0]        step_y_q, height_q;
  logic [5:0]         last_px_q;
  logic [PX*12-1:0]   next_x_q, next_y_q;
  logic [PX-1:0]      zero_q;
  logic [5:0]         passes_q;
  logic signed [12:0] x1_q[PX], wrapped1_q[PX];
  logic [12:0]        y1_q[PX], y2_q[PX];
  logic [11:0]        x2_q[PX];
  always_ff @(posedge clk_i) begin
    step_x_q       <= $signed({1'b0, command_i.step_x});
    step_wrapped_q <= $signed({1'b0, command_i.step_x}) - $signed({1'b0, command_i.pitch});
    step_y_q       <= {1'b0, command_i.step_y};
    height_q       <= {1'b0, command_i.height};
    last_px_q      <= command_i.last_px;
    // Last stage first (docs/fpga.md, "The RTL").
    for (int unsigned l = 0; l < PX; l++) begin
      next_x_q[l*12+:12] <= x2_q[l];
      next_y_q[l*12+:12] <= (y2_q[l] >= height_q) ? 12'(y2_q[l] - height_q) : y2_q[l][11:0];
      zero_q[l] <= (x2_q[l] == 0) && (l != 0) && (!next_is_last_i || l < 32'(last_px_q));
      x2_q[l]       = (wrapped1_q[l] < 0) ? x1_q[l][11:0] : wrapped1_q[l][11:0];
      y2_q[l]       = y1_q[l] + 13'(wrapped1_q[l] >= 0);
      x1_q[l]       = $signed({1'b0, x_o[l*12+:12]}) + step_x_q;
      wrapped1_q[l] = $signed({1'b0, x_o[l*12+:12]}) + step_wrapped_q;
      y1_q[l]       = {1'b0, y_o[l*12+:12]} + step_y_q;
    end
    passes_q <= 6'd1 + 6'($countones(zero_q));
    if (start_i) begin
      x_o      <= first_x_q;
      y_o      <= first_y_q;
      passes_o <= first_passes_q;
    end else if (advance_i) begin
      x_o      <= next_x_q;
      y_o      <= next_y_q;
      passes_o <= passes_q;
    end
  end
endmodule
