// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "capi/guard.h"

using namespace pronghorn;

namespace {

ph_status refuse(const char* function) {
  return capi::guard([&] {
    base::fail(base::Status::kUnsupported, "{}: this build has no machine learning", function);
  });
}

}  // namespace

ph_status ph_matrix_check(const ph_matrix*, int32_t, const ph_ml_run*) {
  return refuse("ph_matrix_check");
}
ph_status ph_matrix_moments(const ph_matrix*, const double*, double*, double*, const ph_ml_run*) {
  return refuse("ph_matrix_moments");
}
ph_status ph_data_open(const char*, ph_data**) { return refuse("ph_data_open"); }
ph_status ph_data_matrix(const ph_data*, ph_matrix*) { return refuse("ph_data_matrix"); }
ph_status ph_kmeans_fit(const ph_matrix*, const double*, const void*, const ph_kmeans_options*,
                        void*, int32_t*, ph_kmeans_result*, const ph_ml_run*) {
  return refuse("ph_kmeans_fit");
}
ph_status ph_kmeans_predict(const ph_matrix*, const double*, const void*, int32_t, int32_t*,
                            double*, const ph_ml_run*) {
  return refuse("ph_kmeans_predict");
}
ph_status ph_kmeans_transform(const ph_matrix*, const void*, int32_t, void*, const ph_ml_run*) {
  return refuse("ph_kmeans_transform");
}
ph_status ph_kmeans_plusplus(const ph_matrix*, const double*, int32_t, int64_t, int32_t,
                             const double*, int64_t*, void*, const ph_ml_run*) {
  return refuse("ph_kmeans_plusplus");
}
ph_status ph_kmeans_minibatch(const ph_matrix*, const double*, const int64_t*, int64_t, int32_t,
                              void*, double*, int32_t*, double*, const ph_ml_run*) {
  return refuse("ph_kmeans_minibatch");
}
ph_status ph_logreg_fit(const ph_matrix*, const int32_t*, const double*, const ph_logreg_options*,
                        double*, double*, ph_logreg_result*, const ph_ml_run*) {
  return refuse("ph_logreg_fit");
}
ph_status ph_logreg_loss_gradient(const ph_matrix*, const int32_t*, const double*,
                                  const ph_logreg_options*, const double*, const double*, double*,
                                  double*, double*, const ph_ml_run*) {
  return refuse("ph_logreg_loss_gradient");
}
ph_status ph_linear_decision(const ph_matrix*, const double*, const double*, int32_t, void*,
                             const ph_ml_run*) {
  return refuse("ph_linear_decision");
}
ph_status ph_linear_predict(const ph_matrix*, const double*, const double*, int32_t, int32_t*,
                            const ph_ml_run*) {
  return refuse("ph_linear_predict");
}
ph_status ph_linear_proba(const ph_matrix*, const double*, const double*, int32_t, int32_t, void*,
                          const ph_ml_run*) {
  return refuse("ph_linear_proba");
}
ph_status ph_gaussian_nb_fit(const ph_matrix*, const int32_t*, const double*, int32_t, double*,
                             double*, double*, const ph_ml_run*) {
  return refuse("ph_gaussian_nb_fit");
}
ph_status ph_gaussian_nb_predict(const ph_matrix*, const double*, const double*, const double*,
                                 int32_t, int32_t, void*, const ph_ml_run*) {
  return refuse("ph_gaussian_nb_predict");
}
ph_status ph_multinomial_nb_fit(const ph_matrix*, const int32_t*, const double*, int32_t, double*,
                                double*, const ph_ml_run*) {
  return refuse("ph_multinomial_nb_fit");
}
ph_status ph_multinomial_nb_predict(const ph_matrix*, const double*, const double*, int32_t,
                                    int32_t, void*, const ph_ml_run*) {
  return refuse("ph_multinomial_nb_predict");
}
const char* ph_data_column(const ph_data*, int64_t) { return nullptr; }
void ph_data_free(ph_data*) {}
