// SPDX-License-Identifier: Apache-2.0
// What machine learning asks of a device: passes over a matrix. The algorithms of src/ml know no
// instruction set and no memory but the host's; a device knows no algorithm but these sums.
// Parameters and sums are doubles; products are computed in the matrix's own type. Every sum is
// added up in an order that does not depend on the number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "device/matrix.h"

namespace pronghorn::device {

// Rows assigned to their nearest centres, again and again. Keeps a label of each row, the sums of
// the rows of each cluster, and with `bounds` what spares distances that cannot matter.
class KMeansPasses {
 public:
  virtual ~KMeansPasses() = default;
  // Labels every row with the nearest of the centres (clusters x cols, less the shift; exactly
  // representable in the matrix's type), the lowest index among equals, and brings the sums up to
  // date. Returns how many labels changed.
  virtual std::int64_t assign(const double* centers) = 0;
  // Brings the setup's array, or one of its own, up to date. A device may not do so before.
  virtual const std::int32_t* labels() const = 0;
  virtual const double* sums() const = 0;          // clusters x cols: of weight * (row - shift)
  virtual const double* weights() const = 0;       // clusters
  virtual const std::int64_t* counts() const = 0;  // clusters: rows of any weight
  // sum_i w_i |row_i - shift - its label's centre|^2
  virtual double inertia(const double* centers) = 0;
  // The `count` rows of positive weight that lie farthest from the given centres of their labels,
  // farthest first.
  virtual std::vector<std::int64_t> farthest(const double* centers, std::int64_t count) = 0;
};

struct KMeansSetup {
  Matrix x;
  const double* weight = nullptr;  // a row; null: 1
  int clusters = 0;
  std::vector<double> shift;       // taken off every row; empty: nothing
  std::int32_t* labels = nullptr;  // the caller's array of rows, or null
  bool bounds = false;
};

// Margins, softmax or logistic loss, and gradient in one pass.
class LogisticPasses {
 public:
  virtual ~LogisticPasses() = default;
  // coef: outputs x cols, bias: outputs. Returns sum_i w_i loss_i and writes its gradient.
  virtual double loss_gradient(const double* coef, const double* bias, double* coef_gradient,
                               double* bias_gradient) = 0;
  // The Hessian at the point of the last loss_gradient times (coef, bias).
  virtual void hessian_product(const double* coef, const double* bias, double* coef_product,
                               double* bias_product) = 0;
};

struct LogisticSetup {
  Matrix x;
  const std::int32_t* y = nullptr;  // class indices
  const double* weight = nullptr;
  int outputs = 0;  // 1: the binary loss of classes 0 and 1
};

enum class Output { kScores, kLogProba, kProba, kLabel };

// A device may keep what a matrix held in a learner's last call: as long as the learner lives, the
// caller's data do not change.
class Learner {
 public:
  virtual ~Learner() = default;

  // The entry of the first value (row by row) that is not finite: row * cols + column, or -1.
  virtual std::int64_t find_not_finite(const Matrix& x) = 0;

  // With t = row - shift of its group: sums of w, w t and w t^2 of each group. groups x cols;
  // `group` null: all rows are of group 0. Overwrites the sums. Sums of float data with groups and
  // without weights may be right to 2^-24 only; all others to the rounding of doubles. Shifts must
  // be exactly representable in x's type.
  virtual void moments(const Matrix& x, const std::int32_t* group, const double* weight, int groups,
                       const double* shift, double* weights, double* first, double* second) = 0;

  // Adds sum w x of each group to sums (groups x cols) and sum w to weights. Returns the entry of
  // the first negative value, row * cols + column, after which the sums are not to be used, or -1.
  virtual std::int64_t count(const Matrix& x, const std::int32_t* group, const double* weight,
                             int groups, double* weights, double* sums) = 0;

  virtual std::unique_ptr<KMeansPasses> kmeans(const KMeansSetup& setup) = 0;
  virtual std::unique_ptr<LogisticPasses> logistic(const LogisticSetup& setup) = 0;

  // Nearest centre of each row, and the weighted sum of squared distances; labels, inertia may be
  // null. False where x may hold a value that is not finite, of which find_not_finite is sure.
  virtual bool nearest(const Matrix& x, const double* weight, const double* centers, int clusters,
                       std::int32_t* labels, double* inertia) = 0;
  // The same for the rows of a list; also adds the rows and weights of each cluster to sums
  // (clusters x cols) and weights.
  virtual void nearest_of(const Matrix& x, const double* weight, const std::int64_t* list,
                          std::int64_t count, const double* centers, int clusters,
                          std::int32_t* labels, double* inertia, double* weights, double* sums) = 0;
  // Euclidean distances, rows x clusters of x's type.
  virtual void distances(const Matrix& x, const double* centers, int clusters, void* out) = 0;
  // closest[i] = min(closest[i], |x_i - point|^2) for one point, and for each of `count` candidate
  // points the sum over rows of w_i min(closest[i], |x_i - candidate|^2). With `point` null closest
  // is only read, as the last call with a point left it. Points are cols doubles each.
  virtual void potentials(const Matrix& x, const double* weight, const double* point,
                          const double* candidates, int count, double* closest, double* sums) = 0;

  // x coef^T + bias, then what `output` says: outputs (kProba of one output: 2) values a row of x's
  // type, or one int32.
  virtual void linear(const Matrix& x, const double* coef, const double* bias, int outputs,
                      Output output, void* out) = 0;
  // The same with doubles as output (and products in x's type), one output being one class.
  virtual void joint(const Matrix& x, const double* coef, const double* bias, int outputs,
                     Output output, void* out) = 0;
  // bias[k] - sum_j (x_ij - mean_kj)^2 scale_kj in doubles, then what `output` says.
  virtual void gauss(const Matrix& x, const double* bias, const double* mean, const double* scale,
                     int classes, Output output, void* out) = 0;
  // Row `row` as doubles.
  virtual void read_row(const Matrix& x, std::int64_t row, double* out) = 0;
};

}  // namespace pronghorn::device
