// SPDX-License-Identifier: Apache-2.0
// What hardware costs (bench/prices.toml), and what an image then costs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace pronghorn::bench {

struct Price {
  std::string key, name;
  std::string pays_for;  // "machine" or "card"
  double dollars_per_hour = 0;
  std::string how;           // "rent", or "bought for 9000 dollars, 4 years around the clock"
  std::string date, source;  // "" for a price from the command line
};

// Throws Error naming the file, the entry and what is accepted.
std::vector<Price> parse_prices(const std::string& toml, const std::string& name);
std::vector<Price> built_in_prices();

// An entry's key, "0.42/h" or "9000/4y". Throws Error listing the keys.
Price choose_price(const std::string& text, const std::vector<Price>& known);

nlohmann::ordered_json cost_json(const Price& price, double images_per_second);

}  // namespace pronghorn::bench
