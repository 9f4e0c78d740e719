// SPDX-License-Identifier: Apache-2.0
// Chooses the layout of every tensor and the steps in order.
//
// Backwards: which layouts do the readers of a value need (Demand), and by how many strides of 2 is
// it still divided? Forwards: the grid of each result follows from its source's; a value that is
// needed in both forms is written as a raster and copied into planes.
#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "device/fpga/plan.h"

namespace pronghorn::device::fpga {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;
using graph::ValueId;

constexpr int kMostHalvings = 8;
constexpr int kBands = 4;  // pieces in which a photograph is loaded
constexpr int kFewestRowsOfABand = 4;
constexpr int kMostImageGroups = 4;  // of IMAGE

struct Demand {
  bool raster = false, planes = false;
  int halvings = 0;
};

std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

const graph::Window* window_of(const Node& node) {
  if (node.op == Op::kQConv) return &node.as<graph::QConv>().window;
  if (node.op == Op::kMaxPool) return &node.as<graph::Window>();
  return nullptr;
}

bool is_pointwise(const graph::Window& w) {
  return w.kh == 1 && w.kw == 1 && w.sh == 1 && w.sw == 1 &&
         w.pad_top + w.pad_left + w.pad_bottom + w.pad_right == 0;
}

class Scheduler {
 public:
  Scheduler(const Graph& graph, const Configuration& c, int batch)
      : g_(graph), c_(c), batch_(batch), demand_(graph.values.size()) {
    s_.batch = batch;
  }

  std::variant<Schedule, Refusal> run() {
    find_expansion();
    collect_demands();
    tensor_of_.assign(g_.values.size(), -1);
    planes_of_.assign(g_.values.size(), -1);
    place_inputs();
    for (std::size_t n = 0; n < g_.nodes.size() && refusal_.ops.empty(); ++n) {
      place_node(static_cast<int>(n));
    }
    if (!refusal_.ops.empty()) return std::move(refusal_);
    for (const ValueId id : g_.outputs) {
      const int tensor = tensor_of_[at(id)];
      s_.tensors[static_cast<std::size_t>(tensor)].kept = true;
      s_.output_tensor.push_back(tensor);
    }
    return std::move(s_);
  }

 private:
  // The only reader of the first input may be a convolution whose kernel rows fit a few words: then
  // those become the words. It also is the only way to pad with a zero point for each channel.
  void find_expansion() {
    const Node* first = nullptr;
    for (std::size_t n = 0; n < g_.nodes.size(); ++n) {
      const Node& node = g_.nodes[n];
      if (std::find(node.inputs.begin(), node.inputs.end(), g_.inputs[0]) == node.inputs.end()) {
        continue;
      }
      if (first != nullptr || node.op != Op::kQConv || node.inputs[0] != g_.inputs[0]) return;
      if (node.inputs.size() > 3) return;
      first = &node;
      expanded_node_ = static_cast<int>(n);
    }
    if (first == nullptr) return;
    const auto& q = first->as<graph::QConv>();
    const graph::Shape& src = g_.value(g_.inputs[0]).shape;
    const bool needed = q.z_src.size() > 1 || !plain_window(q.window);
    const bool worth_it = src.c < c_.ic && src.c * q.window.kw <= kMostImageGroups * c_.ic;
    if ((!needed && !worth_it) || q.window.groups != 1 || q.window.kh > 63) {
      expanded_node_ = -1;
      return;
    }
    Expansion e;
    e.channels = static_cast<int>(src.c);
    e.height = static_cast<int>(src.h);
    e.width = static_cast<int>(src.w);
    e.window = q.window;
    e.groups = static_cast<int>(ceil_div(src.c * q.window.kw, c_.ic));
    const int shift = shift_of(g_.value(g_.inputs[0]).dtype);
    for (int ch = 0; ch < e.channels; ++ch) {
      const std::size_t i = q.z_src.size() > 1 ? static_cast<std::size_t>(ch) : 0;
      e.z.push_back(static_cast<std::int8_t>(q.z_src[i] + shift));
    }
    s_.expansion.push_back(std::move(e));
  }

