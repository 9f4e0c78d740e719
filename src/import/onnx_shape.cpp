// SPDX-License-Identifier: Apache-2.0
// Ops that change or compute shapes. Activations keep their NHWC value; what changes is how the
// file sees it (Layout). Chains of Shape, Gather, Concat ... are computed here, with kBatch for the
// batch size.
#include <algorithm>
#include <utility>

#include "import/onnx_importer.h"

namespace pronghorn::import {
namespace {

using graph::Op;
using onnx::NodeProto;

constexpr std::int64_t kMaxShapeElements = 1 << 16;

using Dims = std::vector<std::int64_t>;

Dims full_dims(const Importer& in, const Operand& operand) {
  Dims dims{kBatch};
  const Dims rest = in.dims(operand);
  dims.insert(dims.end(), rest.begin(), rest.end());
  return dims;
}

std::string text(const Dims& dims) {
  std::string out;
  for (const std::int64_t d : dims) {
    out += fmt::format("{}{}", out.empty() ? "" : ", ", d == kBatch ? "N" : std::to_string(d));
  }
  return "[" + out + "]";
}

// Sees the activation under new dimensions (without the batch), if that moves no element.
void view(Importer& in, const NodeProto& node, const Operand& src, const Dims& rest) {
  Operand dst = src;
  const graph::Shape& s = in.shape(src);
  const bool chw = src.layout == Layout::kNchw || src.layout == Layout::kFlatChw;
  const bool one_pixel = s.h * s.w == 1;
  if (rest == Dims{s.size()}) {
    dst.layout = chw || one_pixel ? Layout::kFlatChw : Layout::kFlatHwc;
  } else if (rest == Dims{s.c, s.h, s.w} && (chw || one_pixel)) {
    dst.layout = Layout::kNchw;
  } else if (rest == Dims{s.h, s.w, s.c} && (!chw || one_pixel)) {
    dst.layout = Layout::kNhwc;
  } else {
    Dims all{kBatch};
    all.insert(all.end(), rest.begin(), rest.end());
    unsupported(node, "from {} to {}; only flattening to [N, features] and back",
                text(full_dims(in, src)), text(all));
  }
  in.bind(node, std::move(dst));
}

void reshape_constant(Importer& in, const NodeProto& node, Dims target) {
  const Constant c = in.constant(node, 0);
  std::int64_t known = 1;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] == 0 && i < c.dims.size()) target[i] = c.dims[i];
    if (target[i] != -1) {
      if (target[i] < 0 || target[i] > kMaxElements) corrupt(node, "shape {}", text(target));
      known *= target[i];
      if (known > kMaxElements) corrupt(node, "shape {} is too large", text(target));
    }
  }
  const auto open = std::count(target.begin(), target.end(), -1);
  if (open > 1) corrupt(node, "shape {} leaves more than one size open", text(target));
  if (open == 1 && known > 0) *std::find(target.begin(), target.end(), -1) = c.size() / known;
  std::int64_t size = 1;
  for (const std::int64_t d : target) size *= d;
  if (size != c.size() || target.size() > 8) {
    corrupt(node, "{} elements do not fit {}", c.size(), text(target));
  }
  in.bind_constant(node, reshaped(c, std::move(target)));
}

void reshape(Importer& in, const NodeProto& node) {
  Dims target = in.integers(node, 1);
  const Operand& src = in.input(node, 0);
  if (!src.is_activation()) return reshape_constant(in, node, std::move(target));
  const Dims before = full_dims(in, src);
  const bool zero_is_zero = int_attribute(node, "allowzero", 0) != 0;
  if (target.empty()) corrupt(node, "to no dimensions");
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] == 0 && !zero_is_zero && i < before.size()) target[i] = before[i];
  }
  std::int64_t known = 1;
  std::int64_t open = -1;
  for (std::size_t i = 1; i < target.size(); ++i) {
    if (target[i] == -1 && open < 0) {
      open = static_cast<std::int64_t>(i);
      continue;
    }
    if (target[i] < 1 || target[i] > kMaxElements || known * target[i] > kMaxElements) {
      unsupported(node, "to {}; only flattening to [N, features] and back", text(target));
    }
    known *= target[i];
  }
  // A batch left open (-1) is the batch only if the other sizes use up one image.
  const std::int64_t size = in.shape(src).size();
  const bool keeps_batch = target[0] == kBatch || (in.batch && target[0] == *in.batch) ||
                           (target[0] == -1 && open < 0 && known == size);
  if (!keeps_batch) {
    unsupported(node, "from {} to {} changes the batch", text(before), text(target));
  }
  if (open >= 0) target[static_cast<std::size_t>(open)] = size / known;
  view(in, node, src, Dims(target.begin() + 1, target.end()));
}

