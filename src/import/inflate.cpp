// SPDX-License-Identifier: Apache-2.0
#include "import/inflate.h"

#include <zlib.h>

#include <algorithm>

#include "base/error.h"

namespace pronghorn::import {
namespace {

// No deflate stream grows more than this.
constexpr std::size_t kMostExpansion = 1032;
constexpr std::size_t kStep = std::size_t{1} << 30;  // zlib counts in 32 bits

class Stream {
 public:
  Stream(DeflateForm form, const std::string& what) {
    if (inflateInit2(&z, form == DeflateForm::kZlib ? 15 : -15) != Z_OK) {
      base::fail(base::Status::kOutOfMemory, "{}: no memory to decompress", what);
    }
  }
  ~Stream() { inflateEnd(&z); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  z_stream z{};
};

}  // namespace

std::vector<std::byte> inflate(base::Bytes stored, DeflateForm form, std::size_t size,
                               const std::string& what) {
  if (size / kMostExpansion > stored.size()) {
    base::fail(base::Status::kCorrupt, "{}: {} bytes cannot decompress to {}", what, stored.size(),
               size);
  }
  Stream stream(form, what);
  std::vector<std::byte> out;
  std::size_t in = 0, done = 0;
  int status = Z_OK;
  while (status == Z_OK) {
    // One byte more than promised is room to notice that there is too much.
    if (done == out.size()) {
      if (done > size) break;
      out.resize(std::min(size + 1, std::max<std::size_t>(2 * done, 1 << 16)));
    }
    const std::size_t in_step = std::min(stored.size() - in, kStep);
    const std::size_t out_step = std::min(out.size() - done, kStep);
    stream.z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(stored.data() + in));
    stream.z.avail_in = static_cast<uInt>(in_step);
    stream.z.next_out = reinterpret_cast<Bytef*>(out.data() + done);
    stream.z.avail_out = static_cast<uInt>(out_step);
    status = ::inflate(&stream.z, Z_NO_FLUSH);
    in += in_step - stream.z.avail_in;
    done += out_step - stream.z.avail_out;
  }
  if (status != Z_STREAM_END || done != size) {
    base::fail(base::Status::kCorrupt, "{}: compressed data is damaged: {} bytes of {}", what, done,
               size);
  }
  out.resize(size);
  return out;
}

}  // namespace pronghorn::import
