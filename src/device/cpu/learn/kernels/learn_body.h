// SPDX-License-Identifier: Apache-2.0
// The loops of LearnLoops over a vector type S, included by each kernel file inside its unnamed
// namespace: every instruction set gets its own copy that no linker can exchange. The file defines
// F32, F64, load_wide, load_wide_part, kMaxNv and kAccumulators before, and Sums32 and Sums64, the
// vectors of sums of groups.
//
// Products of a tile with panels keep kRows x kNv accumulators in registers: each step loads one
// row of a panel (kNv vectors) and broadcasts one element of each of kRows rows of the tile. A sum
// runs over the columns in order, so its bits do not depend on where in a tile a row lies.
#pragma once

constexpr double kInfinity = __builtin_huge_val();
constexpr int kMaxRows = 8;

template <int kNv>
constexpr int rows_for() {
  return kAccumulators / kNv < kMaxRows ? kAccumulators / kNv : kMaxRows;
}

template <class S, int kRows, int kNv>
[[gnu::always_inline]] inline void product(const typename S::T* x, std::int64_t ldx,
                                           std::int64_t cols, const typename S::T* panel,
                                           typename S::V (&acc)[kRows][kNv]) {
  for (std::int64_t j = 0; j < cols; ++j) {
    typename S::V b[kNv];
#pragma GCC unroll 8
    for (int v = 0; v < kNv; ++v) b[v] = S::load(panel + (j * kNv + v) * S::kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const typename S::V a = S::set1(x[r * ldx + j]);
#pragma GCC unroll 8
      for (int v = 0; v < kNv; ++v) acc[r][v] = S::fma(a, b[v], acc[r][v]);
    }
  }
}

template <class S, int kRows, int kNv>
[[gnu::always_inline]] inline void start(const typename S::T* bias,
                                         typename S::V (&acc)[kRows][kNv]) {
#pragma GCC unroll 8
  for (int v = 0; v < kNv; ++v) {
    const typename S::V b = S::load(bias + v * S::kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) acc[r][v] = b;
  }
}

template <class S, int kRows, int kNv>
void scores_rows(const typename S::T* x, std::int64_t ldx, std::int64_t cols,
                 const Panels<typename S::T>& b, typename S::T* out, std::int64_t ldo) {
  constexpr int kWidth = kNv * S::kLanes;
  for (std::int32_t p = 0; p < b.count; ++p) {
    typename S::V acc[kRows][kNv];
    start<S, kRows, kNv>(b.bias + p * kWidth, acc);
    product<S, kRows, kNv>(x, ldx, cols, b.data + p * cols * kWidth, acc);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kNv; ++v) S::store(out + r * ldo + p * kWidth + v * S::kLanes, acc[r][v]);
    }
  }
}

template <class S, int kNv>
void scores_nv(const typename S::T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
               const Panels<typename S::T>& b, typename S::T* out, std::int64_t ldo) {
  constexpr int kRows = rows_for<kNv>();
  std::int64_t r = 0;
  for (; r + kRows <= rows; r += kRows) {
    scores_rows<S, kRows, kNv>(x + r * ldx, ldx, cols, b, out + r * ldo, ldo);
  }
  for (; r + 2 <= rows; r += 2) {
    scores_rows<S, 2, kNv>(x + r * ldx, ldx, cols, b, out + r * ldo, ldo);
  }
  if (r < rows) scores_rows<S, 1, kNv>(x + r * ldx, ldx, cols, b, out + r * ldo, ldo);
}

template <class S>
void scores(const typename S::T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
            const Panels<typename S::T>* b, typename S::T* out, std::int64_t ldo) {
  if (b->nv == 1) return scores_nv<S, 1>(x, ldx, rows, cols, *b, out, ldo);
  if (b->nv == 2) return scores_nv<S, 2>(x, ldx, rows, cols, *b, out, ldo);
  if constexpr (kMaxNv >= 4) scores_nv<S, 4>(x, ldx, rows, cols, *b, out, ldo);
}

