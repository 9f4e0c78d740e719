// SPDX-License-Identifier: Apache-2.0
#include "bench/assets.h"

#define ASSET(name, path)                                                              \
  asm(".section .rodata.ph_asset_" #name                                               \
      ",\"a\",@progbits\n"                                                             \
      "ph_asset_" #name "_begin:\n.incbin \"" path                                     \
      "\"\n"                                                                           \
      "ph_asset_" #name "_end:\n.byte 0\n.text\n");                                    \
  extern "C" {                                                                         \
  [[gnu::visibility("hidden")]] extern const char ph_asset_##name##_begin[];           \
  [[gnu::visibility("hidden")]] extern const char ph_asset_##name##_end[];             \
  }                                                                                    \
  namespace pronghorn::bench::assets {                                                 \
  std::string_view name() { return {ph_asset_##name##_begin, ph_asset_##name##_end}; } \
  }

ASSET(prices_toml, PRONGHORN_BENCH "/prices.toml")
ASSET(page_html, PRONGHORN_BENCH "/page/page.html")
ASSET(page_css, PRONGHORN_BENCH "/page/page.css")
ASSET(page_js, PRONGHORN_BENCH "/page/page.js")
ASSET(chart_js, PRONGHORN_CHART_JS)
