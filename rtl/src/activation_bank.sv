// SPDX-License-Identifier: Apache-2.0
// One bank of an activation memory: a write and a read a cycle, data two cycles after the row.
// A read of a row in the cycle that writes it gives the old word.
module activation_bank #(
  parameter int unsigned Rows = 512,
  parameter int unsigned Width = 256,
  parameter bit Uram = 1'b0
) (
  input  logic                    clk_i,
  input  logic                    write_i,
  input  logic [$clog2(Rows)-1:0] write_row_i,
  input  logic [Width-1:0]        data_i,
  input  logic [$clog2(Rows)-1:0] read_row_i,
  output logic [Width-1:0]        data_o
);
  logic [Width-1:0] read_q;
  if (Uram) begin : gen_uram
    (* ram_style = "ultra" *) logic [Width-1:0] words[Rows];
    always_ff @(posedge clk_i) begin
      if (write_i) words[write_row_i] <= data_i;
      read_q <= words[read_row_i];
    end
  end else begin : gen_bram
    (* ram_style = "block" *) logic [Width-1:0] words[Rows];
    always_ff @(posedge clk_i) begin
      if (write_i) words[write_row_i] <= data_i;
      read_q <= words[read_row_i];
    end
  end
  always_ff @(posedge clk_i) data_o <= read_q;
endmodule