template <class S>
typename S::V lane_numbers() {
  typename S::T numbers[S::kLanes];
  for (int i = 0; i < S::kLanes; ++i) numbers[i] = static_cast<typename S::T>(i);
  return S::load(numbers);
}

// Each lane keeps its best value and that value's number (whole numbers are exact in a float up to
// 2^24), so comparing costs a few vector operations a value and one reduction a row.
template <class S, int kRows, int kNv, bool kSecond>
void nearest_rows(const typename S::T* x, std::int64_t ldx, std::int64_t cols,
                  const Panels<typename S::T>& b, typename S::T* best, typename S::T* second,
                  std::int32_t* index) {
  using T = typename S::T;
  using V = typename S::V;
  constexpr int kWidth = kNv * S::kLanes;
  const V infinity = S::set1(static_cast<T>(kInfinity));
  const V lanes = lane_numbers<S>();
  V low[kRows], next[kRows], at[kRows];
  for (int r = 0; r < kRows; ++r) {
    low[r] = infinity;
    next[r] = infinity;
    at[r] = V{};
  }
  for (std::int32_t p = 0; p < b.count; ++p) {
    V acc[kRows][kNv];
    start<S, kRows, kNv>(b.bias + p * kWidth, acc);
    product<S, kRows, kNv>(x, ldx, cols, b.data + p * cols * kWidth, acc);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kNv; ++v) {
        const V number = lanes + S::set1(static_cast<T>(p * kWidth + v * S::kLanes));
        if constexpr (kSecond) next[r] = S::min(S::max(low[r], acc[r][v]), next[r]);
        at[r] = S::select_lt(acc[r][v], low[r], number, at[r]);
        low[r] = S::min(acc[r][v], low[r]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    const T least = S::least(low[r]);
    const T number = S::least(S::select_eq(low[r], S::set1(least), at[r], infinity));
    best[r] = least;
    index[r] = static_cast<std::int32_t>(number);
    if constexpr (kSecond) {
      second[r] = S::least(S::min(next[r], S::select_eq(at[r], S::set1(number), infinity, low[r])));
    }
  }
}

template <class S, int kNv, bool kSecond>
void nearest_nv(const typename S::T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
                const Panels<typename S::T>& b, typename S::T* best, typename S::T* second,
                std::int32_t* index) {
  constexpr int kRows = rows_for<kNv>();
  std::int64_t r = 0;
  for (; r + kRows <= rows; r += kRows) {
    nearest_rows<S, kRows, kNv, kSecond>(x + r * ldx, ldx, cols, b, best + r, second + r,
                                         index + r);
  }
  for (; r + 2 <= rows; r += 2) {
    nearest_rows<S, 2, kNv, kSecond>(x + r * ldx, ldx, cols, b, best + r, second + r, index + r);
  }
  if (r < rows) {
    nearest_rows<S, 1, kNv, kSecond>(x + r * ldx, ldx, cols, b, best + r, second + r, index + r);
  }
}

template <class S, int kNv>
void nearest_two(const typename S::T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
                 const Panels<typename S::T>& b, typename S::T* best, typename S::T* second,
                 std::int32_t* index) {
  if (second == nullptr) {
    nearest_nv<S, kNv, false>(x, ldx, rows, cols, b, best, best, index);
  } else {
    nearest_nv<S, kNv, true>(x, ldx, rows, cols, b, best, second, index);
  }
}

template <class S>
void nearest(const typename S::T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
             const Panels<typename S::T>* b, typename S::T* best, typename S::T* second,
             std::int32_t* index) {
  if (b->nv == 1) return nearest_two<S, 1>(x, ldx, rows, cols, *b, best, second, index);
  if (b->nv == 2) return nearest_two<S, 2>(x, ldx, rows, cols, *b, best, second, index);
  if constexpr (kMaxNv >= 4) nearest_two<S, 4>(x, ldx, rows, cols, *b, best, second, index);
}

// kRows rows at a time, kParts sums each (one would wait for the latency of its own addition).
template <class S, int kRows, int kParts>
[[gnu::always_inline]] inline void dots_rows(const typename S::T* x, std::int64_t ldx,
                                             std::int64_t cols, const typename S::T* w,
                                             typename S::T bias, typename S::T* out) {
  using V = typename S::V;
  V acc[kRows][kParts] = {};
  std::int64_t j = 0;
  for (; j + kParts * S::kLanes <= cols; j += kParts * S::kLanes) {
#pragma GCC unroll 8
    for (int v = 0; v < kParts; ++v) {
      const V b = S::load(w + j + v * S::kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        acc[r][v] = S::fma(S::load(x + r * ldx + j + v * S::kLanes), b, acc[r][v]);
      }
    }
  }
  for (; j < cols; j += S::kLanes) {
    const std::int64_t n = cols - j < S::kLanes ? cols - j : S::kLanes;
    const V b = S::load_part(w + j, n);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      acc[r][0] = S::fma(S::load_part(x + r * ldx + j, n), b, acc[r][0]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    V sum = acc[r][0];
    for (int v = 1; v < kParts; ++v) sum += acc[r][v];
    out[r] = bias + S::sum(sum);
  }
}

template <class S>
void dots(const typename S::T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
          const typename S::T* w, typename S::T bias, typename S::T* out) {
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4) dots_rows<S, 4, 2>(x + r * ldx, ldx, cols, w, bias, out + r);
  for (; r < rows; ++r) dots_rows<S, 1, 2>(x + r * ldx, ldx, cols, w, bias, out + r);
}

template <class S>
void norms(const typename S::T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
           typename S::T* out) {
  for (std::int64_t r = 0; r < rows; ++r) {
    dots_rows<S, 1, 2>(x + r * ldx, ldx, cols, x + r * ldx, 0, out + r);
  }
}

// acc[k][j ...] of kOut outputs and kNv vectors of columns; kPart: the last, incomplete vector.
template <class S, int kOut, int kNv, bool kPart>
[[gnu::always_inline]] inline void outer_block(const typename S::T* x, std::int64_t ldx,
                                               std::int64_t rows, std::int64_t n,
                                               const typename S::T* g, std::int64_t ldg,
                                               typename S::T* acc, std::int64_t lda) {
  using V = typename S::V;
  V sum[kOut][kNv] = {};
  for (std::int64_t r = 0; r < rows; ++r) {
    V b[kNv];
#pragma GCC unroll 8
    for (int v = 0; v < kNv; ++v) {
      const typename S::T* p = x + r * ldx + v * S::kLanes;
      b[v] = kPart ? S::load_part(p, n) : S::load(p);
    }
#pragma GCC unroll 16
    for (int k = 0; k < kOut; ++k) {
      const V a = S::set1(g[r * ldg + k]);
#pragma GCC unroll 8
      for (int v = 0; v < kNv; ++v) sum[k][v] = S::fma(a, b[v], sum[k][v]);
    }
  }
#pragma GCC unroll 16
  for (int k = 0; k < kOut; ++k) {
#pragma GCC unroll 8
    for (int v = 0; v < kNv; ++v) {
      typename S::T* p = acc + k * lda + v * S::kLanes;
      if constexpr (kPart) {
        S::store_part(p, S::load_part(p, n) + sum[k][v], n);
      } else {
        S::store(p, S::load(p) + sum[k][v]);
      }
    }
  }
}

template <class S, int kOut>
void outer_rows(const typename S::T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
                const typename S::T* g, std::int64_t ldg, typename S::T* acc, std::int64_t lda) {
  constexpr int kNv = kAccumulators / kOut < 4 ? kAccumulators / kOut : 4;
  std::int64_t j = 0;
  for (; j + kNv * S::kLanes <= cols; j += kNv * S::kLanes) {
    outer_block<S, kOut, kNv, false>(x + j, ldx, rows, 0, g, ldg, acc + j, lda);
  }
  for (; j + S::kLanes <= cols; j += S::kLanes) {
    outer_block<S, kOut, 1, false>(x + j, ldx, rows, 0, g, ldg, acc + j, lda);
  }
  if (j < cols) outer_block<S, kOut, 1, true>(x + j, ldx, rows, cols - j, g, ldg, acc + j, lda);
}

template <class S, int kOut>
void outer_of(std::int64_t outputs, const typename S::T* x, std::int64_t ldx, std::int64_t rows,
              std::int64_t cols, const typename S::T* g, std::int64_t ldg, typename S::T* acc,
              std::int64_t lda) {
  if (outputs == kOut) {
    outer_rows<S, kOut>(x, ldx, rows, cols, g, ldg, acc, lda);
  } else if constexpr (kOut > 1) {
    outer_of<S, kOut - 1>(outputs, x, ldx, rows, cols, g, ldg, acc, lda);
  }
}

template <class S>
void outer(const typename S::T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
           const typename S::T* g, std::int64_t ldg, std::int64_t outputs, typename S::T* acc,
           std::int64_t lda) {
  constexpr int kMost = kAccumulators / 2;  // two vectors of columns at least
  const std::int64_t blocks = (outputs + kMost - 1) / kMost;
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t k = outputs * block / blocks;
    const std::int64_t end = outputs * (block + 1) / blocks;
    outer_of<S, kMost>(end - k, x, ldx, rows, cols, g + k, ldg, acc + k * lda, lda);
  }
}

