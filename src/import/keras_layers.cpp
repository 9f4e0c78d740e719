// SPDX-License-Identifier: Apache-2.0
#include "import/keras_layers.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace pronghorn::import::keras {
namespace {

using base::fail;
using base::Status;
using graph::Op;
using graph::Shape;
using graph::Tensor;
using graph::ValueId;
using graph::Window;

constexpr int kMostWindow = 4096;
constexpr int kMostPad = 4096;
constexpr std::int64_t kMostChannels = 1 << 24;

// Everything a layer function needs.
struct Call {
  Build& build;
  const Layer& layer;
  const std::string& name;
  LayerWeights& weights;
  const std::vector<Feature>& inputs;
  bool only_reader;
  Config config;

  graph::Graph& graph() { return build.graph; }
  const Feature& src() const { return inputs[0]; }
  const Shape& shape() const { return build.graph.value(src().id).shape; }
  const std::string& what() const { return config.what(); }

  void require_inputs(std::size_t least, std::size_t most) const {
    if (inputs.size() < least || inputs.size() > most) {
      fail(Status::kCorrupt, "{}: {} inputs, takes {} to {}", what(), inputs.size(), least, most);
    }
  }
  void require_rank4() const {
    if (src().rank != 4) fail(Status::kUnsupported, "{}: needs an image (n, h, w, c)", what());
  }
  Feature node(Op op, std::vector<ValueId> ids, graph::Attributes attributes, int rank,
               const std::string& suffix = "") {
    return {graph().add_node(op, name + suffix, std::move(ids), std::move(attributes)), rank,
            false};
  }
  ValueId constant(const std::string& suffix, std::vector<std::int64_t> dims,
                   std::vector<float> values) {
    return graph().add_constant(name + "/" + suffix,
                                Tensor::from<float>(std::move(dims), std::move(values)));
  }
};

Feature same(const Call& call) {
  Feature out = call.src();
  out.raw = out.raw && call.only_reader;
  return out;
}

Feature identity(Call& call) {
  call.require_inputs(1, 1);
  return same(call);
}

Feature activate(Call& call, Feature src, const std::string& function, const std::string& suffix) {
  if (function == "linear") return src;
  if (function == "relu") return call.node(Op::kRelu, {src.id}, {}, src.rank, suffix);
  if (function == "relu6") {
    return call.node(Op::kClip, {src.id}, graph::Clip{0, 6}, src.rank, suffix);
  }
  if (function == "softmax") return call.node(Op::kSoftmax, {src.id}, {}, src.rank, suffix);
  fail(Status::kUnsupported, "{}: activation {}; linear, relu, relu6 and softmax are supported",
       call.what(), function);
}

Feature with_activation(Call& call, Feature src) {
  return activate(call, src, call.config.activation("activation"), "/activation");
}

// The axis of the channels, however it is written: -1, rank - 1, or a list of one of them.
void require_channel_axis(const Call& call) {
  for (const double axis : call.config.numbers("axis")) {
    if (axis == -1 || axis == call.src().rank - 1) continue;
    fail(Status::kUnsupported, "{}: axis {}; the last one (channels) is supported", call.what(),
         axis);
  }
}

// Padding of one axis: none, or TensorFlow's "same", whose odd pixel goes to the end.
std::pair<int, int> pads(const Call& call, std::int64_t size, int kernel, int stride) {
  const std::string padding = call.config.text("padding", "valid");
  if (padding == "valid") return {0, 0};
  if (padding != "same") {
    fail(Status::kUnsupported, "{}: padding {}; same and valid are supported", call.what(),
         padding);
  }
  const std::int64_t out = (size + stride - 1) / stride;
  const auto total =
      static_cast<int>(std::max<std::int64_t>(0, (out - 1) * stride + kernel - size));
  return {total / 2, total - total / 2};
}

Window window(const Call& call, std::array<int, 2> kernel, std::array<int, 2> stride) {
  Window w;
  w.kh = kernel[0];
  w.kw = kernel[1];
  w.sh = stride[0];
  w.sw = stride[1];
  std::tie(w.pad_top, w.pad_bottom) = pads(call, call.shape().h, w.kh, w.sh);
  std::tie(w.pad_left, w.pad_right) = pads(call, call.shape().w, w.kw, w.sw);
  return w;
}

Window conv_window(const Call& call) {
  call.require_rank4();
  call.config.require_channels_last();
  const auto dilation = call.config.pair("dilation_rate", {1, 1}, 1, kMostWindow);
  if (dilation != std::array<int, 2>{1, 1}) {
    fail(Status::kUnsupported, "{}: dilation {}x{}; 1x1 is supported", call.what(), dilation[0],
         dilation[1]);
  }
  if (!call.config.has("kernel_size")) fail(Status::kCorrupt, "{}: no kernel_size", call.what());
  return window(call, call.config.pair("kernel_size", {1, 1}, 1, kMostWindow),
                call.config.pair("strides", {1, 1}, 1, kMostWindow));
}

// [kh][kw][ic][oc] to [oc][kh][kw][ic]. For a depthwise kernel [kh][kw][c][m], output channel
// c * m + k reads input channel c alone: [c * m + k][kh][kw][1].
std::vector<float> output_first(const Tensor& kernel, bool depthwise) {
  const auto src = kernel.values<float>();
  const auto& d = kernel.dims();
  const auto area = static_cast<std::size_t>(d[0] * d[1]);
  const auto ic = static_cast<std::size_t>(d[2]), oc = static_cast<std::size_t>(d[3]);
  const std::size_t rows = depthwise ? area : area * ic;
  const std::size_t cols = depthwise ? ic * oc : oc;
  std::vector<float> dst(src.size());
  constexpr std::size_t kTile = 32;  // both sides of the transposition stay in the cache
  for (std::size_t r0 = 0; r0 < rows; r0 += kTile) {
    for (std::size_t c0 = 0; c0 < cols; c0 += kTile) {
      const std::size_t r1 = std::min(r0 + kTile, rows), c1 = std::min(c0 + kTile, cols);
      for (std::size_t c = c0; c < c1; ++c) {
        for (std::size_t r = r0; r < r1; ++r) dst[c * rows + r] = src[r * cols + c];
      }
    }
  }
  return dst;
}

// Takes kernel and bias and adds the convolution.
Feature conv(Call& call, Feature src, const Window& w, const char* key,
             const std::vector<std::int64_t>& dims, bool depthwise, bool use_bias,
             const std::string& suffix) {
  const Tensor kernel = call.weights.take(key, dims);
  const std::int64_t oc = depthwise ? dims[2] * dims[3] : dims[3];
  const std::int64_t ic = depthwise ? 1 : dims[2];
  const ValueId weights =
      call.constant(key, {oc, dims[0], dims[1], ic}, output_first(kernel, depthwise));
  std::vector<ValueId> ids{src.id, weights};
  if (use_bias) {
    ids.push_back(call.graph().add_constant(call.name + "/bias", call.weights.take("bias", {oc})));
  }
  return call.node(Op::kConv, std::move(ids), w, 4, suffix);
}

Feature conv2d(Call& call) {
  call.require_inputs(1, 1);
  Window w = conv_window(call);
  w.groups = static_cast<int>(call.config.integer("groups", 1, 1, kMostChannels));
  const std::int64_t filters = call.config.integer("filters", 0, 1, kMostChannels);
  if (filters == 0) fail(Status::kCorrupt, "{}: no filters", call.what());
  if (call.shape().c % w.groups != 0 || filters % w.groups != 0) {
    fail(Status::kCorrupt, "{}: {} groups do not divide {} and {} channels", call.what(), w.groups,
         call.shape().c, filters);
  }
  return with_activation(
      call, conv(call, call.src(), w, "kernel", {w.kh, w.kw, call.shape().c / w.groups, filters},
                 false, call.config.boolean("use_bias", true), ""));
}

std::int64_t depth_multiplier(const Call& call) {
  return call.config.integer("depth_multiplier", 1, 1, 4096);
}

Feature depthwise_conv2d(Call& call) {
  call.require_inputs(1, 1);
  Window w = conv_window(call);
  w.groups = static_cast<int>(call.shape().c);
  // Keras 2 calls the kernel depthwise_kernel, Keras 3 kernel.
  const char* key = call.weights.has("depthwise_kernel") ? "depthwise_kernel" : "kernel";
  return with_activation(
      call, conv(call, call.src(), w, key, {w.kh, w.kw, call.shape().c, depth_multiplier(call)},
                 true, call.config.boolean("use_bias", true), ""));
}

Feature separable_conv2d(Call& call) {
  call.require_inputs(1, 1);
  Window w = conv_window(call);
  w.groups = static_cast<int>(call.shape().c);
  const std::int64_t multiplier = depth_multiplier(call);
  const std::int64_t filters = call.config.integer("filters", 0, 1, kMostChannels);
  if (filters == 0) fail(Status::kCorrupt, "{}: no filters", call.what());
  const std::int64_t channels = call.shape().c;
  const Feature depthwise = conv(call, call.src(), w, "depthwise_kernel",
                                 {w.kh, w.kw, channels, multiplier}, true, false, "/depthwise");
  return with_activation(call, conv(call, depthwise, Window{}, "pointwise_kernel",
                                    {1, 1, channels * multiplier, filters}, false,
                                    call.config.boolean("use_bias", true), ""));
}

Feature dense(Call& call) {
  call.require_inputs(1, 1);
  const std::int64_t units = call.config.integer("units", 0, 1, kMostChannels);
  if (units == 0) fail(Status::kCorrupt, "{}: no units", call.what());
  const std::int64_t ic = call.shape().c;
  const Tensor kernel = call.weights.take("kernel", {ic, units});
  const Tensor as_conv(kernel.dtype(), {1, 1, ic, units}, std::make_shared<Tensor>(kernel),
                       kernel.bytes().data());
  std::vector<ValueId> ids{
      call.src().id, call.constant("kernel", {units, 1, 1, ic}, output_first(as_conv, false))};
  if (call.config.boolean("use_bias", true)) {
    ids.push_back(
        call.graph().add_constant(call.name + "/bias", call.weights.take("bias", {units})));
  }
  return with_activation(call, call.node(Op::kConv, std::move(ids), Window{}, call.src().rank));
}

Feature scale_shift(Call& call, const std::vector<double>& scale,
                    const std::vector<double>& shift) {
  std::vector<float> a(scale.begin(), scale.end()), b(shift.begin(), shift.end());
  const auto c = static_cast<std::int64_t>(a.size());
  const ValueId scale_id = call.constant("scale", {c}, std::move(a));
  const ValueId shift_id = call.constant("shift", {c}, std::move(b));
  return call.node(Op::kBatchNorm, {call.src().id, scale_id, shift_id}, {}, call.src().rank);
}

Feature batch_normalization(Call& call) {
  call.require_inputs(1, 1);
  require_channel_axis(call);
  const std::int64_t c = call.shape().c;
  const auto take = [&](const char* key) {
    const Tensor t = call.weights.take(key, {c});
    const auto values = t.values<float>();
    return std::vector<double>(values.begin(), values.end());
  };
  const auto count = static_cast<std::size_t>(c);
  std::vector<double> gamma(count, 1), beta(count, 0);
  if (call.config.boolean("scale", true)) gamma = take("gamma");
  if (call.config.boolean("center", true)) beta = take("beta");
  const std::vector<double> mean = take("moving_mean");
  const std::vector<double> variance = take("moving_variance");
  const double epsilon = call.config.number("epsilon", 1e-3);
  for (std::size_t i = 0; i < count; ++i) {
    gamma[i] /= std::sqrt(variance[i] + epsilon);
    beta[i] -= mean[i] * gamma[i];
  }
  return scale_shift(call, gamma, beta);
}

// Scaling right behind the image belongs to its preprocessing, anywhere else it is a node.
Feature scale_image(Call& call, const std::vector<double>& scale,
                    const std::vector<double>& shift) {
  const bool invertible =
      std::all_of(scale.begin(), scale.end(), [](double s) { return std::isfinite(s) && s != 0; });
  if (!call.src().raw || call.src().rank != 4 || scale.size() != 3 || !invertible) {
    return scale_shift(call, scale, shift);
  }
  call.build.scaled = true;
  for (std::size_t i = 0; i < 3; ++i) {
    call.build.scale[i] *= scale[i];
    call.build.shift[i] = call.build.shift[i] * scale[i] + shift[i];
  }
  return same(call);
}

// One number for every channel, or one each.
std::vector<double> per_channel(const Call& call, std::vector<double> values, double fallback) {
  const auto c = static_cast<std::size_t>(call.shape().c);
  if (values.empty()) values.push_back(fallback);
  if (values.size() == 1) values.assign(c, values[0]);
  if (values.size() != c) {
    fail(Status::kUnsupported, "{}: {} numbers for {} channels", call.what(), values.size(), c);
  }
  return values;
}

Feature rescaling(Call& call) {
  call.require_inputs(1, 1);
  return scale_image(call, per_channel(call, call.config.numbers("scale"), 1),
                     per_channel(call, call.config.numbers("offset"), 0));
}

Feature normalization(Call& call) {
  call.require_inputs(1, 1);
  require_channel_axis(call);
  if (call.config.boolean("invert", false)) {
    fail(Status::kUnsupported, "{}: invert=True is not supported", call.what());
  }
  std::vector<double> mean, variance;
  if (call.config.has("mean")) {
    mean = call.config.numbers("mean");
    variance = call.config.numbers("variance");
  } else {
    for (auto [key, values] : {std::pair{"mean", &mean}, std::pair{"variance", &variance}}) {
      const Tensor t = call.weights.take(key, {call.shape().c});
      values->assign(t.values<float>().begin(), t.values<float>().end());
    }
    if (call.weights.left() > 0) call.weights.take("count", {});
  }
  mean = per_channel(call, mean, 0);
  variance = per_channel(call, variance, 1);
  std::vector<double> scale, shift;
  for (std::size_t i = 0; i < mean.size(); ++i) {
    scale.push_back(1 / std::max(std::sqrt(variance[i]), 1e-7));  // Keras's epsilon
    shift.push_back(-mean[i] * scale[i]);
  }
  return scale_image(call, scale, shift);
}

Feature activation(Call& call) {
  call.require_inputs(1, 1);
  const std::string function = call.config.activation("activation");
  if (function == "linear") return same(call);
  return activate(call, call.src(), function, "");
}

Feature relu(Call& call) {
  call.require_inputs(1, 1);
  for (const char* key : {"negative_slope", "threshold"}) {
    if (call.config.number(key, 0) != 0) {
      fail(Status::kUnsupported, "{}: {} is not 0, which is what is supported", call.what(), key);
    }
  }
  if (!call.config.has("max_value")) return activate(call, call.src(), "relu", "");
  const double most = call.config.number("max_value", 0);
  if (!(most >= 0) || !std::isfinite(most)) {
    fail(Status::kCorrupt, "{}: max_value {}", call.what(), most);
  }
  return call.node(Op::kClip, {call.src().id}, graph::Clip{0, static_cast<float>(most)},
                   call.src().rank);
}

Feature softmax(Call& call) {
  call.require_inputs(1, 1);
  require_channel_axis(call);
  return activate(call, call.src(), "softmax", "");
}

Feature zero_padding2d(Call& call) {
  call.require_inputs(1, 1);
  call.require_rank4();
  call.config.require_channels_last();
  std::vector<double> p = call.config.numbers("padding");
  if (p.empty()) p = {1};
  if (p.size() == 1) p = {p[0], p[0], p[0], p[0]};
  if (p.size() == 2) p = {p[0], p[0], p[1], p[1]};
  const bool fits = p.size() == 4 && std::all_of(p.begin(), p.end(), [](double v) {
                      return v >= 0 && v <= kMostPad && v == std::floor(v);
                    });
  if (!fits) fail(Status::kCorrupt, "{}: padding must be 1, 2 or 4 integers", call.what());
  graph::Pad pad;
  pad.top = static_cast<int>(p[0]);
  pad.bottom = static_cast<int>(p[1]);
  pad.left = static_cast<int>(p[2]);
  pad.right = static_cast<int>(p[3]);
  return call.node(Op::kPad, {call.src().id}, pad, 4);
}

Feature pool(Call& call, Op op) {
  call.require_inputs(1, 1);
  call.require_rank4();
  call.config.require_channels_last();
  const auto kernel = call.config.pair("pool_size", {2, 2}, 1, kMostWindow);
  return call.node(op, {call.src().id},
                   window(call, kernel, call.config.pair("strides", kernel, 1, kMostWindow)), 4);
}

Feature global_pool(Call& call, Op op) {
  call.require_inputs(1, 1);
  call.require_rank4();
  call.config.require_channels_last();
  Window w;
  w.kh = static_cast<int>(call.shape().h);
  w.kw = static_cast<int>(call.shape().w);
  return call.node(op, {call.src().id}, w, call.config.boolean("keepdims", false) ? 4 : 2);
}

Feature max_pool(Call& call) { return pool(call, Op::kMaxPool); }
Feature average_pool(Call& call) { return pool(call, Op::kAveragePool); }
Feature global_max_pool(Call& call) { return global_pool(call, Op::kMaxPool); }
Feature global_average_pool(Call& call) { return global_pool(call, Op::kAveragePool); }

Feature flatten(Call& call) {
  call.require_inputs(1, 1);
  call.config.require_channels_last();
  if (call.src().rank == 2) return {call.src().id, 2, false};
  if (call.shape().h == 1 && call.shape().w == 1) return {call.src().id, 2, false};
  return call.node(Op::kFlatten, {call.src().id}, {}, 2);
}

Feature reshape(Call& call) {
  call.require_inputs(1, 1);
  std::vector<double> target = call.config.numbers("target_shape");
  const auto size = static_cast<double>(call.shape().size());
  double known = 1;
  for (const double d : target) known *= d == -1 ? 1 : d;
  for (double& d : target) {
    if (d == -1 && known > 0) d = size / known;
  }
  const bool vector = target.size() == 1 && target[0] == size;
  const bool pixel = target.size() == 3 && target[0] == 1 && target[1] == 1 && target[2] == size;
  const Shape& s = call.shape();
  const bool unchanged = target.size() == 3 && target[0] == static_cast<double>(s.h) &&
                         target[1] == static_cast<double>(s.w) &&
                         target[2] == static_cast<double>(s.c) && call.src().rank == 4;
  if (unchanged) return same(call);
  if (!vector && !pixel) {
    fail(Status::kUnsupported,
         "{}: target_shape ({}); (c) and (1, 1, c) of all elements are supported", call.what(),
         fmt::join(target, ", "));
  }
  const int rank = vector ? 2 : 4;
  if (s.h == 1 && s.w == 1) return {call.src().id, rank, false};
  return call.node(Op::kFlatten, {call.src().id}, {}, rank);
}

Feature add(Call& call) {
  call.require_inputs(2, 64);
  Feature sum = call.inputs[0];
  for (std::size_t i = 1; i < call.inputs.size(); ++i) {
    const bool last = i + 1 == call.inputs.size();
    sum = call.node(Op::kAdd, {sum.id, call.inputs[i].id}, {}, sum.rank,
                    last ? "" : fmt::format("/{}", i));
  }
  return sum;
}

Feature concatenate(Call& call) {
  call.require_inputs(1, 1024);
  require_channel_axis(call);
  std::vector<ValueId> ids;
  for (const Feature& f : call.inputs) ids.push_back(f.id);
  return call.node(Op::kConcat, std::move(ids), {}, call.src().rank);
}

struct Row {
  const char* class_name;
  Feature (*add)(Call&);
  bool random = false;  // its stored state is that of a random generator, which inference ignores
};
constexpr Row kLayers[] = {
    {"Conv2D", conv2d},
    {"DepthwiseConv2D", depthwise_conv2d},
    {"SeparableConv2D", separable_conv2d},
    {"Dense", dense},
    {"BatchNormalization", batch_normalization},
    {"Rescaling", rescaling},
    {"Normalization", normalization},
    {"Activation", activation},
    {"ReLU", relu},
    {"Softmax", softmax},
    {"ZeroPadding2D", zero_padding2d},
    {"MaxPooling2D", max_pool},
    {"AveragePooling2D", average_pool},
    {"GlobalMaxPooling2D", global_max_pool},
    {"GlobalAveragePooling2D", global_average_pool},
    {"Flatten", flatten},
    {"Reshape", reshape},
    {"Add", add},
    {"Concatenate", concatenate},
    {"Identity", identity},
    // Without effect outside training.
    {"Dropout", identity, true},
    {"SpatialDropout2D", identity, true},
    {"GaussianDropout", identity, true},
    {"GaussianNoise", identity, true},
    {"ActivityRegularization", identity},
    {"RandomFlip", identity, true},
    {"RandomRotation", identity, true},
    {"RandomZoom", identity, true},
    {"RandomTranslation", identity, true},
    {"RandomContrast", identity, true},
    {"RandomBrightness", identity, true},
};

std::string supported() {
  std::string names = "InputLayer";
  for (const Row& row : kLayers) names += fmt::format(", {}", row.class_name);
  return names;
}

void list_unsupported(const Model& model, std::string& list) {
  for (const Layer& layer : model.layers) {
    if (layer.model) {
      list_unsupported(*layer.model, list);
      continue;
    }
    const bool known = layer.class_name == "InputLayer" ||
                       std::any_of(std::begin(kLayers), std::end(kLayers), [&](const Row& row) {
                         return layer.class_name == row.class_name;
                       });
    if (!known) {
      list +=
          fmt::format("{}layer {} ({})", list.empty() ? "" : ", ", layer.name, layer.class_name);
    }
  }
}

}  // namespace

