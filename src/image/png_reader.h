// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "image/image.h"

namespace pronghorn::image {

bool is_png(base::Bytes bytes);

// The picture as 8-bit RGB, as Pillow's convert("RGB") gives it: alpha is dropped, not blended; of
// 16-bit colour samples the high byte counts, 16-bit gray without alpha is clipped to 255.
// Throws Error: kCorrupt, kOutOfMemory (limits, checked before anything of that size is allocated).
Image decode_png(base::Bytes bytes, const std::string& name, const DecodeLimits& limits);

}  // namespace pronghorn::image
