// SPDX-License-Identifier: Apache-2.0
// AXI4-Lite registers (docs/fpga.md, "Registers"); one transfer at a time.
module registers (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             awvalid_i,
  output logic             awready_o,
  input  logic [6:0]       awaddr_i,
  input  logic             wvalid_i,
  output logic             wready_o,
  input  logic [31:0]      wdata_i,
  input  logic [3:0]       wstrb_i,
  output logic             bvalid_o,
  input  logic             bready_i,
  output logic [1:0]       bresp_o,
  input  logic             arvalid_i,
  output logic             arready_o,
  input  logic [6:0]       araddr_i,
  output logic             rvalid_o,
  input  logic             rready_i,
  output logic [31:0]      rdata_o,
  output logic [1:0]       rresp_o,
  output logic             interrupt_o,
  output logic             start_o,      // a pulse
  input  logic             busy_i,
  input  logic             done_i,       // a pulse
  input  logic [2:0]       error_i,
  input  logic             conv_step_i,
  input  logic [2:0]       command_done_i,
  output logic [63:0]      program_o,
  output logic [2:0][63:0] base_o,
  output logic [31:0]      program_words_o
);
  import pronghorn_pkg::ConfigId;
  logic [8:0][31:0] words_q;  // 0x10 to 0x30
  logic             done_q, started_q, gie_q, ier_q, isr_q;
  logic [63:0]      cycles_q;
  logic [31:0]      steps_q, commands_q;
  logic             write, read;
  logic [31:0]      mask;

  assign program_o       = {words_q[1], words_q[0]};
  assign base_o          = {words_q[7], words_q[6], words_q[5], words_q[4], words_q[3], words_q[2]};
  assign program_words_o = words_q[8];
  assign interrupt_o     = gie_q && ier_q && isr_q;
  assign bresp_o         = 2'b00;
  assign rresp_o         = 2'b00;
  for (genvar b = 0; b < 4; b++) begin : gen_mask
    assign mask[b*8+:8] = {8{wstrb_i[b]}};
  end

  // Address and data are taken together.
  assign write     = awvalid_i && wvalid_i && (!bvalid_o || bready_i);
  assign awready_o = write;
  assign wready_o  = write;
  assign read      = arvalid_i && (!rvalid_o || rready_i);
  assign arready_o = read;

  always_ff @(posedge clk_i) begin
    start_o <= 1'b0;
    if (bvalid_o && bready_i) bvalid_o <= 1'b0;
    if (rvalid_o && rready_i) rvalid_o <= 1'b0;

    if (read) begin
      rvalid_o <= 1'b1;
      unique case (araddr_i[6:2])
        5'h00: begin
          rdata_o <= {28'd0, !busy_i, !busy_i, done_q, started_q};
          done_q  <= 1'b0;
        end
        5'h01:   rdata_o <= {31'd0, gie_q};
        5'h02:   rdata_o <= {31'd0, ier_q};
        5'h03:   rdata_o <= {31'd0, isr_q};
        5'h10:   rdata_o <= cycles_q[31:0];
        5'h11:   rdata_o <= cycles_q[63:32];
        5'h12:   rdata_o <= ConfigId;
        5'h13:   rdata_o <= {29'd0, error_i};
        5'h14:   rdata_o <= steps_q;
        5'h15:   rdata_o <= commands_q;
        default: rdata_o <= (araddr_i[6:2] >= 5'h04 && araddr_i[6:2] <= 5'h0c)
                            ? words_q[4'(araddr_i[6:2] - 5'h04)] : '0;
      endcase
    end
    if (write) begin
      bvalid_o <= 1'b1;
      unique case (awaddr_i[6:2])
        5'h00: if (wdata_i[0] && wstrb_i[0] && !busy_i) begin
          start_o   <= 1'b1;
          started_q <= 1'b1;
        end
        5'h01:   if (wstrb_i[0]) gie_q <= wdata_i[0];
        5'h02:   if (wstrb_i[0]) ier_q <= wdata_i[0];
        5'h03:   if (wstrb_i[0] && wdata_i[0]) isr_q <= 1'b0;
        default: begin
          for (int unsigned w = 0; w < 9; w++) begin
            if (awaddr_i[6:2] == 5'(w + 4)) words_q[w] <= (words_q[w] & ~mask) | (wdata_i & mask);
          end
        end
      endcase
    end

    if (start_o) begin
      cycles_q   <= '0;
      steps_q    <= '0;
      commands_q <= '0;
    end else if (busy_i) begin
      cycles_q   <= cycles_q + 64'd1;
      steps_q    <= steps_q + 32'(conv_step_i);
      commands_q <= commands_q + 32'(command_done_i[0]) + 32'(command_done_i[1]) +
                    32'(command_done_i[2]);
    end
    if (done_i) begin
      done_q    <= 1'b1;
      started_q <= 1'b0;
      isr_q     <= 1'b1;
    end
    if (!rst_ni) begin
      bvalid_o  <= 1'b0;
      rvalid_o  <= 1'b0;
      start_o   <= 1'b0;
      started_q <= 1'b0;
      done_q    <= 1'b0;
      gie_q     <= 1'b0;
      ier_q     <= 1'b0;
      isr_q     <= 1'b0;
      words_q   <= '0;
      cycles_q  <= '0;
      steps_q   <= '0;
      commands_q <= '0;
    end
  end
  logic unused;
  assign unused = ^{awaddr_i[1:0], araddr_i[1:0]};

`ifndef SYNTHESIS
  // An answer stays as it is until it is taken.
  logic        b_waiting_q, r_waiting_q;
  logic [31:0] r_q;
  always_ff @(posedge clk_i) begin
    b_waiting_q <= rst_ni && bvalid_o && !bready_i;
    r_waiting_q <= rst_ni && rvalid_o && !rready_i;
    r_q         <= rdata_o;
    if (b_waiting_q) assert (bvalid_o) else $error("B fell while waiting");
    if (r_waiting_q) assert (rvalid_o && rdata_o == r_q) else $error("R changed while waiting");
  end
`endif
endmodule