// exp by 2^n e^r, |r| <= ln 2 / 2, e^r from its Taylor series to below the rounding of T. Arguments
// below the smallest normal result give 0; above the largest they are held there.
template <class S>
[[gnu::always_inline]] inline typename S::V exponential(typename S::V x) {
  using T = typename S::T;
  using V = typename S::V;
  constexpr bool kSingle = sizeof(T) == 4;
  constexpr T kLow = kSingle ? T(-87.0) : T(-708.0);
  constexpr T kHigh = kSingle ? T(88.0) : T(709.0);
  constexpr T kLn2High = kSingle ? T(0.693359375) : T(6.93147180369123816490e-01);
  constexpr T kLn2Low = kSingle ? T(-2.12194440e-4) : T(1.90821492927058770002e-10);
  constexpr int kDegree = kSingle ? 7 : 13;
  constexpr T kInverse[] = {T(1),
                            T(1),
                            T(1.0 / 2),
                            T(1.0 / 6),
                            T(1.0 / 24),
                            T(1.0 / 120),
                            T(1.0 / 720),
                            T(1.0 / 5040),
                            T(1.0 / 40320),
                            T(1.0 / 362880),
                            T(1.0 / 3628800),
                            T(1.0 / 39916800),
                            T(1.0 / 479001600),
                            T(1.0 / 6227020800.0)};
  const V held = S::min(S::max(x, S::set1(kLow)), S::set1(kHigh));
  const V n = S::round(held * S::set1(T(1.44269504088896340736)));
  const V r = S::fnma(n, S::set1(kLn2Low), S::fnma(n, S::set1(kLn2High), held));
  V e = S::set1(kInverse[kDegree]);
#pragma GCC unroll 16
  for (int i = kDegree - 1; i >= 0; --i) e = S::fma(e, r, S::set1(kInverse[i]));
  return S::select_lt(x, S::set1(kLow), V{}, e * S::pow2(n));
}

