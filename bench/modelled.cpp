// SPDX-License-Identifier: Apache-2.0
#include "bench/modelled.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

namespace pronghorn::bench {
namespace {

constexpr std::uint32_t kSeed = 1;

}  // namespace

std::optional<nlohmann::ordered_json> modelled_figures(const Session& session) {
  auto figures = nlohmann::ordered_json::parse(session.details());
  if (!figures.value("modelled", false)) return std::nullopt;
  return figures;
}

void verify_modelled(const Model& model, const Session& session, int images) {
  const ModelInfo info = model.info();
  const auto count = static_cast<std::size_t>(images);
  std::vector<std::uint8_t> pixels(count * static_cast<std::size_t>(info.input_height) *
                                   static_cast<std::size_t>(info.input_width) * 3);
  std::mt19937 random(kSeed);
  for (auto& p : pixels) p = static_cast<std::uint8_t>(random());
  std::vector<float> have(count * static_cast<std::size_t>(info.classes));
  std::vector<float> want(have.size());
  session.run(pixels, images, have);
  const Session reference(model, "reference", 0);
  reference.run(pixels, images, want);
  if (std::memcmp(have.data(), want.data(), have.size() * sizeof(float)) != 0) {
    throw Error(PH_INTERNAL, "device " + session.device().name +
                                 " gives other bytes than the reference on generated images");
  }
}

std::string modelled_table(const nlohmann::ordered_json& figures) {
  const auto& batches = figures.at("batches");
  std::string text = fmt::format("{:<46} {:<12} {:>9} {:>10} {:>7}\n", "layer (MODELLED)", "op",
                                 "MMAC", "cycles", "busy");
  for (const auto& layer : batches.at(0).at("layers")) {
    text += fmt::format("{:<46} {:<12} {:>9.1f} {:>10} {:>6.1f}%\n",
                        layer.at("node").get<std::string>(), layer.at("op").get<std::string>(),
                        layer.at("mmac").get<double>(), layer.at("cycles").get<std::int64_t>(),
                        100 * layer.at("utilisation").get<double>());
  }
  text += fmt::format(
      "\nMODELLED: cycles by the formulas of docs/fpga.md at an assumed {} MHz ({} MHz at the "
      "multipliers), configuration {}; no card was used.\n",
      figures.at("logic_mhz").get<int>(), figures.at("multiplier_mhz").get<int>(),
      figures.at("configuration").get<std::string>());
  for (const auto& b : batches) {
    text += fmt::format(
        "batch {:>3}: {:>9} cycles, {:.1f} % of the multipliers busy, {:.0f} images/s, latency "
        "{:.3f} ms\n",
        b.at("batch").get<int>(), b.at("cycles").get<std::int64_t>(),
        100 * b.at("utilisation").get<double>(), b.at("images_per_second").get<double>(),
        b.at("latency_ms").get<double>());
    if (const auto rtl = b.find("rtl_cycles"); rtl != b.end()) {
      text +=
          fmt::format("           {:>9} cycles of the RTL, simulated\n", rtl->get<std::int64_t>());
    }
  }
  return text;
}

}  // namespace pronghorn::bench
