// SPDX-License-Identifier: Apache-2.0
// The STORE engine: rows of an activation memory to memory through AXI4. Holds the active and one
// pending command. A row is read when COMPUTE leaves the memory's port free, then sent as one burst or,
// where it would cross 4 KiB, two.
module storer (
  input  logic                                  clk_i,
  input  logic                                  rst_ni,
  output logic                                  load_ready_o,
  input  logic                                  word_valid_i,
  input  logic [7:0]                            word_index_i,
  input  logic [63:0]                           word_i,
  input  logic                                  word_last_i,
  input  logic [2:0][63:0]                      base_i,
  input  logic [15:0]                           loads_done_i,
  input  logic [15:0]                           computes_done_i,
  output logic                                  command_done_o,
  output logic                                  empty_o,
  output logic                                  error_o,
  // a row of an activation memory; the request is taken in a cycle with read_ready_i
  output logic                                  read_valid_o,
  output logic                                  read_mem_o,
  output logic [15:0]                           read_row_o,
  input  logic                                  read_ready_i,
  input  logic [1:0][pronghorn_types::TileBits-1:0] data_i,
  output logic                                  awvalid_o,
  input  logic                                  awready_i,
  output logic [63:0]                           awaddr_o,
  output logic [7:0]                            awlen_o,
  output logic                                  wvalid_o,
  input  logic                                  wready_i,
  output logic [pronghorn_types::AxiBits-1:0]   wdata_o,
  output logic                                  wlast_o,
  input  logic                                  bvalid_i,
  output logic                                  bready_o,
  input  logic [1:0]                            bresp_i
);
  import pronghorn_pkg::*;
  import pronghorn_types::*;
  localparam int unsigned RowBeats = PX * IC / AxiBytes;
  localparam int unsigned Shift = $clog2(AxiBytes);
  localparam int unsigned PageBeats = 4096 / AxiBytes;

  logic [3:0][63:0] pending_q, active_q;
  logic             pending_full_q, arriving_q, ready_q;
  assign load_ready_o = !pending_full_q && !arriving_q;

  typedef enum logic [2:0] {Idle, Begin, Read, Wait, Address, Send, Answers, Done} state_e;
  state_e state_q;
  assign empty_o = !pending_full_q && !arriving_q && state_q == Idle;

  logic [63:0]         address_q;
  logic [31:0]         rows_q;
  logic [15:0]         row_q;
  logic [TileBits-1:0] data_q;
  logic [2:0]          wait_q;
  logic [7:0]          beats_q;      // of the row, not yet sent
  logic [7:0]          burst_q;      // of the burst, not yet sent
  logic [7:0]          burst;
  logic [$clog2(PageBeats):0] to_page;
  logic [31:0]         answers_q;    // bursts without an answer
  logic                asked, answered;
  assign to_page = ($clog2(PageBeats) + 1)'(PageBeats) - {1'b0, address_q[Shift+:$clog2(PageBeats)]};
  assign burst   = (32'(beats_q) < 32'(to_page)) ? beats_q : 8'(to_page);

  assign read_valid_o = state_q == Read;
  assign read_mem_o   = active_q[3][0];
  assign read_row_o   = row_q;
  assign bready_o     = 1'b1;
  assign asked        = awvalid_o && awready_i;
  assign answered     = bvalid_i && bready_o;
  assign error_o      = answered && bresp_i[1];
  assign wvalid_o     = state_q == Send;
  assign wdata_o      = data_q[AxiBits-1:0];
  assign wlast_o      = burst_q == 8'd1;

  always_ff @(posedge clk_i) begin
    command_done_o <= 1'b0;
    if (word_valid_i) begin
      arriving_q <= !word_last_i;
      if (word_index_i < 8'd4) pending_q[word_index_i[1:0]] <= word_i;
      if (word_last_i) pending_full_q <= 1'b1;
    end
    ready_q <= pending_full_q && 16'(loads_done_i - pending_q[1][15:0]) < 16'h8000 &&
               16'(computes_done_i - pending_q[1][31:16]) < 16'h8000;
    answers_q <= answers_q + 32'(asked) - 32'(answered);

    unique case (state_q)
      Idle: if (ready_q && pending_full_q) begin
        active_q       <= pending_q;
        pending_full_q <= 1'b0;
        ready_q        <= 1'b0;
        state_q        <= Begin;
      end
      Begin: begin
        address_q <= base_i[active_q[2][49:48]] + {16'd0, active_q[2][47:0]};
        rows_q    <= active_q[3][63:32];
        row_q     <= active_q[3][31:16];
        state_q   <= (active_q[3][63:32] == 0) ? Done : Read;
      end
      Read: if (read_ready_i) begin
        wait_q  <= 3'(ReadLatency - 1);
        state_q <= Wait;
      end
      Wait: begin
        wait_q <= wait_q - 3'd1;
        if (wait_q == 0) begin
          data_q  <= data_i[read_mem_o];
          beats_q <= 8'(RowBeats);
          state_q <= Address;
        end
      end
      Address: begin
        if (!awvalid_o) begin
          awvalid_o <= 1'b1;
          awaddr_o  <= address_q;
          awlen_o   <= burst - 8'd1;
          burst_q   <= burst;
        end else if (awready_i) begin
          awvalid_o <= 1'b0;
          state_q   <= Send;
        end
      end
      Send: if (wready_i) begin
        data_q    <= data_q >> AxiBits;
        address_q <= address_q + 64'(AxiBytes);
        beats_q   <= beats_q - 8'd1;
        burst_q   <= burst_q - 8'd1;
        if (burst_q == 8'd1) begin
          state_q <= Address;
          if (beats_q == 8'd1) begin
            rows_q  <= rows_q - 32'd1;
            row_q   <= row_q + 16'd1;
            state_q <= (rows_q == 32'd1) ? Answers : Read;
          end
        end
      end
      Answers: if (answers_q == 0) state_q <= Done;
      Done: begin
        state_q        <= Idle;
        command_done_o <= 1'b1;
      end
      default: state_q <= Idle;
    endcase
    if (!rst_ni) begin
      state_q        <= Idle;
      pending_full_q <= 1'b0;
      arriving_q     <= 1'b0;
      ready_q        <= 1'b0;
      awvalid_o      <= 1'b0;
      answers_q      <= '0;
    end
  end

`ifndef SYNTHESIS
  // The handshake's rules: what waits stays as it is; no answer without a burst; no command without a place.
  logic               aw_waiting_q, w_waiting_q;
  logic [71:0]        aw_q;
  logic [AxiBits:0]   w_q;
  always_ff @(posedge clk_i) begin
    aw_waiting_q <= rst_ni && awvalid_o && !awready_i;
    aw_q         <= {awaddr_o, awlen_o};
    w_waiting_q  <= rst_ni && wvalid_o && !wready_i;
    w_q          <= {wlast_o, wdata_o};
    if (aw_waiting_q) begin
      assert (awvalid_o && {awaddr_o, awlen_o} == aw_q) else $error("AW changed while waiting");
    end
    if (w_waiting_q) begin
      assert (wvalid_o && {wlast_o, wdata_o} == w_q) else $error("W changed while waiting");
    end
    if (rst_ni && awvalid_o) begin
      assert ((64'(awaddr_o[11:0]) + ((64'(awlen_o) + 64'd1) << Shift)) <= 64'd4096)
        else $error("a burst crosses 4 KiB");
    end
    if (rst_ni && word_valid_i && word_index_i == 8'd0) begin
      assert (load_ready_o) else $error("a command while the last one waits");
    end
    if (rst_ni && bvalid_i) assert (answers_q != 0) else $error("an answer to nothing");
  end
`endif
endmodule