// kResidual: with the label's own lane left out of the sums, which then have all digits of what is
// left where the label has nearly everything, and minus that sum in its place.
template <class S, bool kResidual>
void softmax_rows(typename S::T* z, std::int64_t ldz, std::int64_t rows, std::int64_t outputs,
                  const std::int32_t* y, typename S::T* max, typename S::T* sums,
                  typename S::T* own) {
  using T = typename S::T;
  using V = typename S::V;
  const V lanes = lane_numbers<S>();
  for (std::int64_t r = 0; r < rows; ++r) {
    T* row = z + r * ldz;
    V high = S::load(row);
    for (std::int64_t c = S::kLanes; c < outputs; c += S::kLanes) {
      high = S::max(high, S::load(row + c));
    }
    max[r] = -S::least(-high);
    const V top = S::set1(max[r]);
    const V label = S::set1(kResidual ? static_cast<T>(y[r]) : T{});
    V sum = {};
    for (std::int64_t c = 0; c < outputs; c += S::kLanes) {
      const V e = exponential<S>(S::load(row + c) - top);
      S::store(row + c, e);
      if constexpr (kResidual) {
        sum += S::select_eq(lanes + S::set1(static_cast<T>(c)), label, V{}, e);
      } else {
        sum += e;
      }
    }
    sums[r] = S::sum(sum);
    T total = sums[r];
    if constexpr (kResidual) {
      own[r] = row[y[r]];
      total += own[r];
    }
    const V scale = S::set1(1 / total);
    const V less = S::set1(-sums[r]);
    for (std::int64_t c = 0; c < outputs; c += S::kLanes) {
      V e = S::load(row + c);
      if constexpr (kResidual) {
        e = S::select_eq(lanes + S::set1(static_cast<T>(c)), label, less, e);
      }
      S::store(row + c, e * scale);
    }
  }
}

