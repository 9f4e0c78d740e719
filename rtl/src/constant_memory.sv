// SPDX-License-Identifier: Apache-2.0
// The constant words (bias and m of IC channels): data three cycles after the address.
module constant_memory (
  input  logic                                      clk_i,
  input  logic                                      write_i,
  input  logic [15:0]                               write_word_i,
  input  logic [pronghorn_types::ConstantBits-1:0]  data_i,
  input  logic [15:0]                               read_word_i,
  output logic [pronghorn_types::ConstantBits-1:0]  data_o
);
  import pronghorn_pkg::CWords;
  import pronghorn_types::ConstantBits;
  localparam int unsigned Bits = $clog2(CWords);
  (* ram_style = "block" *) logic [ConstantBits-1:0] words[CWords];
  logic [Bits-1:0]         word1_q;
  logic [ConstantBits-1:0] data2_q;
  always_ff @(posedge clk_i) begin
    if (write_i) words[Bits'(write_word_i)] <= data_i;
    word1_q <= Bits'(read_word_i);
    data2_q <= words[word1_q];
    data_o  <= data2_q;
  end
endmodule
