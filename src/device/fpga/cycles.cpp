// SPDX-License-Identifier: Apache-2.0
// The cycle formulas of docs/fpga.md ("Cycles"), command by command.
#include <algorithm>
#include <cstddef>

#include "base/error.h"
#include "device/fpga/layout.h"
#include "device/fpga/port.h"

namespace pronghorn::device::fpga {
namespace {

int latency_of(const Command& command) {
  switch (command.opcode) {
    case Opcode::kConv:
      return std::get<Compute>(command.body).logits != 0 ? kLatency.logits : kLatency.conv;
    case Opcode::kAdd:
      return kLatency.add;
    case Opcode::kAverage:
      return kLatency.average;
    default:
      return kLatency.maxpool;
  }
}

// Rows of the grid that `count` pixels touch from pixel `first` of a command that starts at x0.
std::int64_t rows_touched(const Compute& c, std::int64_t first, std::int64_t count) {
  return (c.x0 + first) % c.pitch + count <= c.pitch
             ? 1
             : ceil_div((c.x0 + first) % c.pitch + count, c.pitch);
}

class Timeline {
 public:
  Timeline(const Configuration& c, std::span<const Command> commands) : c_(c), all_(commands) {}

  RunReport run() {
    report_.completed.assign(all_.size(), 0);
    for (std::size_t i = 0; i < all_.size(); ++i) {
      const Command& command = all_[i];
      const std::int64_t ready = wait_for(command.wait, i);
      switch (engine_of(command.opcode)) {
        case Engine::kLoad:
          load_free_ = std::max(load_free_, ready) + transfer_cycles(command);
          done(loads_, i, load_free_);
          break;
        case Engine::kStore:
          store_free_ = std::max(store_free_, ready) + transfer_cycles(command);
          done(stores_, i, store_free_);
          break;
        case Engine::kCompute:
          compute(command, i, ready);
          break;
        case Engine::kNone:
          report_.completed[i] = report_.cycles;
          break;
      }
    }
    return std::move(report_);
  }

 private:
  using Ends = std::vector<std::int64_t>;

  void done(Ends& ends, std::size_t command, std::int64_t cycle) {
    ends.push_back(cycle);
    report_.completed[command] = cycle;
    report_.cycles = std::max(report_.cycles, cycle);
  }

  std::int64_t wait_for(const Wait& wait, std::size_t command) const {
    std::int64_t ready = 0;
    const auto look = [&](const Ends& ends, std::int64_t count, const char* engine) {
      if (count > static_cast<std::int64_t>(ends.size())) {
        base::fail(base::Status::kCorrupt, "command {} waits for {} {} commands; {} come before it",
                   command, count, engine, ends.size());
      }
      for (std::int64_t i = 0; i < count; ++i) {
        ready = std::max(ready, ends[static_cast<std::size_t>(i)]);
      }
    };
    look(loads_, wait.load, "LOAD");
    look(computes_, wait.compute, "COMPUTE");
    look(stores_, wait.store, "STORE");
    return ready;
  }

  std::int64_t transfer_cycles(const Command& command) const {
    if (const auto* image = std::get_if<ImageLoad>(&command.body)) {
      const std::int64_t row =
          std::max(image->beats + 1, ceil_div(image->positions, c_.px) * image->groups);
      return image->rows * row + kLatency.load;
    }
    const auto& t = std::get<Transfer>(command.body);
    const std::int64_t bytes = t.target == 2   ? std::int64_t{c_.oc} * c_.ic
                               : t.target == 3 ? std::int64_t{8} * c_.ic
                                               : std::int64_t{c_.px} * c_.ic;
    // The storer reads a row, then sends it.
    const std::int64_t pause = command.opcode == Opcode::kStore ? kLatency.store_row : 0;
    return t.count * (bytes / c_.axi_bytes + pause) + kLatency.load;
  }

  // One tile: `steps` cycles of reading, then `results` cycles of writing.
  void tile(std::int64_t steps, std::int64_t results, std::int64_t not_before) {
    const std::int64_t follows = std::max(last_step_ + steps, last_step_ + last_results_);
    last_step_ = std::max(follows, not_before + steps - 1);
    last_results_ = results;
  }