void flatten(Importer& in, const NodeProto& node) {
  const Operand& src = in.activation(node, 0);
  const std::int64_t axis = int_attribute(node, "axis", 1);
  const std::size_t rank = in.dims(src).size() + 1;
  if (axis != 1 && axis != 1 - static_cast<std::int64_t>(rank)) {
    unsupported(node, "axis {}; only 1 is supported", axis);
  }
  view(in, node, src, {in.shape(src).size()});
}

std::vector<std::int64_t> read_axes(const Importer& in, const NodeProto& node) {
  return in.has_input(node, 1) ? in.integers(node, 1) : ints_attribute(node, "axes");
}

void squeeze(Importer& in, const NodeProto& node) {
  const Operand& src = in.input(node, 0);
  const Dims before = src.is_activation() ? full_dims(in, src) : src.constant->dims;
  std::vector<bool> drop(before.size(), false);
  const auto axes = read_axes(in, node);
  for (const std::int64_t axis : axes) {
    drop[static_cast<std::size_t>(normal_axis(node, axis, before.size()))] = true;
  }
  if (axes.empty()) {
    for (std::size_t i = 0; i < before.size(); ++i) {
      drop[i] = before[i] == 1 || (before[i] == kBatch && in.batch == 1);
    }
  }
  Dims after;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (!drop[i]) {
      after.push_back(before[i]);
    } else if (before[i] == kBatch) {
      unsupported(node, "removes the batch dimension");
    } else if (before[i] != 1) {
      corrupt(node, "axis {} has {} elements, must have 1", i, before[i]);
    }
  }
  if (!src.is_activation()) return in.bind_constant(node, reshaped(in.constant(node, 0), after));
  after.erase(after.begin());
  view(in, node, src, after);
}

void unsqueeze(Importer& in, const NodeProto& node) {
  const Operand& src = in.input(node, 0);
  const Dims before = src.is_activation() ? full_dims(in, src) : src.constant->dims;
  const auto axes = read_axes(in, node);
  const std::size_t rank = before.size() + axes.size();
  if (rank > 8) unsupported(node, "to {} dimensions", rank);
  std::vector<bool> added(rank, false);
  for (const std::int64_t axis : axes) {
    const auto at = static_cast<std::size_t>(normal_axis(node, axis, rank));
    if (added[at]) corrupt(node, "axis {} twice", axis);
    added[at] = true;
  }
  Dims after;
  auto next = before.begin();
  for (std::size_t i = 0; i < rank; ++i) after.push_back(added[i] ? 1 : *next++);
  if (!src.is_activation()) return in.bind_constant(node, reshaped(in.constant(node, 0), after));
  if (after[0] != kBatch) unsupported(node, "moves the batch dimension");
  after.erase(after.begin());
  view(in, node, src, after);
}

void transpose(Importer& in, const NodeProto& node) {
  const Operand& src = in.input(node, 0);
  const std::size_t rank =
      src.is_activation() ? in.dims(src).size() + 1 : src.constant->dims.size();
  Dims perm = ints_attribute(node, "perm");
  if (find_attribute(node, "perm") == nullptr) {
    for (std::size_t i = rank; i > 0; --i) perm.push_back(static_cast<std::int64_t>(i) - 1);
  }
  Dims sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != static_cast<std::int64_t>(i))
      corrupt(node, "perm {} is no permutation", text(perm));
  }
  if (perm.size() != rank) corrupt(node, "perm {} for {} dimensions", text(perm), rank);
  if (!src.is_activation()) {
    if (src.quant)
      return in.bind_constant(node, transposed(in.constant(node, 0), {perm.begin(), perm.end()}));
    return in.bind_constant(node, transposed(*src.constant, {perm.begin(), perm.end()}));
  }
  if (std::is_sorted(perm.begin(), perm.end())) return in.bind(node, src);
  Operand dst = src;
  if (src.layout == Layout::kNchw && perm == Dims{0, 2, 3, 1}) {
    dst.layout = Layout::kNhwc;
  } else if (src.layout == Layout::kNhwc && perm == Dims{0, 3, 1, 2}) {
    dst.layout = Layout::kNchw;
  } else {
    unsupported(node, "perm {}; only between [N, C, H, W] and [N, H, W, C]", text(perm));
  }
  in.bind(node, std::move(dst));
}

