// SPDX-License-Identifier: Apache-2.0
// Lloyd's assignment, and the same with Hamerly's bounds (G. Hamerly, "Making k-means even faster",
// SDM 2010): of each row an upper bound of the distance to its centre and a lower bound of the
// distance to every other one. Centres that moved by p loosen the bounds by p; while the upper one
// is below the lower one, or below half the way from its centre to the next, the row's label stands
// and the row is not even read.
//
// The labels are those of the plain pass, not merely close to them. The plain pass compares
// |c|^2 - 2 x.c as computed in T; such a value of d^2 differs from the true one by less than
// e = (cols + 4) u (|x| + |c|)^2, u the rounding of T. Bounds take 3 e and e on their sides, so a
// row is passed over only where the two values differ by more than their errors together.
#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <numeric>

#include "device/cpu/learn/cpu_learner.h"
#include "device/cpu/learn/tile.h"

namespace pronghorn::device::cpu {
namespace {

template <class T>
class CpuKMeans final : public KMeansPasses {
 public:
  CpuKMeans(const KMeansSetup& setup, const LearnKernels& kernels, base::ThreadPool& pool)
      : setup_(setup),
        loops_(loops_of<T>(kernels)),
        pool_(pool),
        rows_(setup.x.rows),
        cols_(setup.x.cols),
        k_(setup.clusters),
        tile_(tile_rows<T>(cols_)),
        slots_(rows_, tile_, 8 * k_ * cols_, 128),
        panels_(loops_.lanes, loops_.max_nv, k_, cols_),
        shift_(setup.shift.begin(), setup.shift.end()),
        sums_(static_cast<std::size_t>(k_ * cols_)),
        weights_(static_cast<std::size_t>(k_)),
        slot_sums_(std::make_unique_for_overwrite<double[]>(
            static_cast<std::size_t>(slots_.count * k_ * cols_))),
        slot_weights_(static_cast<std::size_t>(slots_.count * k_)),
        counts_(static_cast<std::size_t>(k_)),
        slot_counts_(slot_weights_.size()),
        changed_(static_cast<std::size_t>(slots_.count)) {
    labels_ = setup.labels;
    if (labels_ == nullptr) {
      own_labels_ = std::make_unique_for_overwrite<std::int32_t[]>(static_cast<std::size_t>(rows_));
      labels_ = own_labels_.get();
    }
    // Memory is first touched by all threads, which takes its pages in a fraction of the time.
    pool_.parallel_for(slots_.count, [&](std::int64_t slot, int) {
      std::fill(labels_ + slots_.begin(slot), labels_ + slots_.end(slot), -1);
      std::fill_n(slot_sums_.get() + slot * k_ * cols_, k_ * cols_, 0.0);
    });
    if (setup.bounds) {
      upper_ = std::make_unique_for_overwrite<T[]>(static_cast<std::size_t>(rows_));
      lower_ = std::make_unique_for_overwrite<T[]>(static_cast<std::size_t>(rows_));
    }
  }

  std::int64_t assign(const double* centers) override {
    set_centers(centers);
    const bool prune = setup_.bounds && bounds_hold_;
    pool_.parallel_for(slots_.count, [&](std::int64_t slot, int) {
      changed_[static_cast<std::size_t>(slot)] = 0;
      Worker worker(*this, slot);
      for (std::int64_t row = slots_.begin(slot); row < slots_.end(slot); row += tile_) {
        const std::int64_t rows = std::min(tile_, slots_.end(slot) - row);
        prune ? worker.pruned(row, rows) : worker.plain(row, rows);
      }
      if (setup_.weight != nullptr) worker.count_weights();
    });
    bounds_hold_ = setup_.bounds;
    add_up();
    return std::accumulate(changed_.begin(), changed_.end(), std::int64_t{0});
  }

  const std::int32_t* labels() const override { return labels_; }
  const double* sums() const override { return sums_.data(); }
  const double* weights() const override { return weights_.data(); }
  const std::int64_t* counts() const override { return counts_.data(); }

