// SPDX-License-Identifier: Apache-2.0
// Datasets: contiguous, compact, chunked; converted to float32.
#include <bit>
#include <cstring>

#include "import/hdf5.h"
#include "import/hdf5_format.h"
#include "import/inflate.h"

namespace pronghorn::import::hdf5 {

using base::fail;
using base::Status;
using format::Cursor;
using format::Datatype;
using format::Filter;
using format::Layout;

namespace {

// binary16 to binary32, exactly.
float widen(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  const std::uint32_t exponent = half >> 10 & 31;
  const std::uint32_t mantissa = half & 0x3FF;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000 | mantissa << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  const float small = static_cast<float>(mantissa) * 0x1p-24F;
  return sign != 0 ? -small : small;
}

template <typename T>
void convert(const std::byte* src, std::vector<float>& dst) {
  for (std::size_t i = 0; i < dst.size(); ++i) {
    T value;
    std::memcpy(&value, src + i * sizeof(T), sizeof(T));
    dst[i] = static_cast<float>(value);
  }
}

void convert(const std::byte* src, const Datatype& type, std::vector<float>& dst) {
  if (type.kind == Datatype::Kind::kFloat) {
    if (type.size == 4) return convert<float>(src, dst);
    if (type.size == 8) return convert<double>(src, dst);
    for (std::size_t i = 0; i < dst.size(); ++i) {
      std::uint16_t half;
      std::memcpy(&half, src + 2 * i, 2);
      dst[i] = widen(half);
    }
    return;
  }
  switch (type.size) {
    case 1:
      return type.is_signed ? convert<std::int8_t>(src, dst) : convert<std::uint8_t>(src, dst);
    case 2:
      return type.is_signed ? convert<std::int16_t>(src, dst) : convert<std::uint16_t>(src, dst);
    case 4:
      return type.is_signed ? convert<std::int32_t>(src, dst) : convert<std::uint32_t>(src, dst);
    default:
      return type.is_signed ? convert<std::int64_t>(src, dst) : convert<std::uint64_t>(src, dst);
  }
}

// Bytes were grouped by their place in the element: all first bytes, all second ones, ...
std::vector<std::byte> unshuffle(const std::vector<std::byte>& src, std::size_t element_size) {
  std::vector<std::byte> dst(src);
  const std::size_t count = src.size() / element_size;
  for (std::size_t b = 0; b < element_size; ++b) {
    for (std::size_t i = 0; i < count; ++i) dst[i * element_size + b] = src[b * count + i];
  }
  return dst;
}

// One chunk's elements to their place in the array; chunks at the border reach over it.
struct Placement {
  const std::vector<std::int64_t>& dims;
  const std::vector<std::uint32_t>& chunk;  // and the element size
  std::size_t element_size;

