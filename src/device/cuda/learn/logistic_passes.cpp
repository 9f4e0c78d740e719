// SPDX-License-Identifier: Apache-2.0
// Logistic regression on GPUs: rows, classes and weights stay there; a pass sends coefficients and
// brings back the loss and its gradient.
#include <algorithm>

#include "device/cuda/learn/cuda_learner.h"
#include "device/cuda/learn/kernels/learn_kernels.h"

namespace pronghorn::device::cuda {
namespace {

constexpr std::int64_t kPieceBytes = 256 << 20;  // of scores at a time

// What one GPU holds.
struct Part {
  GpuArray b, bias, v_b, v_bias, z, v, loss, loss_partial, partial, result;
};

template <class T>
class CudaLogistic final : public LogisticPasses {
 public:
  CudaLogistic(std::shared_ptr<GpuTeam> team, std::shared_ptr<const Resident> x,
               const LogisticSetup& setup)
      : team_(std::move(team)),
        x_(std::move(x)),
        setup_(setup),
        cols_(setup.x.cols),
        outputs_(setup.outputs),
        padded_(padded_count(outputs_)),
        parts_(team_->gpus.size()) {
    upload_rows(*team_, x_->shares, setup.y, 4, classes_);
    if (setup.weight != nullptr) upload_rows(*team_, x_->shares, setup.weight, 8, weights_);
  }

  double loss_gradient(const double* coef, const double* bias, double* coef_gradient,
                       double* bias_gradient) override {
    last_coef_.assign(coef, coef + outputs_ * cols_);
    last_bias_.assign(bias, bias + outputs_);
    if constexpr (sizeof(T) == 4) {
      bool fits = true;
      for (std::size_t g = 0; g < parts_.size(); ++g) {
        const Gpu& gpu = *team_->gpus[g];
        fits = fits && logistic_fits(fused_job(g), gpu.capability, gpu.shared_bytes);
      }
      if (fits) return run_fused(coef_gradient, bias_gradient);
    }
    return run(nullptr, nullptr, coef_gradient, bias_gradient);
  }
  void hessian_product(const double* coef, const double* bias, double* coef_product,
                       double* bias_product) override {
    run(coef, bias, coef_product, bias_product);
  }

 private:
  double run(const double* direction, const double* direction_bias, double* coef_sums,
             double* bias_sums) {
    for (std::size_t g = 0; g < parts_.size(); ++g) start(g, direction, direction_bias);
    return collect(coef_sums, bias_sums,
                   [&](std::size_t g) { return pieces_of(x_->shares[g].rows); });
  }

  // What the GPUs left: sums, and losses_of(gpu) parts of the loss.
  template <class Losses>
  double collect(double* coef_sums, double* bias_sums, Losses&& losses_of) {
    const std::int64_t width = x_->cols + 1;
    std::fill_n(coef_sums, outputs_ * cols_, 0.0);
    std::fill_n(bias_sums, outputs_, 0.0);
    double loss = 0;
    for (std::size_t g = 0; g < parts_.size(); ++g) {
      const Gpu& gpu = *team_->gpus[g];
      const Current current(gpu.id);
      std::vector<double> result(static_cast<std::size_t>(outputs_ * width + losses_of(g)));
      receive(gpu, parts_[g].result.as<void>(), result);
      for (std::int64_t k = 0; k < outputs_; ++k) {
        const double* from = result.data() + k * width;
        for (std::int64_t j = 0; j < cols_; ++j) coef_sums[k * cols_ + j] += from[j];
        bias_sums[k] += from[x_->cols];
      }
      for (auto i = static_cast<std::size_t>(outputs_ * width); i < result.size(); ++i) {
        loss += result[i];
      }
    }
    return loss;
  }

  LogisticJob fused_job(std::size_t g) const {
    LogisticJob job{};
    job.x = static_cast<const float*>(x_->parts[g].data);
    job.rows = x_->shares[g].rows;
    job.ld = x_->parts[g].ld;
    job.cols = x_->cols;
    job.outputs = static_cast<std::int32_t>(outputs_);
    job.coef = parts_[g].b.as<float>();
    job.bias = parts_[g].bias.as<float>();
    job.y = classes_[g].as<std::int32_t>();
    job.weight = setup_.weight == nullptr ? nullptr : weights_[g].as<double>();
    job.partial = parts_[g].partial.as<double>();
    job.sums = parts_[g].result.as<double>();
    return job;
  }

  // Loss and gradient in one reading of the rows.
  double run_fused(double* coef_sums, double* bias_sums) {
    const auto coef = pack_rows<float>(last_coef_.data(), outputs_, cols_, x_->cols);
    const std::vector<float> bias(last_bias_.begin(), last_bias_.end());
    const std::int64_t width = x_->cols + 1;
    for (std::size_t g = 0; g < parts_.size(); ++g) {
      const Gpu& gpu = *team_->gpus[g];
      const Current current(gpu.id);
      Part& part = parts_[g];
      send(gpu, coef, part.b);
      send(gpu, bias, part.bias);
      part.partial.reserve(
          logistic_partial_count(fused_job(g), gpu.multiprocessors, gpu.shared_bytes) * 8);
      part.result.reserve((outputs_ * width + 1) * 8);
      check(launch_logistic(fused_job(g), gpu.multiprocessors, gpu.shared_bytes, gpu.stream.get()),
            "logistic regression: loss and gradient");
    }
    return collect(coef_sums, bias_sums, [](std::size_t) { return 1; });
  }

