/* SPDX-License-Identifier: Apache-2.0
 *
 * Pronghorn's C ABI: C11, no dependency, the only door into the library.
 *
 * Errors. Every function that can fail returns ph_status; PH_OK is 0. ph_last_error() then gives
 * the calling thread's message, which names the file, node or argument and what would be accepted.
 * Output arguments are untouched on failure.
 * Ownership. ph_X_create / open / load give an object that the caller ends with ph_X_free (NULL is
 * allowed). Strings returned through char** are ended with ph_string_free. const char* belong to
 * the object they came from and live as long as it.
 * Threads. Different objects may be used from different threads; one object from many threads only
 * where its functions say so.
 * Images. Pixels are 8-bit RGB, interleaved, rows top to bottom (NHWC).
 */
#ifndef PRONGHORN_PRONGHORN_H_
#define PRONGHORN_PRONGHORN_H_

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define PH_API __attribute__((visibility("default")))
#else
#define PH_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The ABI's version: major changes break callers, minor ones add functions or trailing fields.
 * Structs that may grow begin with struct_size, which the caller sets to sizeof. */
#define PH_ABI_MAJOR 0
#define PH_ABI_MINOR 4

typedef enum ph_status {
  PH_OK = 0,
  PH_INVALID_ARGUMENT = 1, /* an argument is outside what the function accepts */
  PH_NOT_FOUND = 2,        /* a file, device or name does not exist */
  PH_UNSUPPORTED = 3,      /* well-formed, but not something Pronghorn does */
  PH_CORRUPT = 4,          /* a file or stream breaks its own format */
  PH_IO = 5,               /* reading or writing failed */
  PH_OUT_OF_MEMORY = 6,    /* an allocation failed or a limit would be passed */
  PH_UNAVAILABLE = 7,      /* a device or a network cannot be reached */
  PH_CANCELLED = 8,        /* a callback asked to stop */
  PH_INTERNAL = 9          /* a mistake of Pronghorn's own */
} ph_status;

PH_API const char* ph_version(void);    /* "0.1.0" */
PH_API int ph_abi_version(void);        /* PH_ABI_MAJOR * 1000 + PH_ABI_MINOR of the library */
PH_API const char* ph_last_error(void); /* of this thread; "" when nothing failed yet */
PH_API void ph_string_free(char* text); /* of a char** that a function filled */

/* ---- devices ------------------------------------------------------------------------------- */

typedef struct ph_device_info {
  size_t struct_size;
  char name[32];         /* "cpu", "reference", "cuda:0" */
  char description[128]; /* "AMD EPYC 7713, 2 cores" */
  char isa[32];          /* kernel set in use; "" if none */
  int32_t cores;
  int64_t memory_bytes; /* 0: unknown */
  double clock_hz;      /* 0: unknown */
} ph_device_info;

/* Devices of this machine that this library can use. Threads: any. */
PH_API ph_status ph_device_count(int32_t* count);
/* Device `index` of 0 .. count-1; "auto" tries them in this order. PH_INVALID_ARGUMENT else. */
PH_API ph_status ph_device_get(int32_t index, ph_device_info* info);
/* 8-bit multiply-adds a second that the arithmetic units of device "cpu", ... (NULL: "auto") reach
 * from registers on `threads` threads (0: every core), measured now, in about 0.1 s; 0 where that
 * cannot be measured. Since 0.4. */
PH_API ph_status ph_device_ceiling(const char* device, int32_t threads, double* macs_per_second);
/* Cores that this process may use (affinity and cgroup quota respected). */
PH_API int32_t ph_available_cores(void);

/* ---- models -------------------------------------------------------------------------------- */

/* A graph with its constants. Immutable; may be used from many threads. */
typedef struct ph_model ph_model;

/* ONNX (float or QDQ), Keras .h5, .keras, .weights.h5, recognised by content.
 * PH_NOT_FOUND, PH_IO, PH_CORRUPT, PH_UNSUPPORTED. */
PH_API ph_status ph_model_load(const char* path, ph_model** model);
/* A model inside the library: "tin200", ResNet50 v1.5 INT8 on the 200 classes of Tiny ImageNet.
 * PH_NOT_FOUND names those that there are. */
