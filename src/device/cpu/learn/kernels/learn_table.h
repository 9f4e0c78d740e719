// SPDX-License-Identifier: Apache-2.0
// The inner loops of machine learning on this processor, and the rows that say where they run.
// Every loop works on a tile: some rows of the data, dense, row-major, `ldx` elements apart, small
// enough to stay in the second cache. Widths that are no multiple of a vector are allowed
// everywhere.
#pragma once

#include <cstdint>

namespace pronghorn::device::cpu {

// Columns of B packed for products of a tile with it: panels of `width` columns, each panel all
// `cols` rows of B one after another; missing columns are zeros. width = lanes * nv.
template <class T>
struct Panels {
  const T* data;
  const T* bias;  // count * width values that the sums start from
  std::int32_t count;
  std::int32_t nv;  // vectors in a width: 1, 2 or 4, at most LearnLoops::max_nv
};

template <class T>
struct LearnLoops {
  std::int32_t lanes;
  std::int32_t max_nv;

  // out[r * ldo + c] = bias[c] + sum_j x[r][j] B[j][c], c < count * width.
  void (*scores)(const T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
                 const Panels<T>* b, T* out, std::int64_t ldo);
  // The least of those values of each row and its c, the lowest among equals; where `second` is
  // given also the least of the others. c of padding must have a bias of infinity.
  void (*nearest)(const T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
                  const Panels<T>* b, T* best, T* second, std::int32_t* index);
  // out[r] = bias + x[r] . w
  void (*dots)(const T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols, const T* w,
               T bias, T* out);
  // out[r] = |x[r]|^2
  void (*norms)(const T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols, T* out);
  // acc[k * lda + j] += sum_r g[r * ldg + k] x[r][j], k < outputs
  void (*outer)(const T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols, const T* g,
                std::int64_t ldg, std::int64_t outputs, T* acc, std::int64_t lda);
  // Rows of scores to softmax in place (padding: scores of -infinity give 0). sums[r]: of
  // exp(score - max), max[r]: the largest score.
  void (*softmax)(T* z, std::int64_t ldz, std::int64_t rows, std::int64_t outputs, T* max, T* sums);
  // Rows of scores to softmax less one at the label y[r], in place. sums[r]: of exp(score - max) of
  // the others, own[r]: of the label itself.
  void (*residuals)(T* z, std::int64_t ldz, std::int64_t rows, std::int64_t outputs,
                    const std::int32_t* y, T* max, T* sums, T* own);
  // p[r] = 1 / (1 + exp(-z[r])), tail[r] = exp(-|z[r]|); p may be z.
  void (*logistic)(const T* z, std::int64_t rows, T* p, T* tail);
  // sums[to[r]] += w[r] x[r] and, where from[r] >= 0, sums[from[r]] -= w[r] x[r]. w NULL: 1.
  void (*move_rows)(const T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
                    const std::int32_t* to, const std::int32_t* from, const double* w,
                    double* sums);
  // With t = x[r] - shift[g]: first[g] += w[r] t, second[g] += w[r] t^2, g = group[r]. first and
  // second have a row of lds values for each group, shift one of shift_ld (0: the same for all).
  // group NULL: 0 for all. w NULL: 1.
  void (*moments)(const T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
                  const std::int32_t* group, const double* w, const double* shift,
                  std::int64_t shift_ld, double* first, double* second, std::int64_t lds);
  // sums[i] += part[i], part[i] = 0 for n values.
  void (*flush)(T* part, std::int64_t n, double* sums);
  // dst[r * ldd + j] = x[r][j] - shift[j]
  void (*shift_rows)(const T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
                     const T* shift, T* dst, std::int64_t ldd);
  // dst[r * ldd + j] = x[r][j], in double.
  void (*widen_rows)(const T* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
                     double* dst, std::int64_t ldd);
  // Whether all n values are finite.
  bool (*finite)(const T* x, std::int64_t n);
};

struct LearnKernels {
  const char* name;
  LearnLoops<float> f32;
  LearnLoops<double> f64;
  // moments without weights, with sums (and shift, a row of lds values for each group) of float: a
  // few digits of runs short enough that no more get lost. counts[g] += rows of the group.
  void (*short_moments)(const float* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
                        const std::int32_t* group, const float* shift, float* first, float* second,
                        std::int64_t lds, std::int32_t* counts);
  // out[r * ldo + c] = bias[c] - sum_j (x[r][j] - mean[j][c])^2 scale[j][c], scale packed as mean,
  // nv 1 or 2.
  void (*gauss)(const double* x, std::int64_t ldx, std::int64_t rows, std::int64_t cols,
                const Panels<double>* mean, const double* scale, double* out, std::int64_t ldo);
};

extern const LearnKernels kLearnAvx512;
extern const LearnKernels kLearnAvx2;
extern const LearnKernels kLearnPortable;

struct LearnRow {
  const LearnKernels* kernels;
  bool (*available)();
  const char* isas;  // the values of PRONGHORN_ISA that mean this row, between spaces
};
extern const LearnRow kLearnRows[];
extern const std::int32_t kLearnRowCount;

// The row that PRONGHORN_ISA means, else the first that this processor can run. Throws as
// choose_kernels does.
const LearnKernels& choose_learn_kernels();

template <class T>
const LearnLoops<T>& loops_of(const LearnKernels& kernels) {
  if constexpr (sizeof(T) == 4) {
    return kernels.f32;
  } else {
    return kernels.f64;
  }
}

}  // namespace pronghorn::device::cpu
