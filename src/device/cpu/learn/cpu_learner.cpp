// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/learn/cpu_learner.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "base/buffer.h"
#include "device/cpu/learn/predict_passes.h"
#include "device/cpu/learn/sparse.h"
#include "device/cpu/learn/tile.h"

namespace pronghorn::device::cpu {
namespace {

// Columns whose sums for all groups, of `bytes` for each value, the first cache holds beside a few
// rows: equal blocks.
std::int64_t moment_columns(std::int64_t cols, std::int64_t groups, std::int64_t bytes) {
  constexpr std::int64_t kBytes = 24 * 1024, kLine = 16;
  const std::int64_t fit =
      std::max(kBytes / (bytes * std::max<std::int64_t>(groups, 1)), 4 * kLine);
  const std::int64_t blocks = std::max<std::int64_t>((cols + fit - 1) / fit, 1);
  return ((cols + blocks - 1) / blocks + kLine - 1) / kLine * kLine;
}

// The tables that a slot of moments works on, one row of `lds` values for each group: shifts, sums
// of differences and sums of their squares. Rows begin with a cache line, and no two tables lie a
// multiple of 4 KiB apart, which some processors take for the same place.
template <class Sum>
class MomentTables {
 public:
  // Shifts: `shift_rows` rows of `cols` doubles; 1: the same for all groups.
  MomentTables(std::int64_t groups, std::int64_t cols, std::int64_t shift_rows, const double* shift)
      : lds_((cols + 15) / 16 * 16),
        size_(groups * lds_),
        buffer_(static_cast<std::size_t>(2 * (size_ + kApart) + shift_rows * lds_) * sizeof(Sum)) {
    Sum* values = buffer_.template as<Sum>();
    std::fill_n(values, 2 * (size_ + kApart) + shift_rows * lds_, Sum{});
    for (std::int64_t k = 0; k < shift_rows; ++k) {
      for (std::int64_t j = 0; j < cols; ++j) {
        values[2 * (size_ + kApart) + k * lds_ + j] = static_cast<Sum>(shift[k * cols + j]);
      }
    }
  }
  std::int64_t lds() const { return lds_; }
  Sum* first() { return buffer_.template as<Sum>(); }
  Sum* second() { return first() + size_ + kApart; }
  const Sum* shift() { return second() + size_ + kApart; }

 private:
  static constexpr std::int64_t kApart = 576 / sizeof(Sum);
  std::int64_t lds_, size_;
  base::Buffer buffer_;
};

// counts[g] += how often g is among the groups. Neighbours count in tables of their own, so that
// none waits for the one before.
void count_groups(const std::int32_t* group, std::int64_t rows, std::int64_t groups,
                  std::vector<std::int64_t>& scratch, double* counts) {
  scratch.assign(static_cast<std::size_t>(4 * groups), 0);
  std::int64_t* tables = scratch.data();
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    ++tables[group[r]];
    ++tables[groups + group[r + 1]];
    ++tables[2 * groups + group[r + 2]];
    ++tables[3 * groups + group[r + 3]];
  }
  for (; r < rows; ++r) ++tables[group[r]];
  for (std::int64_t k = 0; k < groups; ++k) {
    counts[k] += static_cast<double>(tables[k] + tables[groups + k] + tables[2 * groups + k] +
                                     tables[3 * groups + k]);
  }
}

// Sums that are kept in float for this many rows of a group before they go to doubles: each has
// then lost some 2^-24 of itself. With more groups than that, doubles cost no more.
constexpr std::int64_t kShortRows = 1152;
constexpr int kShortGroups = 64;

class CpuLearner final : public Learner {
 public:
  explicit CpuLearner(int threads)
      : kernels_(choose_learn_kernels()), team_(threads), pool_(team_.pool()) {}

  std::int64_t find_not_finite(const Matrix& x) override {
    return with_type(x.dtype, [&](auto zero) { return find_of<decltype(zero)>(x); });
  }

