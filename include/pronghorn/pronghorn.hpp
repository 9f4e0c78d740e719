// SPDX-License-Identifier: Apache-2.0
//
// Pronghorn for C++20: owning objects and exceptions over the C ABI of pronghorn.h, header only.
// Units, shapes, threads and lifetimes are those of pronghorn.h. Every failed call throws Error.
#ifndef PRONGHORN_PRONGHORN_HPP_
#define PRONGHORN_PRONGHORN_HPP_

#include <pronghorn/pronghorn.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pronghorn {

class Error : public std::runtime_error {
 public:
  Error(ph_status status, const std::string& message)
      : std::runtime_error(message), status_(status) {}
  ph_status status() const { return status_; }

 private:
  ph_status status_;
};

// Throws the calling thread's last error unless `status` is PH_OK.
inline void check(ph_status status) {
  if (status != PH_OK) throw Error(status, ph_last_error());
}

namespace detail {

// Takes over a char* of the library.
inline std::string take(char* text) {
  std::string copy = text == nullptr ? "" : text;
  ph_string_free(text);
  return copy;
}

inline std::string text_or_empty(const char* text) { return text == nullptr ? "" : text; }

inline const char* or_null(const std::string& text) {
  return text.empty() ? nullptr : text.c_str();
}

struct Free {
  void operator()(ph_model* model) const { ph_model_free(model); }
  void operator()(ph_source* source) const { ph_source_free(source); }
  void operator()(ph_session* session) const { ph_session_free(session); }
};

inline std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> result;
  result.reserve(texts.size());
  for (const std::string& text : texts) result.push_back(text.c_str());
  return result;
}

}  // namespace detail

inline std::string version() { return ph_version(); }

// ---- devices -----------------------------------------------------------------------------------

struct DeviceInfo {
  std::string name;
  std::string description;
  std::string isa;
  int cores = 0;
  std::int64_t memory_bytes = 0;  // 0: unknown
  double clock_hz = 0;            // 0: unknown
};

namespace detail {
inline DeviceInfo from_c(const ph_device_info& info) {
  return {info.name, info.description, info.isa, info.cores, info.memory_bytes, info.clock_hz};
}
}  // namespace detail

inline std::vector<DeviceInfo> devices() {
  std::int32_t count = 0;
  check(ph_device_count(&count));
  std::vector<DeviceInfo> result;
  for (std::int32_t i = 0; i < count; ++i) {
    ph_device_info info{};
    info.struct_size = sizeof info;
    check(ph_device_get(i, &info));
    result.push_back(detail::from_c(info));
  }
  return result;
}

// Multiply-adds a second from registers, 0 where that cannot be measured: ph_device_ceiling.
inline double device_ceiling(const std::string& device = "", int threads = 0) {
  double macs_per_second = 0;
  check(ph_device_ceiling(detail::or_null(device), threads, &macs_per_second));
  return macs_per_second;
}

inline int available_cores() { return ph_available_cores(); }

// ---- images ------------------------------------------------------------------------------------

struct Resize {
  std::string mode;  // "direct:224", "short:256,crop:224"; empty: the model's own
  bool nearest = false;
  bool scaled_decode = false;

  // Points into this object.
  ph_resize c() const {
    return {sizeof(ph_resize), detail::or_null(mode), nearest ? 1 : 0, scaled_decode ? 1 : 0};
  }
};

class Source {
 public:
  static Source open(const std::string& path) {
    ph_source* source = nullptr;
    check(ph_source_open(path.c_str(), &source));
    return Source(source);
  }
  static Source files(const std::vector<std::string>& paths) {
    const std::vector<const char*> texts = detail::pointers(paths);
    ph_source* source = nullptr;
    check(ph_source_files(texts.data(), static_cast<std::int64_t>(texts.size()), &source));
    return Source(source);
  }
  // `names` is empty or has a name for each image.
  static Source memory(std::span<const std::span<const std::byte>> images,
                       const std::vector<std::string>& names = {}) {
    std::vector<const void*> data;
    std::vector<std::size_t> sizes;
    for (const auto& image : images) {
      data.push_back(image.data());
      sizes.push_back(image.size());
    }
    const std::vector<const char*> texts = detail::pointers(names);
    ph_source* source = nullptr;
    check(ph_source_memory(data.data(), sizes.data(), names.empty() ? nullptr : texts.data(),
                           static_cast<std::int64_t>(data.size()), &source));
    return Source(source);
  }

