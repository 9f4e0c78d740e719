// SPDX-License-Identifier: Apache-2.0
// One pass of logistic regression: margins of a tile, loss and residuals from them while they are
// in the first cache, and the residuals' products with the same tile, which the second cache still
// holds. Partial sums of a few thousand rows are of the matrix's type, all others double.
#include <algorithm>
#include <cmath>

#include "device/cpu/learn/cpu_learner.h"
#include "device/cpu/learn/sparse.h"
#include "device/cpu/learn/tile.h"

namespace pronghorn::device::cpu {
namespace {

// Rows whose products are summed in T before they go to a double.
constexpr std::int64_t kFlushRows = 2048;

// The sum of log(1 + t_i) or log(t_i) of many values: logarithms of products, which one double
// holds until it grows large.
class LogSum {
 public:
  void add(double factor) {
    product_ *= factor;
    if (product_ > 1e280) flush();
  }
  void add(double factor, double weight) { sum_ += weight * std::log(factor); }
  double total() {
    flush();
    return sum_;
  }

 private:
  void flush() {
    sum_ += std::log(product_);
    product_ = 1;
  }
  double sum_ = 0;
  double product_ = 1;
};

template <class T>
class CpuLogistic final : public LogisticPasses {
 public:
  CpuLogistic(const LogisticSetup& setup, const LearnKernels& kernels, base::ThreadPool& pool)
      : setup_(setup),
        loops_(loops_of<T>(kernels)),
        pool_(pool),
        rows_(setup.x.rows),
        cols_(setup.x.cols),
        outputs_(setup.outputs),
        tile_(setup.x.sparse() ? 256 : tile_rows<T>(cols_)),
        slots_(rows_, tile_, 8 * outputs_ * (cols_ + 1)),
        panels_(loops_.lanes, setup.x.sparse() ? 0 : loops_.max_nv, outputs_, cols_),
        point_(loops_.lanes, setup.x.sparse() ? 0 : loops_.max_nv, outputs_, cols_),
        slot_sums_(static_cast<std::size_t>(slots_.count * outputs_ * (cols_ + 1))),
        slot_loss_(static_cast<std::size_t>(slots_.count)) {}

  double loss_gradient(const double* coef, const double* bias, double* coef_gradient,
                       double* bias_gradient) override {
    pack(panels_, coef, bias, true);
    last_coef_.assign(coef, coef + outputs_ * cols_);
    last_bias_.assign(bias, bias + outputs_);
    run(coef_gradient, bias_gradient, [&](Scratch& s, std::int64_t row, std::int64_t rows) {
      margins(panels_, coef_t_, s, row, rows, s.z.data());
      return outputs_ == 1 ? binary(s, row, rows) : multinomial(s, row, rows);
    });
    double loss = 0;
    for (const double part : slot_loss_) loss += part;
    return loss;
  }

  void hessian_product(const double* coef, const double* bias, double* coef_product,
                       double* bias_product) override {
    pack(panels_, last_coef_.data(), last_bias_.data(), true);
    pack(point_, coef, bias, false);
    std::vector<T> direction(coef, coef + outputs_ * cols_);
    run(coef_product, bias_product, [&](Scratch& s, std::int64_t row, std::int64_t rows) {
      margins(panels_, coef_t_, s, row, rows, s.z.data());
      margins(point_, direction, s, row, rows, s.v.data());
      outputs_ == 1 ? binary_product(s, row, rows) : multinomial_product(s, row, rows);
      return 0.0;
    });
    coef_t_.assign(last_coef_.begin(), last_coef_.end());
  }

 private:
  struct Scratch {
    std::vector<T> z, v, max, sums, own, true_score;
    Tile<T> tile{};
  };

  std::int64_t ldz() const { return outputs_ == 1 ? 1 : panels_.padded(); }

  void pack(PackedPanels<T>& panels, const double* coef, const double* bias, bool keep) {
    if (keep) {
      coef_t_.assign(coef, coef + outputs_ * cols_);
      bias_t_ = static_cast<T>(bias[0]);
    } else {
      direction_bias_t_ = static_cast<T>(bias[0]);
    }
    if (outputs_ == 1) return;
    panels.pack(coef, 1.0, bias, keep ? -std::numeric_limits<double>::infinity() : 0.0);
  }

