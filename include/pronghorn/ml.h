/* SPDX-License-Identifier: Apache-2.0
 *
 * Classic machine learning: the part of Pronghorn's C ABI for k-means, logistic regression and
 * naive Bayes. Included by pronghorn.h, whose rules on errors, ownership and threads hold here.
 *
 * The functions are plain: data and parameters are the caller's arrays, nothing is kept between
 * calls, and any number of threads may call at once. Data are never copied as a whole. Meaning and
 * defaults are scikit-learn's (docs/ml.md says where a result may differ in its last digits); the
 * same call gives the same bits on any number of threads.
 *
 * Arrays of parameters are row-major without gaps. "x's dtype" is float or double as the matrix
 * says. Weights (`sample_weight`) are one double a row, finite and not negative; NULL means 1 each.
 * Values are expected to be finite: ph_matrix_check says so, the other functions do not look.
 * On failure the output arrays may have been written in part.
 */
#ifndef PRONGHORN_ML_H_
#define PRONGHORN_ML_H_

#include <pronghorn/pronghorn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- matrices ------------------------------------------------------------------------------ */

typedef enum ph_dtype { PH_F32 = 1, PH_F64 = 2, PH_I32 = 3, PH_I64 = 4 } ph_dtype;

/* A caller's matrix: rows are samples, columns features.
 * Dense: element (r, c) is data[r * row_stride + c * col_stride], strides in elements, one of them
 * 1 and the other at least the length of that dimension; both 0 stand for row-major without gaps.
 * CSR, where `indptr` is not NULL: `data` are the values, `indices` their columns, row r owns
 * entries indptr[r] .. indptr[r + 1] - 1, columns within a row distinct, in any order. */
typedef struct ph_matrix {
  size_t struct_size;
  const void* data;
  int64_t rows, cols;
  int64_t row_stride, col_stride;
  const void* indices;
  const void* indptr;
  int32_t dtype;       /* PH_F32 or PH_F64 */
  int32_t index_dtype; /* PH_I32 or PH_I64, of indices and indptr */
} ph_matrix;

/* Called once an iteration, on the calling thread: `iteration` counts from 1, `objective` is what
 * the estimator minimises. Non-zero stops; the call then ends with PH_CANCELLED. */
typedef int32_t (*ph_ml_progress)(void* user, int32_t iteration, int32_t max_iter,
                                  double objective);

/* What every call takes; NULL or zeros for the defaults. */
typedef struct ph_ml_run {
  size_t struct_size;
  const char* device; /* NULL: "auto", as in ph_session_options */
  int32_t threads;    /* 0: every core */
  ph_ml_progress progress;
  void* user;
} ph_ml_run;

/* PH_OK when the description holds together: strides, indices in range, and, with `finite`, every
 * value finite. PH_INVALID_ARGUMENT names the first row and column that is not. */
PH_API ph_status ph_matrix_check(const ph_matrix* x, int32_t finite, const ph_ml_run* run);

/* Mean and variance (of the population) of each column; either may be NULL. Two digits better than
 * a single pass: sums are shifted. means, variances: cols doubles. */
PH_API ph_status ph_matrix_moments(const ph_matrix* x, const double* sample_weight, double* means,
                                   double* variances, const ph_ml_run* run);

/* A matrix in a file: .npy (memory-mapped, read as it is used), .csv (numbers; a first line of
 * names is recognised). PH_UNSUPPORTED for Parquet and others, by name. Errors name file and line.
 */
typedef struct ph_data ph_data;
/* PH_NOT_FOUND, PH_IO, PH_CORRUPT, PH_UNSUPPORTED. */
PH_API ph_status ph_data_open(const char* path, ph_data** data);
/* The view lives as long as `data`. A vector is a matrix of one column. */
PH_API ph_status ph_data_matrix(const ph_data* data, ph_matrix* x);
/* Name of column `index`; "" where the file has none. NULL out of range. */
PH_API const char* ph_data_column(const ph_data* data, int64_t index);
PH_API void ph_data_free(ph_data* data); /* its views end with it */

/* ---- k-means ------------------------------------------------------------------------------- */

