// SPDX-License-Identifier: Apache-2.0
// ResNet V1 as keras.applications builds it, for files that hold weights and no architecture.
#pragma once

#include <string>
#include <vector>

#include "import/keras_model.h"

namespace pronghorn::import::keras {

struct ResNet {
  int blocks[4] = {3, 4, 6, 3};
  bool older_names = false;  // res2a_branch2a, fc1000 (2015 to 2019) instead of conv2_block1_1_conv
  std::int64_t classes = 0;  // 0: without the classifier, features by global average
  std::string name() const;  // "resnet50", ...
};

// The network the layer names belong to. Throws Error(kUnsupported) naming the file and what is
// accepted when it is not ResNet50, 101 or 152 V1. `classes` is left 0.
ResNet find_resnet(const std::vector<std::string>& layer_names, const std::string& file);

// The same from the numbers of Conv2D, BatchNormalization and Dense layers.
ResNet find_resnet(std::size_t convs, std::size_t norms, std::size_t denses,
                   const std::string& file);

// The name of the classifier's layer.
std::string classifier(const ResNet& resnet);

// The network, 224x224x3 in, logits or features out (no softmax).
Model make_resnet(const ResNet& resnet);

}  // namespace pronghorn::import::keras