  double inertia(const double* centers) override {
    const std::vector<T> points(centers, centers + k_ * cols_);
    std::vector<double> parts(static_cast<std::size_t>(slots_.count));
    pool_.parallel_for(slots_.count, [&](std::int64_t slot, int) {
      TileReader<T> reader(setup_.x, loops_, shift());
      std::vector<T> difference(static_cast<std::size_t>(cols_));
      double sum = 0;
      for (std::int64_t row = slots_.begin(slot); row < slots_.end(slot); row += tile_) {
        const std::int64_t rows = std::min(tile_, slots_.end(slot) - row);
        const Tile<T> tile = reader.load(row, rows);
        for (std::int64_t r = 0; r < rows; ++r) {
          T square{};
          loops_.shift_rows(tile.x + r * tile.ld, 0, 1, cols_,
                            points.data() + labels_[row + r] * cols_, difference.data(), 0);
          loops_.norms(difference.data(), 0, 1, cols_, &square);
          sum += (setup_.weight == nullptr ? 1.0 : setup_.weight[row + r]) *
                 static_cast<double>(square);
        }
      }
      parts[static_cast<std::size_t>(slot)] = sum;
    });
    double total = 0;
    for (const double part : parts) total += part;
    return total;
  }

  std::vector<std::int64_t> farthest(const double* centers, std::int64_t count) override {
    using Found = std::pair<double, std::int64_t>;
    const auto before = [](const Found& a, const Found& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    };
    std::vector<Found> all;
    std::mutex mutex;
    pool_.parallel_for(slots_.count, [&](std::int64_t slot, int) {
      std::vector<Found> found;
      TileReader<T> reader(setup_.x, loops_, shift());
      for (std::int64_t row = slots_.begin(slot); row < slots_.end(slot); row += tile_) {
        const std::int64_t rows = std::min(tile_, slots_.end(slot) - row);
        const Tile<T> tile = reader.load(row, rows);
        for (std::int64_t r = 0; r < rows; ++r) {
          if (setup_.weight != nullptr && setup_.weight[row + r] == 0) continue;
          const double* center = centers + labels_[row + r] * cols_;
          double sum = 0;
          for (std::int64_t j = 0; j < cols_; ++j) {
            const double t = static_cast<double>(tile.x[r * tile.ld + j]) - center[j];
            sum += t * t;
          }
          found.emplace_back(sum, row + r);
        }
        if (static_cast<std::int64_t>(found.size()) > count) {
          std::partial_sort(found.begin(), found.begin() + count, found.end(), before);
          found.resize(static_cast<std::size_t>(count));
        }
      }
      const std::lock_guard lock(mutex);
      all.insert(all.end(), found.begin(), found.end());
    });
    std::sort(all.begin(), all.end(), before);
    std::vector<std::int64_t> result;
    for (const Found& f : all) {
      if (static_cast<std::int64_t>(result.size()) == count || f.first == 0) break;
      result.push_back(f.second);
    }
    return result;
  }

 private:
  static constexpr double kUnit = std::numeric_limits<T>::epsilon() / 2.0;

  // The slots' sums in order; pages of them on all threads.
  void add_up() {
    constexpr std::int64_t kPage = 512;
    const std::int64_t size = k_ * cols_;
    pool_.parallel_for((size + kPage - 1) / kPage, [&](std::int64_t page, int) {
      double* total = sums_.data() + page * kPage;
      const std::int64_t count = std::min(kPage, size - page * kPage);
      std::fill_n(total, count, 0.0);
      for (std::int64_t slot = 0; slot < slots_.count; ++slot) {
        const double* sums = slot_sums_.get() + slot * size + page * kPage;
        for (std::int64_t i = 0; i < count; ++i) total[i] += sums[i];
      }
    });
    std::fill(weights_.begin(), weights_.end(), 0.0);
    std::fill(counts_.begin(), counts_.end(), 0);
    for (std::size_t i = 0; i < slot_counts_.size();) {
      for (std::size_t c = 0; c < counts_.size(); ++c, ++i) {
        counts_[c] += slot_counts_[i];
        weights_[c] +=
            setup_.weight == nullptr ? static_cast<double>(slot_counts_[i]) : slot_weights_[i];
      }
    }
  }