  static bool plain_window(const graph::Window& w) {
    return w.sh == w.sw && (w.sh == 1 || w.sh == 2) && w.kh * w.kw <= 63;
  }

  void collect_demands() {
    for (std::size_t i = g_.nodes.size(); i-- > 0;) {
      const Node& node = g_.nodes[i];
      const Demand& out = demand_[at(node.output)];
      const auto ask = [&](ValueId id, bool raster, bool planes, int halvings) {
        Demand& d = demand_[at(id)];
        d.raster |= raster;
        d.planes |= planes;
        d.halvings = std::min(std::max(d.halvings, halvings), kMostHalvings);
      };
      if (static_cast<int>(i) == expanded_node_) continue;
      const graph::Window* w = window_of(node);
      const bool residual = node.op == Op::kQConv && node.inputs.size() > 3;
      if (w != nullptr && w->sh == 2) {
        ask(node.inputs[0], false, true, out.halvings + 1);
        if (residual) ask(node.inputs[3], true, false, out.halvings);
      } else if (node.op == Op::kFlatten) {
        ask(node.inputs[0], out.raster, out.planes, out.halvings);
      } else if (node.op == Op::kRequantize ||
                 (node.op == Op::kQConv && is_pointwise(*w) && !residual)) {
        ask(node.inputs[0], out.raster, false, out.halvings);
      } else {
        ask(node.inputs[0], true, false, out.halvings);
        if (residual) ask(node.inputs[3], true, false, out.halvings);
        if (node.op == Op::kQAdd) ask(node.inputs[1], true, false, out.halvings);
      }
    }
  }

  int rounded_pitch(int width, int halvings) const {
    const int unit = 1 << halvings;
    return (width + unit - 1) / unit * unit;
  }

  Layout layout(bool as_planes, int width, int height, int grid_width, int grid_height) const {
    return as_planes ? planes(batch_, width, height, grid_width, grid_height, c_.px)
                     : raster(batch_, width, height, grid_width, grid_height);
  }

  int add_tensor(ValueId value, const Layout& l, int groups) {
    TensorPlan t;
    t.value = value;
    t.layout = l;
    t.flat = l.extent();
    t.groups = groups;
    t.first_step = t.last_step = static_cast<int>(s_.steps.size());
    s_.tensors.push_back(t);
    return static_cast<int>(s_.tensors.size()) - 1;
  }

  int groups_of(ValueId id) const {
    return static_cast<int>(ceil_div(g_.value(id).shape.c, c_.ic));
  }

  void place_inputs() {
    for (std::size_t i = 0; i < g_.inputs.size(); ++i) {
      const ValueId id = g_.inputs[i];
      if (i == 0 && expanded_node_ >= 0) {
        s_.input_tensor.push_back(-1);
        continue;
      }
      const graph::Shape& shape = g_.value(id).shape;
      const Demand& d = demand_[at(id)];
      const int width = static_cast<int>(shape.w);
      const int height = static_cast<int>(shape.h);
      const int pitch = rounded_pitch(width, d.halvings);
      const int tensor = add_tensor(id, layout(d.planes && !d.raster, width, height, pitch, height),
                                    groups_of(id));
      s_.tensors[static_cast<std::size_t>(tensor)].first_step = -1;
      s_.input_tensor.push_back(tensor);
      tensor_of_[at(id)] = tensor;
      copy_to_planes(id, -1);
    }
  }

  void refuse_node(int n, std::string reason) {
    const Node& node = g_.nodes[static_cast<std::size_t>(n)];
    refusal_.ops.push_back({node.name, std::string(graph::name_of(node.op)), std::move(reason)});
  }

  TensorPlan& tensor(int index) { return s_.tensors[static_cast<std::size_t>(index)]; }

  // A value that is a raster and also read by strides of 2 gets a copy in planes.
  void copy_to_planes(ValueId id, int node) {
    const Demand& d = demand_[at(id)];
    const int source = tensor_of_[at(id)];
    if (!d.planes || !d.raster) return;
    const Layout from = tensor(source).layout;
    Step step;
    step.opcode = Opcode::kAdd;
    step.node = std::max(node, 0);
    step.src = source;
    step.scatter = step.relayout = true;
    step.dst = add_tensor(
        id, planes(batch_, from.width, from.height, from.grid_width, from.grid_height, c_.px),
        tensor(source).groups);
    planes_of_[at(id)] = step.dst;
    push(step);
  }