template <class S>
void softmax(typename S::T* z, std::int64_t ldz, std::int64_t rows, std::int64_t outputs,
             typename S::T* max, typename S::T* sums) {
  softmax_rows<S, false>(z, ldz, rows, outputs, nullptr, max, sums, nullptr);
}

template <class S>
void residuals(typename S::T* z, std::int64_t ldz, std::int64_t rows, std::int64_t outputs,
               const std::int32_t* y, typename S::T* max, typename S::T* sums, typename S::T* own) {
  softmax_rows<S, true>(z, ldz, rows, outputs, y, max, sums, own);
}

template <class S>
void logistic(const typename S::T* z, std::int64_t rows, typename S::T* p, typename S::T* tail) {
  using V = typename S::V;
  const V one = S::set1(1);
  for (std::int64_t r = 0; r < rows; r += S::kLanes) {
    const std::int64_t n = rows - r < S::kLanes ? rows - r : S::kLanes;
    const V v = S::load_part(z + r, n);
    const V e = exponential<S>(S::min(v, -v));
    const V q = one / (one + e);
    S::store_part(tail + r, e, n);
    S::store_part(p + r, S::select_lt(v, V{}, e * q, q), n);
  }
}

template <class S>
void move_rows(const typename S::T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
               const std::int32_t* to, const std::int32_t* from, const double* w, double* sums) {
  using V = F64::V;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int32_t minus = from == nullptr ? -1 : from[r];
    if (minus == to[r]) continue;
    const typename S::T* row = x + r * ldx;
    const V weight = F64::set1(w == nullptr ? 1.0 : w[r]);
    double* plus = sums + to[r] * cols;
    double* less = minus < 0 ? nullptr : sums + minus * cols;
    std::int64_t j = 0;
    for (; j + F64::kLanes <= cols; j += F64::kLanes) {
      const V v = load_wide(row + j) * weight;
      F64::store(plus + j, F64::load(plus + j) + v);
      if (less != nullptr) F64::store(less + j, F64::load(less + j) - v);
    }
    const std::int64_t n = cols - j;
    if (n == 0) continue;
    const V v = load_wide_part(row + j, n) * weight;
    F64::store_part(plus + j, F64::load_part(plus + j, n) + v, n);
    if (less != nullptr) F64::store_part(less + j, F64::load_part(less + j, n) - v, n);
  }
}

// How many rows further on fetch_ahead asks: some 16 KiB.
template <class T>
constexpr std::int64_t rows_ahead(std::int64_t ldx) {
  const std::int64_t rows = 16384 / static_cast<std::int64_t>(sizeof(T)) / (ldx > 1 ? ldx : 1);
  return rows > 1 ? rows : 1;
}

