// SPDX-License-Identifier: Apache-2.0
// Reads a run of bytes through AXI4 as a stream of beats: bursts of at most 16 beats that do not cross
// 4 KiB, several under way. start_i while idle_o begins a run of one beat or more; addresses are multiples of a beat.
module axi_reader (
  input  logic                                  clk_i,
  input  logic                                  rst_ni,
  input  logic                                  start_i,
  input  logic [63:0]                           address_i,
  input  logic [31:0]                           beats_i,
  output logic                                  idle_o,
  output logic                                  error_o,     // a pulse
  output logic                                  valid_o,
  input  logic                                  ready_i,
  output logic [pronghorn_types::AxiBits-1:0]   data_o,
  output logic                                  last_o,      // of the run
  output logic                                  arvalid_o,
  input  logic                                  arready_i,
  output logic [63:0]                           araddr_o,
  output logic [7:0]                            arlen_o,
  input  logic                                  rvalid_i,
  output logic                                  rready_o,
  input  logic [pronghorn_types::AxiBits-1:0]   rdata_i,
  input  logic [1:0]                            rresp_i
);
  import pronghorn_pkg::AxiBytes;
  localparam int unsigned Shift = $clog2(AxiBytes);
  localparam int unsigned Burst = 16;

  // Asking: the next burst is known before the last one is taken. A burst goes to the end of a 16-beat block,
  // at most what is left: never across 4 KiB.
  typedef enum logic [1:0] {Nothing, Edge, Length, Ask} state_e;
  state_e      state_q;
  logic [63:0] address_q;
  logic [31:0] asked_q;     // beats not yet asked for
  logic [4:0]  edge_q, burst_q;
  logic        few_q;       // asked_q is less than 32
  logic        issue;
  assign issue = state_q == Ask && (!arvalid_o || arready_i);
  always_ff @(posedge clk_i) begin
    if (arready_i) arvalid_o <= 1'b0;
    edge_q <= 5'd16 - {1'b0, address_q[Shift+:4]};
    few_q  <= asked_q[31:5] == 0;
    unique case (state_q)
      Edge: state_q <= Length;
      Length: begin
        burst_q <= (few_q && asked_q[4:0] < edge_q) ? asked_q[4:0] : edge_q;
        state_q <= (few_q && asked_q[4:0] == 0) ? Nothing : Ask;
      end
      Ask: if (issue) begin
        arvalid_o <= 1'b1;
        araddr_o  <= address_q;
        arlen_o   <= {3'd0, burst_q} - 8'd1;
        address_q <= address_q + (64'(burst_q) << Shift);
        asked_q   <= asked_q - 32'(burst_q);
        state_q   <= Edge;
      end
      default: ;
    endcase
    if (start_i) begin
      state_q   <= Edge;
      address_q <= address_i;
      asked_q   <= beats_i;
    end
    if (!rst_ni) begin
      arvalid_o <= 1'b0;
      state_q   <= Nothing;
    end
  end

  // Receiving: a beat waits in data_o, the one behind it in spare_q, so that no ready comes through.
  logic                                begin_q, running_q, spare_valid_q;
  logic [31:0]                         missing_q;   // beats not yet handed on
  logic [pronghorn_types::AxiBits-1:0] spare_q;
  logic                                arrives, leaves;
  assign arrives  = rvalid_i && rready_o;
  assign leaves   = valid_o && ready_i;
  assign rready_o = !spare_valid_q;
  assign idle_o   = !running_q && !begin_q;
  always_ff @(posedge clk_i) begin
    error_o <= rst_ni && arrives && rresp_i[1];
    if (leaves || !valid_o) begin
      valid_o       <= spare_valid_q || arrives;
      data_o        <= spare_valid_q ? spare_q : rdata_i;
      spare_valid_q <= 1'b0;
    end else if (arrives) begin
      spare_q       <= rdata_i;
      spare_valid_q <= 1'b1;
    end
    if (leaves) begin
      missing_q <= missing_q - 32'd1;
      last_o    <= missing_q == 32'd2;
      if (last_o) running_q <= 1'b0;
    end
    begin_q <= rst_ni && start_i;
    if (begin_q) begin
      running_q <= 1'b1;
      last_o    <= missing_q == 32'd1;
    end
    if (start_i) missing_q <= beats_i;
    if (!rst_ni) begin
      running_q     <= 1'b0;
      valid_o       <= 1'b0;
      spare_valid_q <= 1'b0;
    end
  end

`ifndef SYNTHESIS
  // The handshake's rules: a request or a beat stays as it is until it is taken; no beat comes unasked.
  logic        was_waiting_q, beat_waiting_q;
  logic [71:0] was_q;
  logic [pronghorn_types::AxiBits:0] beat_q;
  always_ff @(posedge clk_i) begin
    was_waiting_q <= rst_ni && arvalid_o && !arready_i;
    was_q         <= {araddr_o, arlen_o};
    if (was_waiting_q) begin
      assert (arvalid_o && {araddr_o, arlen_o} == was_q) else $error("AR changed while waiting");
    end
    beat_waiting_q <= rst_ni && valid_o && !ready_i;
    beat_q         <= {last_o, data_o};
    if (beat_waiting_q) begin
      assert (valid_o && {last_o, data_o} == beat_q) else $error("a beat changed while waiting");
    end
    if (rst_ni && arvalid_o) begin
      assert ((64'(araddr_o[11:0]) + ((64'(arlen_o) + 64'd1) << Shift)) <= 64'd4096)
        else $error("a burst crosses 4 KiB");
    end
    if (rst_ni && rvalid_i) assert (running_q) else $error("a beat that nobody asked for");
    if (rst_ni && start_i) assert (beats_i != 0) else $error("a run of nothing");
    if (start_i) assert (idle_o) else $error("a run started while another goes on");
  end
  initial assert (Burst * AxiBytes <= 4096);
`endif
endmodule
