/* SPDX-License-Identifier: Apache-2.0
 * The C ABI as a C11 program sees it: only <pronghorn/pronghorn.h>, every kind of call once, errors
 * included. Argument 1: a float model of 32 x 32 pixels and four classes. Argument 2: a folder to
 * write to. Prints what failed and exits with 1. */
#include <pronghorn/pronghorn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                           \
  do {                                                                             \
    if (!(condition)) {                                                            \
      fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, ph_last_error()); \
      exit(1);                                                                     \
    }                                                                              \
  } while (0)

enum { kSide = 32, kPixels = kSide * kSide * 3, kClasses = 4 };

static void fill(uint8_t* pixels, int red, int green, int blue) {
  for (int i = 0; i < kSide * kSide; ++i) {
    pixels[3 * i] = (uint8_t)red;
    pixels[3 * i + 1] = (uint8_t)green;
    pixels[3 * i + 2] = (uint8_t)blue;
  }
}

static int64_t best(const float* scores) {
  int64_t index = -1;
  float probability = 0;
  CHECK(ph_top_k(scores, kClasses, 1, &index, &probability) == PH_OK);
  CHECK(probability > 0.25f && probability <= 1.0f);
  return index;
}

static void check_devices(void) {
  int32_t count = 0;
  int found = 0;
  CHECK(ph_device_count(&count) == PH_OK && count >= 2);
  for (int32_t i = 0; i < count; ++i) {
    ph_device_info info = {.struct_size = sizeof info};
    CHECK(ph_device_get(i, &info) == PH_OK);
    found |= strcmp(info.name, "cpu") == 0 ? 1 : 0;
    found |= strcmp(info.name, "reference") == 0 ? 2 : 0;
  }
  CHECK(found == 3);
  ph_device_info info = {.struct_size = sizeof info};
  CHECK(ph_device_get(count, &info) == PH_INVALID_ARGUMENT);
  CHECK(ph_available_cores() >= 1);
}

static void check_errors(const char* path) {
  ph_model* model = (ph_model*)&model; /* must stay untouched */
  CHECK(ph_model_load("/no/such/model.onnx", &model) == PH_NOT_FOUND);
  CHECK(model == (ph_model*)&model);
  CHECK(strstr(ph_last_error(), "/no/such/model.onnx") != NULL);
  CHECK(ph_model_load(NULL, &model) == PH_INVALID_ARGUMENT);
  CHECK(ph_model_load(path, NULL) == PH_INVALID_ARGUMENT);
  CHECK(ph_model_embedded("nothing", &model) == PH_NOT_FOUND);
  float scores[2] = {1, 2};
  int64_t index[3];
  CHECK(ph_top_k(scores, 2, 3, index, NULL) == PH_INVALID_ARGUMENT);
  CHECK(ph_top_k(scores, 2, 0, index, NULL) == PH_INVALID_ARGUMENT);
  ph_model_free(NULL);
  ph_session_free(NULL);
  ph_source_free(NULL);
  ph_string_free(NULL);
}

