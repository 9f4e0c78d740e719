// SPDX-License-Identifier: Apache-2.0
#include "import/keras_resnet.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "base/error.h"

namespace pronghorn::import::keras {
namespace {

using base::fail;
using base::Status;
using Json = nlohmann::json;

struct Known {
  const char* name;
  int blocks[4];
};
constexpr Known kKnown[] = {
    {"resnet50", {3, 4, 6, 3}}, {"resnet101", {3, 4, 23, 3}}, {"resnet152", {3, 8, 36, 3}}};

const Known* known(const int (&blocks)[4]) {
  for (const Known& k : kKnown) {
    if (std::equal(std::begin(blocks), std::end(blocks), std::begin(k.blocks))) return &k;
  }
  return nullptr;
}

constexpr const char* kAccepted =
    "files with weights alone are read for keras.applications' ResNet50, ResNet101 and ResNet152 "
    "(V1); save other networks as whole models (model.save)";

class Builder {
 public:
  explicit Builder(const ResNet& resnet) : older_(resnet.older_names) {}

  void layer(std::string name, const char* class_name, Json config, std::vector<std::string> from) {
    Layer layer;
    layer.name = std::move(name);
    layer.class_name = class_name;
    layer.config = std::move(config);
    layer.calls.emplace_back();
    for (std::string& f : from) layer.calls[0].push_back(Ref{std::move(f)});
    model.layers.push_back(std::move(layer));
  }

  // Convolution and batch norm; `part` is 0 (shortcut) to 3. Returns the last layer's name.
  std::string conv(const std::string& from, int stage, int block, int part, int filters, int kernel,
                   int stride) {
    const std::string conv_name = name(stage, block, part, true);
    layer(conv_name, "Conv2D",
          {{"filters", filters},
           {"kernel_size", kernel},
           {"strides", stride},
           {"padding", kernel == 3 ? "same" : "valid"}},
          {from});
    return norm(name(stage, block, part, false), conv_name);
  }
  std::string norm(const std::string& name, const std::string& from) {
    layer(name, "BatchNormalization", {{"epsilon", older_ ? 1e-3 : 1.001e-5}}, {from});
    return name;
  }
  std::string relu(const std::string& name, const std::string& from) {
    layer(name, "Activation", {{"activation", "relu"}}, {from});
    return name;
  }

  std::string name(int stage, int block, int part, bool conv) const {
    if (older_) {
      static constexpr const char* kBranch[] = {"1", "2a", "2b", "2c"};
      return fmt::format("{}{}{}_branch{}", conv ? "res" : "bn", stage,
                         static_cast<char>('a' + block - 1), kBranch[part]);
    }
    return fmt::format("conv{}_block{}_{}_{}", stage, block, part, conv ? "conv" : "bn");
  }
  std::string block_name(int stage, int block, const char* what) const {
    return fmt::format("conv{}_block{}_{}", stage, block, what);
  }

  // One bottleneck block, its layers in the order of Keras's model.layers: the shortcut's
  // convolution stands before the third one, which numbers the weights of Keras 3 files.
  std::string block(const std::string& from, int stage, int block, int width, int stride) {
    std::string x = conv(from, stage, block, 1, width, 1, stride);
    x = relu(block_name(stage, block, "1_relu"), x);
    x = conv(x, stage, block, 2, width, 3, 1);
    x = relu(block_name(stage, block, "2_relu"), x);
    std::string shortcut = from;
    if (block == 1) shortcut = conv(from, stage, block, 0, 4 * width, 1, stride);
    x = conv(x, stage, block, 3, 4 * width, 1, 1);
    const std::string sum = block_name(stage, block, "add");
    layer(sum, "Add", Json::object(), {shortcut, x});
    return relu(block_name(stage, block, "out"), sum);
  }

  Model model;

 private:
  bool older_;
};

}  // namespace

std::string ResNet::name() const {
  const Known* k = known(blocks);
  return k == nullptr ? "resnet" : k->name;
}

std::string classifier(const ResNet& resnet) {
  return resnet.older_names ? "fc1000" : "predictions";
}

ResNet find_resnet(const std::vector<std::string>& layer_names, const std::string& file) {
  const std::set<std::string> names(layer_names.begin(), layer_names.end());
  ResNet resnet;
  resnet.older_names = names.contains("res2a_branch2a");
  const Builder builder(resnet);
  for (int s = 0; s < 4; ++s) {
    int& count = resnet.blocks[s];
    for (count = 0; count < 64 && names.contains(builder.name(s + 2, count + 1, 1, true));) ++count;
  }
  const bool v2 = names.contains("conv2_block1_preact_bn");
  if (known(resnet.blocks) == nullptr || v2 ||
      !names.contains(resnet.older_names ? "conv1" : "conv1_conv")) {
    std::string some;
    for (std::size_t i = 0; i < std::min<std::size_t>(layer_names.size(), 4); ++i) {
      some += layer_names[i] + ", ";
    }
    fail(Status::kUnsupported, "{}: weights of an unknown network (layers {}...); {}", file,
         v2 ? "of ResNet V2: " + some : some, kAccepted);
  }
  return resnet;
}

ResNet find_resnet(std::size_t convs, std::size_t norms, std::size_t denses,
                   const std::string& file) {
  for (const Known& k : kKnown) {
    std::size_t expected = 1 + 4;  // the first, four shortcuts
    for (const int b : k.blocks) expected += 3 * static_cast<std::size_t>(b);
    if (convs != expected || norms != expected || denses > 1) continue;
    ResNet resnet;
    std::copy(std::begin(k.blocks), std::end(k.blocks), std::begin(resnet.blocks));
    return resnet;
  }
  fail(Status::kUnsupported,
       "{}: weights of an unknown network ({} Conv2D, {} BatchNormalization, {} Dense layers); {}",
       file, convs, norms, denses, kAccepted);
}

Model make_resnet(const ResNet& resnet) {
  Builder b(resnet);
  b.model.name = resnet.name();
  b.layer("input_1", "InputLayer", {{"batch_shape", {nullptr, 224, 224, 3}}}, {});
  b.model.layers.back().calls.clear();
  b.layer("conv1_pad", "ZeroPadding2D", {{"padding", 3}}, {"input_1"});
  const std::string first = resnet.older_names ? "conv1" : "conv1_conv";
  b.layer(first, "Conv2D",
          {{"filters", 64}, {"kernel_size", 7}, {"strides", 2}, {"padding", "valid"}},
          {"conv1_pad"});
  std::string x = b.norm(resnet.older_names ? "bn_conv1" : "conv1_bn", first);
  x = b.relu("conv1_relu", x);
  b.layer("pool1_pad", "ZeroPadding2D", {{"padding", 1}}, {x});
  b.layer("pool1_pool", "MaxPooling2D", {{"pool_size", 3}, {"strides", 2}}, {"pool1_pad"});
  x = "pool1_pool";
  for (int s = 0; s < 4; ++s) {
    for (int i = 1; i <= resnet.blocks[s]; ++i) {
      x = b.block(x, s + 2, i, 64 << s, i == 1 && s > 0 ? 2 : 1);
    }
  }
  b.layer("avg_pool", "GlobalAveragePooling2D", Json::object(), {x});
  x = "avg_pool";
  if (resnet.classes > 0) {
    b.layer(classifier(resnet), "Dense", {{"units", resnet.classes}}, {x});
    x = classifier(resnet);
  }
  b.model.inputs = {Ref{"input_1"}};
  b.model.outputs = {Ref{x}};
  return std::move(b.model);
}

}  // namespace pronghorn::import::keras