  // This source again and again (or only its beginning) until there are `size` images.
  Source repeat(std::int64_t size) const {
    ph_source* source = nullptr;
    check(ph_source_repeat(handle_.get(), size, &source));
    return Source(source);
  }
  std::int64_t size() const { return ph_source_size(handle_.get()); }
  std::string name(std::int64_t index) const { return text(ph_source_name, index); }
  std::string label(std::int64_t index) const { return text(ph_source_label, index); }
  void pixels(std::int64_t index, const Resize& resize, std::span<std::uint8_t> dst) const {
    const ph_resize mode = resize.c();
    check(ph_source_pixels(handle_.get(), index, &mode, dst.data(), dst.size()));
  }
  const ph_source* get() const { return handle_.get(); }

 private:
  explicit Source(ph_source* source) : handle_(source) {}
  std::string text(ph_status (*read)(const ph_source*, std::int64_t, char*, std::size_t),
                   std::int64_t index) const {
    std::string result(4096, '\0');
    check(read(handle_.get(), index, result.data(), result.size()));
    result.resize(std::char_traits<char>::length(result.c_str()));
    return result;
  }
  std::unique_ptr<ph_source, detail::Free> handle_;
};

// Decodes one encoded image; `name` is for messages. `dst` holds width * width * 3 bytes.
inline void decode(std::span<const std::byte> encoded, const std::string& name,
                   const Resize& resize, std::span<std::uint8_t> dst) {
  const ph_resize mode = resize.c();
  check(
      ph_image_decode(encoded.data(), encoded.size(), name.c_str(), &mode, dst.data(), dst.size()));
}

// ---- models ------------------------------------------------------------------------------------

struct ModelInfo {
  std::string name;
  bool quantized = false;
  int input_height = 0, input_width = 0, input_channels = 0;
  bool input_is_u8 = false;
  std::int64_t classes = 0;
  std::int64_t macs = 0;
  std::int64_t parameter_bytes = 0;
  int nodes = 0;
  std::string resize;
  std::string preprocess;
  std::string format;
  std::array<float, 3> preprocess_mean{}, preprocess_std{};
  bool preprocess_bgr = false;
  bool preprocess_inside = false;
  // Elements of one image's float input.
  std::int64_t input_elements() const {
    return std::int64_t{1} * input_height * input_width * input_channels;
  }
  // Bytes of one image for Session::run.
  std::size_t pixel_bytes() const {
    return static_cast<std::size_t>(input_height) * static_cast<std::size_t>(input_width) * 3;
  }
};

struct OutputInfo {
  std::string name;
  int height = 0, width = 0, channels = 0;
  std::int64_t size() const { return std::int64_t{1} * height * width * channels; }
};

struct NodeInfo {
  std::string name;
  std::string op;
  std::string dtype;
  int height = 0, width = 0, channels = 0;
  std::int64_t macs = 0;
  std::int64_t parameter_bytes = 0;
};

class Model {
 public:
  static Model load(const std::string& path) {
    ph_model* model = nullptr;
    check(ph_model_load(path.c_str(), &model));
    return Model(model);
  }
  static Model embedded(const std::string& name) {
    ph_model* model = nullptr;
    check(ph_model_embedded(name.c_str(), &model));
    return Model(model);
  }

  // The same formats from memory; `name` stands for the file in messages.
  static Model from_bytes(std::span<const std::byte> bytes, const std::string& name = "model") {
    ph_model* model = nullptr;
    check(ph_model_from_bytes(bytes.data(), bytes.size(), name.c_str(), &model));
    return Model(model);
  }