  const T* shift() const { return shift_.empty() ? nullptr : shift_.data(); }

  // Up and down: a double as a T that is no smaller, or no larger.
  static T above(double x) { return static_cast<T>(x * (1 + 4 * kUnit)); }
  static T below(double x) { return static_cast<T>(x * (1 - 4 * kUnit)); }

  void set_centers(const double* centers) {
    const auto count = static_cast<std::size_t>(k_);
    std::vector<double> norms(count);
    double radius = 0;
    for (std::int64_t c = 0; c < k_; ++c) {
      double sum = 0;
      for (std::int64_t j = 0; j < cols_; ++j)
        sum += centers[c * cols_ + j] * centers[c * cols_ + j];
      norms[static_cast<std::size_t>(c)] = sum;
      radius = std::max(radius, std::sqrt(sum));
    }
    panels_.pack(centers, -2.0, norms.data(), std::numeric_limits<double>::infinity());
    if (!setup_.bounds) return;
    norms_.assign(norms.begin(), norms.end());
    centers_t_.assign(centers, centers + k_ * cols_);
    if (radius > radius_) {
      radius_ = 1.25 * radius;
      radius_t_ = above(radius_);
      error_ = above((static_cast<double>(cols_) + 12) * kUnit);
      bounds_hold_ = false;
    }
    if (bounds_hold_) loosen(centers);
    previous_.assign(centers, centers + k_ * cols_);
  }

  // What the centres' moves do to the bounds of their rows.
  void loosen(const double* centers) {
    move_.assign(static_cast<std::size_t>(k_), T{});
    half_.assign(static_cast<std::size_t>(k_), T{});
    pool_.parallel_for(k_, [&](std::int64_t c, int) {
      const double* at = centers + c * cols_;
      move_[static_cast<std::size_t>(c)] =
          above(std::sqrt(distance(at, previous_.data() + c * cols_)));
      double least = std::numeric_limits<double>::infinity();
      for (std::int64_t other = 0; other < k_; ++other) {
        if (other != c) least = std::min(least, distance(at, centers + other * cols_));
      }
      half_[static_cast<std::size_t>(c)] = below(0.5 * std::sqrt(least));
    });
    farthest_move_ = 0;
    for (std::int64_t c = 1; c < k_; ++c) {
      if (move_[static_cast<std::size_t>(c)] > move_[static_cast<std::size_t>(farthest_move_)]) {
        farthest_move_ = static_cast<std::int32_t>(c);
      }
    }
    first_ = move_[static_cast<std::size_t>(farthest_move_)];
    next_ = T{};
    for (std::int64_t c = 0; c < k_; ++c) {
      if (c != farthest_move_) next_ = std::max(next_, move_[static_cast<std::size_t>(c)]);
    }
  }

  double distance(const double* a, const double* b) const {
    double sum = 0;
    for (std::int64_t j = 0; j < cols_; ++j) sum += (a[j] - b[j]) * (a[j] - b[j]);
    return sum;
  }

  // One slot's share of a pass.
  class Worker {
   public:
    Worker(CpuKMeans& of, std::int64_t slot)
        : of_(of),
          slot_(slot),
          reader_(of.setup_.x, of.loops_, of.shift()),
          best_(static_cast<std::size_t>(of.tile_)),
          second_(static_cast<std::size_t>(of.tile_)),
          norm_(static_cast<std::size_t>(of.tile_)),
          upper_(static_cast<std::size_t>(of.tile_)),
          lower_(static_cast<std::size_t>(of.tile_)),
          index_(static_cast<std::size_t>(of.tile_)),
          from_(static_cast<std::size_t>(of.tile_)),
          list_(static_cast<std::size_t>(of.tile_)),
          weight_(static_cast<std::size_t>(of.tile_)) {}