// Asks for the columns of a row further on, into the second cache. Sums of groups are loads and
// stores enough to fill a processor's window of instructions, which then does not reach far enough
// ahead to keep memory busy. Where no row lies there it has no effect.
template <class T>
[[gnu::always_inline]] inline void fetch_ahead(const T* x, std::int64_t ahead, std::int64_t cols) {
  constexpr std::int64_t kLine = 64 / sizeof(T);
  const auto at =
      reinterpret_cast<std::uintptr_t>(x) + static_cast<std::uintptr_t>(ahead) * sizeof(T);
  for (std::int64_t j = 0; j < cols; j += kLine) {
    __builtin_prefetch(
        reinterpret_cast<const void*>(at + 64 * static_cast<std::uintptr_t>(j / kLine)), 0, 2);
  }
}

// kNv vectors of columns (kPart: the n columns of one) of kRows rows of one group. Groups alternate
// from row to row, so their sums lie in the first cache; the rows themselves are read in the order
// of memory, which is the only one that a processor reads ahead.
template <class T, int kRows, int kNv, bool kWeighted, bool kPart>
[[gnu::always_inline]] inline void moments_step(const T* x, std::int64_t ldx, const double* w,
                                                const double* shift, double* first, double* second,
                                                std::int64_t n) {
  using S = Sums64;
  using V = S::V;
  V base[kNv], one[kNv], two[kNv];
#pragma GCC unroll 4
  for (int v = 0; v < kNv; ++v) {
    const std::int64_t j = v * S::kLanes;
    base[v] = kPart ? S::load_part(shift + j, n) : S::load(shift + j);
    one[v] = kPart ? S::load_part(first + j, n) : S::load(first + j);
    two[v] = kPart ? S::load_part(second + j, n) : S::load(second + j);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const T* row = x + r * ldx + j;
      const V t = (kPart ? S::wide_part(row, n) : S::wide(row)) - base[v];
      if constexpr (kWeighted) {
        const V weight = S::set1(w[r]);
        one[v] = S::fma(t, weight, one[v]);
        two[v] = S::fma(t * weight, t, two[v]);
      } else {
        one[v] += t;
        two[v] = S::fma(t, t, two[v]);
      }
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kNv; ++v) {
    const std::int64_t j = v * S::kLanes;
    if constexpr (kPart) {
      S::store_part(first + j, one[v], n);
      S::store_part(second + j, two[v], n);
    } else {
      S::store(first + j, one[v]);
      S::store(second + j, two[v]);
    }
  }
}

template <class T, int kRows, bool kWeighted>
[[gnu::always_inline]] inline void moments_rows(const T* x, std::int64_t ldx, std::int64_t cols,
                                                const double* w, const double* shift, double* first,
                                                double* second) {
  constexpr std::int64_t kStep = Sums64::kLanes;
  std::int64_t j = 0;
  for (; j + 4 * kStep <= cols; j += 4 * kStep) {
    moments_step<T, kRows, 4, kWeighted, false>(x + j, ldx, w, shift + j, first + j, second + j, 0);
  }
  for (; j < cols; j += kStep) {
    const std::int64_t n = cols - j < kStep ? cols - j : kStep;
    moments_step<T, kRows, 1, kWeighted, true>(x + j, ldx, w, shift + j, first + j, second + j, n);
  }
}

template <class T, bool kWeighted>
void moments_of(const T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
                const std::int32_t* group, const double* w, const double* shift,
                std::int64_t shift_ld, double* first, double* second, std::int64_t lds) {
  const std::int64_t ahead = rows_ahead<T>(ldx) * ldx;
  std::int64_t r = 0;
  const double* own = w;
  for (; group == nullptr && r + 4 <= rows; r += 4) {
    for (int i = 0; i < 4; ++i) fetch_ahead(x + (r + i) * ldx, ahead, cols);
    moments_rows<T, 4, kWeighted>(x + r * ldx, ldx, cols, own, shift, first, second);
    if constexpr (kWeighted) own += 4;
  }
  for (; r < rows; ++r) {
    fetch_ahead(x + r * ldx, ahead, cols);
    const std::int64_t k = group == nullptr ? 0 : group[r];
    moments_rows<T, 1, kWeighted>(x + r * ldx, ldx, cols, own, shift + k * shift_ld,
                                  first + k * lds, second + k * lds);
    if constexpr (kWeighted) ++own;
  }
}