  // The bytes of the file that save() writes.
  std::vector<std::byte> to_bytes() const {
    void* data = nullptr;
    std::size_t size = 0;
    check(ph_model_to_bytes(handle_.get(), &data, &size));
    const std::unique_ptr<void, void (*)(void*)> owner(data, ph_bytes_free);
    const auto* bytes = static_cast<const std::byte*>(data);
    return {bytes, bytes + size};
  }
  void save(const std::string& path) const { check(ph_model_save(handle_.get(), path.c_str())); }
  ModelInfo info() const {
    ph_model_info info{};
    info.struct_size = sizeof info;
    check(ph_model_get_info(handle_.get(), &info));
    return {detail::text_or_empty(info.name),
            info.quantized != 0,
            info.input_height,
            info.input_width,
            info.input_channels,
            info.input_is_u8 != 0,
            info.classes,
            info.macs,
            info.parameter_bytes,
            info.nodes,
            detail::text_or_empty(info.resize),
            detail::text_or_empty(info.preprocess),
            detail::text_or_empty(info.format),
            {info.preprocess_mean[0], info.preprocess_mean[1], info.preprocess_mean[2]},
            {info.preprocess_std[0], info.preprocess_std[1], info.preprocess_std[2]},
            info.preprocess_bgr != 0,
            info.preprocess_inside != 0};
  }
  int output_count() const { return ph_model_output_count(handle_.get()); }
  OutputInfo output(int index) const {
    ph_output_info info{};
    info.struct_size = sizeof info;
    check(ph_model_output(handle_.get(), index, &info));
    return {detail::text_or_empty(info.name), info.height, info.width, info.channels};
  }
  NodeInfo node(int index) const {
    ph_node_info info{};
    info.struct_size = sizeof info;
    check(ph_model_node(handle_.get(), index, &info));
    return {detail::text_or_empty(info.name),
            detail::text_or_empty(info.op),
            detail::text_or_empty(info.dtype),
            info.height,
            info.width,
            info.channels,
            info.macs,
            info.parameter_bytes};
  }
  std::string describe() const {
    char* text = nullptr;
    check(ph_model_describe(handle_.get(), &text));
    return detail::take(text);
  }
  // "" when the model has no labels or the index is out of range.
  std::string label(std::int64_t index) const {
    return detail::text_or_empty(ph_model_label(handle_.get(), index));
  }
  std::string label_id(std::int64_t index) const {
    return detail::text_or_empty(ph_model_label_id(handle_.get(), index));
  }
  // `ids` is empty or has an id for each name.
  Model with_labels(const std::vector<std::string>& names,
                    const std::vector<std::string>& ids = {}) const {
    const std::vector<const char*> name_texts = detail::pointers(names);
    const std::vector<const char*> id_texts = detail::pointers(ids);
    ph_model* model = nullptr;
    check(ph_model_with_labels(handle_.get(), name_texts.data(),
                               ids.empty() ? nullptr : id_texts.data(),
                               static_cast<std::int64_t>(names.size()), &model));
    return Model(model);
  }
  Model with_preprocess(const std::string& preset) const {
    ph_model* model = nullptr;
    check(ph_model_with_preprocess(handle_.get(), preset.c_str(), &model));
    return Model(model);
  }
  Model with_resize(const std::string& mode) const {
    ph_model* model = nullptr;
    check(ph_model_with_resize(handle_.get(), mode.c_str(), &model));
    return Model(model);
  }
  // Ends the model at a node: what it gives is the only output.
  Model with_output(int node) const {
    ph_model* model = nullptr;
    check(ph_model_with_output(handle_.get(), node, &model));
    return Model(model);
  }
  const ph_model* get() const { return handle_.get(); }

 private:
  friend struct Quantized quantize(const Model&, const Source&, const Resize&,
                                   const struct QuantizeOptions&);
  friend struct Quantized quantize(const Model&, std::span<const float>,
                                   const struct QuantizeOptions&);
  explicit Model(ph_model* model) : handle_(model) {}
  std::unique_ptr<ph_model, detail::Free> handle_;
};

// ---- quantization ------------------------------------------------------------------------------

struct QuantizeOptions {
  std::string method;        // "mse" (empty), "minmax", "percentile"
  double percentile = 0;     // 0: 99.999
  double max_deviation = 0;  // 0: no limit
  bool equalize = true;
  bool report = true;
  int threads = 0;
  std::int64_t max_images = 0;
  // Returns false to stop; the call then throws Error(PH_CANCELLED). Must not throw.
  std::function<bool(std::int64_t done, std::int64_t total)> progress;
};

