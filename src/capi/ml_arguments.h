// SPDX-License-Identifier: Apache-2.0
// What the calls of ml.h share: arguments judged, and the device's passes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "capi/guard.h"
#include "device/learner.h"
#include "ml/kmeans.h"
#include "pronghorn/pronghorn.h"

namespace pronghorn::capi {

// A caller's matrix, judged as ph_matrix_check does without `finite`. At least one row and column.
device::Matrix matrix_of(const ph_matrix* x);

// The passes of the device that a call names. `work`: multiplications or so; little work runs on
// the calling thread alone, unless the caller asks for threads.
std::unique_ptr<device::Learner> learner_of(const ph_ml_run* run, double work);

// The caller's progress callback; empty where there is none.
ml::Progress progress_of(const ph_ml_run* run, const char* what);

// Throw Error(kInvalidArgument) naming the first row that is out of range.
void require_weights(const double* sample_weight, std::int64_t rows);
// Refuses a value that is not finite, by its place.
void require_finite(device::Learner& learner, const device::Matrix& x);
void require_classes(const std::int32_t* y, std::int64_t rows, std::int32_t classes);
void require_count(std::int64_t value, std::int64_t least, const char* argument);

// Arrays in x's dtype, as doubles and back.
std::vector<double> read_values(const void* values, std::int64_t count, device::Dtype dtype,
                                const char* argument);
void write_values(const std::vector<double>& values, void* to, device::Dtype dtype);

}  // namespace pronghorn::capi
