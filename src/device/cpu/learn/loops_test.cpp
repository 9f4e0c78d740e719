// SPDX-License-Identifier: Apache-2.0
// Every loop of every kernel set that this processor runs against its definition in double, on
// shapes that leave remainders everywhere.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "device/cpu/learn/kernels/learn_table.h"
#include "device/cpu/learn/tile.h"

namespace pronghorn::device::cpu {
namespace {

constexpr unsigned kSeed = 20261124;

template <class T>
std::vector<T> noise(std::mt19937& random, std::int64_t count) {
  std::normal_distribution<double> normal;
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& v : values) v = static_cast<T>(normal(random));
  return values;
}

struct Shape {
  std::int64_t rows, cols, outputs;
};
constexpr Shape kShapes[] = {{1, 1, 1}, {7, 3, 2}, {25, 17, 10}, {40, 64, 33}, {13, 130, 70}};

// Calls body(loops, gauss, a value of T) for each kernel set and type.
template <class Body>
void for_each_set(Body&& body) {
  for (std::int32_t i = 0; i < kLearnRowCount; ++i) {
    if (!kLearnRows[i].available()) continue;
    SCOPED_TRACE(testing::Message() << kLearnRows[i].kernels->name << ", seed " << kSeed);
    body(*kLearnRows[i].kernels, float{});
    body(*kLearnRows[i].kernels, double{});
  }
}

// What a sum of products may be off by: the rounding of each of its steps.
template <class T>
double bound(double magnitude, std::int64_t terms) {
  return static_cast<double>(terms + 8) * std::numeric_limits<T>::epsilon() * magnitude;
}

TEST(Loops, ScoresNearestAndDots) {
  for_each_set([](const LearnKernels& kernels, auto zero) {
    using T = decltype(zero);
    const LearnLoops<T>& loops = loops_of<T>(kernels);
    std::mt19937 random(kSeed);
    for (const Shape& s : kShapes) {
      const std::int64_t ldx = s.cols + 3;
      const auto x = noise<T>(random, s.rows * ldx);
      const auto b = noise<double>(random, s.outputs * s.cols);
      const auto bias = noise<double>(random, s.outputs);
      PackedPanels<T> panels(loops.lanes, loops.max_nv, s.outputs, s.cols);
      panels.pack(b.data(), 1.0, bias.data(), std::numeric_limits<double>::infinity());
      const Panels<T> view = panels.view();
      const std::int64_t ldo = panels.padded();
      std::vector<T> out(static_cast<std::size_t>(s.rows * ldo));
      loops.scores(x.data(), ldx, s.rows, s.cols, &view, out.data(), ldo);
      std::vector<T> best(static_cast<std::size_t>(s.rows)), second(best), alone(best);
      std::vector<std::int32_t> index(best.size()), index_alone(best.size());
      loops.nearest(x.data(), ldx, s.rows, s.cols, &view, best.data(), second.data(), index.data());
      loops.nearest(x.data(), ldx, s.rows, s.cols, &view, alone.data(), nullptr,
                    index_alone.data());
      for (std::int64_t r = 0; r < s.rows; ++r) {
        const T* row = out.data() + r * ldo;
        for (std::int64_t c = 0; c < s.outputs; ++c) {
          double sum = static_cast<double>(static_cast<T>(bias[static_cast<std::size_t>(c)]));
          double magnitude = std::abs(sum);
          for (std::int64_t j = 0; j < s.cols; ++j) {
            const double term =
                static_cast<double>(x[static_cast<std::size_t>(r * ldx + j)]) *
                static_cast<double>(static_cast<T>(b[static_cast<std::size_t>(c * s.cols + j)]));
            sum += term;
            magnitude += std::abs(term);
          }
          ASSERT_NEAR(static_cast<double>(row[c]), sum, bound<T>(magnitude, s.cols));
        }
        // The nearest is exactly the least of the scores, the first among equals.
        std::int64_t least = 0;
        for (std::int64_t c = 1; c < s.outputs; ++c) least = row[c] < row[least] ? c : least;
        T next = std::numeric_limits<T>::infinity();
        for (std::int64_t c = 0; c < s.outputs; ++c) {
          if (c != least) next = std::min(next, row[c]);
        }
        const auto i = static_cast<std::size_t>(r);
        ASSERT_EQ(index[i], least);
        ASSERT_EQ(index_alone[i], least);
        ASSERT_EQ(best[i], row[least]);
        ASSERT_EQ(alone[i], row[least]);
        ASSERT_EQ(second[i], next);
      }
      std::vector<T> w(b.begin(), b.begin() + s.cols), dots(best.size()), norms(best.size());
      loops.dots(x.data(), ldx, s.rows, s.cols, w.data(), T(0.5), dots.data());
      loops.norms(x.data(), ldx, s.rows, s.cols, norms.data());
      for (std::int64_t r = 0; r < s.rows; ++r) {
        double sum = 0.5, magnitude = 0.5, norm = 0;
        for (std::int64_t j = 0; j < s.cols; ++j) {
          const double value = static_cast<double>(x[static_cast<std::size_t>(r * ldx + j)]);
          const double term = value * static_cast<double>(w[static_cast<std::size_t>(j)]);
          sum += term;
          magnitude += std::abs(term);
          norm += value * value;
        }
        const auto i = static_cast<std::size_t>(r);
        ASSERT_NEAR(static_cast<double>(dots[i]), sum, bound<T>(magnitude, s.cols));
        ASSERT_NEAR(static_cast<double>(norms[i]), norm, bound<T>(norm, s.cols));
      }
    }
  });
}

TEST(Loops, EqualScoresGiveTheLowestIndex) {
  for_each_set([](const LearnKernels& kernels, auto zero) {
    using T = decltype(zero);
    const LearnLoops<T>& loops = loops_of<T>(kernels);
    constexpr std::int64_t kCount = 70;
    const std::vector<double> centers(kCount * 2, 1.0);
    PackedPanels<T> panels(loops.lanes, loops.max_nv, kCount, 2);
    for (const std::int64_t first : {0, 5, 31, 33, 66}) {
      std::vector<double> bias(kCount, 4.0);
      bias[static_cast<std::size_t>(first)] = 2;
      bias[kCount - 1] = 2;
      panels.pack(centers.data(), 1.0, bias.data(), std::numeric_limits<double>::infinity());
      const Panels<T> view = panels.view();
      const std::vector<T> x(2 * 9, T(1));
      std::vector<T> best(9);
      std::vector<std::int32_t> index(9);
      loops.nearest(x.data(), 2, 9, 2, &view, best.data(), nullptr, index.data());
      for (const std::int32_t found : index) EXPECT_EQ(found, first);
    }
  });
}

TEST(Loops, OuterProducts) {
  for_each_set([](const LearnKernels& kernels, auto zero) {
    using T = decltype(zero);
    const LearnLoops<T>& loops = loops_of<T>(kernels);
    std::mt19937 random(kSeed);
    for (const Shape& s : kShapes) {
      const auto x = noise<T>(random, s.rows * s.cols);
      const auto g = noise<T>(random, s.rows * (s.outputs + 1));
      std::vector<T> acc(static_cast<std::size_t>(s.outputs * s.cols), T(1));
      loops.outer(x.data(), s.cols, s.rows, s.cols, g.data(), s.outputs + 1, s.outputs, acc.data(),
                  s.cols);
      for (std::int64_t k = 0; k < s.outputs; ++k) {
        for (std::int64_t j = 0; j < s.cols; ++j) {
          double sum = 1, magnitude = 1;
          for (std::int64_t r = 0; r < s.rows; ++r) {
            const double term =
                static_cast<double>(g[static_cast<std::size_t>(r * (s.outputs + 1) + k)]) *
                static_cast<double>(x[static_cast<std::size_t>(r * s.cols + j)]);
            sum += term;
            magnitude += std::abs(term);
          }
          ASSERT_NEAR(static_cast<double>(acc[static_cast<std::size_t>(k * s.cols + j)]), sum,
                      bound<T>(magnitude, s.rows));
        }
      }
    }
  });
}

TEST(Loops, SoftmaxAndLogistic) {
  for_each_set([](const LearnKernels& kernels, auto zero) {
    using T = decltype(zero);
    const LearnLoops<T>& loops = loops_of<T>(kernels);
    std::mt19937 random(kSeed);
    const double close = 16 * static_cast<double>(std::numeric_limits<T>::epsilon());
    for (const double scale : {0.1, 3.0, 60.0, 2000.0}) {
      constexpr std::int64_t kRows = 11, kOutputs = 21, kLd = 32;
      std::vector<T> z = noise<T>(random, kRows * kLd);
      for (std::int64_t i = 0; i < kRows * kLd; ++i) {
        T& value = z[static_cast<std::size_t>(i)];
        value = i % kLd < kOutputs ? value * static_cast<T>(scale)
                                   : -std::numeric_limits<T>::infinity();
      }
      const std::vector<T> given = z;
      std::vector<T> max(kRows), sums(kRows);
      loops.softmax(z.data(), kLd, kRows, kOutputs, max.data(), sums.data());
      std::vector<T> left = given, top(kRows), others(kRows), own(kRows);
      std::vector<std::int32_t> y;
      for (int r = 0; r < kRows; ++r) y.push_back(r * 2 % 21);
      loops.residuals(left.data(), kLd, kRows, kOutputs, y.data(), top.data(), others.data(),
                      own.data());
      for (std::int64_t r = 0; r < kRows; ++r) {
        const T* row = given.data() + r * kLd;
        const double high = static_cast<double>(*std::max_element(row, row + kOutputs));
        // Residuals have their digits even where a label has nearly everything.
        double rest = 0;
        for (std::int64_t c = 0; c < kOutputs; ++c) {
          if (c != y[static_cast<std::size_t>(r)]) {
            rest += std::exp(static_cast<double>(row[c]) - high);
          }
        }
        const auto at = static_cast<std::size_t>(r);
        const double label = std::exp(static_cast<double>(row[y[at]]) - high);
        const double tiny = static_cast<double>(std::numeric_limits<T>::min()) * 100;
        ASSERT_EQ(top[at], max[at]);
        ASSERT_NEAR(static_cast<double>(others[at]), rest, 64 * close * rest + tiny);
        ASSERT_NEAR(static_cast<double>(own[at]), label, 64 * close * label + tiny);
        ASSERT_NEAR(static_cast<double>(left[at * kLd + static_cast<std::size_t>(y[at])]),
                    -rest / (rest + label), 64 * close * rest / (rest + label) + tiny);
        for (std::size_t c = 0; c < kOutputs; ++c) {
          if (static_cast<std::int32_t>(c) == y[at]) continue;
          ASSERT_NEAR(static_cast<double>(left[at * kLd + c]), static_cast<double>(z[at * kLd + c]),
                      close);
        }
        double sum = 0;
        for (std::int64_t c = 0; c < kOutputs; ++c) {
          sum += std::exp(static_cast<double>(row[c]) - high);
        }
        ASSERT_EQ(static_cast<double>(max[static_cast<std::size_t>(r)]), high);
        ASSERT_NEAR(static_cast<double>(sums[static_cast<std::size_t>(r)]), sum, close * sum);
        for (std::int64_t c = 0; c < kOutputs; ++c) {
          const double p = std::exp(static_cast<double>(row[c]) - high) / sum;
          ASSERT_NEAR(static_cast<double>(z[static_cast<std::size_t>(r * kLd + c)]), p, close);
        }
      }
      std::vector<T> p(kRows), tail(kRows);
      loops.logistic(given.data(), kRows, p.data(), tail.data());
      for (std::size_t r = 0; r < kRows; ++r) {
        const double v = static_cast<double>(given[r]);
        ASSERT_NEAR(static_cast<double>(p[r]), 1 / (1 + std::exp(-v)), close);
        ASSERT_NEAR(static_cast<double>(tail[r]), std::exp(-std::abs(v)), close);
      }
    }
  });
}

TEST(Loops, SumsOfRows) {
  for_each_set([](const LearnKernels& kernels, auto zero) {
    using T = decltype(zero);
    const LearnLoops<T>& loops = loops_of<T>(kernels);
    std::mt19937 random(kSeed);
    for (const Shape& s : kShapes) {
      const auto x = noise<T>(random, s.rows * s.cols);
      auto w = noise<double>(random, s.rows);
      std::vector<std::int32_t> to, from;
      for (std::int64_t r = 0; r < s.rows; ++r) {
        to.push_back(static_cast<std::int32_t>(r % 3));
        from.push_back(static_cast<std::int32_t>(r % 4) - 1);
      }
      std::vector<double> sums(static_cast<std::size_t>(3 * s.cols)), plain(sums);
      loops.move_rows(x.data(), s.cols, s.rows, s.cols, to.data(), from.data(), w.data(),
                      sums.data());
      for (std::int64_t r = 0; r < s.rows; ++r) {
        const auto i = static_cast<std::size_t>(r);
        for (std::int64_t j = 0; j < s.cols; ++j) {
          const double value =
              w[i] * static_cast<double>(x[static_cast<std::size_t>(r * s.cols + j)]);
          plain[static_cast<std::size_t>(to[i] * s.cols + j)] += value;
          if (from[i] >= 0) plain[static_cast<std::size_t>(from[i] * s.cols + j)] -= value;
        }
      }
      for (std::size_t i = 0; i < sums.size(); ++i) ASSERT_NEAR(sums[i], plain[i], 1e-12);
    }
  });
}

TEST(Loops, Moments) {
  for_each_set([](const LearnKernels& kernels, auto zero) {
    using T = decltype(zero);
    const LearnLoops<T>& loops = loops_of<T>(kernels);
    std::mt19937 random(kSeed);
    for (const Shape& s : kShapes) {
      const auto x = noise<T>(random, s.rows * s.cols);
      const auto weight = noise<double>(random, s.rows);
      const auto shift = noise<double>(random, 3 * s.cols);
      std::vector<std::int32_t> group;
      for (std::int64_t r = 0; r < s.rows; ++r) {
        group.push_back(static_cast<std::int32_t>(r * 5 % 7 % 3));
      }
      for (int way = 0; way < 6; ++way) {
        const bool grouped = way >= 2, weighted = way % 2 == 1;
        const std::int64_t shift_ld = way >= 4 ? 0 : s.cols;
        {
          std::vector<double> one(shift.size()), two(one), one_plain(one), two_plain(one);
          loops.moments(x.data(), s.cols, s.rows, s.cols, grouped ? group.data() : nullptr,
                        weighted ? weight.data() : nullptr, shift.data(), shift_ld, one.data(),
                        two.data(), s.cols);
          for (std::int64_t i = 0; i < s.rows * s.cols; ++i) {
            const auto r = static_cast<std::size_t>(i / s.cols);
            const auto at =
                static_cast<std::size_t>((grouped ? group[r] : 0) * s.cols + i % s.cols);
            const auto from = shift_ld == 0 ? static_cast<std::size_t>(i % s.cols) : at;
            const double t = static_cast<double>(x[static_cast<std::size_t>(i)]) - shift[from];
            one_plain[at] += (weighted ? weight[r] : 1.0) * t;
            two_plain[at] += (weighted ? weight[r] : 1.0) * t * t;
          }
          for (std::size_t i = 0; i < one.size(); ++i) {
            ASSERT_NEAR(one[i], one_plain[i], 1e-12);
            ASSERT_NEAR(two[i], two_plain[i], 1e-12);
          }
        }
        if constexpr (sizeof(T) == 4) {
          if (way != 2) continue;
          const std::vector<float> base(shift.begin(), shift.end());
          std::vector<float> part(2 * base.size());
          std::vector<std::int32_t> counts(3);
          kernels.short_moments(x.data(), s.cols, s.rows, s.cols, group.data(), base.data(),
                                part.data(), part.data() + base.size(), s.cols, counts.data());
          for (std::int32_t k = 0; k < 3; ++k) {
            ASSERT_EQ(counts[static_cast<std::size_t>(k)],
                      std::count(group.begin(), group.end(), k));
          }
          std::vector<double> sums(part.size(), 1.0), plain(part.size(), 1.0);
          for (std::int64_t i = 0; i < s.rows * s.cols; ++i) {
            const auto at = static_cast<std::size_t>(
                group[static_cast<std::size_t>(i / s.cols)] * s.cols + i % s.cols);
            const double t = static_cast<double>(x[static_cast<std::size_t>(i)]) - shift[at];
            plain[at] += t;
            plain[base.size() + at] += t * t;
          }
          loops.flush(part.data(), static_cast<std::int64_t>(part.size()), sums.data());
          for (std::size_t i = 0; i < sums.size(); ++i) {
            ASSERT_NEAR(sums[i], plain[i], 1e-4);
            ASSERT_EQ(part[i], 0.0F);
          }
        }
      }
    }
  });
}

TEST(Loops, GaussAndFinite) {
  for_each_set([](const LearnKernels& kernels, auto zero) {
    using T = decltype(zero);
    const LearnLoops<double>& wide = kernels.f64;
    std::mt19937 random(kSeed);
    for (const Shape& s : kShapes) {
      const auto x = noise<double>(random, s.rows * s.cols);
      const auto mean = noise<double>(random, s.outputs * s.cols);
      auto scale = noise<double>(random, s.outputs * s.cols);
      for (double& value : scale) value = std::abs(value);
      PackedPanels<double> panels(wide.lanes, std::min(wide.max_nv, 2), s.outputs, s.cols);
      panels.pack(mean.data(), 1.0, nullptr, 0.0);
      std::vector<double> packed(static_cast<std::size_t>(panels.size()));
      panels.pack_values(scale.data(), 1.0, packed.data());
      const Panels<double> view = panels.view();
      std::vector<double> out(static_cast<std::size_t>(s.rows * panels.padded()));
      kernels.gauss(x.data(), s.cols, s.rows, s.cols, &view, packed.data(), out.data(),
                    panels.padded());
      for (std::int64_t r = 0; r < s.rows; ++r) {
        for (std::int64_t k = 0; k < s.outputs; ++k) {
          double sum = 0;
          for (std::int64_t j = 0; j < s.cols; ++j) {
            const auto i = static_cast<std::size_t>(k * s.cols + j);
            const double t = x[static_cast<std::size_t>(r * s.cols + j)] - mean[i];
            sum -= t * t * scale[i];
          }
          ASSERT_NEAR(out[static_cast<std::size_t>(r * panels.padded() + k)], sum,
                      bound<double>(-sum, s.cols));
        }
      }
    }
    const LearnLoops<T>& loops = loops_of<T>(kernels);
    for (const std::int64_t n : {1, 7, 64, 301}) {
      std::vector<T> values(static_cast<std::size_t>(n), std::numeric_limits<T>::max());
      EXPECT_TRUE(loops.finite(values.data(), n));
      for (const std::int64_t at : {std::int64_t{0}, n / 2, n - 1}) {
        std::vector<T> bad = values;
        bad[static_cast<std::size_t>(at)] = std::numeric_limits<T>::quiet_NaN();
        EXPECT_FALSE(loops.finite(bad.data(), n));
        bad[static_cast<std::size_t>(at)] = -std::numeric_limits<T>::infinity();
        EXPECT_FALSE(loops.finite(bad.data(), n));
      }
    }
  });
}

TEST(LearnTable, IsaForces) {
  for (std::int32_t i = 0; i < kLearnRowCount; ++i) {
    if (!kLearnRows[i].available()) continue;
    const std::string isas = kLearnRows[i].isas;
    const std::string name = isas.substr(1, isas.find(' ', 1) - 1);
    setenv("PRONGHORN_ISA", name.c_str(), 1);
    EXPECT_STREQ(choose_learn_kernels().name, kLearnRows[i].kernels->name);
  }
  setenv("PRONGHORN_ISA", "z80", 1);
  EXPECT_ANY_THROW(choose_learn_kernels());
  unsetenv("PRONGHORN_ISA");
}

}  // namespace
}  // namespace pronghorn::device::cpu
