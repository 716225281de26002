// Replays packets from a file in a node and keeps what the node sends and what it records; nothing
// outside is needed until `done`. A line of the file: wait for a barrier (1 digit), idle cycles
// before the packet (4 digits), packet (24 digits).
module top(rst, entries, expected, fault_cycle, done, cycles, sent, recorded);
  parameter ROOM = 1 << 19;
  input rst;
  input [31:0] entries, expected, fault_cycle;
  output reg done;
  output reg [31:0] cycles, sent, recorded;

  // The simulator wakes nobody outside for a clock that it makes itself.
  reg clk = 0;
  always #5 clk = !clk;

  // What hangs on an input of the top is evaluated twice: only registers do.
  reg reset;
  reg [31:0] last, enough, wrong_cycle;
  always @(posedge clk) begin
    reset <= rst; last <= entries; enough <= expected; wrong_cycle <= fault_cycle;
  end

  reg [115:0] traffic [0:ROOM-1];
  reg [95:0] answers [0:ROOM-1];
  reg [63:0] records [0:ROOM-1];
  reg [8*256-1:0] traffic_file, answers_file, records_file;
  initial begin
    if (!$value$plusargs("traffic=%s", traffic_file)) $fatal(1, "+traffic is missing");
    if (!$value$plusargs("answers=%s", answers_file)) $fatal(1, "+answers is missing");
    if (!$value$plusargs("records=%s", records_file)) $fatal(1, "+records is missing");
    $readmemh(traffic_file, traffic);
  end

  reg [31:0] place, wanted, received;
  reg [15:0] waited, quiet;
  wire [115:0] entry = traffic[place[18:0]];
  wire may_go = wanted == received || !entry[112];
  wire offers = place != last && may_go && waited == entry[111:96];
  wire ready, valid;
  wire [95:0] packet;
  // A planted fault: one bit of the packet that is offered in this cycle.
  wire [95:0] offered = entry[95:0] ^ {31'h0, cycles == wrong_cycle, 64'h0};

  // The recorder's memory: takes a burst whenever none is under way, answers it after its end.
  wire burst_valid, beat_valid, beat_last, takes_answer;
  wire [43:0] burst_address;
  wire [63:0] beat;
  reg in_burst, answers_burst;
  reg [18:0] where;

  csnn_node node(
    .clk(clk), .rst(reset),
    .input__valid(offers), .input__payload(offered), .input__ready(ready),
    .output__valid(valid), .output__payload(packet), .output__ready(1'b1),
    .m_axi_awvalid(burst_valid), .m_axi_awaddr(burst_address),
    .m_axi_awready(!in_burst && !answers_burst),
    .m_axi_wvalid(beat_valid), .m_axi_wdata(beat), .m_axi_wlast(beat_last), .m_axi_wready(in_burst),
    .m_axi_bvalid(answers_burst), .m_axi_bresp(2'b00), .m_axi_bready(takes_answer));

  always @(posedge clk) begin
    cycles <= cycles + 1;
    if (place != last && may_go && !offers) waited <= waited + 1;
    if (offers && ready) begin
      place <= place + 1;
      waited <= 0;
      if (entry[31:24] == 4) wanted <= wanted + 1;
    end
    if (valid) begin
      answers[sent[18:0]] <= packet;
      sent <= sent + 1;
      if (packet[31:24] == 3) received <= received + 1;
    end
    if (burst_valid && !in_burst && !answers_burst) begin
      where <= burst_address[21:3];
      in_burst <= 1;
    end
    if (beat_valid && in_burst) begin
      records[where] <= beat;
      where <= where + 1;
      recorded <= recorded + 1;
      if (beat_last) begin in_burst <= 0; answers_burst <= 1; end
    end
    if (takes_answer && answers_burst) answers_burst <= 0;
    if (reset) begin
      in_burst <= 0; answers_burst <= 0; recorded <= 0;
      place <= 0; waited <= 0; wanted <= 0; received <= 0; cycles <= 0; sent <= 0; done <= 0;
      quiet <= 0;
    end else if (place == last && sent >= enough && !done) begin
      // Packets too many come within this time.
      quiet <= quiet + 1;
      if (quiet == 16'd1000) begin
        $writememh(answers_file, answers, 0, sent - 1);
        if (recorded != 0) $writememh(records_file, records, 0, recorded - 1);
        done <= 1;
      end
    end
  end
endmodule
