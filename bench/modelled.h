// SPDX-License-Identifier: Apache-2.0
// Devices that compute the bytes but have no clock of their own (the FPGA device without a card):
// their figures are cycles counted from the design, at a stated clock, and always called modelled.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "pronghorn/pronghorn.hpp"

namespace pronghorn::bench {

// What the device counts, when it models; nothing when it runs.
std::optional<nlohmann::ordered_json> modelled_figures(const Session& session);

// Compares the scores of `images` generated images with the reference device, byte for byte. Throws
// Error(PH_INTERNAL) when they differ.
void verify_modelled(const Model& model, const Session& session, int images);

// The figures as a table, a line a layer for the largest batch and one for each batch.
std::string modelled_table(const nlohmann::ordered_json& figures);

}  // namespace pronghorn::bench
