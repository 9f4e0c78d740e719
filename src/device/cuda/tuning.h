// SPDX-License-Identifier: Apache-2.0
// Variants that were measured on this GPU instead of chosen by the cost model, and the file that
// keeps them for the next process. On with PRONGHORN_AUTOTUNE=1 (docs/cuda.md). What is tuned is
// the time alone: every variant gives the same bytes in INT8, and in half precision the same within
// the order of sums.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "device/cuda/plan.h"

namespace pronghorn::device::cuda {

// Whether PRONGHORN_AUTOTUNE asks for it: 1; unset, empty or 0 do not. Throws
// Error(kInvalidArgument) for anything else.
bool tuning_wanted();

// Empty when make_schedule may run the plan's steps for so many images with these variants, else
// what is wrong with them.
std::string fault_of(const Plan& plan, int images, const std::vector<int>& variants);

// Variants worth measuring together: in choice r step i runs its r-th variant, or its last one
// where it has fewer. The first choice is the cost model's, the last joins every two steps that can
// be.
std::vector<std::vector<int>> choices(const Plan& plan, int images);

// The fastest variant of each step. times[r][i]: seconds of step i in choice r; a joined pair's
// time is all in its first step or shared with the second.
std::vector<int> fastest(const Plan& plan, const std::vector<std::vector<int>>& choices,
                         const std::vector<std::vector<double>>& times);

// Where they are kept, one file for a GPU, a model, a batch size and a version of the kernels:
// in the folder cuda of $PRONGHORN_CACHE, else of $XDG_CACHE_HOME/pronghorn, else of
// ~/.cache/pronghorn.
struct TuningFile {
  std::filesystem::path path;  // empty: there is no such folder
  std::string head;            // its first lines, what it is for
};
TuningFile tuning_file(const Plan& plan, int images, const std::string& gpu);

// The file's variants. Empty, with the reason in `note`, when there is none or it is not whole, for
// something else, or names variants that do not fit the plan.
std::vector<int> read_tuning(const TuningFile& file, const Plan& plan, int images,
                             std::string& note);
// Written whole or not at all; returns why it could not be, or nothing.
std::string write_tuning(const TuningFile& file, const std::vector<int>& variants);

}  // namespace pronghorn::device::cuda