PH_API ph_status ph_model_embedded(const char* name, ph_model** model);
/* The same formats from memory; the bytes are copied. `name` stands for the file in messages. */
PH_API ph_status ph_model_from_bytes(const void* data, size_t size, const char* name,
                                     ph_model** model);
/* Sessions made from the model keep what they need of it. */
PH_API void ph_model_free(ph_model* model);
/* Writes a standard ONNX file; the file appears whole or not at all. PH_IO. */
PH_API ph_status ph_model_save(const ph_model* model, const char* path);
/* The bytes that ph_model_save writes; free with ph_bytes_free. The same model gives the same. */
PH_API ph_status ph_model_to_bytes(const ph_model* model, void** data, size_t* size);
PH_API void ph_bytes_free(void* data); /* of ph_model_to_bytes */

typedef struct ph_model_info {
  size_t struct_size;
  const char* name;
  int32_t quantized; /* 0 or 1 */
  int32_t input_height, input_width, input_channels;
  int32_t input_is_u8; /* 1: raw pixels; 0: float32 after the preprocess */
  int64_t classes;     /* elements of the first output of one image */
  int64_t macs;        /* multiply-accumulates of one image */
  int64_t parameter_bytes;
  int32_t nodes;
  const char* resize;     /* the model's own mode, "direct:224"; "" when the file names none */
  const char* preprocess; /* "torch", "caffe", "tf", "custom"; "none" for u8 input or unknown */
  const char* format;     /* what it was read from: "onnx", "keras"; "embedded"; "" for a model
                             made in memory */
  /* Float input of three channels: it is (pixel - mean) / std in the model's own channel order,
   * blue first when preprocess_bgr is 1. All 0 when preprocess is "none". */
  float preprocess_mean[3], preprocess_std[3];
  int32_t preprocess_bgr;
  int32_t preprocess_inside; /* 1: the preprocess was layers of the file, so that whoever used the
                                file gave it pixels; 0: it was up to the caller */
} ph_model_info;
/* Strings of `info` belong to the model. */
PH_API ph_status ph_model_get_info(const ph_model* model, ph_model_info* info);
typedef struct ph_output_info {
  size_t struct_size;
  const char* name;
  int32_t height, width, channels; /* of one image; a vector is 1 x 1 x channels */
} ph_output_info;
PH_API int32_t ph_model_output_count(const ph_model* model); /* 0 for NULL */
/* Output `index` of 0 .. count-1, in the order of the file. PH_INVALID_ARGUMENT out of range. */
PH_API ph_status ph_model_output(const ph_model* model, int32_t index, ph_output_info* info);
/* One line a node; free with ph_string_free. */
PH_API ph_status ph_model_describe(const ph_model* model, char** text);
typedef struct ph_node_info {
  size_t struct_size;
  const char* name;
  const char* op;                  /* "Conv", "Add", ... */
  const char* dtype;               /* of the output: "float32", "uint8", "int8", "int32" */
  int32_t height, width, channels; /* of the output of one image */
  int64_t macs;                    /* of one image; 0 for ops without products */
  int64_t parameter_bytes;
} ph_node_info;
/* Node `index` of 0 .. nodes-1 in order of execution. PH_INVALID_ARGUMENT when out of range. */
PH_API ph_status ph_model_node(const ph_model* model, int32_t index, ph_node_info* info);
/* Class name; "" when the model has none. NULL when index is out of range. */
PH_API const char* ph_model_label(const ph_model* model, int64_t index);
/* WordNet id of a class, likewise. */
PH_API const char* ph_model_label_id(const ph_model* model, int64_t index);
/* A copy of a model with something changed; here its class names. `names` and `ids` hold `count`
 * strings each, one a class (PH_INVALID_ARGUMENT for another count); ids may be NULL. */
PH_API ph_status ph_model_with_labels(const ph_model* model, const char* const* names,
                                      const char* const* ids, int64_t count, ph_model** changed);
/* `preset`: "torch", "caffe" or "tf". PH_INVALID_ARGUMENT for others, PH_UNSUPPORTED for models of
 * raw pixels, where it is part of the first convolution. */
