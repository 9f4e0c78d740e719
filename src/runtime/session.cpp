// SPDX-License-Identifier: Apache-2.0
#include "runtime/session.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string_view>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "graph/passes/passes.h"

namespace pronghorn::runtime {
namespace {

// Float inputs are four times the pixels: converted this many images at a time.
constexpr std::int64_t kFloatPiece = 16;
constexpr std::size_t kMostTogether = 64;

std::shared_ptr<const graph::Graph> lowered(std::shared_ptr<const graph::Graph> model,
                                            device::Precision precision) {
  if (!graph::is_quantized(*model)) return model;
  if (precision == device::Precision::kFp16) {
    return std::make_shared<const graph::Graph>(graph::passes::drop_quantization(*model));
  }
  return std::make_shared<const graph::Graph>(graph::passes::lower_quantized(*model));
}

void apply_preprocess(const graph::Preprocess& p, const std::uint8_t* pixels, std::int64_t count,
                      float* dst) {
  for (std::int64_t i = 0; i < count; ++i) {
    for (int c = 0; c < 3; ++c) {
      const float x = pixels[i * 3 + (p.bgr ? 2 - c : c)];
      dst[i * 3 + c] =
          (x - p.mean[static_cast<std::size_t>(c)]) / p.std[static_cast<std::size_t>(c)];
    }
  }
}

void check_batch(std::int64_t batch) {
  if (batch < 1 || batch > (1 << 20)) {
    base::fail(base::Status::kInvalidArgument, "batch is {}; 1 to {}", batch, 1 << 20);
  }
}

}  // namespace

bool device_input_wanted() {
  const char* wanted = std::getenv("PRONGHORN_DEVICE_INPUT");
  return wanted == nullptr || std::string_view(wanted) != "0";
}

Session::Session(std::shared_ptr<const graph::Graph> model, std::shared_ptr<device::Device> device,
                 int threads, device::Hint hint, device::Precision precision)
    : model_(std::move(model)), device_(std::move(device)) {
  if (threads < 0) {
    base::fail(base::Status::kInvalidArgument, "threads is {}; 0 (every core) or more", threads);
  }
  threads_ = threads == 0 ? base::available_cores() : threads;
  if (model_->inputs.size() != 1) {
    base::fail(base::Status::kUnsupported, "model {} has {} inputs; a session takes one image",
               model_->name, model_->inputs.size());
  }
  const graph::Value& input = model_->value(model_->inputs[0]);
  const graph::Value& output = model_->value(model_->outputs[0]);
  if (output.dtype != graph::DType::kF32) {
    base::fail(base::Status::kUnsupported, "output {} of model {} is {}, must be float32",
               output.name, model_->name, graph::name_of(output.dtype));
  }
  input_ = input.shape;
  input_is_u8_ = input.dtype == graph::DType::kU8;
  if (!input_is_u8_ && input.dtype != graph::DType::kF32) {
    base::fail(base::Status::kUnsupported, "input {} of model {} is {}, must be uint8 or float32",
               input.name, model_->name, graph::name_of(input.dtype));
  }
  classes_ = output.shape.size();
  program_ = device::compile_or_throw(*device_, lowered(model_, precision),
                                      {.threads = threads_, .hint = hint, .precision = precision});
}

Session::~Session() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (server_.joinable()) server_.join();
}

std::unique_ptr<device::Completion> Session::start_raw(const void* inputs, std::int64_t batch,
                                                       std::span<float* const> outputs,
                                                       int threads) {
  // What the caller does not ask for, the outputs after the first, goes to scratch.
  struct WithScratch final : device::Completion {
    std::vector<base::Buffer> scratch;
    std::unique_ptr<device::Completion> inner;  // goes first
    void wait() override {
      if (inner) inner->wait();
    }
  };
  const graph::Graph& graph = program_->graph();
  std::vector<void*> dst(outputs.begin(), outputs.end());
  std::vector<base::Buffer> scratch;
  for (std::size_t i = outputs.size(); i < graph.outputs.size(); ++i) {
    const graph::Value& v = graph.value(graph.outputs[i]);
    scratch.emplace_back(static_cast<std::size_t>(batch * v.shape.size()) * size_of(v.dtype));
    dst.push_back(scratch.back().data());
  }
  const void* src[] = {inputs};
  auto completion = program_->submit(
      {.inputs = src, .outputs = dst, .batch = static_cast<int>(batch), .threads = threads});
  if (completion == nullptr || scratch.empty()) return completion;
  auto both = std::make_unique<WithScratch>();
  both->scratch = std::move(scratch);
  both->inner = std::move(completion);
  return both;
}