  void compute(const Command& command, std::size_t index, std::int64_t ready) {
    const auto& c = std::get<Compute>(command.body);
    const int latency = latency_of(command);
    std::int64_t start = ready;
    if (!computes_.empty()) start = std::max(start, last_step_ + kLatency.command);
    if (computes_.size() > 1) start = std::max(start, computes_[computes_.size() - 2]);
    // The dispatcher's way: words, then coordinates once the command before has started.
    const std::int64_t words =
        10 + (command.opcode == Opcode::kAverage ? 0 : ceil_div(c.taps, std::int64_t{2}));
    handed_ = std::max(handed_, computes_.size() > 1 ? computes_[computes_.size() - 2] : 0);
    handed_ = std::max(handed_ + 2 * words, last_start_) + c_.px + kLatency.dispatch;
    start = std::max(start, handed_);
    // A memory has one read port: residuals of the command before come first.
    if (previous_residual_ == c.src_mem)
      start = std::max(start, last_step_ + kLatency.residual + last_results_);

    const bool conv = command.opcode == Opcode::kConv;
    const std::int64_t per_word = c_.oc / c_.ic;
    const std::int64_t columns = conv ? ceil_div(c.dst_groups, per_word) : c.src_groups;
    last_start_ = start;
    Ends tile_done;
    std::int64_t first_step = 0;
    for (std::int64_t pt = 0; pt < c.tiles; ++pt) {
      const std::int64_t valid = pt + 1 == c.tiles ? c.last_px : c_.px;
      const std::int64_t passes = c.planes != 0 && command.opcode != Opcode::kAverage
                                      ? rows_touched(c, pt * c_.px, valid)
                                      : 1;
      std::int64_t begin = start;
      if (c.no_wait == 0 && !previous_tiles_.empty()) {
        const auto needed =
            std::min(static_cast<std::int64_t>(previous_tiles_.size()), pt + 1 + c.lookahead);
        begin = std::max(begin, previous_tiles_[static_cast<std::size_t>(needed) - 1]);
      }
      // Tiles of pixels: first steps two cycles apart, last ones by what their coordinates take.
      if (pt > 0) begin = std::max(begin, first_step + 2);
      const std::int64_t spacing = c.planes != 0 ? 6 : c.pad_check != 0 ? 4 : 0;
      const std::int64_t pixels_end = last_step_;
      for (std::int64_t column = 0; column < columns; ++column) {
        std::int64_t steps = 1, results = passes;
        if (conv) {
          const std::int64_t groups = std::min(per_word, c.dst_groups - column * per_word);
          steps = c.taps * c.src_groups;
          results = c.logits != 0 ? groups * 4 * valid : groups * passes;
          report_.steps += steps;
        } else if (command.opcode != Opcode::kAdd) {
          steps = c.taps;
          if (command.opcode == Opcode::kAverage) results = 1;
        }
        tile(steps, results, column == 0 ? begin : 0);
        if (column == 0) first_step = last_step_ - steps + 1;
      }
      if (pt > 0) last_step_ = std::max(last_step_, pixels_end + spacing);
      tile_done.push_back(last_step_ + latency + last_results_ - 1);
    }
    previous_tiles_ = std::move(tile_done);
    previous_residual_ = c.has_res != 0 ? c.res_mem : -1;
    done(computes_, index, previous_tiles_.empty() ? start : previous_tiles_.back());
  }

  const Configuration& c_;
  std::span<const Command> all_;
  RunReport report_;
  Ends loads_, computes_, stores_;  // completion cycles
  std::int64_t load_free_ = 0, store_free_ = 0;
  std::int64_t last_step_ = 0, last_results_ = 0;
  std::int64_t handed_ = 0, last_start_ = 0;  // to COMPUTE by the dispatcher; when it started
  std::int64_t previous_residual_ = -1;       // the memory of the last command's residual
  Ends previous_tiles_;                       // of the command before: completion by tile of pixels
};

}  // namespace

RunReport count_cycles(const Configuration& c, std::span<const Command> commands) {
  return Timeline(c, commands).run();
}

}  // namespace pronghorn::device::fpga