PH_API ph_status ph_model_with_preprocess(const ph_model* model, const char* preset,
                                          ph_model** changed);
/* Ends the model at node `node` of 0 .. nodes-1: what it gives is the only output, for example the
 * features before a classifier. In a quantized model, what it gives after quantization. */
PH_API ph_status ph_model_with_output(const ph_model* model, int32_t node, ph_model** changed);
/* `resize`: a mode as in ph_resize. PH_INVALID_ARGUMENT says which are accepted. */
PH_API ph_status ph_model_with_resize(const ph_model* model, const char* resize,
                                      ph_model** changed);

/* ---- images -------------------------------------------------------------------------------- */

/* How a photograph becomes a square of pixels. */
typedef struct ph_resize {
  size_t struct_size;
  const char* mode;      /* "direct:224" or "short:256,crop:224"; NULL or "": the model's own */
  int32_t nearest;       /* 1: nearest neighbour, 0: antialiased bilinear */
  int32_t scaled_decode; /* 1: let the JPEG decoder scale down first */
} ph_resize;

/* An ordered list of encoded images. May be used from many threads. */
typedef struct ph_source ph_source;

/* A file, a folder (labels are its sub-folders), a .tar (read in place), or "-": a list of paths on
 * standard input. */
PH_API ph_status ph_source_open(const char* path, ph_source** source);
/* `count` image files, in this order; a file that cannot be read is a broken image later on. */
PH_API ph_status ph_source_files(const char* const* paths, int64_t count, ph_source** source);
/* Encoded images in memory; bytes are copied. names may be NULL. */
PH_API ph_status ph_source_memory(const void* const* data, const size_t* sizes,
                                  const char* const* names, int64_t count, ph_source** source);
/* The images of `source` again and again until there are `size`; `source` may be freed. */
PH_API ph_status ph_source_repeat(const ph_source* source, int64_t size, ph_source** repeated);
PH_API void ph_source_free(ph_source* source);          /* not while a call uses it */
PH_API int64_t ph_source_size(const ph_source* source); /* images; 0 for NULL */
/* Copies the image's name (its path) into `text`, at most `capacity` bytes with the 0.
 * PH_INVALID_ARGUMENT when the index is out of range or the name does not fit. */
PH_API ph_status ph_source_name(const ph_source* source, int64_t index, char* text,
                                size_t capacity);
/* Folder name or WordNet id; "" when the image has none. */
PH_API ph_status ph_source_label(const ph_source* source, int64_t index, char* text,
                                 size_t capacity);
/* Decodes one encoded image to width * width * 3 pixels. `name` is for messages. */
PH_API ph_status ph_image_decode(const void* data, size_t size, const char* name,
                                 const ph_resize* resize, uint8_t* pixels, size_t capacity);
/* Image `index` of the source, likewise. */
PH_API ph_status ph_source_pixels(const ph_source* source, int64_t index, const ph_resize* resize,
                                  uint8_t* pixels, size_t capacity);

/* ---- quantization -------------------------------------------------------------------------- */

/* Return non-zero to stop; the call then ends with PH_CANCELLED. */
typedef int32_t (*ph_progress)(void* user, int64_t done, int64_t total);

typedef struct ph_quantize_options {
  size_t struct_size;
  const char* method;   /* "mse" (default, NULL), "minmax", "percentile" */
  double percentile;    /* 0: 99.999 */
  int32_t no_equalize;  /* 1: leave out cross-layer equalisation */
  int32_t no_report;    /* 1: leave out the per-layer report */
  int32_t threads;      /* 0: every core; the result does not depend on it */
  int64_t max_images;   /* 0: the whole source */
  ph_progress progress; /* may be NULL */
  void* user;
  double max_deviation; /* of an output channel's weights, in steps; 0: no limit
                           (docs/quantization.md) */
} ph_quantize_options;

/* Post-training quantization of a float model with a preprocess. `report_json` (may be NULL) and
 * `report_table` (may be NULL) are freed with ph_string_free. */
PH_API ph_status ph_quantize(const ph_model* model, const ph_source* calibration,
                             const ph_resize* resize, const ph_quantize_options* options,
                             ph_model** quantized, char** report_json, char** report_table);
