// SPDX-License-Identifier: Apache-2.0
#include "bench/prices.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <cmath>
#include <cstdlib>
#include <pronghorn/pronghorn.hpp>
#include <sstream>

#include "bench/assets.h"

namespace pronghorn::bench {
namespace {

constexpr double kHoursAYear = 8766;

Price bought(double dollars, double years) {
  Price price;
  price.dollars_per_hour = dollars / (years * kHoursAYear);
  price.how = fmt::format("bought for {:g} dollars, {:g} years around the clock", dollars, years);
  return price;
}

}  // namespace

std::vector<Price> parse_prices(const std::string& text, const std::string& file) {
  std::vector<Price> prices;
  toml::table table;
  try {
    table = toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    throw Error(PH_CORRUPT,
                fmt::format("{}:{}: {}", file, error.source().begin.line, error.description()));
  }
  for (const auto& [key, node] : table) {
    const std::string where = fmt::format("{}: [{}]", file, std::string(key.str()));
    const toml::table* entry = node.as_table();
    if (entry == nullptr) throw Error(PH_CORRUPT, where + " is not a table");
    const std::optional<double> hour = (*entry)["hour"].value<double>();
    const std::optional<double> purchase = (*entry)["purchase"].value<double>();
    const std::optional<double> years = (*entry)["years"].value<double>();
    if (hour.has_value() == (purchase.has_value() && years.has_value()) || hour.value_or(1) <= 0 ||
        purchase.value_or(1) <= 0 || years.value_or(1) <= 0) {
      throw Error(PH_CORRUPT, where + " needs either hour, or purchase and years; above 0");
    }
    Price price = hour ? Price{} : bought(*purchase, *years);
    if (hour) {
      price.dollars_per_hour = *hour;
      price.how = "rent";
    }
    price.key = std::string(key.str());
    price.name = (*entry)["name"].value_or(price.key);
    price.pays_for = (*entry)["for"].value_or("");
    price.source = (*entry)["source"].value_or("");
    if (const auto date = (*entry)["date"].value<toml::date>()) {
      std::ostringstream written;
      written << *date;
      price.date = written.str();
    }
    if (price.source.empty() || price.date.empty() ||
        (price.pays_for != "machine" && price.pays_for != "card")) {
      throw Error(PH_CORRUPT,
                  where + " needs source, date (2026-08-23) and for (\"machine\" or \"card\")");
    }
    prices.push_back(std::move(price));
  }
  return prices;
}

std::vector<Price> built_in_prices() {
  return parse_prices(std::string(assets::prices_toml()), "bench/prices.toml");
}

Price choose_price(const std::string& text, const std::vector<Price>& known) {
  std::string keys;
  for (const Price& price : known) {
    if (price.key == text) return price;
    keys += (keys.empty() ? "" : ", ") + price.key;
  }
  char* end = nullptr;
  const double dollars = std::strtod(text.c_str(), &end);
  const std::string unit = end;
  Price price;
  if (end != text.c_str() && dollars > 0 && std::isfinite(dollars)) {
    const double years = unit.size() > 2 ? std::atof(unit.c_str() + 1) : 0;
    if (unit == "/h") {
      price.dollars_per_hour = dollars;
      price.how = "rent";
    } else if (unit.starts_with("/") && unit.ends_with("y") && years > 0) {
      price = bought(dollars, years);
    }
  }
  if (price.dollars_per_hour == 0) {
    throw Error(PH_INVALID_ARGUMENT,
                fmt::format("--price {}: give 0.42/h (dollars an hour), 9000/4y (bought, years of "
                            "use), or one of: {}",
                            text, keys));
  }
  price.name = text;
  price.pays_for = "machine";
  return price;
}

nlohmann::ordered_json cost_json(const Price& price, double images_per_second) {
  const double per_dollar = 3600 * images_per_second / price.dollars_per_hour;
  return {{"name", price.name},
          {"for", price.pays_for},
          {"dollars_per_hour", price.dollars_per_hour},
          {"how", price.how},
          {"date", price.date},
          {"source", price.source},
          {"images_per_second", images_per_second},
          {"images_per_dollar", per_dollar},
          {"images_per_second_per_dollar_an_hour", images_per_second / price.dollars_per_hour},
          {"dollars_per_million_images", per_dollar > 0 ? 1e6 / per_dollar : 0}};
}

}  // namespace pronghorn::bench
