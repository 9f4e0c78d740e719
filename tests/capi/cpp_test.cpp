// SPDX-License-Identifier: Apache-2.0
// The C++ door: owning objects, exceptions, callbacks that throw. Only <pronghorn/pronghorn.hpp>.
#include <gtest/gtest.h>

#include <cstring>
#include <pronghorn/pronghorn.hpp>

namespace {

const std::string kModel = PRONGHORN_SOURCE "/tests/data/onnx/colours.onnx";
constexpr std::size_t kPixels = 32 * 32 * 3;

pronghorn::Model colours() { return pronghorn::Model::load(kModel).with_preprocess("torch"); }

// Red, green, blue one after another.
std::vector<std::uint8_t> pixels() {
  std::vector<std::uint8_t> values(3 * kPixels, 60);
  for (std::size_t image = 0; image < 3; ++image) {
    for (std::size_t i = 0; i < 32 * 32; ++i) values[image * kPixels + 3 * i + image] = 200;
  }
  return values;
}

TEST(Hpp, ErrorsCarryStatusAndMessage) {
  try {
    pronghorn::Model::load("/no/such.onnx");
    FAIL();
  } catch (const pronghorn::Error& error) {
    EXPECT_EQ(error.status(), PH_NOT_FOUND);
    EXPECT_NE(std::string(error.what()).find("/no/such.onnx"), std::string::npos);
  }
}

TEST(Hpp, ModelFacts) {
  const pronghorn::Model model = colours().with_labels({"red", "green", "blue", "gray"});
  const pronghorn::ModelInfo info = model.info();
  EXPECT_EQ(info.classes, 4);
  EXPECT_EQ(info.pixel_bytes(), kPixels);
  EXPECT_EQ(info.preprocess, "torch");
  EXPECT_EQ(info.format, "onnx");
  EXPECT_EQ(model.label(1), "green");
  EXPECT_EQ(model.label_id(1), "");
  EXPECT_EQ(model.label(99), "");
  EXPECT_EQ(model.with_resize("direct:32").info().resize, "direct:32");
  EXPECT_NE(model.describe().find("Conv"), std::string::npos);
  EXPECT_THROW(model.node(info.nodes), pronghorn::Error);
}

TEST(Hpp, RunAndSubmitAgree) {
  const pronghorn::Session session(colours(), "cpu", 2);
  const std::vector<std::uint8_t> images = pixels();
  const std::vector<float> scores = session.run(images, 3);
  ASSERT_EQ(scores.size(), 12u);
  for (std::size_t i = 0; i < 3; ++i) {
    const pronghorn::Top top = pronghorn::top_k(std::span(scores).subspan(4 * i, 4), 4);
    EXPECT_EQ(top.indices[0], static_cast<std::int64_t>(i));
    EXPECT_NEAR(
        top.probabilities[0] + top.probabilities[1] + top.probabilities[2] + top.probabilities[3],
        1, 1e-5);
  }
  const pronghorn::Ranked ranked = session.run_top_k(images, 3, 2);
  ASSERT_EQ(ranked.indices.size(), 6u);
  for (std::size_t i = 0; i < 3; ++i) {
    const pronghorn::Top top = pronghorn::top_k(std::span(scores).subspan(4 * i, 4), 2);
    for (std::size_t place = 0; place < 2; ++place) {
      EXPECT_EQ(ranked.indices[2 * i + place], top.indices[place]);
      EXPECT_EQ(ranked.scores[2 * i + place],
                scores[4 * i + static_cast<std::size_t>(top.indices[place])]);
    }
  }
  EXPECT_THROW(session.run_top_k(images, 3, 0), pronghorn::Error);
  EXPECT_THROW(session.run_top_k(images, 3, 5), pronghorn::Error);
  std::vector<float> queued(12);
  session.submit(images, 3, queued).get();
  EXPECT_EQ(std::memcmp(queued.data(), scores.data(), sizeof(float) * 12), 0);
  EXPECT_THROW(session.run(images, 2), pronghorn::Error);
  EXPECT_EQ(session.device().name, "cpu");
}

class Junk : public ::testing::Test {
 protected:
  const std::byte bytes_[4] = {};
  const std::span<const std::byte> image_{bytes_};
  const pronghorn::Source source_ =
      pronghorn::Source::memory(std::vector{image_, image_, image_}, {"a", "b", "c"});
  const pronghorn::Session session_{colours(), "cpu", 1};
};

TEST_F(Junk, IsReportedInOrder) {
  EXPECT_EQ(source_.size(), 3);
  EXPECT_EQ(source_.name(1), "b");
  EXPECT_EQ(source_.label(1), "");
  std::string names;
  const pronghorn::ClassifyStats stats = session_.classify(
      source_.repeat(5), {"direct:32"}, {2, 1, false}, [&](const pronghorn::Result& result) {
        EXPECT_NE(result.error, nullptr);
        EXPECT_TRUE(result.outputs.empty());
        names += result.name;
        return true;
      });
  EXPECT_EQ(names, "abcab");
  EXPECT_EQ(stats.broken, 5);
}

TEST_F(Junk, AThrowingCallbackThrowsHere) {
  EXPECT_THROW(
      session_.classify(source_, {"direct:32"}, {},
                        [](const pronghorn::Result&) -> bool { throw std::out_of_range("mine"); }),
      std::out_of_range);
}

TEST_F(Junk, StrictAndStopThrow) {
  const auto go_on = [](const pronghorn::Result&) { return true; };
  EXPECT_THROW(session_.classify(source_, {"direct:32"}, {1, 1, true}, go_on), pronghorn::Error);
  try {
    session_.classify(source_, {"direct:32"}, {}, [](const pronghorn::Result&) { return false; });
    FAIL();
  } catch (const pronghorn::Error& error) {
    EXPECT_EQ(error.status(), PH_CANCELLED);
  }
}

TEST(Details, OfTheFpgaDeviceAreModelled) {
  const pronghorn::Model model = pronghorn::Model::embedded("tin200");
  const pronghorn::Session session(model, "fpga:model:u250", 1);
  const std::string details = session.details();
  EXPECT_NE(details.find("\"modelled\":true"), std::string::npos);
  EXPECT_NE(details.find("\"cycles\""), std::string::npos);
  EXPECT_NE(session.listing().find("CONV"), std::string::npos);
}

TEST_F(Junk, ADeviceWithoutCommandsSaysSo) {
  EXPECT_EQ(session_.details(), "{}");
  try {
    session_.listing();
    FAIL();
  } catch (const pronghorn::Error& error) {
    EXPECT_EQ(error.status(), PH_UNSUPPORTED);
  }
}

}  // namespace