  std::int64_t piece_rows() const {
    return std::max<std::int64_t>(kPieceBytes / (outputs_ * static_cast<std::int64_t>(sizeof(T))),
                                  1024);
  }
  std::int64_t pieces_of(std::int64_t rows) const {
    return (rows + piece_rows() - 1) / piece_rows();
  }

  // Gives a GPU its part of a pass. result: the sums, then the loss of each piece.
  void start(std::size_t g, const double* direction, const double* direction_bias) {
    const Gpu& gpu = *team_->gpus[g];
    const Current current(gpu.id);
    const cudaStream_t stream = gpu.stream.get();
    Part& part = parts_[g];
    const Share& share = x_->shares[g];
    const std::int64_t pieces = pieces_of(share.rows);
    const std::int64_t most = std::min(piece_rows(), share.rows);
    const auto size = static_cast<std::int64_t>(sizeof(T));
    send(gpu, pack_columns<T>(last_coef_.data(), outputs_, cols_, x_->cols, padded_, 1.0), part.b);
    send(gpu, pack_bias<T>(last_bias_.data(), outputs_, padded_, 0.0), part.bias);
    part.z.reserve(most * outputs_ * size);
    part.loss.reserve(most * 8);
    part.loss_partial.reserve(kPotentialParts * 8);
    part.result.reserve((outputs_ * (x_->cols + 1) + pieces) * 8);
    if (direction != nullptr) {
      send(gpu, pack_columns<T>(direction, outputs_, cols_, x_->cols, padded_, 1.0), part.v_b);
      send(gpu, pack_bias<T>(direction_bias, outputs_, padded_, 0.0), part.v_bias);
      part.v.reserve(most * outputs_ * size);
    }
    check(
        cudaMemsetAsync(part.result.as<void>(), 0,
                        static_cast<std::size_t>((outputs_ * (x_->cols + 1) + pieces) * 8), stream),
        "clearing");
    auto* const sums = part.result.as<double>();
    for (std::int64_t piece = 0; piece < pieces; ++piece) {
      const std::int64_t first = piece * piece_rows();
      const std::int64_t rows = std::min(piece_rows(), share.rows - first);
      const auto* x = static_cast<const T*>(x_->parts[g].data) + first * x_->parts[g].ld;
      ProductJob product{};
      product.x = x;
      product.rows = rows;
      product.ld = x_->parts[g].ld;
      product.cols = x_->cols;
      product.count = static_cast<std::int32_t>(outputs_);
      product.padded = static_cast<std::int32_t>(padded_);
      product.b = part.b.as<void>();
      product.bias = part.bias.as<void>();
      product.out = part.z.as<void>();
      check(launch_product(Product::kScores, setup_.x.dtype, setup_.x.dtype, product,
                           gpu.multiprocessors, stream),
            "logistic regression: margins");
      ResidualJob residual{};
      residual.z = part.z.as<void>();
      residual.rows = rows;
      residual.outputs = static_cast<std::int32_t>(outputs_);
      residual.y = classes_[g].as<std::int32_t>() + first;
      residual.weight = setup_.weight == nullptr ? nullptr : weights_[g].as<double>() + first;
      residual.loss = part.loss.as<double>();
      if (direction != nullptr) {
        product.b = part.v_b.as<void>();
        product.bias = part.v_bias.as<void>();
        product.out = part.v.as<void>();
        check(launch_product(Product::kScores, setup_.x.dtype, setup_.x.dtype, product,
                             gpu.multiprocessors, stream),
              "logistic regression: margins");
        residual.direction = part.v.as<void>();
      }
      check(launch_residuals(setup_.x.dtype, residual, stream), "logistic regression: residuals");
      OuterJob outer{};
      outer.x = x;
      outer.rows = rows;
      outer.ld = x_->parts[g].ld;
      outer.cols = x_->cols;
      outer.g = part.z.as<void>();
      outer.outputs = static_cast<std::int32_t>(outputs_);
      part.partial.reserve(outer_partial_count(outer, gpu.multiprocessors) * 8);
      outer.partial = part.partial.as<double>();
      outer.sums = sums;
      outer.add = true;
      check(launch_outer(setup_.x.dtype, outer, gpu.multiprocessors, stream),
            "logistic regression: gradient");
      if (direction != nullptr) continue;
      check(
          launch_weighted_sum(part.loss.as<double>(), nullptr, rows, part.loss_partial.as<double>(),
                              sums + outputs_ * (x_->cols + 1) + piece, stream),
          "logistic regression: loss");
    }
  }

  const std::shared_ptr<GpuTeam> team_;
  const std::shared_ptr<const Resident> x_;
  const LogisticSetup setup_;
  const std::int64_t cols_, outputs_, padded_;
  std::vector<Part> parts_;
  std::vector<GpuArray> classes_, weights_;
  std::vector<double> last_coef_, last_bias_;
};

}  // namespace

std::unique_ptr<LogisticPasses> make_logistic_passes(std::shared_ptr<GpuTeam> team,
                                                     std::shared_ptr<const Resident> x,
                                                     const LogisticSetup& setup) {
  return with_type(setup.x.dtype, [&](auto zero) -> std::unique_ptr<LogisticPasses> {
    return std::make_unique<CudaLogistic<decltype(zero)>>(std::move(team), std::move(x), setup);
  });
}

}  // namespace pronghorn::device::cuda