void concat_constants(Importer& in, const NodeProto& node) {
  Dims all;
  for (int i = 0; i < node.input_size(); ++i) {
    if (in.constant(node, i).dims.size() != 1) {
      unsupported(node, "of constants that are not vectors");
    }
    const Dims part = in.integers(node, i);
    all.insert(all.end(), part.begin(), part.end());
    if (static_cast<std::int64_t>(all.size()) > kMaxShapeElements)
      unsupported(node, "is too large");
  }
  const auto size = static_cast<std::int64_t>(all.size());
  in.bind_constant(node, make_integers({size}, all));
}

void concat(Importer& in, const NodeProto& node) {
  if (!in.input(node, 0).is_activation()) return concat_constants(in, node);
  const Operand& first = in.activation(node, 0);
  const int axis = normal_axis(node, int_attribute(node, "axis", 1), in.dims(first).size() + 1);
  if (axis != (first.layout == Layout::kNhwc ? 3 : 1)) {
    unsupported(node, "along axis {}; only along the channels", axis);
  }
  std::vector<graph::ValueId> inputs;
  for (int i = 0; i < node.input_size(); ++i) {
    const Operand& src = in.activation(node, i);
    const bool flat = src.layout == Layout::kFlatChw || src.layout == Layout::kFlatHwc;
    if (src.layout != first.layout) unsupported(node, "its inputs differ in their dimensions");
    if (flat && in.shape(src).h * in.shape(src).w != 1) {
      unsupported(node, "of flattened activations of more than one pixel");
    }
    inputs.push_back(src.value);
  }
  const graph::DType dtype = in.graph.value(first.value).dtype;
  in.bind(node, {in.add(Op::kConcat, node, std::move(inputs), {}, "", dtype), first.layout});
}

void pad(Importer& in, const NodeProto& node) {
  const Operand& src = in.activation(node, 0);
  const std::string mode = string_attribute(node, "mode", "constant");
  if (mode != "constant") unsupported(node, "mode {}; only constant", mode);
  const bool attributes = in.file.opset < 11;
  const Dims given = attributes ? ints_attribute(node, "pads") : in.integers(node, 1);
  float value = attributes ? float_attribute(node, "value", 0) : 0;
  if (!attributes && in.has_input(node, 2)) {
    const Constant c = in.constant(node, 2);
    if (c.size() != 1) corrupt(node, "its value must be one number");
    value = c.is_float() ? to_floats(c)[0] : static_cast<float>(to_integers(c)[0]);
  }
  const std::size_t rank = in.dims(src).size() + 1;
  Dims axes;
  if (!attributes && in.has_input(node, 3)) {
    axes = in.integers(node, 3);
  } else {
    for (std::size_t i = 0; i < rank; ++i) axes.push_back(static_cast<std::int64_t>(i));
  }
  if (given.size() != 2 * axes.size()) {
    corrupt(node, "{} pads for {} dimensions", given.size(), axes.size());
  }
  Dims begin(rank, 0), end(rank, 0);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto at = static_cast<std::size_t>(normal_axis(node, axes[i], rank));
    begin[at] = given[i];
    end[at] = given[axes.size() + i];
  }
  for (const Dims* pads : {&begin, &end}) {
    for (const std::int64_t p : *pads) {
      if (p < 0 || p > 65535) unsupported(node, "a pad of {}; only 0 to 65535", p);
    }
  }
  const bool nchw = src.layout == Layout::kNchw;
  if (!nchw && src.layout != Layout::kNhwc)
    unsupported(node, "of an input without height and width");
  const std::size_t h = nchw ? 2 : 1;
  const std::size_t c = nchw ? 1 : 3;
  if (begin[0] + end[0] + begin[c] + end[c] > 0) {
    unsupported(node, "of batch or channels; only of height and width");
  }
  if (begin[h] + end[h] + begin[h + 1] + end[h + 1] == 0) return in.bind(node, src);
  const graph::Pad attributes_of_pad{static_cast<int>(begin[h]), static_cast<int>(begin[h + 1]),
                                     static_cast<int>(end[h]), static_cast<int>(end[h + 1]), value};
  const graph::DType dtype = in.graph.value(src.value).dtype;
  in.bind(node, {in.add(Op::kPad, node, {src.value}, attributes_of_pad, "", dtype), src.layout});
}