struct Quantized {
  Model model;
  std::string report_json;
  std::string report_table;
};

namespace detail {
// Points into `options`.
inline ph_quantize_options to_c(const QuantizeOptions& options) {
  ph_quantize_options c{};
  c.struct_size = sizeof c;
  c.method = or_null(options.method);
  c.percentile = options.percentile;
  c.max_deviation = options.max_deviation;
  c.no_equalize = options.equalize ? 0 : 1;
  c.no_report = options.report ? 0 : 1;
  c.threads = options.threads;
  c.max_images = options.max_images;
  if (options.progress) {
    c.user = const_cast<std::function<bool(std::int64_t, std::int64_t)>*>(&options.progress);
    c.progress = [](void* user, std::int64_t done, std::int64_t total) -> std::int32_t {
      auto& progress = *static_cast<std::function<bool(std::int64_t, std::int64_t)>*>(user);
      return progress(done, total) ? 0 : 1;
    };
  }
  return c;
}
}  // namespace detail

inline Quantized quantize(const Model& model, const Source& calibration, const Resize& resize,
                          const QuantizeOptions& options) {
  const ph_quantize_options c = detail::to_c(options);
  const ph_resize mode = resize.c();
  ph_model* quantized = nullptr;
  char* json = nullptr;
  char* table = nullptr;
  check(ph_quantize(model.get(), calibration.get(), &mode, &c, &quantized, &json, &table));
  return {Model(quantized), detail::take(json), detail::take(table)};
}

// Calibrated on float tensors as the model takes them, a whole number of images.
inline Quantized quantize(const Model& model, std::span<const float> inputs,
                          const QuantizeOptions& options) {
  const ph_quantize_options c = detail::to_c(options);
  const auto count = static_cast<std::int64_t>(inputs.size()) / model.info().input_elements();
  ph_model* quantized = nullptr;
  char* json = nullptr;
  char* table = nullptr;
  check(ph_quantize_f32(model.get(), inputs.data(), count, &c, &quantized, &json, &table));
  return {Model(quantized), detail::take(json), detail::take(table)};
}

// ---- sessions ----------------------------------------------------------------------------------

struct Result {  // of one image; the views live until the callback returns
  std::int64_t index = 0;
  std::string_view name;
  std::string_view label;          // empty when unknown
  const char* error = nullptr;     // null for a good image
  std::span<const float> outputs;  // empty for a broken image
};

struct ClassifyOptions {
  int batch = 1;
  int threads = 0;  // 0: as the session
  bool strict = false;
  bool processor_decodes = false;
  bool decode_only = false;
};

using ClassifyStats = ph_classify_stats;

// The best classes of some images, image by image.
struct Ranked {
  std::vector<std::int64_t> indices;  // best first
  std::vector<float> scores;
};

class Session {
 public:
  // `hint`: "" or "auto", "throughput", "latency", `precision`: "" or "model", "fp16", as in
  // ph_session_options.
  explicit Session(const Model& model, const std::string& device = "", int threads = 0,
                   const std::string& hint = "", const std::string& precision = "")
      : classes_(model.info().classes),
        pixel_bytes_(model.info().pixel_bytes()),
        input_elements_(model.info().input_elements()) {
    const ph_session_options options{sizeof(ph_session_options), detail::or_null(device), threads,
                                     detail::or_null(hint), detail::or_null(precision)};
    ph_session* session = nullptr;
    check(ph_session_create(model.get(), &options, &session));
    handle_.reset(session);
  }

  DeviceInfo device() const {
    ph_device_info info{};
    info.struct_size = sizeof info;
    check(ph_session_device(handle_.get(), &info));
    return detail::from_c(info);
  }
  std::int64_t memory_bytes() const { return ph_session_memory_bytes(handle_.get()); }
  // Joules of the device's counter; nothing when it has none.
  std::optional<double> energy() const {
    double joules = 0;
    const ph_status status = ph_session_energy(handle_.get(), &joules);
    if (status == PH_UNSUPPORTED) return std::nullopt;
    check(status);
    return joules;
  }
  std::int64_t classes() const { return classes_; }
  std::size_t pixel_bytes() const { return pixel_bytes_; }

