// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "base/error.h"
#include "device/reference/reference_device.h"
#include "import/import.h"
#include "import/keras_model.h"
#include "import/keras_preprocess.h"
#include "import/keras_resnet.h"
#include "import/keras_test_files.h"
#include "import/keras_weights.h"

namespace pronghorn::import {
namespace {

using graph::Op;
using testing::HasSubstr;

graph::Graph load(const zip::Member& member, const std::string& name) {
  return name.ends_with(".keras") ? import_keras_zip(member.bytes, member.owner, name)
                                  : import_keras_h5(member.bytes, member.owner, name);
}

std::vector<float> run(const graph::Graph& graph, const std::vector<float>& input) {
  const auto device = device::reference::make_device();
  const auto program =
      device::compile_or_throw(*device, std::make_shared<const graph::Graph>(graph));
  std::vector<float> output(
      static_cast<std::size_t>(graph.value(graph.outputs.at(0)).shape.size()));
  const void* inputs[] = {input.data()};
  void* outputs[] = {output.data()};
  const auto done = program->submit({inputs, outputs, 1});
  if (done) done->wait();
  return output;
}

int count(const graph::Graph& graph, Op op) {
  return static_cast<int>(std::count_if(graph.nodes.begin(), graph.nodes.end(),
                                        [&](const graph::Node& n) { return n.op == op; }));
}

class KerasModel : public testing::TestWithParam<const char*> {};

TEST_P(KerasModel, ComputesWhatKerasDoes) {
  const std::string name = GetParam();
  const graph::Graph graph = load(keras_file(name), name);
  const KerasAnswer answer = keras_answer(name.substr(0, name.find('.')));
  const graph::Shape& shape = graph.value(graph.inputs.at(0)).shape;
  ASSERT_EQ(answer.input.size(), static_cast<std::size_t>(shape.size()));
  std::vector<float> input = answer.input;
  if (graph.preprocess) {
    for (std::size_t i = 0; i < input.size(); ++i) {
      input[i] = (input[i] - graph.preprocess->mean[i % 3]) / graph.preprocess->std[i % 3];
    }
  }
  const std::vector<float> output = run(graph, input);
  ASSERT_EQ(output.size(), answer.output.size());
  for (std::size_t i = 0; i < output.size(); ++i) {
    EXPECT_NEAR(output[i], answer.output[i], 2e-5) << "output " << i;
  }
  EXPECT_EQ(graph.format, "keras");
}

INSTANTIATE_TEST_SUITE_P(Files, KerasModel,
                         testing::Values("wide_keras2.h5", "wide_keras3.h5", "wide_keras2.keras",
                                         "wide_keras3.keras", "tiny_keras2.h5", "tiny_keras3.h5",
                                         "tiny_keras2.keras", "tiny_keras3.keras",
                                         "nested_keras2.h5", "nested_keras3.h5",
                                         "nested_keras2.keras", "nested_keras3.keras"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST(Keras, PutsLeadingScalesIntoThePreprocess) {
  const graph::Graph graph = load(keras_file("tiny_keras3.keras"), "tiny.keras");
  ASSERT_TRUE(graph.preprocess.has_value());
  // ((x / 127.5 - 1) - mean) / sqrt(variance)
  EXPECT_FLOAT_EQ(graph.preprocess->mean[0], 127.5F * 1.1F);
  EXPECT_FLOAT_EQ(graph.preprocess->std[2], 127.5F * std::sqrt(0.7F));
  EXPECT_FALSE(graph.preprocess->bgr);
  EXPECT_EQ(count(graph, Op::kBatchNorm), 0);
  EXPECT_EQ(count(graph, Op::kSoftmax), 1);
  EXPECT_EQ(graph.resize, "direct:6");
}

TEST(Keras, LeavesOutDropout) {
  const graph::Graph graph = load(keras_file("wide_keras3.keras"), "wide.keras");
  for (const graph::Node& node : graph.nodes) EXPECT_THAT(node.name, testing::Ne("dropout"));
  EXPECT_FALSE(graph.preprocess.has_value());
}

// The model's own JSON with one thing changed, over the weights of the same file.
std::string refusal(const std::string& from, const std::string& to, base::Status status) {
  const zip::Member good = keras_file("wide_keras3.h5");
  std::vector<std::byte> bytes(good.bytes.begin(), good.bytes.end());
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t at = text.find(from);
  if (at == std::string_view::npos || from.size() != to.size()) {
    ADD_FAILURE() << from << " is not in the file, or " << to << " is of another length";
    return {};
  }
  std::copy_n(reinterpret_cast<const std::byte*>(to.data()), to.size(),
              bytes.begin() + static_cast<std::ptrdiff_t>(at));
  try {
    import_keras_h5(bytes, nullptr, "changed.h5");
  } catch (const base::Error& e) {
    EXPECT_EQ(e.status(), status) << e.what();
    EXPECT_THAT(e.what(), HasSubstr("changed.h5"));
    return e.what();
  }
  ADD_FAILURE() << "imported with " << to;
  return {};
}

TEST(Keras, RefusesByNameWhatItDoesNotDo) {
  using base::Status;
  EXPECT_THAT(refusal(R"("class_name": "DepthwiseConv2D")", R"("class_name": "DepthwiseConv9D")",
                      Status::kUnsupported),
              testing::AllOf(HasSubstr("layer depthwise (DepthwiseConv9D)"),
                             HasSubstr("supported are InputLayer, Conv2D")));
  EXPECT_THAT(refusal(R"("channels_last")", R"("channels_1st.")", Status::kUnsupported),
              testing::AllOf(HasSubstr("layer conv "), HasSubstr("channels_last is supported")));
  EXPECT_THAT(refusal(R"("activation": "relu")", R"("activation": "gelu")", Status::kUnsupported),
              testing::AllOf(HasSubstr("layer conv "), HasSubstr("gelu")));
  EXPECT_THAT(
      refusal(R"("dilation_rate": [1, 1])", R"("dilation_rate": [1, 2])", Status::kUnsupported),
      HasSubstr("dilation 1x2"));
  EXPECT_THAT(refusal(R"("class_name": "Functional")", R"("class_name": "MyOwnModel")",
                      Status::kUnsupported),
              HasSubstr("MyOwnModel"));
}

TEST(Keras, RefusesWhatDoesNotFit) {
  using base::Status;
  EXPECT_THAT(refusal(R"("filters": 4)", R"("filters": 5)", Status::kCorrupt),
              testing::AllOf(HasSubstr("layer conv:"), HasSubstr("weight kernel"),
                             HasSubstr("is (3, 3, 3, 4), must be (3, 3, 3, 5)")));
  EXPECT_THAT(refusal("\"bn\", 0, 0", "\"bm\", 0, 0", Status::kCorrupt),
              HasSubstr("there is no layer bm"));
  EXPECT_THAT(refusal("[\"bn\", 0, 0]", "[\"bn\", 1, 0]", Status::kCorrupt), HasSubstr("call 1"));
  EXPECT_THAT(refusal("[\"image\", 0, 0]", "[\"last\", 0, 0] ", Status::kCorrupt),
              HasSubstr("layer last needs its own output"));
}

TEST(Keras, KnowsThePreprocessOfApplicationsByName) {
  keras::Model model;
  model.name = "mobilenetv2_1.00_224";
  EXPECT_FALSE(keras::applications_preprocess(model).has_value());
  model.layers.emplace_back().name = "block_1_expand";
  ASSERT_TRUE(keras::applications_preprocess(model).has_value());
  EXPECT_EQ(keras::applications_preprocess(model)->std[1], 127.5F);
  model.name = "mine";
  EXPECT_FALSE(keras::applications_preprocess(model).has_value());
}

TEST(Keras, NamesWeightsOfEveryAge) {
  using keras::weight_key;
  EXPECT_EQ(weight_key("conv1_conv", "conv1_conv/kernel:0"), "kernel");
  EXPECT_EQ(weight_key("conv1_conv", "conv1_conv/kernel"), "kernel");
  EXPECT_EQ(weight_key("bn", "model/bn/moving_variance:0"), "moving_variance");
  EXPECT_EQ(weight_key("res2a_branch2a", "res2a_branch2a_W:0"), "kernel");
  EXPECT_EQ(weight_key("conv1", "conv1_b_1:0"), "bias");
  EXPECT_EQ(weight_key("bn_conv1", "bn_conv1_running_std:0"), "moving_variance");
  EXPECT_EQ(weight_key("bn_conv1", "bn_conv1_gamma_1:0"), "gamma");
}

TEST(Keras, NumbersClassesAsKerasDoes) {
  using keras::snake_case;
  EXPECT_EQ(snake_case("Conv2D"), "conv2d");
  EXPECT_EQ(snake_case("DepthwiseConv2D"), "depthwise_conv2d");
  EXPECT_EQ(snake_case("BatchNormalization"), "batch_normalization");
  EXPECT_EQ(snake_case("ReLU"), "re_lu");
  EXPECT_EQ(snake_case("PReLU"), "p_re_lu");
  EXPECT_EQ(snake_case("GlobalAveragePooling2D"), "global_average_pooling2d");
}

std::vector<std::string> names_of(const keras::Model& model) {
  std::vector<std::string> names;
  for (const keras::Layer& layer : model.layers) names.push_back(layer.name);
  return names;
}

TEST(KerasResNet, IsFoundByItsLayerNames) {
  for (const bool older : {false, true}) {
    for (const auto& blocks : {std::array{3, 4, 6, 3}, {3, 4, 23, 3}, {3, 8, 36, 3}}) {
      keras::ResNet resnet;
      std::copy(blocks.begin(), blocks.end(), resnet.blocks);
      resnet.older_names = older;
      resnet.classes = 10;
      const keras::Model model = keras::make_resnet(resnet);
      const keras::ResNet found = keras::find_resnet(names_of(model), "x.h5");
      EXPECT_TRUE(std::equal(blocks.begin(), blocks.end(), found.blocks));
      EXPECT_EQ(found.older_names, older);
      EXPECT_EQ(model.name, found.name());
    }
  }
}

TEST(KerasResNet, StandsInKerasOrder) {
  keras::ResNet resnet;
  const keras::Model model = keras::make_resnet(resnet);
  std::vector<std::string> convs;
  for (const keras::Layer& layer : model.layers) {
    if (layer.class_name == "Conv2D") convs.push_back(layer.name);
  }
  ASSERT_EQ(convs.size(), 53U);
  EXPECT_EQ(convs[3], "conv2_block1_0_conv");  // conv2d_3 of a .weights.h5 file
  EXPECT_EQ(convs[4], "conv2_block1_3_conv");
}

TEST(KerasResNet, RefusesOtherNetworks) {
  for (const std::vector<std::string>& names :
       {std::vector<std::string>{"block1_conv1", "block1_conv2"}, std::vector<std::string>{}}) {
    try {
      keras::find_resnet(names, "vgg.h5");
      FAIL();
    } catch (const base::Error& e) {
      EXPECT_EQ(e.status(), base::Status::kUnsupported);
      EXPECT_THAT(e.what(), testing::AllOf(HasSubstr("vgg.h5"), HasSubstr("ResNet152")));
    }
  }
  EXPECT_EQ(keras::find_resnet(53, 53, 1, "x").name(), "resnet50");
  EXPECT_EQ(keras::find_resnet(155, 155, 0, "x").name(), "resnet152");
  EXPECT_THROW(keras::find_resnet(53, 49, 1, "x"), base::Error);
}

TEST(KerasDamage, GivesErrorsOnly) {
  constexpr unsigned kSeed = 22;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 random(kSeed);
  for (const char* name : {"tiny_keras2.h5", "nested_keras3.h5", "tiny_keras3.keras"}) {
    const zip::Member good = keras_file(name);
    int imported = 0;
    for (int i = 0; i < 600; ++i) {
      std::vector<std::byte> bad(good.bytes.begin(), good.bytes.end());
      if (i % 4 == 0) {
        bad.resize(random() % bad.size());
      } else {
        for (unsigned n = 1 + random() % 8; n > 0; --n) {
          bad[random() % bad.size()] ^= static_cast<std::byte>(1U << random() % 8);
        }
      }
      try {
        load({bad, nullptr}, name);
        ++imported;  // the flips met padding or the numbers of a weight
      } catch (const base::Error& e) {
        EXPECT_THAT(e.what(), HasSubstr(name));
      }
    }
    EXPECT_LT(imported, 500) << name;
  }
}

// The trained ResNet50 beside the repository, which is no part of it.
TEST(KerasShared, ImportsTheTrainedResNet) {
  const char* shared = std::getenv("PRONGHORN_SHARED");
  const std::filesystem::path path =
      std::filesystem::path(shared != nullptr ? shared : "../shared") / "models" /
      "resnet50v1-tin200.h5";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const auto file = std::make_shared<base::MappedFile>(path);
  const graph::Graph graph = import_keras_h5(file->bytes(), file, path.string());
  EXPECT_EQ(graph.name, "resnet50");
  EXPECT_EQ(graph.value(graph.outputs.at(0)).shape, (graph::Shape{1, 1, 200}));
  EXPECT_EQ(graph.value(graph.inputs.at(0)).shape, (graph::Shape{224, 224, 3}));
  EXPECT_EQ(count(graph, Op::kConv), 54);
  EXPECT_EQ(count(graph, Op::kBatchNorm), 0);
  EXPECT_EQ(count(graph, Op::kSoftmax), 0);
  EXPECT_EQ(graph::macs(graph), 3857973248 - 2048 * 800);  // 1000 classes, less 800
  ASSERT_TRUE(graph.preprocess.has_value());
  EXPECT_TRUE(graph.preprocess->bgr);
}

}  // namespace
}  // namespace pronghorn::import