  // A residual that is its step's source as well is copied: the two are read from different
  // memories.
  int copy_of(int source, int node) {
    Step step;
    step.opcode = Opcode::kAdd;
    step.node = node;
    step.src = source;
    step.relayout = true;
    const TensorPlan from = tensor(source);
    step.dst = add_tensor(from.value, from.layout, from.groups);
    push(step);
    return step.dst;
  }

  void push(const Step& step) {
    const int index = static_cast<int>(s_.steps.size());
    for (const int t : {step.src, step.res, step.buffer}) {
      if (t >= 0) tensor(t).last_step = index;
    }
    tensor(step.dst).first_step = index;
    tensor(step.dst).last_step = index;
    s_.steps.push_back(step);
  }

  // The tensor of `id` in the form that a reader needs.
  int tensor_for(ValueId id, bool as_planes) const {
    return as_planes && planes_of_[at(id)] >= 0 ? planes_of_[at(id)] : tensor_of_[at(id)];
  }

  void place_node(int n) {
    const Node& node = g_.nodes[static_cast<std::size_t>(n)];
    if (node.op == Op::kFlatten) {
      tensor_of_[at(node.output)] = tensor_of_[at(node.inputs[0])];
      planes_of_[at(node.output)] = planes_of_[at(node.inputs[0])];
      return;
    }
    Step step;
    step.node = n;
    if (n == expanded_node_) return place_expanded(step);
    if (node.op == Op::kQConv) {
      const auto& q = node.as<graph::QConv>();
      if (std::string fault = window_fault(q.window); !fault.empty()) return refuse_node(n, fault);
      if (q.z_src.size() > 1) return refuse_node(n, "a zero point for each input channel");
    }
    const graph::Shape& shape = g_.value(node.output).shape;
    const int width = static_cast<int>(shape.w);
    const int height = static_cast<int>(shape.h);
    const graph::Window* w = window_of(node);
    const bool halves = w != nullptr && w->sh == 2;
    step.src = tensor_for(node.inputs[0], halves);
    const Layout src = tensor(step.src).layout;
    switch (node.op) {
      case Op::kQConv:
        step.opcode = Opcode::kConv;
        if (node.inputs.size() > 3) step.res = tensor_for(node.inputs[3], false);
        break;
      case Op::kMaxPool:
        step.opcode = Opcode::kMaxPool;
        break;
      case Op::kQAveragePool:
        step.opcode = Opcode::kAverage;
        break;
      default:
        step.opcode = Opcode::kAdd;
        if (node.op == Op::kQAdd) step.res = tensor_for(node.inputs[1], false);
    }

    if (step.res == step.src) step.res = copy_of(step.src, n);

    // The grid of the result.
    int grid_width = src.grid_width;
    int grid_height = src.grid_height;
    if (halves) {
      grid_width /= 2;
      grid_height = (grid_height + 1) / 2;
      if (src.width % 2 != 0 && 2 * (width - 1) + w->kw - w->pad_left > src.width) {
        return refuse_node(n, fmt::format("stride 2 over {} columns with padding on the right; an "
                                          "even number is taken",
                                          src.width));
      }
      if (src.height % 2 != 0 && 2 * (height - 1) + w->kh - w->pad_top > src.height) {
        return refuse_node(n,
                           fmt::format("stride 2 over {} rows with padding below; an even number "
                                       "is taken",
                                       src.height));
      }
    }
    if (step.opcode == Opcode::kAverage) {
      if (src.width != src.grid_width || src.height != src.grid_height) {
        return refuse_node(n, fmt::format("an average over {} x {} pixels that lie on a grid of "
                                          "{} x {}; widths that divide evenly are taken",
                                          src.height, src.width, src.grid_height, src.grid_width));
      }
      if (ceil_div(src.extent() / batch_, c_.px) > 63) {
        return refuse_node(n, fmt::format("an average over {} pixels; at most {} are taken",
                                          src.extent() / batch_, 63 * c_.px));
      }
      grid_width = grid_height = 1;
    }
    if (width > grid_width || height > grid_height) {
      return refuse_node(n, fmt::format("a result of {} x {} pixels, larger than its source's grid "
                                        "of {} x {}",
                                        height, width, grid_height, grid_width));
    }

    Layout out;
    if (src.form == Form::kPlanes && !halves) {  // a pointwise op keeps the places of its source
      out = src;
      out.width = width;
      out.height = height;
    } else {
      const Demand& d = demand_[at(node.output)];
      step.scatter = d.planes && !d.raster;
      out = layout(step.scatter, width, height, grid_width, grid_height);
    }
    if (step.res >= 0) {
      const Layout& res = tensor(step.res).layout;
      if (res.form != Form::kRaster || res.grid_width != grid_width ||
          res.grid_height != grid_height || src.form != Form::kRaster) {
        if (!(halves && res.form == Form::kRaster && res.grid_width == grid_width &&
              res.grid_height == grid_height)) {
          return refuse_node(n, "its two sources lie on different grids");
        }
      }
    }
    finish(step, node, out);
  }

