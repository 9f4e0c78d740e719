// SPDX-License-Identifier: Apache-2.0
// Steps to commands: places, taps, waits.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <utility>

#include "device/fpga/plan.h"

namespace pronghorn::device::fpga {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;

constexpr std::int64_t kAll = 0xffff;  // lookahead: the whole command before
constexpr int kModel = 0, kInput = 1, kOutput = 2;
constexpr int kWeights = 2, kConstants = 3;

int floor_div(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

class Emitter {
 public:
  Emitter(Plan& plan, const Constants& constants)
      : p_(plan), g_(*plan.graph), s_(plan.schedule), c_(*plan.configuration), k_(constants) {}

  void run() {
    for (const Node& node : g_.nodes) p_.names.push_back(node.name);
    setup();
    inputs();
    for (std::size_t i = 0; i < s_.steps.size(); ++i) step(i);
    outputs();
    p_.commands.push_back({});
  }

 private:
  const TensorPlan& tensor(int index) const { return s_.tensors[static_cast<std::size_t>(index)]; }

  // Weights and constants: one LOAD each.
  void setup() {
    const auto weights = static_cast<std::int64_t>(k_.weight_words.size());
    p_.model.resize(k_.weight_words.size() + k_.constant_words.size());
    std::transform(k_.weight_words.begin(), k_.weight_words.end(), p_.model.begin(),
                   [](std::int8_t w) { return static_cast<std::byte>(w); });
    std::copy(k_.constant_words.begin(), k_.constant_words.end(), p_.model.begin() + weights);
    const auto load = [&](std::int64_t offset, std::int64_t target, std::int64_t count) {
      if (count == 0) return;
      Transfer t;
      t.offset = offset;
      t.base = kModel;
      t.target = target;
      t.count = count;
      p_.setup.push_back({Opcode::kLoad, 0, {}, t});
    };
    load(0, kWeights, weights / (c_.oc * c_.ic));
    load(weights, kConstants, static_cast<std::int64_t>(k_.constant_words.size()) / (8 * c_.ic));
    p_.setup.push_back({});
  }

  std::int64_t region_bytes(const Region& r) const { return r.rows() * c_.px * c_.ic; }

  void inputs() {
    for (std::size_t i = 0; i < g_.inputs.size(); ++i) {
      p_.input_offset.push_back(p_.input_bytes);
      const int index = s_.input_tensor[i];
      if (index >= 0) {
        const Region& r = tensor(index).region;
        load(0, r, p_.input_bytes, 0);
        p_.input_bytes += region_bytes(r);
        continue;
      }
      const Expansion& e = s_.expansion[0];
      const Step& first = s_.steps[0];
      const std::int64_t image = e.by_hardware
                                     ? e.rows(tensor(first.dst).layout.grid_height) * e.row_bytes
                                     : region_bytes(tensor(first.src).region);
      p_.input_bytes += image * s_.batch;
    }
  }

  void load(int node, const Region& region, std::int64_t offset, std::int64_t wait_compute) {
    Transfer t;
    t.offset = offset;
    t.base = kInput;
    t.target = region.mem;
    t.first = region.row;
    t.count = region.rows();
    Command command{Opcode::kLoad, node, {}, t};
    command.wait.compute = wait_compute;
    p_.commands.push_back(command);
    ++loads_;
  }

  void outputs() {
    for (std::size_t i = 0; i < g_.outputs.size(); ++i) {
      const TensorPlan& t = tensor(s_.output_tensor[i]);
      Transfer transfer;
      transfer.offset = p_.output_bytes;
      transfer.base = kOutput;
      transfer.target = t.region.mem;
      transfer.first = t.region.row;
      transfer.count = t.region.rows();
      // Commands of COMPUTE complete in order.
      const auto writer = written_by_[static_cast<std::size_t>(s_.output_tensor[i])];
      Command command{Opcode::kStore, tag_of(t.value), {}, transfer};
      command.wait.compute = writer;
      p_.commands.push_back(command);
      p_.output_offset.push_back(p_.output_bytes);
      p_.output_bytes += region_bytes(t.region);
    }
  }

  std::int64_t tag_of(graph::ValueId value) const {
    for (std::size_t n = 0; n < g_.nodes.size(); ++n) {
      if (g_.nodes[n].output == value) return static_cast<std::int64_t>(n);
    }
    return 0;
  }

  void step(std::size_t index) {
    const Step& step = s_.steps[index];
    const Node& node = g_.nodes[static_cast<std::size_t>(step.node)];
    const TensorPlan& src = tensor(step.src);
    const TensorPlan& dst = tensor(step.dst);
    Compute c;
    c.src_row = src.region.row;
    c.src_gs = src.region.gs;
    c.src_mem = src.region.mem;
    c.src_groups = src.groups;
    c.dst_row = dst.region.row;
    c.dst_gs = dst.region.gs;
    c.dst_mem = dst.region.mem;
    c.dst_groups = dst.groups;
    c.w_addr = k_.address[index].weights;
    c.c_addr = k_.address[index].constants;
    numbers(step, node, c);
    if (step.res >= 0) {
      const TensorPlan& res = tensor(step.res);
      c.has_res = 1;
      c.res_row = res.region.row;
      c.res_gs = res.region.gs;
      c.res_mem = res.region.mem;
    }
    if (step.scatter) {
      const Tap drow = to_tap(dst.layout.drow, c_.px);
      c.planes = 1;
      c.drow_row = drow.row;
      c.drow_bank = drow.bank;
      c.dcol_row = dst.layout.dcol / c_.px;
    }
    if (step.expanded) {
      bands(step, node, c);
    } else if (step.opcode == Opcode::kAverage) {
      average(src, c);
      push(step, c);
    } else {
      window(step, node, src, dst, c);
      push(step, c);
    }
  }

  // Zero points and bounds after the shift to s8.
  void numbers(const Step& step, const Node& node, Compute& c) const {
    const int in = shift_of(g_.value(node.inputs.empty() ? node.output : node.inputs[0]).dtype);
    const graph::DType dtype = g_.value(node.output).dtype;
    const int out = shift_of(dtype);
    const auto result = [&](std::int32_t z, arith::Range range) {
      c.z_dst = z + out;
      c.lo = range.lo + out;
      c.hi = range.hi + out;
    };
    if (step.relayout) return;  // z 0 and the whole of s8, as Compute begins
    if (node.op == Op::kQConv) {
      const auto& q = node.as<graph::QConv>();
      if (q.z_src.size() == 1) c.pad = q.z_src[0] + in;
      if (dtype == graph::DType::kF32) {
        c.logits = 1;
        c.dst_groups /= 4;
      } else {
        result(q.z_dst, q.range);
      }
      if (step.res >= 0) {
        c.z_res = q.z_res + shift_of(g_.value(node.inputs[3]).dtype);
        c.m_res = std::bit_cast<std::uint32_t>(q.m_res);
      }
    } else if (node.op == Op::kQAdd) {
      const auto& q = node.as<graph::QAdd>();
      result(q.z_dst, q.range);
      c.z_res = q.z_b + shift_of(g_.value(node.inputs[1]).dtype);
      c.m_res = std::bit_cast<std::uint32_t>(q.m_b);
    } else if (node.op == Op::kRequantize) {
      const auto& q = node.as<graph::Requantize>();
      result(q.z_dst, q.range);
    } else if (node.op == Op::kQAveragePool) {
      const auto& q = node.as<graph::QAveragePool>();
      result(q.z_dst, q.range);
    } else if (node.op == Op::kMaxPool) {
      c.pad = -128;
    }
  }

  void grid(Compute& c, int pitch, int height) const {
    c.pitch = pitch;
    c.height = height;
    c.step_x = c_.px % pitch;
    c.step_y = c_.px / pitch % height;
  }

  void pixels(Compute& c, std::int64_t count) const {
    c.tiles = ceil_div(count, c_.px);
    c.last_px = count - (c.tiles - 1) * c_.px;
  }

  void window(const Step& step, const Node& node, const TensorPlan& src, const TensorPlan& dst,
              Compute& c) const {
    graph::Window w;
    if (!step.relayout) {
      if (node.op == Op::kQConv) w = node.as<graph::QConv>().window;
      if (node.op == Op::kMaxPool) w = node.as<graph::Window>();
    }
    const bool halves = w.sh == 2;
    const Layout& from = src.layout;
    // Pixels are counted on the result's grid; a pointwise op over planes goes over all of them.
    const bool keeps_planes = from.form == Form::kPlanes && !halves;
    pixels(c, keeps_planes ? from.extent()
                           : std::int64_t{dst.layout.images} * dst.layout.grid_height *
                                 dst.layout.grid_width);
    for (int ky = 0; ky < w.kh; ++ky) {
      for (int kx = 0; kx < w.kw; ++kx) {
        const int dy = ky - w.pad_top;
        const int dx = kx - w.pad_left;
        const int ro = halves ? floor_div(dy, 2) : dy;
        const int co = halves ? floor_div(dx, 2) : dx;
        std::int64_t flat = 0;
        if (halves) {
          flat = (dy - 2 * ro) * from.drow + (dx - 2 * co) * from.dcol +
                 std::int64_t{ro} * (from.grid_width / 2) + co;
        } else {
          flat = std::int64_t{dy} * from.grid_width + dx;
        }
        Tap tap = to_tap(flat, c_.px);
        tap.ro = ro;
        tap.co = co;
        c.tap.push_back(tap);
      }
    }
    c.taps = static_cast<std::int64_t>(c.tap.size());
    c.pad_check = w.kh * w.kw > 1 || w.pad_top + w.pad_left + w.pad_bottom + w.pad_right > 0;
    if (c.pad_check != 0 || c.planes != 0) {
      grid(c, dst.layout.grid_width, dst.layout.grid_height);
      c.iw = halves ? (from.width + 1) / 2 : from.width;
      c.ih = halves ? (from.height + 1) / 2 : from.height;
    }
  }

  void average(const TensorPlan& src, Compute& c) const {
    const std::int64_t image = src.layout.extent() / s_.batch;
    c.tiles = s_.batch;
    c.taps = ceil_div(image, c_.px);
    c.last_px = image - (c.taps - 1) * c_.px;
    c.step_row = image / c_.px;
    c.step_bank = image % c_.px;
  }

  // An expanded convolution: for each band of each image, load it into one of two buffers, compute.
  void bands(const Step& step, const Node& node, Compute c) {
    const Expansion& e = s_.expansion[0];
    const Layout& to = tensor(step.dst).layout;
    const int height = to.grid_height / e.bands;
    const int source_rows = e.rows(height);
    const std::int64_t plane = ceil_div(source_rows, e.planes()) * e.positions;
    c.taps = node.as<graph::QConv>().window.kh;
    c.pad = 0;
    for (int ky = 0; ky < c.taps; ++ky) {
      c.tap.push_back(to_tap(ky % e.planes() * plane + ky / e.planes() * e.positions, c_.px));
    }
    pixels(c, std::int64_t{height} * e.positions);
    if (step.scatter) grid(c, to.grid_width, to.grid_height);
    const std::int64_t dst_row = c.dst_row;
    std::vector<std::int64_t> reader(2, 0);  // COMPUTE commands after which a buffer is free
    for (int n = 0; n < s_.batch; ++n) {
      for (int band = 0; band < e.bands; ++band) {
        const int which = (n * e.bands + band) % 2;
        const TensorPlan& buffer = tensor(which == 0 ? step.src : step.buffer);
        const std::int64_t free_after = reader[static_cast<std::size_t>(which)];
        const std::int64_t first_row = std::int64_t{band} * height * e.window.sh;
        if (e.by_hardware) {
          const std::int64_t image = e.rows(to.grid_height) * e.row_bytes;
          ImageLoad load;
          load.offset = p_.input_offset[0] + n * image + first_row * e.row_bytes;
          load.base = kInput;
          load.target = buffer.region.mem;
          load.beats = e.row_bytes / c_.axi_bytes;
          load.rows = source_rows;
          load.positions = e.positions;
          load.step = std::int64_t{e.window.sw} * e.channels;
          load.groups = e.groups;
          load.dst_row = buffer.region.row;
          load.planes = e.planes();
          load.dst_gs = buffer.region.gs;
          load.plane_row = plane / c_.px;
          load.plane_bank = plane % c_.px;
          Command command{Opcode::kImage, step.node, {}, load};
          command.wait.compute = free_after;
          p_.commands.push_back(command);
          ++loads_;
        } else {
          load(step.node, buffer.region, p_.input_offset[0] + n * region_bytes(buffer.region),
               free_after);
        }
        Compute piece = c;
        piece.src_row = buffer.region.row;
        piece.src_gs = buffer.region.gs;
        piece.src_mem = buffer.region.mem;
        piece.y0 = step.scatter ? band * height : 0;
        const std::int64_t flat =
            step.scatter ? n * to.plane_image() + piece.y0 / 2 * (to.grid_width / 2)
                         : (std::int64_t{n} * to.grid_height + band * height) * to.grid_width;
        piece.dst_row = dst_row + flat / c_.px;
        piece.dst_bank = flat % c_.px;
        piece.no_wait = 1;  // its source comes from LOAD
        push(step, piece);
        reader[static_cast<std::size_t>(which)] = computes_;
        flat_order_ = false;  // its tiles are not those of the tensor
      }
    }
  }

  void push(const Step& step, Compute& c) {
    const bool reads_last = last_dst_ >= 0 && (step.src == last_dst_ || step.res == last_dst_);
    if (!step.expanded && !reads_last) c.no_wait = 1;
    if (reads_last) {
      if (step.opcode == Opcode::kAverage || !flat_order_) {
        c.lookahead = kAll;
      } else {
        std::int64_t farthest = 0;
        for (const Tap& tap : c.tap) farthest = std::max(farthest, tap.row * c_.px + tap.bank);
        c.lookahead = std::min(kAll, (c_.px - 1 + farthest) / c_.px);
      }
    }
    Command command{step.opcode, step.node, {}, c};
    command.wait.load = loads_;
    p_.commands.push_back(std::move(command));
    ++computes_;
    last_dst_ = step.dst;
    flat_order_ = !step.scatter && step.opcode != Opcode::kAverage;
    written_by_.resize(s_.tensors.size(), 0);
    written_by_[static_cast<std::size_t>(step.dst)] = computes_;
  }

  Plan& p_;
  const Graph& g_;
  const Schedule& s_;
  const Configuration& c_;
  const Constants& k_;
  std::int64_t loads_ = 0, computes_ = 0;
  int last_dst_ = -1;
  bool flat_order_ = false;  // the last command's tiles are its tensor's, in order
  std::vector<std::int64_t> written_by_;
};

}  // namespace

void emit(Plan& plan, const Constants& constants) { Emitter(plan, constants).run(); }

std::variant<Plan, Refusal> make_plan(std::shared_ptr<const graph::Graph> graph,
                                      const Configuration& c, int max_batch) {
  if (Refusal refusal = refuse(*graph); !refusal.ops.empty()) return refusal;
  std::string fault;
  for (int batch = max_batch; batch >= 1; --batch) {
    auto outcome = schedule(*graph, c, batch);
    if (auto* refusal = std::get_if<Refusal>(&outcome)) return std::move(*refusal);
    Plan plan;
    plan.configuration = &c;
    plan.graph = graph;
    plan.schedule = std::get<Schedule>(std::move(outcome));
    fault = allocate(plan.schedule, c);
    if (!fault.empty()) continue;
    const Constants constants = pack_constants(*graph, plan.schedule, c);
    const auto weights = static_cast<std::int64_t>(constants.weight_words.size()) / (c.oc * c.ic);
    const auto words = static_cast<std::int64_t>(constants.constant_words.size()) / (8 * c.ic);
    if (weights > c.w_uram_words + c.w_bram_words || words > c.c_words) {
      fault = fmt::format("{} weight words and {} constant words; there are {} and {}", weights,
                          words, c.w_uram_words + c.w_bram_words, c.c_words);
      break;
    }
    emit(plan, constants);
    const std::size_t length = encode(plan.commands).size();
    if (length > static_cast<std::size_t>(c.command_words)) {
      fault = fmt::format("{} command words for {} images; there are {}", length, batch,
                          c.command_words);
      continue;
    }
    return plan;
  }
  Refusal refusal;
  refusal.ops.push_back({graph->name, "graph", fmt::format("configuration {}: {}", c.name, fault)});
  return refusal;
}

}  // namespace pronghorn::device::fpga