  // Scores of the rows into z, and the tile for the products afterwards.
  void margins(const PackedPanels<T>& panels, const std::vector<T>& coef, Scratch& s,
               std::int64_t row, std::int64_t rows, T* z) {
    const Panels<T> b = panels.view();
    const T bias = &panels == &point_ ? direction_bias_t_ : bias_t_;
    if (setup_.x.sparse()) {
      if (outputs_ == 1) {
        sparse_dots(setup_.x, row, rows, coef.data(), bias, z);
      } else {
        sparse_scores<T>(setup_.x, row, rows, b.data, b.bias, ldz(), z);
      }
    } else if (outputs_ == 1) {
      loops_.dots(s.tile.x, s.tile.ld, rows, cols_, coef.data(), bias, z);
    } else {
      loops_.scores(s.tile.x, s.tile.ld, rows, cols_, &b, z, ldz());
    }
  }

  double weight(std::int64_t row) const {
    return setup_.weight == nullptr ? 1.0 : setup_.weight[row];
  }

  // z becomes w (p - y); returns the loss.
  double binary(Scratch& s, std::int64_t row, std::int64_t rows) {
    T* z = s.z.data();
    double loss = 0;
    LogSum logs;
    loops_.logistic(z, rows, s.max.data(), s.sums.data());
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto i = static_cast<std::size_t>(r);
      const double margin = static_cast<double>(z[r]);
      const double y = setup_.y[row + r];
      const double factor = 1.0 + static_cast<double>(s.sums[i]);
      const double linear = std::max(margin, 0.0) - y * margin;
      T residual = s.max[i] - static_cast<T>(y);
      // 1 - p loses its digits where p is nearly 1; there it is the tail.
      if (y == 1 && margin > 0) residual = -s.sums[i] / (1 + s.sums[i]);
      if (setup_.weight == nullptr) {
        loss += linear;
        logs.add(factor);
      } else {
        const double w = setup_.weight[row + r];
        loss += w * linear;
        logs.add(factor, w);
        residual *= static_cast<T>(w);
      }
      z[r] = residual;
    }
    return loss + logs.total();
  }

  // The same for several outputs. Label and others are summed apart: a row that is all but certain
  // still says how much is left.
  double multinomial(Scratch& s, std::int64_t row, std::int64_t rows) {
    T* z = s.z.data();
    const std::int64_t ld = ldz();
    for (std::int64_t r = 0; r < rows; ++r) {
      s.true_score[static_cast<std::size_t>(r)] = z[r * ld + setup_.y[row + r]];
    }
    loops_.residuals(z, ld, rows, outputs_, setup_.y + row, s.max.data(), s.sums.data(),
                     s.own.data());
    double loss = 0;
    LogSum logs;
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto i = static_cast<std::size_t>(r);
      const double behind = static_cast<double>(s.max[i]) - static_cast<double>(s.true_score[i]);
      const double sum = static_cast<double>(s.own[i]) + static_cast<double>(s.sums[i]);
      if (setup_.weight == nullptr) {
        loss += behind;
        logs.add(sum);
      } else {
        const double w = setup_.weight[row + r];
        loss += w * behind;
        logs.add(sum, w);
        for (std::int64_t k = 0; k < outputs_; ++k) z[r * ld + k] *= static_cast<T>(w);
      }
    }
    return loss + logs.total();
  }