template <class S>
void moments(const typename S::T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
             const std::int32_t* group, const double* w, const double* shift, std::int64_t shift_ld,
             double* first, double* second, std::int64_t lds) {
  using T = typename S::T;
  if (w == nullptr) {
    moments_of<T, false>(x, ldx, rows, cols, group, w, shift, shift_ld, first, second, lds);
  } else {
    moments_of<T, true>(x, ldx, rows, cols, group, w, shift, shift_ld, first, second, lds);
  }
}

// All differences before the first sum: reading is then farthest ahead of the stores.
template <class S, int kNv>
[[gnu::always_inline]] inline void short_step(const typename S::T* x, const typename S::T* shift,
                                              typename S::T* first, typename S::T* second) {
  typename S::V t[kNv];
#pragma GCC unroll 8
  for (int v = 0; v < kNv; ++v) {
    t[v] = S::load(x + v * S::kLanes) - S::load(shift + v * S::kLanes);
  }
#pragma GCC unroll 8
  for (int v = 0; v < kNv; ++v) {
    const std::int64_t j = v * S::kLanes;
    S::store(first + j, S::load(first + j) + t[v]);
    S::store(second + j, S::fma(t[v], t[v], S::load(second + j)));
  }
}

// Columns that fill no whole step. Not inlined: the loop over whole ones keeps its registers.
[[gnu::noinline]] void short_rest(const float* x, std::int64_t n, const float* shift, float* first,
                                  float* second) {
  using S = Sums32;
  std::int64_t j = 0;
  for (; j + S::kLanes <= n; j += S::kLanes) {
    short_step<S, 1>(x + j, shift + j, first + j, second + j);
  }
  if (j == n) return;
  const std::int64_t rest = n - j;
  const S::V t = S::load_part(x + j, rest) - S::load_part(shift + j, rest);
  S::store_part(first + j, S::load_part(first + j, rest) + t, rest);
  S::store_part(second + j, S::fma(t, t, S::load_part(second + j, rest)), rest);
}

void short_moments(const float* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
                   const std::int32_t* group, const float* shift, float* first, float* second,
                   std::int64_t lds, std::int32_t* counts) {
  constexpr int kNv = 64 / Sums32::kLanes < 8 ? 64 / Sums32::kLanes : 8;
  constexpr std::int64_t kStep = kNv * Sums32::kLanes;
  const std::int64_t whole = cols / kStep * kStep;
  const std::int64_t ahead = rows_ahead<float>(ldx) * ldx;
  for (std::int64_t r = 0; r < rows; ++r, x += ldx) {
    const std::int64_t at = group[r] * lds;
    ++counts[group[r]];
    for (std::int64_t j = 0; j < whole; j += kStep) {
      fetch_ahead(x + j, ahead, kStep);
      short_step<Sums32, kNv>(x + j, shift + at + j, first + at + j, second + at + j);
    }
    if (whole == cols) continue;
    fetch_ahead(x + whole, ahead, cols - whole);
    short_rest(x + whole, cols - whole, shift + at + whole, first + at + whole,
               second + at + whole);
  }
}

template <class S>
void flush(typename S::T* part, std::int64_t n, double* sums) {
  std::int64_t i = 0;
  for (; i + F64::kLanes <= n; i += F64::kLanes) {
    F64::store(sums + i, F64::load(sums + i) + load_wide(part + i));
  }
  for (; i < n; ++i) sums[i] += static_cast<double>(part[i]);
  __builtin_memset(part, 0, static_cast<std::size_t>(n) * sizeof *part);
}