    void plain(std::int64_t row, std::int64_t rows) {
      const Tile<T> tile = reader_.load(row, rows);
      search(tile, rows);
      for (std::int64_t r = 0; r < rows; ++r) {
        const auto i = static_cast<std::size_t>(r);
        from_[i] = of_.labels_[row + r];
        list_[i] = row + r;
      }
      if (of_.setup_.bounds) set_bounds(rows, of_.upper_.get() + row, of_.lower_.get() + row);
      commit(tile, rows);
    }

    void pruned(std::int64_t row, std::int64_t rows) {
      std::int64_t open = 0;
      for (std::int64_t r = row; r < row + rows; ++r) {
        const std::int32_t label = of_.labels_[r];
        const auto i = static_cast<std::size_t>(r);
        const auto c = static_cast<std::size_t>(label);
        const T upper = (of_.upper_[i] + of_.move_[c]) * (1 + 4 * static_cast<T>(kUnit));
        const T moved = label == of_.farthest_move_ ? of_.next_ : of_.first_;
        const T lower = std::max((of_.lower_[i] - moved) * (1 - 4 * static_cast<T>(kUnit)), T{});
        of_.upper_[i] = upper;
        of_.lower_[i] = lower;
        list_[static_cast<std::size_t>(open)] = r;
        open += upper < std::max(lower, of_.half_[c]) ? 0 : 1;
      }
      if (open == 0) return;
      // Where most rows are open their centres still move too far for bounds: nothing is copied.
      if (4 * open > 3 * rows) return plain(row, rows);
      const Tile<T> tile = reader_.gather(list_.data(), open);
      of_.loops_.norms(tile.x, tile.ld, open, of_.cols_, norm_.data());
      const std::int64_t left = tighten(const_cast<T*>(tile.x), open);
      if (left == 0) return;
      search(tile, left);
      set_bounds(left, upper_.data(), lower_.data());
      for (std::int64_t r = 0; r < left; ++r) {
        const auto i = static_cast<std::size_t>(r);
        const auto at = static_cast<std::size_t>(list_[i]);
        from_[i] = of_.labels_[at];
        of_.upper_[at] = upper_[i];
        of_.lower_[at] = lower_[i];
      }
      commit(tile, left);
    }

    void count_weights() {
      double* weights = of_.slot_weights_.data() + slot_ * of_.k_;
      std::fill_n(weights, of_.k_, 0.0);
      for (std::int64_t r = of_.slots_.begin(slot_); r < of_.slots_.end(slot_); ++r) {
        weights[of_.labels_[r]] += of_.setup_.weight[r];
      }
    }

   private:
    void search(const Tile<T>& tile, std::int64_t rows) {
      const Panels<T> panels = of_.panels_.view();
      const bool bounds = of_.setup_.bounds;
      of_.loops_.nearest(tile.x, tile.ld, rows, of_.cols_, &panels, best_.data(),
                         bounds ? second_.data() : nullptr, index_.data());
      if (bounds) of_.loops_.norms(tile.x, tile.ld, rows, of_.cols_, norm_.data());
    }

    // e of a row, with room for the rounding of what is computed from it.
    T error(T norm) const {
      const T reach = std::sqrt(norm) + of_.radius_t_;
      return of_.error_ * reach * reach;
    }
    static constexpr T kUp = 1 + 8 * static_cast<T>(kUnit);
    static constexpr T kDown = 1 - 8 * static_cast<T>(kUnit);

    void set_bounds(std::int64_t rows, T* upper, T* lower) const {
      const T* norm = norm_.data();
      const T* best = best_.data();
      const T* second = second_.data();
      for (std::int64_t r = 0; r < rows; ++r) {
        const T e = error(norm[r]);
        upper[r] = std::sqrt(std::max(norm[r] + best[r], T{}) + 3 * e) * kUp;
        lower[r] = std::sqrt(std::max(norm[r] + second[r] - e, T{})) * kDown;
      }
    }

