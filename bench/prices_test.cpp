// SPDX-License-Identifier: Apache-2.0
#include "bench/prices.h"

#include <gtest/gtest.h>

#include <pronghorn/pronghorn.hpp>

namespace pronghorn::bench {
namespace {

std::string refusal(const std::string& toml) {
  try {
    parse_prices(toml, "p.toml");
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Prices, BuiltInOnesHaveDateAndSource) {
  const std::vector<Price> prices = built_in_prices();
  EXPECT_GE(prices.size(), 5u);
  for (const Price& price : prices) {
    EXPECT_GT(price.dollars_per_hour, 0);
    EXPECT_EQ(price.date.size(), 10u) << price.date;
    EXPECT_FALSE(price.source.empty());
  }
}

TEST(Prices, APurchaseIsSpreadOverItsYears) {
  const Price card = choose_price("8766/2y", {});
  EXPECT_DOUBLE_EQ(card.dollars_per_hour, 0.5);
  EXPECT_EQ(card.how, "bought for 8766 dollars, 2 years around the clock");
  EXPECT_DOUBLE_EQ(choose_price("0.42/h", {}).dollars_per_hour, 0.42);
}

TEST(Prices, CostOfAMillionImages) {
  const auto cost = cost_json(choose_price("3.6/h", {}), 100);
  EXPECT_DOUBLE_EQ(cost["images_per_dollar"], 100000);
  EXPECT_DOUBLE_EQ(cost["dollars_per_million_images"], 10);
}

TEST(Prices, RefuseWhatIsNoPrice) {
  for (const char* text : {"", "free", "0/h", "-1/h", "5", "5/y", "5/0y", "nan/h"}) {
    EXPECT_THROW(choose_price(text, built_in_prices()), Error) << text;
  }
  const std::string good = "[a]\nhour = 1.0\nfor = \"card\"\ndate = 2026-01-02\nsource = \"s\"\n";
  EXPECT_EQ(refusal(good), "accepted");
  EXPECT_NE(refusal(good + "years = \n").find("p.toml:6: "), std::string::npos);
  EXPECT_NE(refusal("[a]\nfor = \"card\"\n").find("p.toml: [a] needs either hour"),
            std::string::npos);
  EXPECT_NE(refusal("[a]\nhour = 1\n").find("needs source, date"), std::string::npos);
}

}  // namespace
}  // namespace pronghorn::bench
