// SPDX-License-Identifier: Apache-2.0
// The kernels of machine learning on NVIDIA GPUs: what each is asked for, and who launches it.
// Pointers are device memory. Rows of x are `ld` elements apart, of which `cols` are read: a
// multiple of 16 bytes, what is beyond the matrix's own columns zeros. The launching functions
// enqueue, never wait, and return a cudaError_t. Sums are deterministic: what a GPU returned once
// it returns again.
#pragma once

#include <cstdint>

#include "device/learner.h"

struct CUstream_st;

namespace pronghorn::device::cuda {

using LearnStream = CUstream_st*;

inline constexpr int kPanel = 64;  // columns of a packed matrix come in such panels

enum class Product { kNearest, kScores, kGauss };

// Sums of rows times columns of B, in the order of the rows' columns: bias + sum_j x_j b_j, or for
// kGauss bias - sum_j (x_j - b_j)^2 scale_j. b, scale: cols x padded, bias: padded, of the type
// that is computed in. kNearest: the least of them (the bias of padding is infinity), its label,
// and how many differ from `before`. kScores, kGauss: `out`, rows x count of the type computed in.
struct ProductJob {
  const void* x;
  std::int64_t rows, ld;
  std::int32_t cols;
  std::int32_t count, padded;
  const void* shift;  // of x's type, taken off every row before the product; or null
  const void* b;
  const void* scale;
  const void* bias;
  std::int32_t* labels;
  const std::int32_t* before;   // or null
  unsigned long long* changed;  // added to; or null
  void* out;
  // kNearest of float: only the *list_count rows of a list, where one is given.
  const unsigned* list;
  const unsigned* list_count;
};
int launch_product(Product kind, Dtype x, Dtype work, const ProductJob& job, int multiprocessors,
                   LearnStream stream);

// kNearest for at least 32 float rows of up to 64 columns and few centres, on the matrix unit: rows
// that it cannot decide are listed (nearest_mma_sm80.cuh). b, bias, shift: as of ProductJob.
struct NearestJob {
  const float* x;
  std::int64_t rows, ld;
  std::int32_t cols, padded;
  const float* shift;
  const float* b;
  const float* bias;
  float radius;  // no centre is farther from the origin
  std::int32_t* labels;
  const std::int32_t* before;
  unsigned long long* changed;
  unsigned* open;        // room for every row
  unsigned* open_count;  // 0 before
};
bool nearest_fits(const NearestJob& job, int capability, int shared_bytes);
int launch_nearest(const NearestJob& job, int multiprocessors, int shared_bytes,
                   LearnStream stream);

// Sums of the rows of each group. With t = (x - shift), in doubles: first = sum w t, second = sum
// w t^2 (where wanted), the weights' sums (unless all are 1), and how many rows. `group` null: all
// rows are of group 0. With `before` only rows whose group changed count: they are added to their
// new group and taken off the old one (-1: none).
inline constexpr int kMaxGroups = 4096;
struct GroupJob {
  const void* x;
  std::int64_t rows, ld;
  std::int32_t cols;  // of the sums too
  std::int32_t groups;
  const std::int32_t* group;
  const std::int32_t* before;
  const double* weight;       // a row; or null: 1
  const double* group_shift;  // groups x cols; or null
  const void* shift;          // cols of x's type, taken off in x's type; or null
  bool squares;
  double* partial;  // group_partial_count() doubles
  double* sums;     // out: groups x cols firsts, then seconds if wanted, weights, counts
};
std::int64_t group_sum_count(const GroupJob& job);
std::int64_t group_partial_count(const GroupJob& job, int multiprocessors);
int launch_group_sums(Dtype x, const GroupJob& job, int multiprocessors, LearnStream stream);

// z (rows x outputs of x's type: scores with their biases; one output: the binary loss) becomes
// residuals w (p - y); `loss` gets one double a row, w times the loss.
struct ResidualJob {
  void* z;
  std::int64_t rows;
  std::int32_t outputs;
  const std::int32_t* y;
  const double* weight;
  // With `direction` (scores of a direction v without loss): residuals become w (p v - p (p . v)).
  const void* direction;
  double* loss;
};
int launch_residuals(Dtype work, const ResidualJob& job, LearnStream stream);

// sums[k * (cols + 1) + j] = sum_r g[r * outputs + k] x[r][j], and of g itself at j = cols.
struct OuterJob {
  const void* x;
  std::int64_t rows, ld;
  std::int32_t cols;
  const void* g;
  std::int32_t outputs;
  double* partial;  // outer_partial_count() doubles
  double* sums;     // outputs x (cols + 1)
  bool add;         // to what sums hold
};
std::int64_t outer_partial_count(const OuterJob& job, int multiprocessors);
int launch_outer(Dtype x, const OuterJob& job, int multiprocessors, LearnStream stream);

// Loss and gradient in one reading of the rows (logistic_mma_sm80.cuh), where it fits: at least 16
// float rows, up to 64 columns and 16 outputs.
struct LogisticJob {
  const float* x;
  std::int64_t rows, ld;
  std::int32_t cols;
  std::int32_t outputs;
  const float* coef;  // outputs x cols
  const float* bias;
  const std::int32_t* y;
  const double* weight;  // or null
  double* partial;       // logistic_partial_count() doubles
  double* sums;          // outputs x (cols + 1) as of OuterJob, then the loss
};
bool logistic_fits(const LogisticJob& job, int capability, int shared_bytes);
std::int64_t logistic_partial_count(const LogisticJob& job, int multiprocessors, int shared_bytes);
int launch_logistic(const LogisticJob& job, int multiprocessors, int shared_bytes,
                    LearnStream stream);

// sums[i] = (add ? sums[i] : 0) + partial[0][i] + partial[1][i] + ..., `parts` rows of `size`.
int launch_add_parts(const double* partial, std::int64_t parts, std::int64_t size, double* sums,
                     bool add, LearnStream stream);

// Scores (rows x outputs of `work`) to what is asked for, as device::Learner's functions say.
// `binary`: one output stands for two classes. out: rows x values of `work`, or int32 labels.
int launch_finish(Dtype work, const void* scores, std::int64_t rows, int outputs, bool binary,
                  Output output, void* out, LearnStream stream);

// A warp for each row, sums in doubles.
struct RowJob {
  const void* x;
  std::int64_t rows, ld;
  std::int32_t cols;
  const void* shift;  // of x's type; or null
  const double* weight;
};
// out[r] = |x_r - shift - centers[label_r]|^2, centers: clusters x cols doubles.
int launch_label_distances(Dtype x, const RowJob& job, const std::int32_t* labels,
                           const double* centers, double* out, LearnStream stream);
// out[r * count + c] (of x's type) = |x_r - centers[c]|.
int launch_distances(Dtype x, const RowJob& job, const double* centers, int count, void* out,
                     LearnStream stream);
// closest[r] = min(closest[r], |x_r - point|^2)
int launch_closest(Dtype x, const RowJob& job, const double* point, double* closest,
                   LearnStream stream);
// For up to 32 points: sums[c] = sum_r w min(closest[r], |x_r - points[c]|^2). partial:
// kPotentialParts x 32 doubles.
inline constexpr int kPotentialParts = 1024;
int launch_potentials(Dtype x, const RowJob& job, const double* points, int count,
                      const double* closest, double* partial, double* sums, LearnStream stream);
// sums[0] = sum_r w_r values[r]; partial: kPotentialParts doubles.
int launch_weighted_sum(const double* values, const double* weight, std::int64_t rows,
                        double* partial, double* sums, LearnStream stream);

// *entry = min(*entry, row * width + column) over what is not finite, or (`negative`) below 0.
int launch_find(Dtype x, const RowJob& job, bool negative, std::int64_t first_row, int width,
                unsigned long long* entry, LearnStream stream);
// dst[r * ld + c] = src[c * src_stride + r], and zeros up to ld.
int launch_turn(Dtype x, const void* src, std::int64_t src_stride, std::int64_t rows, int cols,
                void* dst, std::int64_t ld, LearnStream stream);

}  // namespace pronghorn::device::cuda
