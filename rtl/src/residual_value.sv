// SPDX-License-Identifier: Apache-2.0
// fp32(q - z) * m_res rounded to binary32, as fixed point with 30 fraction bits, eight cycles later.
// m_res in [2^-7, 2^4): the fixed point holds every such value exactly. 0 if use_i is 0.
module residual_value #(
  parameter int unsigned Lanes = 1
) (
  input  logic                clk_i,
  input  logic [Lanes*8-1:0]  q_i,
  input  logic [7:0]          z_i,
  input  logic [31:0]         m_i,
  input  logic                use_i,
  output logic [Lanes*45-1:0] r_o
);
  import pronghorn_types::booth;
  logic [23:0] significand;
  logic [3:0]  left7;
  assign significand = {1'b1, m_i[22:0]};

  // Shared by the lanes, along the pipeline. The exponent of m_res in [2^-7, 2^4) is 120 to 130.
  logic signed [25:0] m1_q, m2_q, m3_q;
  delay_line #(.Width(4), .Cycles(7)) u_left (
    .clk_i, .d_i(4'(m_i[30:23] - 8'd120)), .q_o(left7)
  );

  logic signed [9:0]  d1_q[Lanes];
  logic signed [27:0] high2_q[Lanes], high3_q[Lanes], high4_q[Lanes];
  logic [3:0]         low2_q[Lanes];
  logic [7:0]         low3_q[Lanes];
  logic [7:0]         low4_q[Lanes];
  logic [5:0]         d2_q[Lanes];
  logic [1:0]         d3_q[Lanes];
  logic signed [33:0] p5_q[Lanes], p6_q[Lanes], p7_q[Lanes];
  logic [7:0]         drop5_q[Lanes], drop6_q[Lanes];
  logic               odd6_q[Lanes];

  always_ff @(posedge clk_i) begin
    m1_q <= use_i ? {2'b00, significand} : '0;
    m2_q <= m1_q;
    m3_q <= m2_q;
    for (int unsigned l = 0; l < Lanes; l++) begin
      automatic logic signed [27:0] first;
      automatic logic signed [27:0] second;
      automatic logic signed [33:0] p;
      automatic logic [7:0]         lead;
      automatic logic [34:0]        rounded;
      // 1: the difference
      d1_q[l] <= 10'($signed(q_i[l*8+:8])) - 10'($signed(z_i));
      // 2 to 4: Booth digits of the difference
      first  = booth('0, m1_q, {d1_q[l][1:0], 1'b0});
      second = booth(first >>> 2, m1_q, d1_q[l][3:1]);
      high2_q[l] <= second >>> 2;
      low2_q[l]  <= {second[1:0], first[1:0]};
      d2_q[l]    <= d1_q[l][8:3];
      first  = booth(high2_q[l], m2_q, d2_q[l][2:0]);
      second = booth(first >>> 2, m2_q, d2_q[l][4:2]);
      high3_q[l] <= second >>> 2;
      low3_q[l]  <= {second[1:0], first[1:0], low2_q[l]};
      d3_q[l]    <= d2_q[l][5:4];
      high4_q[l] <= booth(high3_q[l], m3_q, {d3_q[l][1], d3_q[l]});
      low4_q[l]  <= low3_q[l];
      // 5: which bits are beyond 24 significant ones
      p = {high4_q[l][25:0], low4_q[l]};
      lead = p[31:24] ^ {8{p[33]}};
      p5_q[l] <= p;
      for (int unsigned t = 0; t < 8; t++) drop5_q[l][t] <= |(lead >> t);
      // 6: whether the last kept bit is one
      odd6_q[l]  <= |(p5_q[l][8:0] & {drop5_q[l], 1'b1} & ~{1'b0, drop5_q[l]}) & drop5_q[l][0];
      p6_q[l]    <= p5_q[l];
      drop6_q[l] <= drop5_q[l];
      // 7: round to nearest even
      rounded = {p6_q[l], 1'b1} + {27'd0, drop6_q[l][7:1], odd6_q[l]};
      p7_q[l] <= rounded[34:1] & ~{26'd0, drop6_q[l]};
      // 8: the binary point
      r_o[l*45+:45] <= 45'(p7_q[l]) << left7;
    end
  end
endmodule
