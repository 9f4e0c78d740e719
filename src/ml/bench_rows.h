// SPDX-License-Identifier: Apache-2.0
// Rows for the programs that time passes: quick to make, the same wherever they run.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "base/thread_pool.h"
#include "device/matrix.h"

namespace pronghorn::ml {

// Rows around `groups` points, `spread` deviations from one another; thousands of rows only.
template <class T>
struct BenchRows {
  BenchRows(std::int64_t rows, std::int64_t cols, int groups, double spread) {
    std::mt19937_64 random(20261124);
    std::normal_distribution<double> normal;
    std::vector<T> points(static_cast<std::size_t>(groups * cols));
    for (T& p : points) p = static_cast<T>(spread * normal(random));
    // Noise is drawn once and used from another place for every row: drawing it all takes longer
    // than the measurement.
    std::vector<T> noise(1 << 20);
    for (T& v : noise) v = static_cast<T>(normal(random));
    values.resize(static_cast<std::size_t>(rows * cols));
    group.resize(static_cast<std::size_t>(rows));
    base::ThreadPool pool(base::available_cores());
    pool.parallel_for(rows / 1000, [&](std::int64_t piece, int) {
      std::mt19937_64 own(static_cast<std::uint64_t>(piece));
      for (std::int64_t r = piece * 1000; r < (piece + 1) * 1000; ++r) {
        const std::uint64_t drawn = own();
        const auto g = static_cast<std::int64_t>(drawn % static_cast<std::uint64_t>(groups));
        group[static_cast<std::size_t>(r)] = static_cast<std::int32_t>(g);
        for (std::int64_t c = 0; c < cols; ++c) {
          values[static_cast<std::size_t>(r * cols + c)] =
              points[static_cast<std::size_t>(g * cols + c)] +
              noise[((drawn >> 20) + static_cast<std::uint64_t>(c)) & (noise.size() - 1)];
        }
      }
    });
    x.data = values.data();
    x.dtype = sizeof(T) == 4 ? device::Dtype::kF32 : device::Dtype::kF64;
    x.rows = rows / 1000 * 1000;
    x.cols = cols;
    x.row_stride = cols;
    x.col_stride = 1;
  }
  double bytes() const { return static_cast<double>(values.size() * sizeof(T)); }

  std::vector<T> values;
  std::vector<std::int32_t> group;
  device::Matrix x;
};

}  // namespace pronghorn::ml
