// SPDX-License-Identifier: Apache-2.0
// Gives every tensor rows of M0 or M1. The source and the residual of a step must be in different
// memories; a result may take its residual's own place where that is read for the last time.
#include <algorithm>
#include <cstddef>
#include <optional>

#include "device/fpga/plan.h"

namespace pronghorn::device::fpga {
namespace {

class Allocator {
 public:
  // `residuals_first`: the memory tried first for tensors that are some step's residual; the others
  // try the other one first. `alternate`: results of odd steps are placed from the far end, so that
  // the source between two results does not split what they leave free.
  Allocator(Schedule& s, const Configuration& c, int residuals_first, bool alternate)
      : s_(s),
        residuals_first_(residuals_first),
        alternate_(alternate),
        depth_{c.m0_rows, c.m1_rows} {
    placed_.assign(s.tensors.size(), false);
    is_residual_.assign(s.tensors.size(), false);
    for (const Step& step : s.steps) {
      if (step.res >= 0) is_residual_[static_cast<std::size_t>(step.res)] = true;
    }
    for (TensorPlan& t : s.tensors) {
      t.region.groups = t.groups;
      t.region.gs = ceil_div(t.flat, c.px);
    }
  }

  // Empty, or what did not fit.
  std::string run() {
    for (std::size_t i = 0; i < s_.tensors.size(); ++i) {  // inputs come first
      if (s_.tensors[i].first_step < 0 && !place(i)) return fault(i);
    }
    for (const Step& step : s_.steps) {
      for (const int t : {step.expanded ? step.src : -1, step.buffer, step.dst}) {
        if (t < 0) continue;
        const auto i = static_cast<std::size_t>(t);
        if (t == step.dst && take_residual_place(step)) continue;
        if (!place(i)) return fault(i);
      }
    }
    return "";
  }

 private:
  bool take_residual_place(const Step& step) {
    if (step.res < 0 || step.scatter) return false;
    const TensorPlan& res = s_.tensors[static_cast<std::size_t>(step.res)];
    TensorPlan& dst = s_.tensors[static_cast<std::size_t>(step.dst)];
    const int now = static_cast<int>(&step - s_.steps.data());
    if (res.kept || res.last_step != now || res.groups != dst.groups || res.flat != dst.flat) {
      return false;
    }
    if (!allowed(static_cast<std::size_t>(step.dst), res.region.mem)) return false;
    dst.region = res.region;
    placed_[static_cast<std::size_t>(step.dst)] = true;
    return true;
  }

  // No step may find its source and its residual in one memory.
  bool allowed(std::size_t tensor, int mem) const {
    const int t = static_cast<int>(tensor);
    for (const Step& step : s_.steps) {
      if (step.res < 0 || (step.src != t && step.res != t)) continue;
      const auto other = static_cast<std::size_t>(step.src == t ? step.res : step.src);
      if (placed_[other] && s_.tensors[other].region.mem == mem) return false;
    }
    return true;
  }

  bool place(std::size_t tensor) {
    const int first = is_residual_[tensor] ? residuals_first_ : 1 - residuals_first_;
    for (const int mem : {first, 1 - first}) {
      if (!allowed(tensor, mem)) continue;
      if (const auto row = first_fit(tensor, mem)) {
        s_.tensors[tensor].region.mem = mem;
        s_.tensors[tensor].region.row = *row;
        placed_[tensor] = true;
        return true;
      }
    }
    return false;
  }

  std::optional<std::int64_t> first_fit(std::size_t tensor, int mem) const {
    const TensorPlan& wanted = s_.tensors[tensor];
    std::vector<const Region*> taken;
    for (std::size_t i = 0; i < s_.tensors.size(); ++i) {
      const TensorPlan& t = s_.tensors[i];
      const bool apart = !t.kept && t.last_step < wanted.first_step;
      const bool before = t.first_step > wanted.last_step && !wanted.kept;
      if (placed_[i] && t.region.mem == mem && !apart && !before) taken.push_back(&t.region);
    }
    std::sort(taken.begin(), taken.end(),
              [](const Region* a, const Region* b) { return a->row < b->row; });
    const std::int64_t rows = wanted.region.rows();
    if (alternate_ && wanted.first_step % 2 != 0) {
      std::int64_t end = depth_[mem];
      for (std::size_t i = taken.size(); i-- > 0;) {
        if (taken[i]->row + taken[i]->rows() <= end - rows) break;
        end = std::min(end, taken[i]->row);
      }
      if (end < rows) return std::nullopt;
      return end - rows;
    }
    std::int64_t row = 0;
    for (const Region* region : taken) {
      if (row + rows <= region->row) break;
      row = std::max(row, region->row + region->rows());
    }
    if (row + rows > depth_[mem]) return std::nullopt;
    return row;
  }

  std::string fault(std::size_t tensor) const {
    return fmt::format("a tensor of {} rows finds no place in memories of {} and {} rows",
                       s_.tensors[tensor].region.rows(), depth_[0], depth_[1]);
  }

  Schedule& s_;
  int residuals_first_;
  bool alternate_;
  std::int64_t depth_[2];
  std::vector<bool> placed_, is_residual_;
};

}  // namespace

std::string allocate(Schedule& schedule, const Configuration& c) {
  std::string fault;
  for (const bool alternate : {false, true}) {
    for (const int residuals_first : {0, 1}) {
      fault = Allocator(schedule, c, residuals_first, alternate).run();
      if (fault.empty()) return fault;
    }
  }
  return fault;
}

}  // namespace pronghorn::device::fpga
