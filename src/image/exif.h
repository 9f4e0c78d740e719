// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/file.h"

namespace pronghorn::image {

// The orientation tag (1 to 8) in the first directory of an EXIF block, given from its TIFF header
// ("II*" or "MM*") on. 1, upright, when there is none or the block is damaged: a camera's note must
// never make a picture unreadable.
int exif_orientation(base::Bytes tiff);

}  // namespace pronghorn::image