template <int kRows, int kNv>
void gauss_rows(const double* x, std::int64_t ldx, std::int64_t cols, const Panels<double>& mean,
                const double* scale, double* out, std::int64_t ldo) {
  using V = F64::V;
  constexpr int kWidth = kNv * F64::kLanes;
  for (std::int32_t p = 0; p < mean.count; ++p) {
    const double* m = mean.data + p * cols * kWidth;
    const double* s = scale + p * cols * kWidth;
    V acc[kRows][kNv];
    start<F64, kRows, kNv>(mean.bias + p * kWidth, acc);
    for (std::int64_t j = 0; j < cols; ++j) {
#pragma GCC unroll 8
      for (int v = 0; v < kNv; ++v) {
        const V mv = F64::load(m + j * kWidth + v * F64::kLanes);
        const V sv = F64::load(s + j * kWidth + v * F64::kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const V t = F64::set1(x[r * ldx + j]) - mv;
          acc[r][v] = F64::fnma(t * sv, t, acc[r][v]);
        }
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kNv; ++v) {
        F64::store(out + r * ldo + p * kWidth + v * F64::kLanes, acc[r][v]);
      }
    }
  }
}

template <int kNv>
void gauss_nv(const double* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
              const Panels<double>& mean, const double* scale, double* out, std::int64_t ldo) {
  constexpr int kRows = rows_for<kNv>() < 8 / kNv ? rows_for<kNv>() : 8 / kNv;
  std::int64_t r = 0;
  for (; r + kRows <= rows; r += kRows) {
    gauss_rows<kRows, kNv>(x + r * ldx, ldx, cols, mean, scale, out + r * ldo, ldo);
  }
  for (; r < rows; ++r) {
    gauss_rows<1, kNv>(x + r * ldx, ldx, cols, mean, scale, out + r * ldo, ldo);
  }
}

void gauss(const double* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
           const Panels<double>* mean, const double* scale, double* out, std::int64_t ldo) {
  if (mean->nv == 1) return gauss_nv<1>(x, ldx, rows, cols, *mean, scale, out, ldo);
  gauss_nv<2>(x, ldx, rows, cols, *mean, scale, out, ldo);
}

template <class S>
void shift_rows(const typename S::T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
                const typename S::T* shift, typename S::T* dst, std::int64_t ldd) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const typename S::T* row = x + r * ldx;
    typename S::T* to = dst + r * ldd;
    std::int64_t j = 0;
    for (; j + S::kLanes <= cols; j += S::kLanes) {
      S::store(to + j, S::load(row + j) - S::load(shift + j));
    }
    const std::int64_t n = cols - j;
    if (n > 0) S::store_part(to + j, S::load_part(row + j, n) - S::load_part(shift + j, n), n);
  }
}

template <class S>
void widen_rows(const typename S::T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
                double* dst, std::int64_t ldd) {
  for (std::int64_t r = 0; r < rows; ++r) {
    std::int64_t j = 0;
    for (; j + F64::kLanes <= cols; j += F64::kLanes) {
      F64::store(dst + r * ldd + j, load_wide(x + r * ldx + j));
    }
    const std::int64_t n = cols - j;
    if (n > 0) F64::store_part(dst + r * ldd + j, load_wide_part(x + r * ldx + j, n), n);
  }
}

// x - x is 0 for a finite x and NaN for the others, so a sum of them says whether all were.
template <class S>
bool finite(const typename S::T* x, std::int64_t n) {
  using V = typename S::V;
  V sum[4] = {};
  std::int64_t i = 0;
  for (; i + 4 * S::kLanes <= n; i += 4 * S::kLanes) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const V a = S::load(x + i + v * S::kLanes);
      sum[v] += a - a;
    }
  }
  for (; i < n; i += S::kLanes) {
    const V a = S::load_part(x + i, n - i < S::kLanes ? n - i : S::kLanes);
    sum[0] += a - a;
  }
  return S::sum(sum[0] + sum[1] + (sum[2] + sum[3])) == 0;
}

template <class S>
constexpr LearnLoops<typename S::T> loops() {
  return {S::kLanes, kMaxNv,        scores<S>,     nearest<S>,  dots<S>,      norms<S>,
          outer<S>,  softmax<S>,    residuals<S>,  logistic<S>, move_rows<S>, moments<S>,
          flush<S>,  shift_rows<S>, widen_rows<S>, finite<S>};
}