  void copy(const std::byte* src, const std::vector<std::int64_t>& origin, std::byte* dst) const {
    const std::size_t rank = dims.size();
    std::vector<std::int64_t> size(rank);
    for (std::size_t d = 0; d < rank; ++d) {
      size[d] = std::min<std::int64_t>(chunk[d], dims[d] - origin[d]);
    }
    std::vector<std::int64_t> at(rank, 0);
    const std::size_t row = static_cast<std::size_t>(rank == 0 ? 1 : size[rank - 1]) * element_size;
    for (;;) {
      std::int64_t from = 0, to = 0;
      for (std::size_t d = 0; d < rank; ++d) {
        from = from * chunk[d] + at[d];
        to = to * dims[d] + origin[d] + at[d];
      }
      std::memcpy(dst + static_cast<std::size_t>(to) * element_size,
                  src + static_cast<std::size_t>(from) * element_size, row);
      std::size_t d = rank < 2 ? 0 : rank - 1;  // the last dimension went with the row
      while (d > 0 && ++at[d - 1] == size[d - 1]) at[--d] = 0;
      if (d == 0) return;
    }
  }
};

}  // namespace

std::vector<std::byte> format::unfilter(Bytes stored, const std::vector<Filter>& filters,
                                        std::uint32_t mask, std::size_t element_size,
                                        std::size_t size, const std::string& what) {
  std::vector<std::byte> data(stored.begin(), stored.end());
  for (std::size_t i = filters.size(); i-- > 0;) {
    if ((mask >> i & 1) != 0) continue;
    switch (filters[i].id) {
      case Filter::kDeflate: {
        // Filters before this one may have added a checksum to the chunk.
        std::size_t expected = size;
        for (std::size_t j = 0; j < i; ++j) {
          if (filters[j].id == Filter::kFletcher32 && (mask >> j & 1) == 0) expected += 4;
        }
        data = inflate(data, DeflateForm::kZlib, expected, what);
        break;
      }
      case Filter::kShuffle:
        data = unshuffle(data, element_size);
        break;
      default:  // fletcher32: four bytes at the end, not checked
        if (data.size() < 4) fail(Status::kCorrupt, "{}: chunk of {} bytes", what, data.size());
        data.resize(data.size() - 4);
    }
  }
  if (data.size() != size) {
    fail(Status::kCorrupt, "{}: chunk of {} bytes, must be {}", what, data.size(), size);
  }
  return data;
}

std::vector<std::byte> File::read_chunks(const Object& dataset, const Layout& layout,
                                         std::size_t element_size,
                                         const std::vector<std::int64_t>& dims) {
  const std::string what = fmt::format("{}: dataset {}", name_, dataset.path);
  const std::size_t rank = dims.size();
  if (layout.dims.size() != rank + 1 || layout.dims.back() != element_size) {
    fail(Status::kCorrupt, "{}: chunks do not fit its shape", what);
  }
  std::uint64_t chunk_size = element_size, expected = 1, total = element_size;
  for (std::size_t d = 0; d < rank; ++d) {
    const std::uint64_t c = layout.dims[d];
    const auto n = static_cast<std::uint64_t>(dims[d]);
    if (c == 0 || chunk_size > (std::uint64_t{1} << 32) / c) {
      fail(Status::kCorrupt, "{}: chunks of an impossible size", what);
    }
    chunk_size *= c;
    total *= n;  // below 2^43: read_dataspace bounds the elements
    expected *= (n + c - 1) / c;
  }
  std::vector<Filter> filters;
  if (const auto* m = header(dataset).find(format::kFilters, what)) {
    Cursor c(m->data, what);
    filters = format::read_filters(c);
  }
  struct Chunk {
    base::Bytes stored;
    std::uint32_t mask = 0;
  };
  std::map<std::vector<std::int64_t>, Chunk> chunks;
  struct Visit {
    std::uint64_t address;
    int level;  // -1: any
  };
  std::vector<Visit> pending;
  if (!format::is_undefined(layout.address, offset_size_)) pending.push_back({layout.address, -1});
  while (!pending.empty()) {
    const Visit visit = pending.back();
    pending.pop_back();
    const std::uint64_t head_size = 8 + 2 * static_cast<std::uint64_t>(offset_size_);
    Cursor c(range(visit.address, head_size, what), what);
    c.expect("TREE");
    const int type = c.u8();
    const int level = c.u8();
    const std::uint64_t count = c.u16();
    if (type != 1 || (visit.level >= 0 && level != visit.level)) {
      fail(Status::kCorrupt, "{}: chunk index is damaged", what);
    }
    const std::uint64_t entry = 8 + 8 * (rank + 1) + static_cast<std::uint64_t>(offset_size_);
    spend(count * entry + 64, what);
    Cursor entries(range(visit.address + head_size, count * entry, what), what);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t size = entries.u32();
      const std::uint32_t mask = entries.u32();
      std::vector<std::int64_t> origin(rank);
      bool inside = true;
      for (std::size_t d = 0; d < rank; ++d) {
        const std::uint64_t at = entries.uint(8);
        inside = inside && at < static_cast<std::uint64_t>(dims[d]) && at % layout.dims[d] == 0;
        origin[d] = static_cast<std::int64_t>(at);
      }
      entries.skip(8);  // the element's own dimension: 0
      const std::uint64_t address = entries.uint(offset_size_);
      if (level > 0) {
        pending.push_back({address, level - 1});
        continue;
      }
      if (!inside) fail(Status::kCorrupt, "{}: a chunk lies outside the array", what);
      if (!chunks.emplace(std::move(origin), Chunk{range(address, size, what), mask}).second) {
        fail(Status::kCorrupt, "{}: a chunk is there twice", what);
      }
    }
  }
  if (chunks.size() != expected) {
    fail(Status::kCorrupt, "{}: {} chunks of {} are there", what, chunks.size(), expected);
  }
  // All chunks are there, so what follows is bounded by their number; memory is charged first.
  const std::uint64_t needed = total + 2 * chunk_size * chunks.size();
  if (needed > memory_left_) {
    fail(Status::kOutOfMemory, "{}: {} bytes decompressed are too many for this file", what, total);
  }
  memory_left_ -= needed;
  std::vector<std::byte> data(total);
  const Placement placement{dims, layout.dims, element_size};
  for (const auto& [origin, chunk] : chunks) {
    spend(chunk.stored.size(), what);
    const auto plain = format::unfilter(chunk.stored, filters, chunk.mask, element_size,
                                        static_cast<std::size_t>(chunk_size), what);
    placement.copy(plain.data(), origin, data.data());
  }
  return data;
}