void constant(Importer& in, const NodeProto& node) {
  const std::string where = fmt::format("node {} (Constant)", name_of(node));
  if (const auto* a = find_attribute(node, "value"); a != nullptr && a->has_t()) {
    return in.bind_constant(node, read_constant(a->t(), {}, nullptr, where));
  }
  if (find_attribute(node, "value_int") != nullptr) {
    return in.bind_constant(node, make_integers({}, {int_attribute(node, "value_int", 0)}));
  }
  if (find_attribute(node, "value_float") != nullptr) {
    return in.bind_constant(node, make_floats({}, {float_attribute(node, "value_float", 0)}));
  }
  if (find_attribute(node, "value_ints") != nullptr) {
    const Dims values = ints_attribute(node, "value_ints");
    return in.bind_constant(node,
                            make_integers({static_cast<std::int64_t>(values.size())}, values));
  }
  if (const auto* a = find_attribute(node, "value_floats"); a != nullptr) {
    return in.bind_constant(
        node, make_floats({a->floats_size()}, {a->floats().begin(), a->floats().end()}));
  }
  unsupported(node, "holds no tensor, number or list of numbers");
}

void constant_of_shape(Importer& in, const NodeProto& node) {
  const Dims dims = in.integers(node, 0);
  std::int64_t size = 1;
  for (const std::int64_t d : dims) {
    if (d < 0 || d > kMaxShapeElements || size * d > kMaxShapeElements || dims.size() > 8) {
      unsupported(node, "of shape {}", text(dims));
    }
    size *= d;
  }
  const auto* value = find_attribute(node, "value");
  const auto count = static_cast<std::size_t>(size);
  if (value == nullptr) return in.bind_constant(node, make_floats(dims, std::vector<float>(count)));
  const Constant c = read_constant(value->t(), {}, nullptr, name_of(node));
  if (c.size() != 1) corrupt(node, "its value must be one number");
  if (c.is_float()) {
    return in.bind_constant(node, make_floats(dims, std::vector<float>(count, to_floats(c)[0])));
  }
  in.bind_constant(node, make_integers(dims, Dims(count, to_integers(c)[0])));
}

void shape(Importer& in, const NodeProto& node) {
  const Operand& src = in.input(node, 0);
  const Dims dims = src.is_activation() ? full_dims(in, src) : src.constant->dims;
  const auto rank = static_cast<std::int64_t>(dims.size());
  const auto limit = [&](std::int64_t at) {
    return std::clamp<std::int64_t>(at < -rank ? 0 : (at < 0 ? at + rank : at), 0, rank);
  };
  const std::int64_t start = limit(int_attribute(node, "start", 0));
  const std::int64_t end = std::max(start, limit(int_attribute(node, "end", rank)));
  in.bind_constant(node, make_integers({end - start}, {dims.begin() + start, dims.begin() + end}));
}

void gather(Importer& in, const NodeProto& node) {
  const Constant data = in.constant(node, 0);
  const Dims values = in.integers(node, 0);
  if (data.dims.size() != 1 || int_attribute(node, "axis", 0) != 0) {
    unsupported(node, "only from a vector of integers");
  }
  Dims picked;
  for (const std::int64_t i : in.integers(node, 1)) {
    picked.push_back(values[static_cast<std::size_t>(normal_axis(node, i, values.size()))]);
  }
  in.bind_constant(node, make_integers(in.constant(node, 1).dims, picked));
}

void slice(Importer& in, const NodeProto& node) {
  const Dims values = in.integers(node, 0);
  const bool inputs = in.file.opset >= 10;
  const Dims starts = inputs ? in.integers(node, 1) : ints_attribute(node, "starts");
  const Dims ends = inputs ? in.integers(node, 2) : ints_attribute(node, "ends");
  const Dims steps = inputs && in.has_input(node, 4) ? in.integers(node, 4) : Dims{1};
  if (in.constant(node, 0).dims.size() != 1 || starts.size() != 1 || ends.size() != 1 ||
      steps != Dims{1}) {
    unsupported(node, "only a run out of a vector of integers");
  }
  const auto size = static_cast<std::int64_t>(values.size());
  const auto limit = [&](std::int64_t at) {
    return std::clamp<std::int64_t>(at < -size ? 0 : (at < 0 ? at + size : at), 0, size);
  };
  const std::int64_t start = limit(starts[0]);
  const std::int64_t end = std::max(start, limit(ends[0]));
  in.bind_constant(node,
                   make_integers({end - start}, {values.begin() + start, values.begin() + end}));
}

}  // namespace

std::vector<HandlerRow> shape_handlers() {
  return {{"Reshape", reshape},
          {"Flatten", flatten},
          {"Squeeze", squeeze},
          {"Unsqueeze", unsqueeze},
          {"Transpose", transpose},
          {"Concat", concat},
          {"Pad", pad},
          {"Constant", constant},
          {"Shape", shape},
          {"ConstantOfShape", constant_of_shape},
          {"Gather", gather},
          {"Slice", slice}};
}

}  // namespace pronghorn::import
