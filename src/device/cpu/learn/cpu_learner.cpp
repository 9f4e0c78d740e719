// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/learn/cpu_learner.h"

#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>

#include "device/cpu/learn/predict_passes.h"
#include "device/cpu/learn/sparse.h"
#include "device/cpu/learn/tile.h"

namespace pronghorn::device::cpu {
namespace {

// The rows of a tile by group, in their order.
class GroupSorter {
 public:
  GroupSorter(int groups, std::int64_t tile)
      : start_(static_cast<std::size_t>(groups) + 1), list_(static_cast<std::size_t>(tile)) {}

  void sort(const std::int32_t* group, std::int64_t rows) {
    std::fill(start_.begin(), start_.end(), 0);
    if (group == nullptr) {
      std::iota(list_.begin(), list_.begin() + rows, 0);
      start_[0] = 0;
      std::fill(start_.begin() + 1, start_.end(), static_cast<std::int32_t>(rows));
      return;
    }
    for (std::int64_t r = 0; r < rows; ++r) ++start_[static_cast<std::size_t>(group[r])];
    std::int32_t sum = 0;
    for (std::int32_t& at : start_) {
      sum += at;
      at = sum;
    }
    for (std::int64_t r = rows; r-- > 0;) {
      list_[static_cast<std::size_t>(--start_[static_cast<std::size_t>(group[r])])] =
          static_cast<std::int32_t>(r);
    }
  }
  const std::int32_t* rows() const { return list_.data(); }
  std::pair<const std::int32_t*, std::int64_t> rows_of(std::int64_t group) const {
    const auto g = static_cast<std::size_t>(group);
    return {list_.data() + start_[g], start_[g + 1] - start_[g]};
  }

 private:
  std::vector<std::int32_t> start_, list_;
};

class CpuLearner final : public Learner {
 public:
  explicit CpuLearner(int threads) : kernels_(choose_learn_kernels()), pool_(threads) {}

  std::int64_t find_not_finite(const Matrix& x) override {
    return with_type(x.dtype, [&](auto zero) { return find_of<decltype(zero)>(x); });
  }

  void moments(const Matrix& x, const std::int32_t* group, const double* weight, int groups,
               const double* shift, double* weights, double* first, double* second) override {
    with_type(x.dtype, [&](auto zero) {
      moments_of<decltype(zero)>(x, group, weight, groups, shift, weights, first, second);
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
  void nearest(const Matrix& x, const double* weight, const double* centers, int clusters,
               std::int32_t* labels, double* inertia) override {
    nearest_pass(x, weight, centers, clusters, labels, inertia, kernels_, pool_);
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

  template <class T>
  void moments_of(const Matrix& x, const std::int32_t* group, const double* weight, int groups,
                  const double* shift, double* weights, double* first, double* second) {
    const LearnLoops<T>& loops = loops_of<T>(kernels_);
    const std::int64_t tile = tile_rows<T>(x.cols);
    const std::int64_t size = std::int64_t{groups} * x.cols;
    const Slots slots(x.rows, tile, 8 * (2 * size + groups));
    std::vector<double> sums(static_cast<std::size_t>(slots.count * (2 * size + groups)));
    const bool in_place = !x.sparse() && x.col_stride == 1;
    pool_.parallel_for(slots.count, [&](std::int64_t slot, int) {
      double* one = sums.data() + slot * (2 * size + groups);
      double* two = one + size;
      double* total = two + size;
      TileReader<T> reader(x, loops, nullptr);
      GroupSorter sorter(groups, tile);
      for (std::int64_t row = slots.begin(slot); row < slots.end(slot); row += tile) {
        const std::int64_t rows = std::min(tile, slots.end(slot) - row);
        const Tile<T> in = reader.load(row, rows);
        const double* w = weight == nullptr ? nullptr : weight + row;
        // The sorted order is none that the processor would guess the next rows from.
        const bool more = in_place && row + 2 * tile <= x.rows;
        const T* ahead = more ? in.x + tile * in.ld : nullptr;
        sorter.sort(group == nullptr ? nullptr : group + row, rows);
        for (std::int64_t g = 0; g < groups; ++g) {
          const auto [list, count] = sorter.rows_of(g);
          if (count == 0) continue;
          const T* next = ahead == nullptr ? nullptr : ahead + (list - sorter.rows()) * in.ld;
          loops.moments(in.x, in.ld, x.cols, list, count, w, shift + g * x.cols, one + g * x.cols,
                        two + g * x.cols, next);
          for (std::int64_t i = 0; i < count; ++i) total[g] += w == nullptr ? 1.0 : w[list[i]];
        }
      }
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
  base::ThreadPool pool_;
};

}  // namespace

std::unique_ptr<Learner> make_learner(int threads) { return std::make_unique<CpuLearner>(threads); }

}  // namespace pronghorn::device::cpu