void Session::run_raw(const void* inputs, std::int64_t batch, std::span<float* const> outputs,
                      int threads) {
  const auto completion = start_raw(inputs, batch, outputs, threads);
  if (completion) completion->wait();
}

std::unique_ptr<device::Completion> Session::start(const std::uint8_t* pixels, std::int64_t batch,
                                                   float* outputs, int threads) {
  check_batch(batch);
  if (!input_is_u8_) {
    base::fail(base::Status::kUnsupported, "model {} takes float32; start() takes uint8",
               model_->name);
  }
  return start_raw(pixels, batch, {&outputs, 1}, threads);
}

device::InputPath* Session::input_path() {
  if (!device_input_wanted()) return nullptr;
  const graph::Graph& graph = program_->graph();
  const bool pixels =
      input_is_u8_ && graph.value(graph.inputs[0]).dtype == graph::DType::kU8 && input_.c == 3;
  return pixels ? device_->input_path() : nullptr;
}

void Session::run_pixels(const std::uint8_t* pixels, std::int64_t batch,
                         std::span<float* const> outputs, int threads) {
  check_batch(batch);
  if (input_is_u8_) return run_raw(pixels, batch, outputs, threads);
  if (!model_->preprocess) {
    base::fail(base::Status::kInvalidArgument,
               "model {} takes float32 and does not say how pixels become its input; set a "
               "preprocess (torch, caffe or tf)",
               model_->name);
  }
  if (input_.c != 3) {
    base::fail(base::Status::kUnsupported, "model {} takes {} channels, photographs have 3",
               model_->name, input_.c);
  }
  base::Buffer floats(static_cast<std::size_t>(std::min(batch, kFloatPiece) * input_.size()) *
                      sizeof(float));
  std::vector<float*> dst(outputs.begin(), outputs.end());
  for (std::int64_t first = 0; first < batch; first += kFloatPiece) {
    const std::int64_t count = std::min(kFloatPiece, batch - first);
    apply_preprocess(*model_->preprocess, pixels + first * input_.size(),
                     count * input_.h * input_.w, floats.as<float>());
    run_raw(floats.data(), count, dst, threads);
    for (std::size_t i = 0; i < dst.size(); ++i) {
      dst[i] += count * model_->value(model_->outputs[i]).shape.size();
    }
  }
}

void Session::run_floats(const float* inputs, std::int64_t batch, std::span<float* const> outputs,
                         int threads) {
  if (input_is_u8_) {
    base::fail(base::Status::kUnsupported, "model {} takes uint8 pixels, not float32",
               model_->name);
  }
  check_batch(batch);
  run_raw(inputs, batch, outputs, threads);
}

void Session::run(const std::uint8_t* pixels, std::int64_t batch, float* outputs, int threads) {
  run_pixels(pixels, batch, {&outputs, 1}, threads);
}

void Session::run_top_k(const std::uint8_t* pixels, std::int64_t batch, int k,
                        std::int64_t* indices, float* scores) {
  check_batch(batch);
  if (k < 1 || k > classes_) {
    base::fail(base::Status::kInvalidArgument, "k is {}; 1 to {}, the number of scores", k,
               classes_);
  }
  if (program_->ranks() && input_is_u8_ && program_->graph().outputs.size() == 1) {
    std::vector<device::Scored> best(static_cast<std::size_t>(batch * k));
    const void* src[] = {pixels};
    void* dst[] = {best.data()};
    const auto completion = program_->submit(
        {.inputs = src, .outputs = dst, .batch = static_cast<int>(batch), .best = k});
    if (completion) completion->wait();
    for (std::size_t i = 0; i < best.size(); ++i) {
      indices[i] = best[i].index;
      if (scores != nullptr) scores[i] = best[i].score;
    }
    return;
  }
  std::vector<float> all(static_cast<std::size_t>(batch * classes_));
  run(pixels, batch, all.data());
  for (std::int64_t image = 0; image < batch; ++image) {
    const float* of_image = all.data() + image * classes_;
    for (const std::int64_t index : top_k(of_image, classes_, k)) {
      *indices++ = index;
      if (scores != nullptr) *scores++ = of_image[index];
    }
  }
}

