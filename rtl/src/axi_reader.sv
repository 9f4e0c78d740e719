// SPDX-License-Identifier: Apache-2.0
// Reads a run of bytes through AXI4 as a stream of beats: bursts of at most 16 beats that do not cross
// 4 KiB, several under way. start_i while idle_o begins a run; addresses are multiples of a beat.
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

  logic [63:0] address_q;
  logic [31:0] asked_q;     // beats not yet asked for
  logic [31:0] missing_q;   // beats not yet received
  logic [4:0]  burst;
  logic        running_q;
  // To the end of a 16-beat block, at most what is left: never across 4 KiB.
  logic [4:0] to_edge;
  assign to_edge = 5'd16 - {1'b0, address_q[Shift+:4]};
  assign burst   = (asked_q < 32'(to_edge)) ? asked_q[4:0] : to_edge;

  always_ff @(posedge clk_i) begin
    if (arvalid_o && arready_i) arvalid_o <= 1'b0;
    if (running_q && asked_q != 0 && (!arvalid_o || arready_i)) begin
      arvalid_o <= 1'b1;
      araddr_o  <= address_q;
      arlen_o   <= {3'd0, burst} - 8'd1;
      address_q <= address_q + (64'(burst) << Shift);
      asked_q   <= asked_q - 32'(burst);
    end
    if (rvalid_i && rready_o) begin
      missing_q <= missing_q - 32'd1;
      if (missing_q == 32'd1) running_q <= 1'b0;
    end
    if (start_i) begin
      running_q <= beats_i != 0;
      address_q <= address_i;
      asked_q   <= beats_i;
      missing_q <= beats_i;
    end
    if (!rst_ni) begin
      arvalid_o <= 1'b0;
      running_q <= 1'b0;
    end
  end
  assign idle_o   = !running_q;
  assign valid_o  = rvalid_i && running_q;
  assign rready_o = ready_i && running_q;
  assign data_o   = rdata_i;
  assign last_o   = missing_q == 32'd1;
  assign error_o  = rvalid_i && rready_o && rresp_i[1];

`ifndef SYNTHESIS
  // The handshake's rules: a request stays as it is until it is taken; no beat comes unasked.
  logic        was_waiting_q;
  logic [71:0] was_q;
  always_ff @(posedge clk_i) begin
    was_waiting_q <= rst_ni && arvalid_o && !arready_i;
    was_q         <= {araddr_o, arlen_o};
    if (was_waiting_q) begin
      assert (arvalid_o && {araddr_o, arlen_o} == was_q) else $error("AR changed while waiting");
    end
    if (rst_ni && arvalid_o) begin
      assert ((64'(araddr_o[11:0]) + ((64'(arlen_o) + 64'd1) << Shift)) <= 64'd4096)
        else $error("a burst crosses 4 KiB");
    end
    if (rst_ni && rvalid_i) assert (running_q) else $error("a beat that nobody asked for");
    if (start_i) assert (idle_o) else $error("a run started while another goes on");
  end
  initial assert (Burst * AxiBytes <= 4096);
`endif
endmodule
