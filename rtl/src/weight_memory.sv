// SPDX-License-Identifier: Apache-2.0
// The weight words: URAM for the first ones, block RAM for the rest. Data four cycles after the
// address. A write takes one cycle and is not read before the next but one.
module weight_memory #(
  parameter int unsigned Width = pronghorn_types::WeightBits  // less: a slice, for rtl/syn
) (
  input  logic                                    clk_i,
  input  logic                                    write_i,
  input  logic [15:0]                             write_word_i,
  input  logic [Width-1:0]                        data_i,
  input  logic                                    read_i,
  input  logic [15:0]                             read_word_i,
  output logic [Width-1:0]                        data_o
);
  import pronghorn_pkg::*;
  localparam int unsigned Words = WUramWords + WBramWords;

  logic                  read1_q, read2_q;
  logic [15:0]           word1_q;
  logic [Width-1:0] uram2_q, uram3_q;
  always_ff @(posedge clk_i) begin
    read1_q <= read_i;
    read2_q <= read1_q;
    word1_q <= read_word_i;
  end

  (* ram_style = "ultra" *) logic [Width-1:0] uram[WUramWords];
  always_ff @(posedge clk_i) begin
    if (write_i && write_word_i < 16'(WUramWords)) uram[$clog2(WUramWords)'(write_word_i)] <= data_i;
    if (read1_q) uram2_q <= uram[$clog2(WUramWords)'(word1_q)];
    if (read2_q) uram3_q <= uram2_q;
  end

  if (WBramWords == 0) begin : gen_uram_only
    always_ff @(posedge clk_i) data_o <= uram3_q;
  end else begin : gen_both
    localparam int unsigned Bits = $clog2(WBramWords);
    (* ram_style = "block" *) logic [Width-1:0] bram[WBramWords];
    logic [Width-1:0] bram2_q, bram3_q;
    logic                  in_bram2_q, in_bram3_q;
    always_ff @(posedge clk_i) begin
      if (write_i && write_word_i >= 16'(WUramWords)) begin
        bram[Bits'(write_word_i - 16'(WUramWords))] <= data_i;
      end
      if (read1_q) bram2_q <= bram[Bits'(word1_q - 16'(WUramWords))];
      if (read2_q) bram3_q <= bram2_q;
      in_bram2_q <= word1_q >= 16'(WUramWords);
      in_bram3_q <= in_bram2_q;
      data_o     <= in_bram3_q ? bram3_q : uram3_q;
    end
  end

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (write_i) assert (32'(write_word_i) < Words) else $error("weight word out of range");
    if (read_i) assert (32'(read_word_i) < Words) else $error("weight word out of range");
  end
`endif
endmodule
