// SPDX-License-Identifier: Apache-2.0
// A model on a device, ready to run: synchronous, queued, or fed from a source of photographs.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "device/device.h"
#include "graph/graph.h"
#include "image/pipeline.h"

namespace pronghorn::runtime {

// All members may be called from many threads at once.
class Session {
 public:
  // `model` is float or QDQ; QDQ is lowered to the integer law here. `threads` 0: every core.
  // With kFp16 a QDQ model's weights are taken as the numbers they stand for and its activations
  // are not quantized. Throws Error(kUnsupported) naming what the device refuses, or a model whose
  // first output is not float32.
  Session(std::shared_ptr<const graph::Graph> model, std::shared_ptr<device::Device> device,
          int threads, device::Hint hint = device::Hint::kAuto,
          device::Precision precision = device::Precision::kModel);
  ~Session();  // waits for everything submitted
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const graph::Graph& model() const { return *model_; }
  const device::Device& device() const { return *device_; }
  device::Program& program() { return *program_; }
  int threads() const { return threads_; }
  std::int64_t classes() const { return classes_; }

  // `pixels`: batch images of h * w * 3 u8, RGB. `outputs`: batch * classes() float32.
  // `threads` as in device::Submission. A float model's preprocess is applied.
  void run(const std::uint8_t* pixels, std::int64_t batch, float* outputs, int threads = 0);

  // The k best of each image as top_k orders them: batch * k indices and, unless null, scores. A
  // device that ranks sends nothing else back. Throws Error(kInvalidArgument) unless 0 < k <=
  // classes().
  void run_top_k(const std::uint8_t* pixels, std::int64_t batch, int k, std::int64_t* indices,
                 float* scores);

  // run() for models whose input is u8, returning when the device has the work: `pixels` and
  // `outputs` must live until what is returned has been waited for or dropped; nullptr: it is done.
  std::unique_ptr<device::Completion> start(const std::uint8_t* pixels, std::int64_t batch,
                                            float* outputs, int threads = 0);

  // The device's part in a photograph's way to this model's input; nullptr: it has none, or
  // device_input_wanted() is false.
  device::InputPath* input_path();

  // `inputs`: batch float32 NHWC tensors as the graph takes them. Throws Error(kUnsupported) when
  // the model's input is u8.
  void run_f32(const float* inputs, std::int64_t batch, float* outputs, int threads = 0);

  // The same for every output of the model: outputs[i] takes batch images of output i. Throws
  // Error(kInvalidArgument) unless there are as many, Error(kUnsupported) when one is not float32.
  void run_all(const std::uint8_t* pixels, std::int64_t batch, std::span<float* const> outputs);
  void run_all_f32(const float* inputs, std::int64_t batch, std::span<float* const> outputs);

  // Queues run() or run_f32(); `done` is called once from the session's thread, with nullptr on
  // success. Single images that wait together are run as one batch.
  using Done = std::function<void(std::exception_ptr)>;
  void submit(const std::uint8_t* pixels, std::int64_t batch, float* outputs, Done done);
  void submit_f32(const float* inputs, std::int64_t batch, float* outputs, Done done);

 private:
  struct Request {
    const void* inputs;  // pixels, or floats
    bool floats;
    std::int64_t batch;
    float* outputs;
    Done done;
  };
  void run_pixels(const std::uint8_t* pixels, std::int64_t batch, std::span<float* const> outputs,
                  int threads);
  void run_floats(const float* inputs, std::int64_t batch, std::span<float* const> outputs,
                  int threads);
  void run_raw(const void* inputs, std::int64_t batch, std::span<float* const> outputs,
               int threads);
  std::unique_ptr<device::Completion> start_raw(const void* inputs, std::int64_t batch,
                                                std::span<float* const> outputs, int threads);
  void run_request(const void* inputs, bool floats, std::int64_t batch, float* outputs);
  void queue(Request request);
  void check_outputs(std::span<float* const> outputs) const;
  void serve();
  void serve_together(std::vector<Request>& requests);

  std::shared_ptr<const graph::Graph> model_;
  std::shared_ptr<device::Device> device_;
  std::unique_ptr<device::Program> program_;
  int threads_;
  graph::Shape input_;
  bool input_is_u8_;
  std::int64_t classes_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Request> queue_;
  bool stop_ = false;
  std::thread server_;
};

// False with PRONGHORN_DEVICE_INPUT=0 in the environment: the processor decodes and resizes
// photographs, whatever the device could do of it.
bool device_input_wanted();

// One classified photograph. Pointers live until the callback returns.
struct Result {
  std::int64_t index = 0;
  std::string name;
  std::string label;
  std::string error;               // empty for a good image
  const float* outputs = nullptr;  // classes() values; nullptr for a broken image
};

struct ClassifyOptions {
  image::ResizeMode resize;  // width must equal the model's input
  image::DecodeLimits limits;
  int batch = 1;    // most images inferred together
  int threads = 0;  // 0: as the session
  bool strict = false;
  bool engine = true;        // a device's JPEG engine helps to decode, where there is one
  bool decode_only = false;  // times the decoders alone: results have no outputs
};

// Reads, decodes and infers on all threads at once; `on_result` is called in source order, one call
// at a time. Memory is bounded whatever the size of the source. When `on_result` returns false the
// rest is left and Error(kCancelled) is thrown.
image::PipelineStats classify(Session& session, const image::Source& source,
                              const ClassifyOptions& options,
                              const std::function<bool(const Result&)>& on_result);

// Indices of the k best scores, best first, equal scores in order of index.
// Throws Error(kInvalidArgument) unless 0 < k <= n.
std::vector<std::int64_t> top_k(const float* scores, std::int64_t n, int k);

}  // namespace pronghorn::runtime