    // The upper bound from the distance itself; rows that pass then leave the tile. The others
    // move to its beginning.
    std::int64_t tighten(T* x, std::int64_t rows) {
      const std::int64_t cols = of_.cols_;
      std::int64_t left = 0;
      for (std::int64_t r = 0; r < rows; ++r) {
        const auto i = static_cast<std::size_t>(r);
        const auto at = static_cast<std::size_t>(list_[i]);
        const auto c = static_cast<std::size_t>(of_.labels_[at]);
        T dot{};
        of_.loops_.dots(x + r * cols, cols, 1, cols, of_.centers_t_.data() + of_.labels_[at] * cols,
                        T{}, &dot);
        const T d = norm_[i] + of_.norms_[c] - 2 * dot;
        const T upper = std::sqrt(std::max(d, T{}) + 3 * error(norm_[i])) * kUp;
        of_.upper_[at] = std::min(of_.upper_[at], upper);
        if (upper < std::max(of_.lower_[at], of_.half_[c])) continue;
        if (left != r) std::copy_n(x + r * cols, cols, x + left * cols);
        list_[static_cast<std::size_t>(left)] = list_[i];
        norm_[static_cast<std::size_t>(left)] = norm_[i];
        ++left;
      }
      return left;
    }

    // Moves the rows of the tile from their old labels to the new ones.
    void commit(const Tile<T>& tile, std::int64_t rows) {
      std::int64_t changed = 0;
      std::int64_t* counts = of_.slot_counts_.data() + slot_ * of_.k_;
      const double* given = of_.setup_.weight;
      for (std::int64_t r = 0; r < rows; ++r) {
        const auto i = static_cast<std::size_t>(r);
        if (given != nullptr) weight_[i] = given[list_[i]];
        if (index_[i] == from_[i]) continue;
        ++changed;
        ++counts[index_[i]];
        if (from_[i] >= 0) --counts[from_[i]];
        of_.labels_[list_[i]] = index_[i];
      }
      if (changed == 0) return;
      of_.changed_[static_cast<std::size_t>(slot_)] += changed;
      of_.loops_.move_rows(tile.x, tile.ld, rows, of_.cols_, index_.data(), from_.data(),
                           given == nullptr ? nullptr : weight_.data(),
                           of_.slot_sums_.get() + slot_ * of_.k_ * of_.cols_);
    }

    CpuKMeans& of_;
    std::int64_t slot_;
    TileReader<T> reader_;
    std::vector<T> best_, second_, norm_, upper_, lower_;
    std::vector<std::int32_t> index_, from_;
    std::vector<std::int64_t> list_;
    std::vector<double> weight_;
  };

  const KMeansSetup setup_;
  const LearnLoops<T>& loops_;
  base::ThreadPool& pool_;
  const std::int64_t rows_, cols_, k_, tile_;
  const Slots slots_;
  PackedPanels<T> panels_;
  std::vector<T> shift_;
  std::int32_t* labels_ = nullptr;
  std::unique_ptr<std::int32_t[]> own_labels_;
  std::unique_ptr<T[]> upper_, lower_;
  std::vector<double> sums_, weights_;
  std::unique_ptr<double[]> slot_sums_;
  std::vector<double> slot_weights_;
  std::vector<std::int64_t> counts_, slot_counts_, changed_;
  // For the bounds: centres as T, their squared norms, what the last move did.
  std::vector<T> centers_t_, norms_, move_, half_;
  std::vector<double> previous_;
  double radius_ = 0;
  T radius_t_{}, error_{};
  std::int32_t farthest_move_ = 0;
  T first_{}, next_{};
  bool bounds_hold_ = false;
};

}  // namespace

std::unique_ptr<KMeansPasses> make_kmeans_passes(const KMeansSetup& setup,
                                                 const LearnKernels& kernels,
                                                 base::ThreadPool& pool) {
  return with_type(setup.x.dtype, [&](auto zero) -> std::unique_ptr<KMeansPasses> {
    return std::make_unique<CpuKMeans<decltype(zero)>>(setup, kernels, pool);
  });
}

}  // namespace pronghorn::device::cpu