void Session::run_f32(const float* inputs, std::int64_t batch, float* outputs, int threads) {
  run_floats(inputs, batch, {&outputs, 1}, threads);
}

void Session::check_outputs(std::span<float* const> outputs) const {
  if (outputs.size() != model_->outputs.size()) {
    base::fail(base::Status::kInvalidArgument, "{} arrays for the {} outputs of model {}",
               outputs.size(), model_->outputs.size(), model_->name);
  }
  for (const graph::ValueId id : model_->outputs) {
    const graph::Value& output = model_->value(id);
    if (output.dtype != graph::DType::kF32) {
      base::fail(base::Status::kUnsupported, "output {} of model {} is {}, must be float32",
                 output.name, model_->name, graph::name_of(output.dtype));
    }
  }
}

void Session::run_all(const std::uint8_t* pixels, std::int64_t batch,
                      std::span<float* const> outputs) {
  check_outputs(outputs);
  run_pixels(pixels, batch, outputs, 0);
}

void Session::run_all_f32(const float* inputs, std::int64_t batch,
                          std::span<float* const> outputs) {
  check_outputs(outputs);
  run_floats(inputs, batch, outputs, 0);
}

void Session::queue(Request request) {
  {
    const std::lock_guard lock(mutex_);
    if (!server_.joinable()) server_ = std::thread([this] { serve(); });
    queue_.push_back(std::move(request));
  }
  changed_.notify_one();
}

void Session::submit(const std::uint8_t* pixels, std::int64_t batch, float* outputs, Done done) {
  queue({pixels, false, batch, outputs, std::move(done)});
}

void Session::submit_f32(const float* inputs, std::int64_t batch, float* outputs, Done done) {
  queue({inputs, true, batch, outputs, std::move(done)});
}

void Session::run_request(const void* inputs, bool floats, std::int64_t batch, float* outputs) {
  if (floats) {
    run_f32(static_cast<const float*>(inputs), batch, outputs);
  } else {
    run(static_cast<const std::uint8_t*>(inputs), batch, outputs);
  }
}

void Session::serve() {
  for (;;) {
    std::vector<Request> requests;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stop_ || !queue_.empty(); });
      if (queue_.empty()) return;
      do {
        requests.push_back(std::move(queue_.front()));
        queue_.pop_front();
      } while (!queue_.empty() && requests.size() < kMostTogether && requests.back().batch == 1 &&
               queue_.front().batch == 1 && queue_.front().floats == requests[0].floats);
    }
    serve_together(requests);
  }
}

void Session::serve_together(std::vector<Request>& requests) {
  std::exception_ptr error;
  try {
    const bool floats = requests[0].floats;
    if (requests.size() == 1) {
      run_request(requests[0].inputs, floats, requests[0].batch, requests[0].outputs);
    } else {
      const auto image =
          static_cast<std::size_t>(input_.size()) * (floats ? sizeof(float) : std::size_t{1});
      const auto scores = static_cast<std::size_t>(classes_);
      base::Buffer inputs(requests.size() * image);
      std::vector<float> outputs(requests.size() * scores);
      for (std::size_t i = 0; i < requests.size(); ++i) {
        std::memcpy(inputs.data() + i * image, requests[i].inputs, image);
      }
      run_request(inputs.data(), floats, static_cast<std::int64_t>(requests.size()),
                  outputs.data());
      for (std::size_t i = 0; i < requests.size(); ++i) {
        std::memcpy(requests[i].outputs, outputs.data() + i * scores, scores * sizeof(float));
      }
    }
  } catch (...) {
    error = std::current_exception();
  }
  for (Request& request : requests) request.done(error);
}

std::vector<std::int64_t> top_k(const float* scores, std::int64_t n, int k) {
  if (k < 1 || k > n) {
    base::fail(base::Status::kInvalidArgument, "k is {}; 1 to {}, the number of scores", k, n);
  }
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + k, order.end(),
                    [scores](std::int64_t a, std::int64_t b) {
                      return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
                    });
  order.resize(static_cast<std::size_t>(k));
  return order;
}

}  // namespace pronghorn::runtime