  void moments(const Matrix& x, const std::int32_t* group, const double* weight, int groups,
               const double* shift, double* weights, double* first, double* second) override {
    // Squares of floats overflow long before doubles do.
    if (x.dtype == Dtype::kF32 && group != nullptr && weight == nullptr && groups <= kShortGroups) {
      moments_of<float, float>(x, group, weight, groups, shift, weights, first, second);
      const double* end = second + std::int64_t{groups} * x.cols;
      if (std::all_of<const double*>(second, end, [](double v) { return std::isfinite(v); }))
        return;
    }
    with_type(x.dtype, [&](auto zero) {
      moments_of<decltype(zero), double>(x, group, weight, groups, shift, weights, first, second);
    });
  }

  std::int64_t count(const Matrix& x, const std::int32_t* group, const double* weight, int groups,
                     double* weights, double* sums) override {
    return with_type(x.dtype, [&](auto zero) {
      return count_of<decltype(zero)>(x, group, weight, groups, weights, sums);
    });
  }

  std::unique_ptr<KMeansPasses> kmeans(const KMeansSetup& setup) override {
    return make_kmeans_passes(setup, kernels_, pool_);
  }
  std::unique_ptr<LogisticPasses> logistic(const LogisticSetup& setup) override {
    return make_logistic_passes(setup, kernels_, pool_);
  }
  bool nearest(const Matrix& x, const double* weight, const double* centers, int clusters,
               std::int32_t* labels, double* inertia) override {
    return nearest_pass(x, weight, centers, clusters, labels, inertia, kernels_, pool_);
  }
  void nearest_of(const Matrix& x, const double* weight, const std::int64_t* list,
                  std::int64_t count, const double* centers, int clusters, std::int32_t* labels,
                  double* inertia, double* weights, double* sums) override {
    nearest_list_pass(x, weight, list, count, centers, clusters, labels, inertia, weights, sums,
                      kernels_, pool_);
  }
  void distances(const Matrix& x, const double* centers, int clusters, void* out) override {
    distances_pass(x, centers, clusters, out, kernels_, pool_);
  }
  void potentials(const Matrix& x, const double* weight, const double* point,
                  const double* candidates, int count, double* closest, double* sums) override {
    potentials_pass(x, weight, point, candidates, count, closest, sums, kernels_, pool_);
  }
  void linear(const Matrix& x, const double* coef, const double* bias, int outputs, Output output,
              void* out) override {
    linear_pass(x, coef, bias, outputs, output, out, kernels_, pool_);
  }
  void joint(const Matrix& x, const double* coef, const double* bias, int outputs, Output output,
             void* out) override {
    joint_pass(x, coef, bias, outputs, output, out, kernels_, pool_);
  }
  void gauss(const Matrix& x, const double* bias, const double* mean, const double* scale,
             int classes, Output output, void* out) override {
    gauss_pass(x, bias, mean, scale, classes, output, out, kernels_, pool_);
  }
  void read_row(const Matrix& x, std::int64_t row, double* out) override {
    with_type(x.dtype, [&](auto zero) {
      using T = decltype(zero);
      TileReader<T> reader(x, loops_of<T>(kernels_), nullptr);
      const Tile<T> tile = reader.load(row, 1);
      for (std::int64_t j = 0; j < x.cols; ++j) out[j] = static_cast<double>(tile.x[j]);
    });
  }

