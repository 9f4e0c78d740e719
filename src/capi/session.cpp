// SPDX-License-Identifier: Apache-2.0
#include "runtime/session.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "capi/guard.h"
#include "capi/objects.h"
#include "runtime/device_list.h"

using namespace pronghorn;

namespace {

std::span<float* const> outputs_of(float* const* outputs, int32_t count) {
  capi::require(outputs, "outputs");
  if (count < 1) base::fail(base::Status::kInvalidArgument, "count is {}; 1 or more", count);
  for (int32_t i = 0; i < count; ++i) capi::require(outputs[i], "outputs[i]");
  return {outputs, static_cast<std::size_t>(count)};
}

runtime::Session::Done done_of(ph_done done, void* user) {
  if (done == nullptr) base::fail(base::Status::kInvalidArgument, "argument done is NULL");
  return [done, user](std::exception_ptr error) {
    std::string message;
    const ph_status status = error ? capi::status_of(error, &message) : PH_OK;
    done(user, status, message.c_str());
  };
}

device::Hint hint_of(const char* hint) {
  const std::string_view name = hint == nullptr ? "auto" : hint;
  if (name == "auto") return device::Hint::kAuto;
  if (name == "throughput") return device::Hint::kThroughput;
  if (name == "latency") return device::Hint::kLatency;
  base::fail(base::Status::kInvalidArgument, "hint is \"{}\"; auto, throughput or latency", name);
}

device::Precision precision_of(const char* precision) {
  const std::string_view name = precision == nullptr ? "model" : precision;
  if (name == "model") return device::Precision::kModel;
  if (name == "fp16") return device::Precision::kFp16;
  base::fail(base::Status::kInvalidArgument, "precision is \"{}\"; model or fp16", name);
}

}  // namespace

ph_status ph_session_create(const ph_model* model, const ph_session_options* options,
                            ph_session** session) {
  return capi::guard([&] {
    capi::require(model, "model");
    capi::require(session, "session");
    const ph_session_options given = capi::read_struct(options, "options");
    *session = nullptr;
    const auto names = runtime::devices_to_try(given.device == nullptr ? "" : given.device);
    // "auto" is the first device that takes the whole model; the caller sees which it was.
    for (std::size_t i = 0; *session == nullptr; ++i) {
      const auto device = runtime::open_device(names[i]);
      try {
        *session = new ph_session(
            std::make_unique<runtime::Session>(model->graph, device, given.threads,
                                               hint_of(given.hint), precision_of(given.precision)));
      } catch (const base::Error& error) {
        if (error.status() != base::Status::kUnsupported || i + 1 == names.size()) throw;
      }
    }
  });
}

void ph_session_free(ph_session* session) { delete session; }

ph_status ph_session_device(const ph_session* session, ph_device_info* info) {
  return capi::guard([&] {
    capi::require(session, "session");
    capi::fill_device_info(session->session->device().properties(), info);
  });
}

int64_t ph_session_memory_bytes(const ph_session* session) {
  return session == nullptr ? 0 : session->session->program().memory_bytes();
}

ph_status ph_session_energy(const ph_session* session, double* joules) {
  return capi::guard([&] {
    capi::require(session, "session");
    capi::require(joules, "joules");
    const device::Device& device = session->session->device();
    const std::optional<double> counted = device.energy_joules();
    if (!counted) {
      base::fail(base::Status::kUnsupported, "device {} has no energy counter",
                 device.properties().name);
    }
    *joules = *counted;
  });
}

ph_status ph_session_run(ph_session* session, const uint8_t* pixels, int64_t batch,
                         float* outputs) {
  return capi::guard([&] {
    capi::require(session, "session");
    capi::require(pixels, "pixels");
    capi::require(outputs, "outputs");
    session->session->run(pixels, batch, outputs);
  });
}

ph_status ph_session_run_top_k(ph_session* session, const uint8_t* pixels, int64_t batch, int32_t k,
                               int64_t* indices, float* scores) {
  return capi::guard([&] {
    capi::require(session, "session");
    capi::require(pixels, "pixels");
    capi::require(indices, "indices");
    session->session->run_top_k(pixels, batch, k, indices, scores);
  });
}

ph_status ph_session_run_f32(ph_session* session, const float* inputs, int64_t batch,
                             float* outputs) {
  return capi::guard([&] {
    capi::require(session, "session");
    capi::require(inputs, "inputs");
    capi::require(outputs, "outputs");
    session->session->run_f32(inputs, batch, outputs);
  });
}

ph_status ph_session_run_all(ph_session* session, const uint8_t* pixels, int64_t batch,
                             float* const* outputs, int32_t count) {
  return capi::guard([&] {
    capi::require(session, "session");
    capi::require(pixels, "pixels");
    session->session->run_all(pixels, batch, outputs_of(outputs, count));
  });
}

ph_status ph_session_run_all_f32(ph_session* session, const float* inputs, int64_t batch,
                                 float* const* outputs, int32_t count) {
  return capi::guard([&] {
    capi::require(session, "session");
    capi::require(inputs, "inputs");
    session->session->run_all_f32(inputs, batch, outputs_of(outputs, count));
  });
}

ph_status ph_session_submit(ph_session* session, const uint8_t* pixels, int64_t batch,
                            float* outputs, ph_done done, void* user) {
  return capi::guard([&] {
    capi::require(session, "session");
    capi::require(pixels, "pixels");
    capi::require(outputs, "outputs");
    session->session->submit(pixels, batch, outputs, done_of(done, user));
  });
}

