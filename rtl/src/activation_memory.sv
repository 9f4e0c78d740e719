// SPDX-License-Identifier: Apache-2.0
// PX banks that are read and written PX words at a time from any flat position (row, bank).
//   read   word l of data_o is the word at position (row, bank) + l, five cycles after the request
//   write  word l of data_i, where mask has bit l, goes to position (row, bank) + l; with deshuffle,
//          word 2 i goes to (row, bank) + i and word 2 i + 1 to (row + dcol_row, bank) + PX/2 + i.
//          It is in the bank four cycles after the request, and read then at the earliest.
module activation_memory #(
  parameter int unsigned Rows = 512,
  parameter bit Uram = 1'b0
) (
  input  logic                                   clk_i,
  input  logic [15:0]                            read_row_i,
  input  logic [pronghorn_types::BankBits-1:0]   read_bank_i,
  output logic [pronghorn_types::TileBits-1:0]   data_o,
  input  pronghorn_types::write_t                write_i,
  input  logic [pronghorn_types::TileBits-1:0]   data_i
);
  import pronghorn_pkg::PX;
  import pronghorn_types::*;
  localparam int unsigned RowBits = $clog2(Rows);
  localparam int unsigned Element = WordBits + 2;  // word, upper half, valid

  // Reads: a bank before the first one holds the next row.
  logic [PX*RowBits-1:0]  read_row_q;
  logic [BankBits-1:0]    read_bank3;
  logic [TileBits-1:0]    bank_data3;
  always_ff @(posedge clk_i) begin
    for (int unsigned b = 0; b < PX; b++) begin
      read_row_q[b*RowBits+:RowBits] <= RowBits'(read_row_i) + RowBits'(b < 32'(read_bank_i));
    end
  end
  delay_line #(.Width(BankBits), .Cycles(3)) u_read_bank (
    .clk_i, .d_i(read_bank_i), .q_o(read_bank3)
  );
  // Lane l takes bank (l + bank) mod PX.
  rotate #(.Count(PX), .Width(WordBits)) u_read_rotate (
    .clk_i, .amount_i(read_bank3), .data_i(bank_data3), .data_o
  );

  // Writes: 1: order by position. 2, 3: turn to the banks. 4: in the bank.
  logic [PX*Element-1:0] ordered1_q, turned3;
  logic [BankBits-1:0]   amount1_q;
  always_ff @(posedge clk_i) begin
    for (int unsigned p = 0; p < PX; p++) begin
      automatic int unsigned l;
      l = !write_i.deshuffle ? p : (p < PX / 2) ? 2 * p : 2 * p - PX + 1;
      ordered1_q[p*Element+:Element] <= {write_i.valid & write_i.mask[l],
                                         write_i.deshuffle && (p >= PX / 2),
                                         data_i[l*WordBits+:WordBits]};
    end
    // Bank b takes position (b - bank) mod PX.
    amount1_q <= (write_i.bank == 0) ? '0 : BankBits'(PX) - write_i.bank;
  end
  rotate #(.Count(PX), .Width(Element)) u_write_rotate (
    .clk_i, .amount_i(amount1_q), .data_i(ordered1_q), .data_o(turned3)
  );
  logic [BankBits-1:0] bank3;
  logic [RowBits-1:0]  row3, dcol_row3;
  delay_line #(.Width(BankBits + 2 * RowBits), .Cycles(2)) u_write_row (
    .clk_i,
    .d_i({write_i.bank, RowBits'(write_i.row), RowBits'(write_i.dcol_row)}),
    .q_o({bank3, row3, dcol_row3})
  );
  logic [RowBits-1:0] even_q, even_next_q, odd_q, odd_next_q;
  logic [BankBits-1:0] bank3_q;
  always_ff @(posedge clk_i) begin
    even_q      <= row3;
    even_next_q <= row3 + 1'b1;
    odd_q       <= row3 + dcol_row3;
    odd_next_q  <= row3 + dcol_row3 + 1'b1;
    bank3_q     <= bank3;
  end

  for (genvar b = 0; b < PX; b++) begin : gen_bank
    logic next;
    logic upper;
    assign next  = b < 32'(bank3_q);
    assign upper = turned3[b*Element+WordBits];
    activation_bank #(.Rows(Rows), .Width(WordBits), .Uram(Uram)) u_bank (
      .clk_i,
      .write_i(turned3[b*Element+WordBits+1]),
      .write_row_i(upper ? (next ? odd_next_q : odd_q) : (next ? even_next_q : even_q)),
      .data_i(turned3[b*Element+:WordBits]),
      .read_row_i(read_row_q[b*RowBits+:RowBits]),
      .data_o(bank_data3[b*WordBits+:WordBits])
    );
  end
endmodule
