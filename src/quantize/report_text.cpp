// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "quantize/quantize.h"

namespace pronghorn::quantize {

std::string to_json(const Report& report) {
  nlohmann::ordered_json json;
  json["schema"] = "pronghorn-quantize-report-1";
  json["images"] = report.images;
  json["top1_agreement"] = report.top1_agreement;
  json["layers"] = nlohmann::ordered_json::array();
  for (const LayerReport& layer : report.layers) {
    json["layers"].push_back({{"node", layer.node},
                              {"op", layer.op},
                              {"dtype", layer.dtype},
                              {"scale", layer.scale},
                              {"zero_point", layer.zero_point},
                              {"clipped", layer.clipped},
                              {"sqnr_alone_db", layer.sqnr_alone_db},
                              {"sqnr_accumulated_db", layer.sqnr_accumulated_db}});
  }
  return json.dump(2);
}

std::string to_table(const Report& report) {
  // The worst five alone are the layers that hurt; those after them inherit the noise.
  std::vector<double> alone;
  std::size_t widest = 5;
  for (const LayerReport& layer : report.layers) {
    alone.push_back(layer.sqnr_alone_db);
    widest = std::max(widest, layer.node.size());
  }
  std::sort(alone.begin(), alone.end());
  const double bound = alone.size() > 10 ? alone[4] : -1e9;
  std::string text = fmt::format("{:<{}}  {:<14} {:>11} {:>5} {:>9} {:>9} {:>9}\n", "layer", widest,
                                 "op", "scale", "zero", "clipped", "alone dB", "so far dB");
  for (const LayerReport& layer : report.layers) {
    const bool is_float = layer.dtype == "float32";
    text += fmt::format("{:<{}}  {:<14} {:>11} {:>5} {:>9} {:>9.1f} {:>9.1f}{}\n", layer.node,
                        widest, layer.op, is_float ? "float" : fmt::format("{:.5g}", layer.scale),
                        is_float ? "" : fmt::format("{}", layer.zero_point),
                        is_float ? "" : fmt::format("{:.4f}%", 100 * layer.clipped),
                        layer.sqnr_alone_db, layer.sqnr_accumulated_db,
                        layer.sqnr_alone_db <= bound ? "  <" : "");
  }
  if (report.layers.size() > 10) text += "<: the five layers that lose most by themselves\n";
  text += fmt::format("top-1 agrees with the float model on {:.2f}% of {} calibration images\n",
                      100 * report.top1_agreement, report.images);
  return text;
}

}  // namespace pronghorn::quantize