  // z becomes w p (1 - p) v.
  void binary_product(Scratch& s, std::int64_t row, std::int64_t rows) {
    loops_.logistic(s.z.data(), rows, s.max.data(), s.sums.data());
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto i = static_cast<std::size_t>(r);
      const T e = s.sums[i];
      s.z[i] = static_cast<T>(weight(row + r)) * s.v[i] * e / ((1 + e) * (1 + e));
    }
  }

  // z becomes w (p v - p (p . v)), v taken from its value at the label, which changes nothing but
  // the digits that are left where the label has nearly everything.
  void multinomial_product(Scratch& s, std::int64_t row, std::int64_t rows) {
    const std::int64_t ld = ldz();
    loops_.softmax(s.z.data(), ld, rows, outputs_, s.max.data(), s.sums.data());
    for (std::int64_t r = 0; r < rows; ++r) {
      T* p = s.z.data() + r * ld;
      T* v = s.v.data() + r * ld;
      const T base = v[setup_.y[row + r]];
      T mean{};
      for (std::int64_t k = 0; k < outputs_; ++k) {
        v[k] -= base;
        mean += p[k] * v[k];
      }
      const T w = static_cast<T>(weight(row + r));
      for (std::int64_t k = 0; k < outputs_; ++k) p[k] *= w * (v[k] - mean);
    }
  }

  // Calls body(scratch, row, rows) for every tile; it leaves residuals in scratch.z, whose products
  // with the tile are summed into coef_sums and bias_sums.
  template <class Body>
  void run(double* coef_sums, double* bias_sums, Body&& body) {
    pool_.parallel_for(slots_.count, [&](std::int64_t slot, int) {
      TileReader<T> reader(setup_.x, loops_, nullptr);
      const auto size = static_cast<std::size_t>(tile_);
      Scratch s;
      s.z.resize(size * static_cast<std::size_t>(ldz()));
      s.v.resize(s.z.size());
      s.max.resize(size);
      s.sums.resize(size);
      s.own.resize(size);
      s.true_score.resize(size);
      double* coef = slot_sums_.data() + slot * outputs_ * (cols_ + 1);
      double* bias = coef + outputs_ * cols_;
      std::fill_n(coef, outputs_ * (cols_ + 1), 0.0);
      std::vector<T> part(static_cast<std::size_t>(outputs_ * cols_));
      double loss = 0;
      std::int64_t summed = 0;
      for (std::int64_t row = slots_.begin(slot); row < slots_.end(slot); row += tile_) {
        const std::int64_t rows = std::min(tile_, slots_.end(slot) - row);
        if (!setup_.x.sparse()) s.tile = reader.load(row, rows);
        loss += body(s, row, rows);
        if (setup_.x.sparse()) {
          sparse_outer(setup_.x, row, rows, s.z.data(), ldz(), outputs_, coef);
        } else {
          loops_.outer(s.tile.x, s.tile.ld, rows, cols_, s.z.data(), ldz(), outputs_, part.data(),
                       cols_);
        }
        for (std::int64_t r = 0; r < rows; ++r) {
          for (std::int64_t k = 0; k < outputs_; ++k) {
            bias[k] += static_cast<double>(s.z[static_cast<std::size_t>(r * ldz() + k)]);
          }
        }
        summed += rows;
        if (summed >= kFlushRows || row + rows == slots_.end(slot)) {
          loops_.flush(part.data(), outputs_ * cols_, coef);
          summed = 0;
        }
      }
      slot_loss_[static_cast<std::size_t>(slot)] = loss;
    });
    std::fill_n(coef_sums, outputs_ * cols_, 0.0);
    std::fill_n(bias_sums, outputs_, 0.0);
    for (std::int64_t slot = 0; slot < slots_.count; ++slot) {
      const double* sums = slot_sums_.data() + slot * outputs_ * (cols_ + 1);
      for (std::int64_t i = 0; i < outputs_ * cols_; ++i) coef_sums[i] += sums[i];
      for (std::int64_t k = 0; k < outputs_; ++k) bias_sums[k] += sums[outputs_ * cols_ + k];
    }
  }

  const LogisticSetup setup_;
  const LearnLoops<T>& loops_;
  base::ThreadPool& pool_;
  const std::int64_t rows_, cols_, outputs_, tile_;
  const Slots slots_;
  PackedPanels<T> panels_, point_;
  std::vector<T> coef_t_;
  T bias_t_{}, direction_bias_t_{};
  std::vector<double> last_coef_, last_bias_;
  std::vector<double> slot_sums_, slot_loss_;
};

}  // namespace

std::unique_ptr<LogisticPasses> make_logistic_passes(const LogisticSetup& setup,
                                                     const LearnKernels& kernels,
                                                     base::ThreadPool& pool) {
  return with_type(setup.x.dtype, [&](auto zero) -> std::unique_ptr<LogisticPasses> {
    return std::make_unique<CpuLogistic<decltype(zero)>>(setup, kernels, pool);
  });
}

}  // namespace pronghorn::device::cpu