ph_status ph_session_submit_f32(ph_session* session, const float* inputs, int64_t batch,
                                float* outputs, ph_done done, void* user) {
  return capi::guard([&] {
    capi::require(session, "session");
    capi::require(inputs, "inputs");
    capi::require(outputs, "outputs");
    session->session->submit_f32(inputs, batch, outputs, done_of(done, user));
  });
}

ph_status ph_session_profile(ph_session* session, int32_t enable, char** json) {
  return capi::guard([&] {
    capi::require(session, "session");
    device::Program& program = session->session->program();
    if (json != nullptr) {
      nlohmann::ordered_json nodes = nlohmann::ordered_json::array();
      for (const device::NodeTime& t : program.profile()) {
        nodes.push_back({{"node", t.node},
                         {"kernel", t.kernel},
                         {"seconds", t.seconds},
                         {"calls", t.calls},
                         {"macs", t.macs},
                         {"bytes", t.bytes}});
      }
      *json = capi::new_string(nodes.dump());
    }
    program.set_profiling(enable != 0);
  });
}

ph_status ph_session_details(ph_session* session, char** json) {
  return capi::guard([&] {
    capi::require(session, "session");
    capi::require(json, "json");
    const std::string details = session->session->program().details();
    *json = capi::new_string(details.empty() ? "{}" : details);
  });
}

ph_status ph_session_listing(ph_session* session, char** text) {
  return capi::guard([&] {
    capi::require(session, "session");
    capi::require(text, "text");
    const std::string listing = session->session->program().listing();
    if (listing.empty()) {
      base::fail(base::Status::kUnsupported,
                 "device {} has no command stream; the FPGA device has one",
                 session->session->device().properties().name);
    }
    *text = capi::new_string(listing);
  });
}

ph_status ph_session_decoders(ph_session* session, char** json) {
  return capi::guard([&] {
    capi::require(session, "session");
    capi::require(json, "json");
    device::InputPath* const path = session->session->input_path();
    nlohmann::ordered_json decoders{{"engine", nullptr}, {"missing", ""}, {"resize", "processor"}};
    if (path == nullptr) {
      decoders["missing"] = fmt::format(
          "device {} takes no part in decoding{}", session->session->device().properties().name,
          runtime::device_input_wanted() ? "" : " with PRONGHORN_DEVICE_INPUT=0");
    } else {
      decoders["resize"] = "device";
      const std::string engine = path->engine();
      if (!engine.empty()) decoders["engine"] = engine;
      decoders["missing"] = path->missing();
    }
    *json = capi::new_string(decoders.dump());
  });
}

ph_status ph_top_k(const float* scores, int64_t n, int32_t k, int64_t* indices,
                   float* probabilities) {
  return capi::guard([&] {
    capi::require(scores, "scores");
    capi::require(indices, "indices");
    const auto best = runtime::top_k(scores, n, k);
    std::copy(best.begin(), best.end(), indices);
    if (probabilities == nullptr) return;
    const double top = scores[best[0]];
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += std::exp(scores[i] - top);
    for (std::size_t i = 0; i < best.size(); ++i) {
      probabilities[i] = static_cast<float>(std::exp(scores[best[i]] - top) / sum);
    }
  });
}

ph_status ph_classify(ph_session* session, const ph_source* source, const ph_resize* resize,
                      const ph_classify_options* options, ph_on_result on_result, void* user,
                      ph_classify_stats* stats) {
  return capi::guard([&] {
    capi::require(session, "session");
    capi::require(source, "source");
    if (on_result == nullptr) {
      base::fail(base::Status::kInvalidArgument, "argument on_result is NULL");
    }
    const ph_classify_options given = capi::read_struct(options, "options");
    const runtime::ClassifyOptions chosen{
        .resize = capi::resize_of(resize, &session->session->model()),
        .limits = {},
        .batch = given.batch == 0 ? 1 : given.batch,
        .threads = given.threads,
        .strict = given.strict != 0,
        .engine = given.processor_decodes == 0,
        .decode_only = given.decode_only != 0};
    const image::PipelineStats measured = runtime::classify(
        *session->session, *source->source, chosen, [&](const runtime::Result& r) {
          const ph_result result{.struct_size = sizeof(ph_result),
                                 .index = r.index,
                                 .name = r.name.c_str(),
                                 .label = r.label.c_str(),
                                 .error = r.error.empty() ? nullptr : r.error.c_str(),
                                 .outputs = r.outputs};
          return on_result(user, &result) == 0;
        });
    if (stats == nullptr) return;
    const ph_classify_stats filled{.struct_size = 0,
                                   .wall_seconds = measured.wall_seconds,
                                   .read_seconds = measured.read_seconds,
                                   .decode_seconds = measured.decode_seconds,
                                   .infer_seconds = measured.sink_seconds,
                                   .images = measured.images,
                                   .broken = measured.broken,
                                   .encoded_bytes = measured.encoded_bytes,
                                   .resize_seconds = measured.resize_seconds,
                                   .copy_seconds = measured.copy_seconds,
                                   .result_seconds = measured.result_seconds,
                                   .engine_seconds = measured.engine_seconds,
                                   .lane_seconds = measured.lane_seconds,
                                   .engine_images = measured.engine_images,
                                   .engine_returned = measured.returned};
    capi::write_struct(filled, stats, "stats");
  });
}