void require_supported(const Model& model, const std::string& file) {
  std::string list;
  list_unsupported(model, list);
  if (list.empty()) return;
  fail(Status::kUnsupported, "{}: not supported: {}; supported are {}", file, list, supported());
}

Feature add_layer(Build& build, const Layer& layer, const std::string& name, LayerWeights& weights,
                  const std::vector<Feature>& inputs, bool only_reader) {
  Call call{build, layer, name, weights, inputs, only_reader, Config(layer, build.file)};
  for (const Row& row : kLayers) {
    if (layer.class_name != row.class_name) continue;
    const Feature out = row.add(call);
    if (!row.random) weights.finish();
    return out;
  }
  fail(Status::kInternal, "{}: its class was not checked", call.what());
}

Feature add_input(Build& build, const Layer& layer) {
  const Config config(layer, build.file);
  const char* key = config.has("batch_shape") ? "batch_shape" : "batch_input_shape";
  if (!config.has(key) || !config.json()[key].is_array()) {
    fail(Status::kUnsupported, "{}: the model does not say its input shape; build it before saving",
         config.what());
  }
  const auto& json = config.json()[key];
  std::vector<std::int64_t> sizes;
  for (std::size_t i = 1; i < json.size(); ++i) {
    const bool fixed = json[i].is_number_integer() && json[i].get<std::int64_t>() >= 1 &&
                       json[i].get<std::int64_t>() <= 65536;
    if (!fixed) {
      fail(Status::kUnsupported,
           "{}: input shape {} is not fixed; save the model with sizes of 1 to 65536",
           config.what(), json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    }
    sizes.push_back(json[i].get<std::int64_t>());
  }
  if (sizes.size() != 1 && sizes.size() != 3) {
    fail(Status::kUnsupported, "{}: input of {} dimensions; (n, h, w, c) and (n, c) are supported",
         config.what(), json.size());
  }
  const Shape shape =
      sizes.size() == 3 ? Shape{sizes[0], sizes[1], sizes[2]} : Shape{1, 1, sizes[0]};
  const ValueId id = build.graph.add_value(layer.name, graph::DType::kF32, shape);
  build.graph.inputs.push_back(id);
  return {id, sizes.size() == 3 ? 4 : 2, false};
}

}  // namespace pronghorn::import::keras