  // `pixels` holds `batch` images, `outputs` room for batch * classes().
  void run(std::span<const std::uint8_t> pixels, std::int64_t batch,
           std::span<float> outputs) const {
    require(pixels.size() == static_cast<std::size_t>(batch) * pixel_bytes_, "pixels");
    require(outputs.size() == static_cast<std::size_t>(batch * classes_), "outputs");
    check(ph_session_run(handle_.get(), pixels.data(), batch, outputs.data()));
  }
  std::vector<float> run(std::span<const std::uint8_t> pixels, std::int64_t batch = 1) const {
    std::vector<float> outputs(static_cast<std::size_t>(batch * classes_));
    run(pixels, batch, outputs);
    return outputs;
  }
  // The k best of each image alone: batch * k, best first.
  Ranked run_top_k(std::span<const std::uint8_t> pixels, std::int64_t batch, int k) const {
    require(pixels.size() == static_cast<std::size_t>(batch) * pixel_bytes_, "pixels");
    const auto count = static_cast<std::size_t>(batch * (k < 0 ? 0 : k));
    Ranked ranked{std::vector<std::int64_t>(count), std::vector<float>(count)};
    check(ph_session_run_top_k(handle_.get(), pixels.data(), batch, k, ranked.indices.data(),
                               ranked.scores.data()));
    return ranked;
  }
  // The same for float32 tensors as the graph takes them.
  void run(std::span<const float> inputs, std::int64_t batch, std::span<float> outputs) const {
    require(inputs.size() == static_cast<std::size_t>(batch * input_elements_), "inputs");
    require(outputs.size() == static_cast<std::size_t>(batch * classes_), "outputs");
    check(ph_session_run_f32(handle_.get(), inputs.data(), batch, outputs.data()));
  }
  // Every output of the model; the sizes of the arrays are the caller's to get right.
  void run_all(std::span<const std::uint8_t> pixels, std::int64_t batch,
               std::span<float* const> outputs) const {
    require(pixels.size() == static_cast<std::size_t>(batch) * pixel_bytes_, "pixels");
    check(ph_session_run_all(handle_.get(), pixels.data(), batch, outputs.data(),
                             static_cast<std::int32_t>(outputs.size())));
  }
  void run_all(std::span<const float> inputs, std::int64_t batch,
               std::span<float* const> outputs) const {
    require(inputs.size() == static_cast<std::size_t>(batch * input_elements_), "inputs");
    check(ph_session_run_all_f32(handle_.get(), inputs.data(), batch, outputs.data(),
                                 static_cast<std::int32_t>(outputs.size())));
  }

  // Queued: calls `done` once, on a thread of the session, with nullptr or the Error; it must not
  // throw. `pixels` (or `inputs`) and `outputs` must live until then.
  using Done = std::function<void(std::exception_ptr)>;
  void submit(std::span<const std::uint8_t> pixels, std::int64_t batch, std::span<float> outputs,
              Done done) const {
    require(pixels.size() == static_cast<std::size_t>(batch) * pixel_bytes_, "pixels");
    require(outputs.size() == static_cast<std::size_t>(batch * classes_), "outputs");
    auto user = std::make_unique<Done>(std::move(done));
    check(ph_session_submit(handle_.get(), pixels.data(), batch, outputs.data(), call, user.get()));
    static_cast<void>(user.release());
  }
  void submit(std::span<const float> inputs, std::int64_t batch, std::span<float> outputs,
              Done done) const {
    require(inputs.size() == static_cast<std::size_t>(batch * input_elements_), "inputs");
    require(outputs.size() == static_cast<std::size_t>(batch * classes_), "outputs");
    auto user = std::make_unique<Done>(std::move(done));
    check(ph_session_submit_f32(handle_.get(), inputs.data(), batch, outputs.data(), call,
                                user.get()));
    static_cast<void>(user.release());
  }
  // The same with a future.
  std::future<void> submit(std::span<const std::uint8_t> pixels, std::int64_t batch,
                           std::span<float> outputs) const {
    auto promise = std::make_shared<std::promise<void>>();
    submit(pixels, batch, outputs, keep(promise));
    return promise->get_future();
  }
  std::future<void> submit(std::span<const float> inputs, std::int64_t batch,
                           std::span<float> outputs) const {
    auto promise = std::make_shared<std::promise<void>>();
    submit(inputs, batch, outputs, keep(promise));
    return promise->get_future();
  }

