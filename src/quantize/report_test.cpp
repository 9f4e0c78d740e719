// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "quantize/quantize.h"

namespace pronghorn::quantize {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Report sample() {
  Report report;
  for (int i = 0; i < 12; ++i) {
    LayerReport layer{
        "conv" + std::to_string(i), "Conv+Relu", 0.25f, 3, "uint8", 0.001, 30.0 + i, 20.0};
    report.layers.push_back(layer);
  }
  report.layers.push_back({"logits", "Conv", 0, 0, "float32", 0, 45, 21});
  report.top1_agreement = 0.985;
  report.images = 600;
  return report;
}

TEST(Report, JsonHoldsEveryFigure) {
  const auto json = nlohmann::json::parse(to_json(sample()));
  EXPECT_EQ(json["images"], 600);
  EXPECT_EQ(json["top1_agreement"], 0.985);
  ASSERT_EQ(json["layers"].size(), 13u);
  EXPECT_EQ(json["layers"][2]["node"], "conv2");
  EXPECT_EQ(json["layers"][2]["scale"], 0.25);
  EXPECT_EQ(json["layers"][2]["zero_point"], 3);
  EXPECT_EQ(json["layers"][2]["clipped"], 0.001);
  EXPECT_EQ(json["layers"][2]["sqnr_alone_db"], 32.0);
  EXPECT_EQ(json["layers"][12]["dtype"], "float32");
}

TEST(Report, TableMarksTheWorstFive) {
  const std::string table = to_table(sample());
  EXPECT_THAT(table, HasSubstr("98.50% of 600"));
  int marked = 0;
  for (std::size_t at = 0; (at = table.find("  <\n", at)) != std::string::npos; ++at) ++marked;
  EXPECT_EQ(marked, 5);
  EXPECT_THAT(table, HasSubstr("0.1000%"));
  Report few = sample();
  few.layers.resize(3);
  EXPECT_THAT(to_table(few), Not(HasSubstr("<")));
}

}  // namespace
}  // namespace pronghorn::quantize
