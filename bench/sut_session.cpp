// SPDX-License-Identifier: Apache-2.0
#include "bench/sut_session.h"

#include <algorithm>
#include <cstring>
#include <latch>

namespace pronghorn::bench {

Workers::Workers(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Workers::add(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  changed_.notify_one();
}

void Workers::serve() {
  while (true) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    const std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
  }
}

SessionSystem::SessionSystem(const Session& session, const Source& images, Resize resize,
                             std::vector<std::uint8_t> pixels, Options options)
    : session_(session),
      images_(images),
      resize_(std::move(resize)),
      pixels_(std::move(pixels)),
      options_(options),
      one_(session.pixel_bytes()),
      top_(static_cast<int>(std::min<std::int64_t>(5, session.classes()))) {
  if (options_.kind == Kind::kReal) workers_ = std::make_unique<Workers>(options_.threads);
}

std::string SessionSystem::name() const {
  return session_.device().name + (options_.kind == Kind::kReal ? ", real" : ", device");
}

std::uint32_t SessionSystem::sample_count() const {
  return static_cast<std::uint32_t>(options_.kind == Kind::kReal
                                        ? static_cast<std::size_t>(images_.size())
                                        : pixels_.size() / one_);
}

void SessionSystem::issue(std::span<const std::uint32_t> samples, QueryEnd& end) {
  try {
    if (options_.queued && samples.size() == 1) {
      queue(samples[0], end);
      return;
    }
    if (samples.size() <= 8) {
      run_now(samples);
    } else {
      run_batches(samples);
    }
    end.finish();
  } catch (const std::exception& error) {
    end.fail(error.what());
  }
}

void SessionSystem::decode(std::uint32_t sample, std::span<std::uint8_t> pixels) const {
  if (options_.kind == Kind::kReal) {
    images_.pixels(sample, resize_, pixels);
  } else {
    std::memcpy(pixels.data(), pixels_.data() + sample * one_, one_);
  }
}

void SessionSystem::decode_all(std::span<const std::uint32_t> samples,
                               std::vector<std::uint8_t>& pixels) {
  if (!workers_ || samples.size() == 1) {
    for (std::size_t i = 0; i < samples.size(); ++i) {
      decode(samples[i], std::span(pixels).subspan(i * one_, one_));
    }
    return;
  }
  std::latch left(static_cast<std::ptrdiff_t>(samples.size()));
  std::mutex mutex;
  std::exception_ptr thrown;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    workers_->add([&, i] {
      try {
        decode(samples[i], std::span(pixels).subspan(i * one_, one_));
      } catch (...) {
        const std::lock_guard lock(mutex);
        thrown = std::current_exception();
      }
      left.count_down();
    });
  }
  left.wait();
  if (thrown) std::rethrow_exception(thrown);
}

void SessionSystem::label(std::span<const float> outputs) const {
  const auto classes = static_cast<std::size_t>(session_.classes());
  for (std::size_t at = 0; at < outputs.size(); at += classes) {
    top_k(outputs.subspan(at, classes), top_);
  }
}

void SessionSystem::run_now(std::span<const std::uint32_t> samples) {
  const auto batch = static_cast<std::int64_t>(samples.size());
  std::vector<float> outputs(static_cast<std::size_t>(batch * session_.classes()));
  if (options_.kind == Kind::kDevice && batch == 1) {
    session_.run(std::span(pixels_).subspan(samples[0] * one_, one_), 1, outputs);
    return;
  }
  std::vector<std::uint8_t> pixels(samples.size() * one_);
  decode_all(samples, pixels);
  session_.run(pixels, batch, outputs);
  if (options_.kind == Kind::kReal) label(outputs);
}

void SessionSystem::run_batches(std::span<const std::uint32_t> samples) {
  if (options_.kind == Kind::kReal) {
    // The pipeline overlaps decoding with inference; it takes the images in their own order.
    const Source all = images_.repeat(static_cast<std::int64_t>(samples.size()));
    std::string broken;
    session_.classify(all, resize_, {options_.batch, options_.threads, false},
                      [&](const Result& result) {
                        if (result.error != nullptr) {
                          broken = result.error;
                        } else {
                          top_k(result.outputs, top_);
                        }
                        return true;
                      });
    if (!broken.empty()) throw Error(PH_CORRUPT, broken);
    return;
  }
  const auto batch = static_cast<std::size_t>(options_.batch);
  std::vector<std::uint8_t> pixels(std::min(batch, samples.size()) * one_);
  std::vector<float> outputs;
  for (std::size_t at = 0; at < samples.size(); at += batch) {
    const std::span part = samples.subspan(at, std::min(batch, samples.size() - at));
    pixels.resize(part.size() * one_);
    decode_all(part, pixels);
    outputs.resize(part.size() * static_cast<std::size_t>(session_.classes()));
    session_.run(pixels, static_cast<std::int64_t>(part.size()), outputs);
  }
}

struct SessionSystem::Query {
  std::vector<std::uint8_t> pixels;  // of kReal
  std::vector<float> outputs;
};

void SessionSystem::queue(std::uint32_t sample, QueryEnd& end) {
  const auto query = std::make_shared<Query>();
  query->outputs.resize(static_cast<std::size_t>(session_.classes()));
  const auto submit = [this, query, &end](std::span<const std::uint8_t> pixels) {
    session_.submit(pixels, 1, query->outputs, [this, query, &end](std::exception_ptr error) {
      try {
        if (error) std::rethrow_exception(error);
        if (options_.kind == Kind::kReal) label(query->outputs);
        end.finish();
      } catch (const std::exception& failure) {
        end.fail(failure.what());
      }
    });
  };
  if (options_.kind == Kind::kDevice) {
    submit(std::span(pixels_).subspan(sample * one_, one_));
    return;
  }
  workers_->add([this, query, sample, submit, &end] {
    try {
      query->pixels.resize(one_);
      decode(sample, query->pixels);
      submit(query->pixels);
    } catch (const std::exception& error) {
      end.fail(error.what());
    }
  });
}

}  // namespace pronghorn::bench