 private:
  template <class T>
  std::int64_t find_of(const Matrix& x) {
    const LearnLoops<T>& loops = loops_of<T>(kernels_);
    const T* data = static_cast<const T*>(x.data);
    // Lines of values that lie one after another: rows, columns, or all stored values in pieces.
    constexpr std::int64_t kPiece = 1 << 16;
    const bool by_row = x.col_stride == 1;
    const std::int64_t stored = x.sparse() ? x.pointer(x.rows) : 0;
    const std::int64_t length = x.sparse() ? kPiece : by_row ? x.cols : x.rows;
    const std::int64_t lines = x.sparse() ? (stored + kPiece - 1) / kPiece
                               : by_row   ? x.rows
                                          : x.cols;
    const std::int64_t stride = x.sparse() ? kPiece : by_row ? x.row_stride : x.col_stride;
    const std::int64_t together =
        std::max<std::int64_t>(kPiece / std::max<std::int64_t>(length, 1), 1);
    std::atomic<bool> good{true};
    pool_.parallel_for((lines + together - 1) / together, [&](std::int64_t i, int) {
      const std::int64_t first = i * together;
      const std::int64_t count = std::min(together, lines - first);
      if (!x.sparse() && stride == length) {
        if (!loops.finite(data + first * stride, count * length)) good = false;
        return;
      }
      for (std::int64_t line = first; line < first + count; ++line) {
        const std::int64_t n = x.sparse() ? std::min(kPiece, stored - line * kPiece) : length;
        if (!loops.finite(data + line * stride, n)) good = false;
      }
    });
    if (good) return -1;
    for (std::int64_t r = 0; r < x.rows; ++r) {
      const std::int64_t from = x.sparse() ? x.pointer(r) : 0;
      const std::int64_t to = x.sparse() ? x.pointer(r + 1) : x.cols;
      for (std::int64_t e = from; e < to; ++e) {
        const std::int64_t c = x.sparse() ? x.index(e) : e;
        const T value = x.sparse() ? data[e] : data[r * x.row_stride + c * x.col_stride];
        if (!std::isfinite(value)) return r * x.cols + c;
      }
    }
    return -1;
  }

  template <class T, class Sum>
  void moments_of(const Matrix& x, const std::int32_t* group, const double* weight, int groups,
                  const double* shift, double* weights, double* first, double* second) {
    constexpr bool kBrief = sizeof(Sum) == 4;
    const LearnLoops<T>& loops = loops_of<T>(kernels_);
    const std::int64_t tile = tile_rows<T>(x.cols);
    const std::int64_t size = std::int64_t{groups} * x.cols;
    const Slots slots(x.rows, tile, 8 * (2 * size + groups));
    std::vector<double> sums(static_cast<std::size_t>(slots.count * (2 * size + groups)));
    bool common = !kBrief;  // one shift for all groups takes less of the first cache
    for (std::int64_t i = x.cols; common && i < size; ++i) common = shift[i] == shift[i - x.cols];
    const std::int64_t shift_rows = common ? 1 : groups;
    const std::int64_t block =
        moment_columns(x.cols, groups, (common ? 2 : 3) * static_cast<std::int64_t>(sizeof(Sum)));
    pool_.parallel_for(slots.count, [&](std::int64_t slot, int) {
      double* one = sums.data() + slot * (2 * size + groups);
      double* two = one + size;
      double* total = two + size;
      TileReader<T> reader(x, loops, nullptr);
      MomentTables<Sum> tables(groups, x.cols, shift_rows, shift);
      const std::int64_t lds = tables.lds();
      std::vector<std::int64_t> scratch;
      // Rows of each group since the last flush; of further blocks of columns nobody asks.
      std::vector<std::int32_t> counts(static_cast<std::size_t>(kBrief ? groups : 0));
      std::vector<std::int32_t> spare(counts.size());
      const auto flush = [&] {
        for (std::int64_t k = 0; k < groups; ++k) {
          loops_of<Sum>(kernels_).flush(tables.first() + k * lds, x.cols, one + k * x.cols);
          loops_of<Sum>(kernels_).flush(tables.second() + k * lds, x.cols, two + k * x.cols);
        }
        for (std::size_t k = 0; k < counts.size(); ++k) {
          total[k] += counts[k];
          counts[k] = 0;
        }
      };
      for (std::int64_t row = slots.begin(slot); row < slots.end(slot); row += tile) {
        const std::int64_t rows = std::min(tile, slots.end(slot) - row);
        const Tile<T> in = reader.load(row, rows);
        const double* w = weight == nullptr ? nullptr : weight + row;
        const std::int32_t* g = group == nullptr ? nullptr : group + row;
        for (std::int64_t j = 0; j < x.cols; j += block) {
          const std::int64_t width = std::min(block, x.cols - j);
          if constexpr (kBrief) {
            kernels_.short_moments(in.x + j, in.ld, rows, width, g, tables.shift() + j,
                                   tables.first() + j, tables.second() + j, lds,
                                   j == 0 ? counts.data() : spare.data());
          } else {
            loops.moments(in.x + j, in.ld, rows, width, g, w, tables.shift() + j, common ? 0 : lds,
                          tables.first() + j, tables.second() + j, lds);
          }
        }
        if constexpr (kBrief) {
          if (*std::max_element(counts.begin(), counts.end()) + tile > kShortRows) flush();
        } else if (g != nullptr && w == nullptr) {
          count_groups(g, rows, groups, scratch, total);
        } else {
          for (std::int64_t r = 0; r < rows; ++r) {
            total[g == nullptr ? 0 : g[r]] += w == nullptr ? 1.0 : w[r];
          }
        }
      }
      flush();
    });
    std::fill_n(first, size, 0.0);
    std::fill_n(second, size, 0.0);
    std::fill_n(weights, groups, 0.0);
    for (std::int64_t slot = 0; slot < slots.count; ++slot) {
      const double* one = sums.data() + slot * (2 * size + groups);
      for (std::int64_t i = 0; i < size; ++i) {
        first[i] += one[i];
        second[i] += one[size + i];
      }
      for (std::int64_t k = 0; k < groups; ++k) weights[k] += one[2 * size + k];
    }
  }