typedef struct ph_kmeans_options {
  size_t struct_size;
  int32_t clusters;      /* 1 .. rows */
  int32_t max_iter;      /* 0: 300 */
  double tol;            /* times the mean of the columns' variances: the limit on the squared shift
                            of all centres together. 0: until no label changes */
  const char* algorithm; /* NULL "auto"; "lloyd"; "bounds": the same labels, less work */
  /* Where no centres are given: NULL "k-means++" or "random", from `seed`, `n_init` times; the run
   * of least inertia is returned. */
  const char* init;
  uint64_t seed;
  int32_t n_init; /* 0: 1 */
} ph_kmeans_options;

typedef struct ph_kmeans_result {
  size_t struct_size;
  double inertia; /* sum of weighted squared distances to the nearest centre */
  int32_t n_iter;
  int32_t converged; /* 0: max_iter was reached first */
  int32_t distinct;  /* clusters that have a row */
} ph_kmeans_result;

/* Lloyd's iteration to convergence. Empty clusters take the rows farthest from their centres, as in
 * scikit-learn. init_centers: clusters x cols of x's dtype, or NULL. centers: the same shape, out.
 * labels: one int32 a row, out; may be NULL. */
PH_API ph_status ph_kmeans_fit(const ph_matrix* x, const double* sample_weight,
                               const void* init_centers, const ph_kmeans_options* options,
                               void* centers, int32_t* labels, ph_kmeans_result* result,
                               const ph_ml_run* run);
/* Nearest centre of each row, the lowest index among equals. labels, inertia may be NULL. Refuses
 * rows that are not finite, as ph_matrix_check does; their search costs nothing here on a CPU. */
PH_API ph_status ph_kmeans_predict(const ph_matrix* x, const double* sample_weight,
                                   const void* centers, int32_t clusters, int32_t* labels,
                                   double* inertia, const ph_ml_run* run);
/* Euclidean distances, rows x clusters of x's dtype. */
PH_API ph_status ph_kmeans_transform(const ph_matrix* x, const void* centers, int32_t clusters,
                                     void* distances, const ph_ml_run* run);
/* Greedy k-means++ from random numbers that the caller drew: row `first` is the first centre; each
 * following one is the best of `trials` candidates, found from trials numbers of `uniforms`
 * ((clusters - 1) * trials, in [0, 1)) in the cumulated weighted squared distances. With NumPy's
 * RandomState this is scikit-learn's choice. indices: clusters, out, may be NULL; centers: clusters
 * x cols of x's dtype, out, may be NULL. */
PH_API ph_status ph_kmeans_plusplus(const ph_matrix* x, const double* sample_weight,
                                    int32_t clusters, int64_t first, int32_t trials,
                                    const double* uniforms, int64_t* indices, void* centers,
                                    const ph_ml_run* run);
/* One step of mini-batch k-means on the `count` rows `batch` of x (NULL: all rows in order):
 * centers (clusters x cols of x's dtype) and weight_sums (clusters) are updated in place. labels
 * (count) and inertia are those before the update; either may be NULL. Replacing centres that got
 * few rows is the caller's. sample_weight: one a row of x. */
PH_API ph_status ph_kmeans_minibatch(const ph_matrix* x, const double* sample_weight,
                                     const int64_t* batch, int64_t count, int32_t clusters,
                                     void* centers, double* weight_sums, int32_t* labels,
                                     double* inertia, const ph_ml_run* run);

/* ---- logistic regression ------------------------------------------------------------------- */

/* Minimises  sum_i w_i loss_i / sum_i w_i + penalty / (C sum_i w_i),  the penalty being
 * l1_ratio |coef|_1 + (1 - l1_ratio) |coef|_2^2 / 2; intercepts are free of it. The loss is the
 * binary one for two classes and one row of coefficients, else the symmetric multinomial. Class
 * weights are the caller's to multiply into the sample weights. */
typedef struct ph_logreg_options {
  size_t struct_size;
  int32_t classes;     /* >= 2 */
  int32_t multinomial; /* 1: two rows of coefficients for two classes too */
  int32_t no_intercept;
  int32_t warm_start; /* 1: start from what coef and intercept hold; 0: from zero */
  double c;           /* > 0, may be infinite: no penalty. 0: 1 */
  double l1_ratio;    /* 0 .. 1 */
  double tol;         /* on the largest element of the gradient (of the minimum-norm subgradient);
                         0: 1e-4 */
  int32_t max_iter;   /* 0: 100 */
  /* NULL "auto"; "lbfgs" (l1_ratio 0), "newton-cg" (l1_ratio 0), "proximal" (any). */
  const char* solver;
} ph_logreg_options;