static void check_model(ph_model** model, const char* folder) {
  ph_model* changed = NULL;
  const char* names[kClasses] = {"red", "green", "blue", "gray"};
  const char* ids[kClasses] = {"n1", "n2", "n3", "n4"};
  CHECK(ph_model_with_preprocess(*model, "sepia", &changed) == PH_INVALID_ARGUMENT);
  CHECK(ph_model_with_labels(*model, names, ids, 3, &changed) == PH_INVALID_ARGUMENT);
  CHECK(ph_model_with_labels(*model, names, ids, kClasses, &changed) == PH_OK);
  ph_model_free(*model);
  *model = changed;
  CHECK(ph_model_with_preprocess(*model, "torch", &changed) == PH_OK);
  ph_model_free(*model);
  *model = changed;

  ph_model_info info = {.struct_size = sizeof info};
  CHECK(ph_model_get_info(*model, &info) == PH_OK);
  CHECK(info.quantized == 0 && info.input_is_u8 == 0 && info.classes == kClasses);
  CHECK(info.input_height == kSide && info.input_width == kSide && info.input_channels == 3);
  CHECK(strcmp(info.preprocess, "torch") == 0);
  int64_t macs = 0;
  for (int32_t i = 0; i < info.nodes; ++i) {
    ph_node_info node = {.struct_size = sizeof node};
    CHECK(ph_model_node(*model, i, &node) == PH_OK && node.op[0] != '\0');
    macs += node.macs;
  }
  CHECK(macs == info.macs && macs > 0);
  CHECK(strcmp(ph_model_label(*model, 2), "blue") == 0);
  CHECK(strcmp(ph_model_label_id(*model, 3), "n4") == 0);
  CHECK(ph_model_label(*model, kClasses) == NULL);

  char* text = NULL;
  CHECK(ph_model_describe(*model, &text) == PH_OK && strstr(text, "Conv") != NULL);
  ph_string_free(text);

  char path[1024];
  snprintf(path, sizeof path, "%s/capi.onnx", folder);
  CHECK(ph_model_save(*model, path) == PH_OK);
  CHECK(ph_model_load(path, &changed) == PH_OK);
  CHECK(strcmp(ph_model_label(changed, 0), "red") == 0);
  ph_model_free(changed);
  CHECK(ph_model_save(*model, "/no/such/folder/x.onnx") != PH_OK);

  void* bytes = NULL;
  size_t size = 0;
  CHECK(ph_model_to_bytes(*model, &bytes, &size) == PH_OK && size > 1000);
  CHECK(ph_model_from_bytes(bytes, size, "bytes", &changed) == PH_OK);
  CHECK(strcmp(ph_model_label(changed, 3), "gray") == 0);
  ph_model_free(changed);
  CHECK(ph_model_from_bytes(bytes, 16, "the first bytes", &changed) != PH_OK);
  CHECK(strstr(ph_last_error(), "the first bytes") != NULL);
  ph_bytes_free(bytes);
  ph_bytes_free(NULL);

  CHECK(info.preprocess_mean[0] > 123 && info.preprocess_std[2] > 57);
  CHECK(info.preprocess_bgr == 0 && info.preprocess_inside == 0);
  ph_output_info output = {.struct_size = sizeof output};
  CHECK(ph_model_output_count(*model) == 1 && ph_model_output_count(NULL) == 0);
  CHECK(ph_model_output(*model, 0, &output) == PH_OK && output.channels == kClasses);
  CHECK(ph_model_output(*model, 1, &output) == PH_INVALID_ARGUMENT);
  CHECK(ph_model_with_output(*model, 0, &changed) == PH_OK);
  CHECK(ph_model_output(changed, 0, &output) == PH_OK && output.height > 1);
  ph_model_free(changed);
  CHECK(ph_model_with_output(*model, info.nodes, &changed) == PH_INVALID_ARGUMENT);
}

/* The same tensors as floats: run, run for all outputs, queued, and quantized. */
static void check_floats(const ph_model* model, ph_session* session, const uint8_t* pixels,
                         const float* scores) {
  static float inputs[3 * kPixels], got[3 * kClasses];
  ph_model_info info = {.struct_size = sizeof info};
  CHECK(ph_model_get_info(model, &info) == PH_OK);
  for (int i = 0; i < 3 * kPixels; ++i) {
    inputs[i] = ((float)pixels[i] - info.preprocess_mean[i % 3]) / info.preprocess_std[i % 3];
  }
  float* const outputs[1] = {got};
  CHECK(ph_session_run_f32(session, inputs, 3, got) == PH_OK);
  CHECK(memcmp(scores, got, sizeof got) == 0);
  CHECK(ph_session_run_all(session, pixels, 3, outputs, 1) == PH_OK);
  CHECK(memcmp(scores, got, sizeof got) == 0);
  CHECK(ph_session_run_all_f32(session, inputs, 3, outputs, 1) == PH_OK);
  CHECK(memcmp(scores, got, sizeof got) == 0);
  CHECK(ph_session_run_all_f32(session, inputs, 3, outputs, 2) == PH_INVALID_ARGUMENT);

  ph_model* quantized = NULL;
  CHECK(ph_quantize_f32(model, inputs, 0, NULL, &quantized, NULL, NULL) == PH_INVALID_ARGUMENT);
  CHECK(ph_quantize_f32(model, inputs, 3, NULL, &quantized, NULL, NULL) == PH_OK);
  CHECK(ph_model_get_info(quantized, &info) == PH_OK && info.quantized && !info.input_is_u8);
  ph_session* integer = NULL;
  CHECK(ph_session_create(quantized, NULL, &integer) == PH_OK);
  CHECK(ph_session_run_f32(integer, inputs, 3, got) == PH_OK);
  for (int i = 0; i < 3; ++i) CHECK(best(got + i * kClasses) == i);
  ph_session_free(integer);
  ph_model_free(quantized);
}

