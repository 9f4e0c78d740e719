// SPDX-License-Identifier: Apache-2.0
// What the ONNX importer refuses, and that it says which file, which node and why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <random>

#include "import/onnx_test_model.h"

namespace pronghorn::import::test {
namespace {

using base::Status;
using onnx::TensorProto;
using testing::AllOf;
using testing::HasSubstr;

Model image(std::int64_t opset = 13) {
  Model m(opset);
  m.input("x", {-1, 3, 8, 8}).output("y");
  return m;
}

void expect_refused(const Model& model, Status expected, const std::vector<std::string>& words) {
  Status status{};
  const std::string message = refusal(model, &status);
  EXPECT_EQ(status, expected) << message;
  EXPECT_THAT(message, testing::StartsWith("small.onnx: "));
  for (const auto& word : words) EXPECT_THAT(message, HasSubstr(word));
}

TEST(OnnxRefusal, UnknownOpsAreAllListed) {
  Model m = image();
  m.node("LogSoftmax", {"x"}, "a");
  m.node("HardSwish", {"a"}, "b");
  m.node("Resize", {"x"}, "c");
  m.node("Add", {"b", "c"}, "y");
  expect_refused(m, Status::kUnsupported,
                 {"a_node (LogSoftmax)", "b_node (HardSwish)", "c_node (Resize)", "3 node(s)",
                  "supported ops: Add,"});
}

TEST(OnnxRefusal, OtherDomains) {
  Model m = image();
  m.node("Conv", {"x"}, "y").set_domain("com.microsoft");
  expect_refused(m, Status::kUnsupported, {"y_node (com.microsoft::Conv)"});
}

TEST(OnnxRefusal, AttributesThatAreNotSupported) {
  const auto conv = [](const Dims& weights, const std::string& name, const Dims& values) {
    Model m = image();
    std::size_t size = 1;
    for (const auto d : weights) size *= static_cast<std::size_t>(d);
    m.floats("w", weights, std::vector<float>(size));
    set(m.node("Conv", {"x", "w"}, "y"), name, values);
    return m;
  };
  expect_refused(conv({1, 3, 3, 3}, "dilations", {2, 2}), Status::kUnsupported,
                 {"y_node (Conv)", "dilation 2"});
  expect_refused(conv({1, 3, 3}, "pads", {0, 0}), Status::kUnsupported, {"y_node", "3 dimensions"});
  expect_refused(conv({1, 3, 3, 3, 3}, "pads", {0, 0}), Status::kUnsupported,
                 {"y_node", "5 dimensions"});
  expect_refused(conv({1, 3, 3, 3}, "pads", {0, 0, -1, 0}), Status::kCorrupt, {"y_node", "pads"});
  expect_refused(conv({1, 3, 3, 3}, "strides", {0, 1}), Status::kCorrupt, {"y_node", "strides"});
  expect_refused(conv({1, 3, 3, 3}, "strides", {1, std::int64_t{1} << 40}), Status::kCorrupt,
                 {"y_node", "strides"});
  expect_refused(conv({1, 3, 3, 3}, "kernel_shape", {5, 5}), Status::kCorrupt, {"kernel_shape"});
  expect_refused(conv({1, 2, 3, 3}, "strides", {1, 1}), Status::kCorrupt, {"y_node", "do not fit"});
  expect_refused(conv({1, 3, 9, 9}, "strides", {1, 1}), Status::kCorrupt, {"y_node", "window"});
}

TEST(OnnxRefusal, OpsWithLimits) {
  struct Case {
    std::string op;
    std::function<void(onnx::NodeProto&)> change;
    std::string word;
  };
  const std::vector<Case> cases = {
      {"Softmax", [](auto& n) { set(n, "axis", 2); }, "axis 2"},
      {"Flatten", [](auto& n) { set(n, "axis", 2); }, "axis 2"},
      {"Transpose", [](auto& n) { set(n, "perm", {0, 1, 3, 2}); }, "perm [0, 1, 3, 2]"},
      {"Concat", [](auto& n) { set(n, "axis", 2); }, "axis 2"},
      {"ReduceMean", [](auto& n) { set(n, "axes", Dims{1}); }, "height and width"},
      {"Cast", [](auto& n) { set(n, "to", TensorProto::INT8); }, "INT8"},
      {"Pad",
       [](auto& n) {
         n.add_input("pads");
         set_text(n, "mode", "reflect");
       },
       "reflect"},
      {"Pad", [](auto& n) { n.add_input("channels"); }, "channels"},
      {"Reshape", [](auto& n) { n.add_input("fold"); }, "[N, 3, 8, 8]"},
      {"Reshape", [](auto& n) { n.add_input("batch"); }, "batch"},
      {"Add", [](auto& n) { n.add_input("row"); }, "row"},
      {"Gemm", [](auto& n) { n.add_input("matrix"); }, "[N, features]"},
      {"MaxPool",
       [](auto& n) {
         set(n, "kernel_shape", {2, 2});
         n.add_output("i");
       },
       "indices"},
      {"MaxPool",
       [](auto& n) {
         set(n, "kernel_shape", {2, 2});
         set(n, "dilations", {2, 1});
       },
       "dilation 2"},
      {"QuantizeLinear",
       [](auto& n) {
         n.add_input("s");
         set(n, "block_size", 2);
       },
       "blocks"},
      {"QuantizeLinear",
       [](auto& n) {
         n.add_input("s");
         n.add_input("z16");
       },
       "INT32"},
      {"QuantizeLinear",
       [](auto& n) {
         n.add_input("s3");
         set(n, "axis", 2);
       },
       "axis 2"},
  };
  for (const auto& c : cases) {
    Model m = image();
    m.ints("pads", {8}, {0, 0, 1, 1, 0, 0, 1, 1});
    m.ints("channels", {8}, {0, 1, 0, 0, 0, 0, 0, 0});
    m.ints("fold", {3}, {0, 24, 8});
    m.ints("batch", {2}, {1, -1});
    m.floats("row", {8}, std::vector<float>(8));
    m.floats("matrix", {192, 1}, std::vector<float>(192));
    m.floats("s", {}, {1});
    m.floats("s3", {3}, {1, 1, 1});
    m.constant<std::int32_t>("z16", TensorProto::INT32, {}, {0});
    c.change(m.node(c.op, {"x"}, "y"));
    SCOPED_TRACE(c.op);
    expect_refused(m, Status::kUnsupported, {"y_node (" + c.op + ")", c.word});
  }
}

TEST(OnnxRefusal, ComputedWeights) {
  Model m = image();
  m.node("Relu", {"x"}, "w");
  m.node("Conv", {"x", "w"}, "y");
  expect_refused(m, Status::kUnsupported, {"y_node (Conv)", "weights w"});
}

TEST(OnnxRefusal, InputsThatAreNotImages) {
  Model open(13);
  open.input("x", {1, 3, -1, 224}).output("y");
  open.node("Relu", {"x"}, "y");
  expect_refused(open, Status::kUnsupported, {"input x", "size 2", "open"});
  Model rank(13);
  rank.input("x", {1, 3, 224}).output("y");
  rank.node("Relu", {"x"}, "y");
  expect_refused(rank, Status::kUnsupported, {"input x", "3 dimensions"});
  Model type(13);
  type.input("x", {1, 3, 2, 2}, TensorProto::STRING).output("y");
  type.node("Relu", {"x"}, "y");
  expect_refused(type, Status::kUnsupported, {"input x", "STRING"});
  Model absurd(13);
  absurd.input("x", {1, 1 << 30, 1 << 30, 2}).output("y");
  absurd.node("Relu", {"x"}, "y");
  expect_refused(absurd, Status::kCorrupt, {"input x", "size 2"});
}

TEST(OnnxRefusal, OldOpset) {
  Model m = image(6);
  m.node("Relu", {"x"}, "y");
  expect_refused(m, Status::kUnsupported, {"opset 6", "7"});
}

TEST(OnnxRefusal, BrokenStructure) {
  Model cycle = image();
  cycle.node("Add", {"x", "b"}, "a");
  cycle.node("Relu", {"a"}, "b");
  cycle.node("Relu", {"b"}, "y");
  expect_refused(cycle, Status::kCorrupt, {"a_node (Add)", "cycle"});
  Model missing = image();
  missing.node("Relu", {"nowhere"}, "y");
  expect_refused(missing, Status::kCorrupt, {"y_node (Relu)", "nowhere"});
  Model twice = image();
  twice.node("Relu", {"x"}, "y");
  twice.node("Relu", {"x"}, "y");
  expect_refused(twice, Status::kCorrupt, {"y_node (Relu)", "exists already"});
  Model no_output = image();
  no_output.node("Relu", {"x"}, "z");
  expect_refused(no_output, Status::kCorrupt, {"output y"});
  Model constant = image();
  constant.floats("c", {}, {1});
  constant.node("Identity", {"c"}, "y");
  expect_refused(constant, Status::kUnsupported, {"output y"});
  Model few_inputs = image();
  few_inputs.node("Conv", {"x"}, "y");
  expect_refused(few_inputs, Status::kCorrupt, {"y_node (Conv)", "input 1"});
}

TEST(OnnxRefusal, BadConstants) {
  const auto with = [](const std::function<void(TensorProto&)>& change) {
    Model m = image();
    change(m.floats("w", {1, 3, 1, 1}, {1, 2, 3}));
    m.node("Conv", {"x", "w"}, "y");
    return m;
  };
  const auto with_value = [&](float bad) {
    return with([=](TensorProto& t) {
      const float v[3] = {1, bad, 3};
      t.set_raw_data(v, sizeof(v));
    });
  };
  expect_refused(with_value(std::nanf("")), Status::kCorrupt, {"y_node", "nan"});
  expect_refused(with_value(std::numeric_limits<float>::infinity()), Status::kCorrupt, {"inf"});
  expect_refused(with([](auto& t) { t.set_data_type(77); }), Status::kUnsupported,
                 {"initializer w", "77"});
  expect_refused(with([](auto& t) { t.set_data_type(TensorProto::COMPLEX64); }),
                 Status::kUnsupported, {"initializer w", "COMPLEX64"});
  expect_refused(with([](auto& t) { t.set_dims(0, -1); }), Status::kCorrupt, {"initializer w"});
  expect_refused(with([](auto& t) { t.set_dims(0, std::int64_t{1} << 62); }), Status::kCorrupt,
                 {"initializer w"});
  expect_refused(with([](auto& t) { t.set_dims(0, 2); }), Status::kCorrupt,
                 {"initializer w", "12 bytes"});
  expect_refused(with([](auto& t) { t.set_data_location(TensorProto::EXTERNAL); }),
                 Status::kUnsupported, {"initializer w", "external data"});
  Model twice = image();
  twice.floats("w", {1, 3, 1, 1}, {1, 2, 3});
  twice.floats("w", {1, 3, 1, 1}, {1, 2, 3});
  twice.node("Conv", {"x", "w"}, "y");
  expect_refused(twice, Status::kCorrupt, {"initializer w"});
}

TEST(OnnxRefusal, BadQuantization) {
  const auto with_scale = [](float scale) {
    Model m = image();
    m.floats("s", {}, {scale});
    m.node("QuantizeLinear", {"x", "s"}, "y");
    return m;
  };
  for (const float scale : {0.0f, -1.0f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    expect_refused(with_scale(scale), Status::kCorrupt, {"y_node (QuantizeLinear)", "scale"});
  }
  Model count = image();
  count.floats("s", {2}, {1, 1});
  set(count.node("QuantizeLinear", {"x", "s"}, "y"), "axis", 1);
  expect_refused(count, Status::kCorrupt, {"2 scales for 3 channels"});
}

TEST(OnnxRefusal, BadMetadata) {
  for (const auto& [key, text] : {std::pair{kPreprocessKey, "{"},
                                  {kPreprocessKey, R"({"mean":[1,2],"std":[1,1,1]})"},
                                  {kPreprocessKey, R"({"mean":[1,2,3],"std":[1,0,1]})"},
                                  {kLabelsKey, R"(["a",1])"}}) {
    Model m = image();
    m.node("Relu", {"x"}, "y");
    auto* entry = m.proto.add_metadata_props();
    entry->set_key(key);
    entry->set_value(text);
    expect_refused(m, Status::kCorrupt, {std::string("metadata ") + key});
  }
}

// A network with a bit of everything.
Model busy() {
  Model m = image();
  m.floats("w", {4, 3, 3, 3}, std::vector<float>(108, 0.1f));
  m.floats("one", {4}, {1, 1, 1, 1});
  m.ints("target", {2}, {0, -1});
  m.floats("fc", {2, 64}, std::vector<float>(128, 0.1f));
  m.floats("s", {}, {0.1f});
  set(m.node("Conv", {"x", "w"}, "a"), "pads", {1, 1, 1, 1});
  m.node("BatchNormalization", {"a", "one", "one", "one", "one"}, "b");
  auto& pool = m.node("AveragePool", {"b"}, "c");
  set(pool, "kernel_shape", {2, 2});
  set(pool, "strides", {2, 2});
  m.node("QuantizeLinear", {"c", "s"}, "q");
  m.node("DequantizeLinear", {"q", "s"}, "d");
  m.node("Reshape", {"d", "target"}, "f");
  set(m.node("Gemm", {"f", "fc"}, "y"), "transB", 1);
  return m;
}

// Importing gives a graph or an Error, whatever the bytes; true for a graph.
bool survives(const std::string& bytes) {
  try {
    import_text(bytes);
    return true;
  } catch (const base::Error& error) {
    EXPECT_NE(error.status(), Status::kInternal) << error.what();
    return false;
  }
}

TEST(OnnxHostile, Truncations) {
  const std::string whole = busy().bytes();
  ASSERT_TRUE(survives(whole));
  for (int i = 0; i < 50; ++i) {
    EXPECT_FALSE(survives(whole.substr(0, whole.size() * static_cast<std::size_t>(i) / 50))) << i;
  }
}

TEST(OnnxHostile, BitFlips) {
  const unsigned seed = 20240607;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::string whole = busy().bytes();
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = whole;
    for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips) {
      bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    }
    survives(bytes);
  }
}

TEST(OnnxHostile, OtherFiles) {
  EXPECT_FALSE(survives(""));
  EXPECT_FALSE(survives(std::string(1000, '\0')));
  EXPECT_FALSE(survives("\x89PNG\r\n\x1a\n"));
  EXPECT_FALSE(survives("{\"a\": 1}"));
}

std::string temporary(const std::string& content) {
  static int count = 0;
  const std::string path =
      testing::TempDir() + fmt::format("ph_import_{}_{}.bin", ::getpid(), count++);
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

TEST(ImportModel, RecognisesFormatsByContent) {
  const std::string onnx = temporary(busy().bytes());
  EXPECT_EQ(import_model(onnx).outputs.size(), 1u);
  struct Case {
    std::string content;
    std::string word;
  };
  for (const Case& c : {Case{"", "is empty"}, Case{"plain text\n", "is no model that we read"},
                        Case{"\x89PNG\r\n\x1a\n", "is no model that we read"}}) {
    const std::string path = temporary(c.content);
    try {
      import_model(path);
      FAIL() << "no error";
    } catch (const base::Error& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr(path), HasSubstr(c.word)));
    }
    std::remove(path.c_str());
  }
  std::remove(onnx.c_str());
  EXPECT_THROW(import_model("/nowhere/model.onnx"), base::Error);
}

}  // namespace
}  // namespace pronghorn::import::test