  template <class T>
  std::int64_t count_of(const Matrix& x, const std::int32_t* group, const double* weight,
                        int groups, double* weights, double* sums) {
    const LearnLoops<T>& loops = loops_of<T>(kernels_);
    const std::int64_t tile = x.sparse() ? 1024 : tile_rows<T>(x.cols);
    const std::int64_t size = std::int64_t{groups} * x.cols;
    const Slots slots(x.rows, tile, 8 * size);
    std::vector<double> parts(static_cast<std::size_t>(slots.count * size));
    std::atomic<std::int64_t> bad{std::numeric_limits<std::int64_t>::max()};
    pool_.parallel_for(slots.count, [&](std::int64_t slot, int) {
      double* part = parts.data() + slot * size;
      TileReader<T> reader(x, loops, nullptr);
      const auto refuse = [&](std::int64_t entry) {
        std::int64_t known = bad;
        while (entry < known && !bad.compare_exchange_weak(known, entry)) {
        }
      };
      for (std::int64_t row = slots.begin(slot); row < slots.end(slot); row += tile) {
        const std::int64_t rows = std::min(tile, slots.end(slot) - row);
        if (x.sparse()) {
          for_each_value<T>(x, row, rows, [&](std::int64_t r, std::int64_t j, T value) {
            if (value < 0) refuse((row + r) * x.cols + j);
            const double w = weight == nullptr ? 1.0 : weight[row + r];
            part[group[row + r] * x.cols + j] += w * static_cast<double>(value);
          });
          continue;
        }
        const Tile<T> in = reader.load(row, rows);
        for (std::int64_t r = 0; r < rows; ++r) {
          const T* values = in.x + r * in.ld;
          bool negative = false;
          for (std::int64_t j = 0; j < x.cols; ++j) negative |= values[j] < 0;
          if (!negative) continue;
          std::int64_t j = 0;
          while (!(values[j] < 0)) ++j;
          refuse((row + r) * x.cols + j);
        }
        loops.move_rows(in.x, in.ld, rows, x.cols, group + row, nullptr,
                        weight == nullptr ? nullptr : weight + row, part);
      }
    });
    if (bad != std::numeric_limits<std::int64_t>::max()) return bad;
    for (std::int64_t slot = 0; slot < slots.count; ++slot) {
      for (std::int64_t i = 0; i < size; ++i) {
        sums[i] += parts[static_cast<std::size_t>(slot * size + i)];
      }
    }
    for (std::int64_t r = 0; r < x.rows; ++r) {
      weights[group[r]] += weight == nullptr ? 1.0 : weight[r];
    }
    return -1;
  }

  const LearnKernels& kernels_;
  base::BorrowedPool team_;
  base::ThreadPool& pool_;
};

}  // namespace

std::unique_ptr<Learner> make_learner(int threads) { return std::make_unique<CpuLearner>(threads); }

}  // namespace pronghorn::device::cpu
