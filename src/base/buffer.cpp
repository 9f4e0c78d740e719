// SPDX-License-Identifier: Apache-2.0
#include "base/buffer.h"

#include <cstdlib>

#include "base/error.h"

namespace pronghorn::base {

void Buffer::Free::operator()(std::byte* p) const { std::free(p); }

Buffer::Buffer(std::size_t size) : size_(size) {
  if (size > (std::size_t{1} << 46)) fail(Status::kOutOfMemory, "cannot allocate {} bytes", size);
  const std::size_t padded =
      (size + 2 * kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(kBufferAlignment, padded)));
  if (!data_) fail(Status::kOutOfMemory, "cannot allocate {} bytes", size);
}

}  // namespace pronghorn::base