  void finish(Step& step, const Node& node, const Layout& out) {
    const bool logits = g_.value(node.output).dtype == graph::DType::kF32;
    if (logits) {
      step.scatter = false;
      if (out.form != Form::kRaster) return refuse_node(step.node, "float results in planes");
    }
    step.dst = add_tensor(node.output, out, groups_of(node.output) * (logits ? 4 : 1));
    tensor_of_[at(node.output)] = step.dst;
    push(step);
    if (!logits) copy_to_planes(node.output, step.node);
  }

  void place_expanded(Step& step) {
    const Node& node = g_.nodes[static_cast<std::size_t>(step.node)];
    Expansion& e = s_.expansion[0];
    const graph::Shape& shape = g_.value(node.output).shape;
    const int width = static_cast<int>(shape.w);
    const int height = static_cast<int>(shape.h);
    const Demand& d = demand_[at(node.output)];
    e.positions = rounded_pitch(width, d.halvings);
    const std::int64_t row =
        std::int64_t{e.width + e.window.pad_left + e.window.pad_right} * e.channels;
    e.row_bytes = ceil_div(row, c_.axi_bytes) * c_.axi_bytes;
    const int bytes_a_step = e.window.sw * e.channels;
    e.by_hardware = (bytes_a_step == 3 || bytes_a_step == 6) && e.window.sh <= 2 &&
                    e.groups <= kMostImageGroups && e.row_bytes <= c_.row_bytes;
    e.bands = e.by_hardware && height >= kBands * kFewestRowsOfABand && height % (2 * kBands) == 0
                  ? kBands
                  : 1;
    const int band_rows = e.rows(height / e.bands);
    const std::int64_t plane = ceil_div(band_rows, e.planes()) * e.positions;
    step.opcode = Opcode::kConv;
    step.expanded = true;
    // Two buffers: one is filled while the other is read.
    for (int* buffer : {&step.src, &step.buffer}) {
      *buffer = add_tensor(graph::kNoValue, Layout{}, e.groups);
      tensor(*buffer).flat = plane * e.planes();
    }
    step.scatter = d.planes && !d.raster;
    finish(step, node, layout(step.scatter, width, height, e.positions, height));
    for (const int buffer : {step.src, step.buffer}) {
      tensor(buffer).first_step = tensor(buffer).last_step;
    }
  }

  const Graph& g_;
  const Configuration& c_;
  int batch_;
  Schedule s_;
  Refusal refusal_;
  int expanded_node_ = -1;
  std::vector<Demand> demand_;
  std::vector<int> tensor_of_, planes_of_;  // by value
};

}  // namespace

std::variant<Schedule, Refusal> schedule(const Graph& graph, const Configuration& c, int batch) {
  return Scheduler(graph, c, batch).run();
}

}  // namespace pronghorn::device::fpga
