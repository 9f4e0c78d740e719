// SPDX-License-Identifier: Apache-2.0
// The input path of NVIDIA GPUs: samples cross to the GPU in blocks of pinned memory, two of which
// take turns, and one kernel makes a model's pixels of all photographs of a block; or the GPU's
// JPEG engines make the samples there. Each lane has its stream, so that copies and kernels of
// lanes overlap each other and inference.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "device/cuda/nvjpeg.h"
#include "device/input_path.h"

namespace pronghorn::device::cuda {

class CudaInputPath final : public InputPath {
 public:
  explicit CudaInputPath(std::vector<int> gpus);
  ~CudaInputPath() override;

  std::shared_ptr<InputLane> lane(int side, int most, bool engine) override;
  bool engine_takes(const PhotoShape& shape) const override;
  std::string engine() const override;
  std::string missing() const override;
  bool engine_started() const override;
  int engine_lanes() const override;
  int engine_units() const override;

 private:
  class Lane;
  JpegEngine& engine_of(std::size_t gpu) const;

  std::vector<int> gpus_;
  mutable std::mutex mutex_;                                  // guards what follows
  mutable std::vector<std::unique_ptr<JpegEngine>> engines_;  // by GPU; made when first asked for
  std::vector<std::unique_ptr<Lane>> idle_;
  std::size_t next_gpu_ = 0;
};

}  // namespace pronghorn::device::cuda