typedef struct Seen {
  int32_t count, stop_at;
} Seen;
static int32_t on_result(void* user, const ph_result* result) {
  Seen* seen = user;
  CHECK(result->index == seen->count);
  CHECK(result->error != NULL && result->outputs == NULL); /* the images are no images */
  return ++seen->count == seen->stop_at;
}

static volatile int g_done = -1;
static void on_done(void* user, ph_status status, const char* message) {
  (void)user;
  (void)message;
  g_done = (int)status;
}

static void check_session(const ph_model* model) {
  static uint8_t pixels[3 * kPixels];
  static float scores[3 * kClasses], again[3 * kClasses];
  fill(pixels, 200, 60, 60);
  fill(pixels + kPixels, 60, 200, 60);
  fill(pixels + 2 * kPixels, 60, 60, 200);

  ph_session* session = NULL;
  ph_session_options options = {.struct_size = sizeof options, .device = "abacus"};
  CHECK(ph_session_create(model, &options, &session) == PH_NOT_FOUND && session == NULL);
  const ph_session_options hurried = {
      .struct_size = sizeof hurried, .device = "cpu", .hint = "hurry"};
  CHECK(ph_session_create(model, &hurried, &session) == PH_INVALID_ARGUMENT && session == NULL);
  CHECK(strstr(ph_last_error(), "hurry") != NULL);
  ph_session_options precise = {.struct_size = sizeof precise, .device = "cpu", .precision = "fp8"};
  CHECK(ph_session_create(model, &precise, &session) == PH_INVALID_ARGUMENT && session == NULL);
  CHECK(strstr(ph_last_error(), "fp8") != NULL);
  precise.precision = "fp16";
  CHECK(ph_session_create(model, &precise, &session) == PH_UNSUPPORTED && session == NULL);
  CHECK(strstr(ph_last_error(), "cpu") != NULL && strstr(ph_last_error(), "fp16") != NULL);
  double ceiling = -1;
  CHECK(ph_device_ceiling("reference", 1, &ceiling) == PH_OK && ceiling == 0);
  CHECK(ph_device_ceiling("cpu", -1, &ceiling) == PH_INVALID_ARGUMENT);
  options.device = "cpu";
  options.threads = 1;
  CHECK(ph_session_create(model, &options, &session) == PH_OK);
  CHECK(ph_session_run(session, pixels, 3, scores) == PH_OK);
  for (int i = 0; i < 3; ++i) CHECK(best(scores + i * kClasses) == i);
  check_floats(model, session, pixels, scores);
  CHECK(ph_session_run(session, pixels, 0, scores) == PH_INVALID_ARGUMENT);
  CHECK(ph_session_run(session, NULL, 1, scores) == PH_INVALID_ARGUMENT);
  CHECK(ph_session_memory_bytes(session) > 0);

  const char* junk[2] = {"junk", "more junk"};
  const size_t sizes[2] = {4, 9};
  ph_source* source = NULL;
  CHECK(ph_source_memory((const void* const*)junk, sizes, NULL, 2, &source) == PH_OK);
  CHECK(ph_source_size(source) == 2);
  const ph_classify_options classify = {.struct_size = sizeof classify, .batch = 2};
  const ph_resize resize = {.struct_size = sizeof resize, .mode = "direct:32"};
  ph_classify_stats stats = {.struct_size = sizeof stats};
  Seen seen = {0, -1};
  CHECK(ph_classify(session, source, &resize, &classify, on_result, &seen, &stats) == PH_OK);
  CHECK(seen.count == 2 && stats.broken == 2);
  Seen stopped = {0, 1};
  CHECK(ph_classify(session, source, &resize, &classify, on_result, &stopped, NULL) ==
        PH_CANCELLED);
  ph_source_free(source);

  CHECK(ph_session_submit(session, pixels, 3, again, on_done, NULL) == PH_OK);
  ph_session_free(session); /* waits */
  CHECK(g_done == PH_OK);
  CHECK(memcmp(scores, again, sizeof scores) == 0);
}

int main(int argc, char** argv) {
  CHECK(argc == 3);
  CHECK(ph_abi_version() == PH_ABI_MAJOR * 1000 + PH_ABI_MINOR);
  CHECK(strlen(ph_version()) >= 5);
  CHECK(strcmp(ph_last_error(), "") == 0);
  check_devices();
  check_errors(argv[1]);
  ph_model* model = NULL;
  CHECK(ph_model_load(argv[1], &model) == PH_OK);
  check_model(&model, argv[2]);
  check_session(model);
  ph_model_free(model);
  puts("ok");
  return 0;
}
