// SPDX-License-Identifier: Apache-2.0
// Files that are inside the program, so that it needs nothing beside it.
#pragma once

#include <string_view>

namespace pronghorn::bench::assets {

std::string_view prices_toml();  // bench/prices.toml
std::string_view page_html();    // bench/page/: the frame of the report, its style and its script
std::string_view page_css();
std::string_view page_js();
std::string_view chart_js();  // Chart.js, as the distribution packages it

}  // namespace pronghorn::bench::assets
