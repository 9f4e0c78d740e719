// SPDX-License-Identifier: Apache-2.0
// Workers of the image pipeline for devices that take part in a photograph's way to their input.
// All give the pixels that image::load gives.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "device/input_path.h"
#include "image/photo.h"
#include "image/pipeline.h"
#include "image/resample.h"

namespace pronghorn::runtime {

// The loaders of one classification.
struct PhotoLoaders {
  std::vector<std::unique_ptr<image::Loader>> all;
  std::vector<image::Loader*> pointers() const;
};

struct PhotoLoaderOptions {
  image::ResizeMode resize;
  int threads = 1;           // processor threads that decode
  int batch = 1;             // most images of a chunk
  bool engine = true;        // a device's JPEG engine helps, where there is one
  bool decode_only = false;  // chunks have no pixels: decoding alone is to be timed
};

// `path` may be nullptr with decode_only: the processor's decoder into its own memory.
PhotoLoaders make_photo_loaders(device::InputPath* path, const PhotoLoaderOptions& options);

}  // namespace pronghorn::runtime