  // `on_result` returns false to stop; what it throws is thrown here. Called in source order, one
  // call at a time, from other threads. Throws Error(PH_CANCELLED) when it was stopped.
  ClassifyStats classify(const Source& source, const Resize& resize, const ClassifyOptions& options,
                         const std::function<bool(const Result&)>& on_result) const {
    struct Context {
      const std::function<bool(const Result&)>* on_result;
      std::int64_t classes;
      std::exception_ptr thrown;
    } context{&on_result, classes_, nullptr};
    const ph_resize mode = resize.c();
    const ph_classify_options c{sizeof(ph_classify_options),
                                options.batch,
                                options.threads,
                                options.strict ? 1 : 0,
                                options.processor_decodes ? 1 : 0,
                                options.decode_only ? 1 : 0};
    ph_classify_stats stats{};
    stats.struct_size = sizeof stats;
    const ph_status status = ph_classify(
        handle_.get(), source.get(), &mode, &c,
        [](void* user, const ph_result* result) -> std::int32_t {
          Context& to = *static_cast<Context*>(user);
          try {
            const Result view{
                result->index, result->name, result->label == nullptr ? "" : result->label,
                result->error,
                result->outputs == nullptr
                    ? std::span<const float>()
                    : std::span(result->outputs, static_cast<std::size_t>(to.classes))};
            return (*to.on_result)(view) ? 0 : 1;
          } catch (...) {
            to.thrown = std::current_exception();
            return 1;
          }
        },
        &context, &stats);
    if (context.thrown) std::rethrow_exception(context.thrown);
    check(status);
    return stats;
  }

  // Per-node times since profiling was switched on, as JSON.
  std::string profile(bool enable) const {
    char* json = nullptr;
    check(ph_session_profile(handle_.get(), enable ? 1 : 0, &json));
    return detail::take(json);
  }
  // What the device knows of the compiled model beyond times, as a JSON object.
  std::string details() const {
    char* json = nullptr;
    check(ph_session_details(handle_.get(), &json));
    return detail::take(json);
  }
  // Who decodes and resizes photographs, as a JSON object.
  std::string decoders() const {
    char* json = nullptr;
    check(ph_session_decoders(handle_.get(), &json));
    return detail::take(json);
  }
  // The commands that the device runs; throws PH_UNSUPPORTED where there are none.
  std::string listing() const {
    char* text = nullptr;
    check(ph_session_listing(handle_.get(), &text));
    return detail::take(text);
  }
  ph_session* get() const { return handle_.get(); }

 private:
  static void require(bool holds, const char* what) {
    if (!holds) {
      throw Error(PH_INVALID_ARGUMENT, std::string(what) + ": size differs from batch images");
    }
  }
  static void call(void* user, ph_status status, const char* message) {
    const std::unique_ptr<Done> done(static_cast<Done*>(user));
    std::exception_ptr error;
    if (status != PH_OK) {
      error = std::make_exception_ptr(Error(status, detail::text_or_empty(message)));
    }
    (*done)(error);
  }
  static Done keep(std::shared_ptr<std::promise<void>> promise) {
    return [promise = std::move(promise)](std::exception_ptr error) {
      error ? promise->set_exception(error) : promise->set_value();
    };
  }
  std::unique_ptr<ph_session, detail::Free> handle_;
  std::int64_t classes_ = 0;
  std::size_t pixel_bytes_ = 0;
  std::int64_t input_elements_ = 0;
};

struct Top {
  std::vector<std::int64_t> indices;  // best first
  std::vector<float> probabilities;   // softmax over all scores
};

inline Top top_k(std::span<const float> scores, int k) {
  Top top{std::vector<std::int64_t>(static_cast<std::size_t>(k < 0 ? 0 : k)),
          std::vector<float>(static_cast<std::size_t>(k < 0 ? 0 : k))};
  check(ph_top_k(scores.data(), static_cast<std::int64_t>(scores.size()), k, top.indices.data(),
                 top.probabilities.data()));
  return top;
}

}  // namespace pronghorn

#endif  // PRONGHORN_PRONGHORN_HPP_