/* The same, calibrated on `count` float32 NHWC tensors as the model takes them. No preprocess is
 * needed, and any input that a session takes will do; the result still takes float32. */
PH_API ph_status ph_quantize_f32(const ph_model* model, const float* inputs, int64_t count,
                                 const ph_quantize_options* options, ph_model** quantized,
                                 char** report_json, char** report_table);

/* ---- sessions ------------------------------------------------------------------------------ */

/* A model compiled for a device. May be used from many threads at once. */
typedef struct ph_session ph_session;

typedef struct ph_session_options {
  size_t struct_size;
  const char* device; /* "auto" (NULL), "cpu", "reference", ...; PRONGHORN_DEVICE overrides auto */
  int32_t threads;    /* 0: every core */
  /* "auto" (NULL), "throughput": an image keeps to one thread, "latency": all threads share each
   * image. The last two bind the session's own threads to processors. Since 0.4. */
  const char* hint;
  /* "model" (NULL): integers for a quantized model, else float32. "fp16": activations and weights
   * in half precision, sums in float32, on the cuda devices; a quantized model's weights are then
   * the numbers that they stand for. Since 0.4. */
  const char* precision;
} ph_session_options;

/* PH_UNSUPPORTED names each op that the device does not take, and why. */
PH_API ph_status ph_session_create(const ph_model* model, const ph_session_options* options,
                                   ph_session** session);
PH_API void ph_session_free(ph_session* session); /* waits for what was submitted */
/* What it runs on; of "cpu" also the kernel set in use. */
PH_API ph_status ph_session_device(const ph_session* session, ph_device_info* info);
/* Memory of the device that the compiled model takes: weights, tables, activations. 0 for NULL. */
PH_API int64_t ph_session_memory_bytes(const ph_session* session);
/* The energy counter of the session's device, in joules since some fixed moment: differences count.
 * It covers the whole component, other work on it included. PH_UNSUPPORTED when it has none. */
PH_API ph_status ph_session_energy(const ph_session* session, double* joules);

/* Runs `batch` images of pixels (input_height * input_width * 3 bytes each) and writes
 * batch * classes float32. A float model's preprocess is applied first. Blocks. */
PH_API ph_status ph_session_run(ph_session* session, const uint8_t* pixels, int64_t batch,
                                float* outputs);
/* The k best classes of each image alone, best first, equal scores in order of index: batch * k
 * indices and, unless NULL, scores. On GPUs nothing else is copied back. PH_INVALID_ARGUMENT unless
 * 0 < k <= classes. Since 0.4. */
PH_API ph_status ph_session_run_top_k(ph_session* session, const uint8_t* pixels, int64_t batch,
                                      int32_t k, int64_t* indices, float* scores);
/* ph_session_run for a float32 NHWC input tensor, as the graph has it, without any preprocess.
 * PH_UNSUPPORTED when the model's input is u8. */
PH_API ph_status ph_session_run_f32(ph_session* session, const float* inputs, int64_t batch,
                                    float* outputs);
/* ph_session_run and ph_session_run_f32 for every output of the model: outputs[i] takes batch
 * images of output i. `count` must be the number of outputs. */
PH_API ph_status ph_session_run_all(ph_session* session, const uint8_t* pixels, int64_t batch,
                                    float* const* outputs, int32_t count);
/* The same for float32 inputs, as in ph_session_run_f32. */
PH_API ph_status ph_session_run_all_f32(ph_session* session, const float* inputs, int64_t batch,
                                        float* const* outputs, int32_t count);
/* Called once a submission, on a thread of the session; `message` lives until it returns. It may
 * submit more, but not free the session. */
typedef void (*ph_done)(void* user, ph_status status, const char* message);
/* ph_session_run, queued: returns at once, and `done` is called with the status and its message
 * when the outputs are there. Batches of one image that wait together are run together. The arrays
 * must live until then. After an error that is returned here `done` is not called. */
PH_API ph_status ph_session_submit(ph_session* session, const uint8_t* pixels, int64_t batch,
                                   float* outputs, ph_done done, void* user);
