// SPDX-License-Identifier: Apache-2.0
#include "import/keras_preprocess.h"

#include <algorithm>
#include <string_view>

namespace pronghorn::import::keras {
namespace {

// Pixels to -1 .. 1.
constexpr graph::Preprocess kTf{{127.5F, 127.5F, 127.5F}, {127.5F, 127.5F, 127.5F}, false};
// Means 0.485, 0.456, 0.406 and deviations 0.229, 0.224, 0.225 of pixels in 0 .. 1.
constexpr graph::Preprocess kTorch{{123.675F, 116.28F, 103.53F}, {58.395F, 57.12F, 57.375F}, false};

struct Row {
  std::string_view model;
  bool prefix;  // the name goes on with the width and the size
  std::string_view layer;
  const graph::Preprocess& preprocess;
};
constexpr Row kNetworks[] = {
    {"resnet50", false, "conv2_block1_1_conv", kCaffe},
    {"resnet101", false, "conv2_block1_1_conv", kCaffe},
    {"resnet152", false, "conv2_block1_1_conv", kCaffe},
    {"vgg16", false, "block1_conv1", kCaffe},
    {"vgg19", false, "block1_conv1", kCaffe},
    {"resnet50v2", false, "conv2_block1_preact_bn", kTf},
    {"resnet101v2", false, "conv2_block1_preact_bn", kTf},
    {"resnet152v2", false, "conv2_block1_preact_bn", kTf},
    {"mobilenet_", true, "conv_pw_1", kTf},
    {"mobilenetv2_", true, "block_1_expand", kTf},
    {"inception_v3", false, "mixed0", kTf},
    {"xception", false, "block2_sepconv1", kTf},
    {"densenet121", false, "conv2_block1_0_bn", kTorch},
    {"densenet169", false, "conv2_block1_0_bn", kTorch},
    {"densenet201", false, "conv2_block1_0_bn", kTorch},
};

}  // namespace

std::optional<graph::Preprocess> applications_preprocess(const Model& model) {
  for (const Row& row : kNetworks) {
    const bool named = row.prefix ? model.name.starts_with(row.model) : model.name == row.model;
    if (!named) continue;
    const bool found = std::any_of(model.layers.begin(), model.layers.end(),
                                   [&](const Layer& layer) { return layer.name == row.layer; });
    if (found) return row.preprocess;
  }
  return std::nullopt;
}

}  // namespace pronghorn::import::keras