std::vector<std::int64_t> File::dims(const Object& dataset) {
  const std::string what = fmt::format("{}: dataset {}", name_, dataset.path);
  const auto* space = header(dataset).find(format::kDataspace, what);
  if (space == nullptr) fail(Status::kCorrupt, "{}: is not a dataset", what);
  Cursor c(space->data, what);
  return format::read_dataspace(c, length_size_).dims;
}

graph::Tensor File::read(const Object& dataset) {
  const std::string what = fmt::format("{}: dataset {}", name_, dataset.path);
  const format::Header& head = header(dataset);
  const auto* space_message = head.find(format::kDataspace, what);
  const auto* type_message = head.find(format::kDatatype, what);
  const auto* layout_message = head.find(format::kLayout, what);
  if (space_message == nullptr || type_message == nullptr || layout_message == nullptr) {
    fail(Status::kCorrupt, "{}: is not a dataset", what);
  }
  if (head.find(format::kExternalFiles, what) != nullptr) {
    fail(Status::kUnsupported, "{}: its data is in another file, which is not read", what);
  }
  Cursor space_cursor(space_message->data, what);
  format::Dataspace space = format::read_dataspace(space_cursor, length_size_);
  Cursor type_cursor(type_message->data, what);
  const Datatype type = format::read_datatype(type_cursor);
  if (type.kind != Datatype::Kind::kFloat && type.kind != Datatype::Kind::kInteger) {
    fail(Status::kUnsupported, "{}: is {}; weights must be numbers", what, type.name);
  }
  Cursor layout_cursor(layout_message->data, what);
  const Layout layout = format::read_layout(layout_cursor, offset_size_, length_size_);
  const auto elements = static_cast<std::uint64_t>(space.elements);
  const std::uint64_t size = elements * type.size;
  if (elements == 0) {
    if (space.dims.empty()) space.dims.push_back(0);  // a null dataspace
    return graph::Tensor::from<float>(space.dims, {});
  }
  std::vector<std::byte> owned;
  base::Bytes raw;
  switch (layout.kind) {
    case Layout::Kind::kCompact:
      raw = layout.data;
      break;
    case Layout::Kind::kContiguous:
      if (format::is_undefined(layout.address, offset_size_)) {
        fail(Status::kCorrupt, "{}: holds no data", what);
      }
      raw = range(layout.address, size, what);
      if (layout.size < size) {
        fail(Status::kCorrupt, "{}: {} bytes stored, {} needed", what, layout.size, size);
      }
      break;
    case Layout::Kind::kChunked:
      owned = read_chunks(dataset, layout, type.size, space.dims);
      raw = owned;
      break;
  }
  if (raw.size() < size) {
    fail(Status::kCorrupt, "{}: {} bytes stored, {} needed", what, raw.size(), size);
  }
  spend(size / 8 + 64, what);
  const bool plain = type.kind == Datatype::Kind::kFloat && type.size == 4;
  if (plain && owned.empty() &&
      reinterpret_cast<std::uintptr_t>(raw.data()) % alignof(float) == 0) {
    return {graph::DType::kF32, space.dims, owner_, raw.data()};
  }
  if (elements * sizeof(float) > memory_left_) {
    fail(Status::kOutOfMemory, "{}: {} elements are too many for this file", what, elements);
  }
  memory_left_ -= elements * sizeof(float);
  std::vector<float> values(elements);
  convert(raw.data(), type, values);
  return graph::Tensor::from<float>(space.dims, std::move(values));
}

}  // namespace pronghorn::import::hdf5