/* The same for float32 inputs, as in ph_session_run_f32. */
PH_API ph_status ph_session_submit_f32(ph_session* session, const float* inputs, int64_t batch,
                                       float* outputs, ph_done done, void* user);

/* Times of each node since profiling was switched on, as a JSON array of objects: node, kernel,
 * seconds (summed), calls (images), and of one image macs and bytes (0: none, or unknown). */
PH_API ph_status ph_session_profile(ph_session* session, int32_t enable, char** json);
/* What the device knows of the compiled model beyond times, as a JSON object; "{}" where it knows
 * nothing more. Of the FPGA device: cycles, utilisation and modelled rates of every layer, and
 * whether they are modelled (docs/fpga.md). Free with ph_string_free. Since 0.4. */
PH_API ph_status ph_session_details(ph_session* session, char** json);
/* The commands that the device runs, one a line. PH_UNSUPPORTED for devices that have none. Since
 * 0.4. */
PH_API ph_status ph_session_listing(ph_session* session, char** text);

/* Who decodes and resizes photographs for this session, as a JSON object: `engine`, the name of the
 * device's decoder for JPEG, or null with the reason in `missing`; `resize`: "device" or
 * "processor". Free with ph_string_free. Since 0.4. */
PH_API ph_status ph_session_decoders(ph_session* session, char** json);

/* The k best of n scores, best first; equal scores in order of index. probabilities (may be NULL)
 * get the softmax of all n. PH_INVALID_ARGUMENT unless 0 < k <= n. */
PH_API ph_status ph_top_k(const float* scores, int64_t n, int32_t k, int64_t* indices,
                          float* probabilities);

/* ---- real throughput: encoded images in, labels out ---------------------------------------- */

typedef struct ph_result {
  size_t struct_size;
  int64_t index; /* in the source */
  const char* name;
  const char* label;    /* "" when unknown */
  const char* error;    /* NULL for a good image; else why it was skipped */
  const float* outputs; /* classes float32; NULL for a broken image */
} ph_result;
/* Called in source order, one call at a time, from the session's threads. Pointers live until it
 * returns. Non-zero stops; ph_classify then returns PH_CANCELLED. */
typedef int32_t (*ph_on_result)(void* user, const ph_result* result);

typedef struct ph_classify_options {
  size_t struct_size;
  int32_t batch;   /* images inferred together; 0: 1 */
  int32_t threads; /* 0: as the session */
  int32_t strict;  /* 1: the first broken image fails the call with its error */
  /* 1: the processor decodes every JPEG, also where the device has an engine for them; the answers
   * are the same (docs/cuda.md). Since 0.4. */
  int32_t processor_decodes;
  /* 1: images are decoded by the same decoders and dropped, so that these can be timed alone: no
   * resize, no inference; results have no outputs. Since 0.4. */
  int32_t decode_only;
} ph_classify_options;

typedef struct ph_classify_stats { /* seconds are summed over threads, except wall */
  size_t struct_size;
  double wall_seconds, read_seconds, decode_seconds, infer_seconds;
  int64_t images, broken, encoded_bytes; /* images: the broken ones too */
  double resize_seconds;                 /* of decode_seconds: resize and crop */
  double copy_seconds;   /* of infer_seconds: to and from the device's own memory; 0 where it works
                            in the host's */
  double result_seconds; /* of infer_seconds: in on_result */
  /* Of devices that take part in the input path: seconds that threads spent handing images to the
   * JPEG engine, and waiting for the device's memory to be free; images that the engine decoded,
   * and images that its lanes took up and the processor decoded (other kinds than baseline JPEGs,
   * damaged ones). Since 0.4.
   */
  double engine_seconds, lane_seconds;
  int64_t engine_images, engine_returned;
} ph_classify_stats;

/* Reads, decodes, resizes, infers, overlapped on all threads; memory is bounded. */
PH_API ph_status ph_classify(ph_session* session, const ph_source* source, const ph_resize* resize,
                             const ph_classify_options* options, ph_on_result on_result, void* user,
                             ph_classify_stats* stats);

#ifdef __cplusplus
}
#endif

#include <pronghorn/ml.h>

#endif /* PRONGHORN_PRONGHORN_H_ */