typedef struct ph_logreg_result {
  size_t struct_size;
  double objective; /* as above, at the coefficients returned */
  double gradient;  /* its largest element there */
  int32_t n_iter;
  int32_t passes; /* over the data */
  int32_t converged;
} ph_logreg_result;

/* y: one class index in 0 .. classes-1 a row. coef: K x cols doubles, intercept: K doubles (may be
 * NULL with no_intercept), K being 1 for the binary loss and `classes` otherwise. */
PH_API ph_status ph_logreg_fit(const ph_matrix* x, const int32_t* y, const double* sample_weight,
                               const ph_logreg_options* options, double* coef, double* intercept,
                               ph_logreg_result* result, const ph_ml_run* run);
/* The objective and its gradient (of the smooth part where l1_ratio > 0) at given coefficients.
 * gradients have the shapes of coef and intercept and may be NULL. */
PH_API ph_status ph_logreg_loss_gradient(const ph_matrix* x, const int32_t* y,
                                         const double* sample_weight,
                                         const ph_logreg_options* options, const double* coef,
                                         const double* intercept, double* objective,
                                         double* coef_gradient, double* intercept_gradient,
                                         const ph_ml_run* run);

/* x coef^T + intercept: rows x outputs of x's dtype, outputs being the rows of coef. intercept may
 * be NULL. Also what linear models of other libraries need. */
PH_API ph_status ph_linear_decision(const ph_matrix* x, const double* coef, const double* intercept,
                                    int32_t outputs, void* scores, const ph_ml_run* run);
/* Index of the largest score of each row (the lowest among equals); for one output, 1 where it is
 * above 0. */
PH_API ph_status ph_linear_predict(const ph_matrix* x, const double* coef, const double* intercept,
                                   int32_t outputs, int32_t* labels, const ph_ml_run* run);
/* Softmax of the scores, rows x outputs of x's dtype; for one output, rows x 2 of 1 - p and p, p
 * being the logistic function. `logarithm`: 1 for logarithms. */
PH_API ph_status ph_linear_proba(const ph_matrix* x, const double* coef, const double* intercept,
                                 int32_t outputs, int32_t logarithm, void* proba,
                                 const ph_ml_run* run);

/* ---- naive Bayes --------------------------------------------------------------------------- */

/* What predictions of naive Bayes are asked for. */
typedef enum ph_nb_output {
  PH_NB_JOINT = 0,     /* joint log likelihood: rows x classes doubles */
  PH_NB_LOG_PROBA = 1, /* the same, normalised */
  PH_NB_PROBA = 2,
  PH_NB_LABEL = 3 /* one int32 class index a row */
} ph_nb_output;

/* Weighted mean and variance of every feature in every class, merged with what the arrays hold:
 * class_weight (classes) is the sum of weights so far, 0 for a fresh fit, means and variances
 * (classes x cols) are then overwritten. Variances are without smoothing. y: class indices. */
PH_API ph_status ph_gaussian_nb_fit(const ph_matrix* x, const int32_t* y,
                                    const double* sample_weight, int32_t classes,
                                    double* class_weight, double* means, double* variances,
                                    const ph_ml_run* run);
/* log_prior: classes; means, variances (smoothing included, > 0): classes x cols. `output`: as
 * `what` says. */
PH_API ph_status ph_gaussian_nb_predict(const ph_matrix* x, const double* log_prior,
                                        const double* means, const double* variances,
                                        int32_t classes, int32_t what, void* output,
                                        const ph_ml_run* run);
/* Adds sum_i w_i x_ij of each class to feature_count (classes x cols) and sum_i w_i to class_count
 * (classes). PH_INVALID_ARGUMENT names the first negative value. */
PH_API ph_status ph_multinomial_nb_fit(const ph_matrix* x, const int32_t* y,
                                       const double* sample_weight, int32_t classes,
                                       double* class_count, double* feature_count,
                                       const ph_ml_run* run);
/* Joint log likelihood x feature_log_prob^T + log_prior (classes x cols, classes). */
PH_API ph_status ph_multinomial_nb_predict(const ph_matrix* x, const double* log_prior,
                                           const double* feature_log_prob, int32_t classes,
                                           int32_t what, void* output, const ph_ml_run* run);

#ifdef __cplusplus
}
#endif
#endif /* PRONGHORN_ML_H_ */
