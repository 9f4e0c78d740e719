// SPDX-License-Identifier: Apache-2.0
// The messages that say what an array is: dataspace, datatype, layout, filters.
#include "import/hdf5_format.h"

namespace pronghorn::import::hdf5::format {

using base::fail;

Dataspace read_dataspace(Cursor& c, int length_size) {
  const int version = c.u8();
  if (version != 1 && version != 2) {
    fail(Status::kCorrupt, "{}: dataspace version {}", c.what(), version);
  }
  const int rank = c.u8();
  c.skip(1);
  const int type = c.u8();  // version 1: reserved
  if (version == 1) c.skip(4);
  Dataspace space;
  if (version == 2 && type == 2) {
    space.elements = 0;
    return space;
  }
  if (rank > kMaxRank) fail(Status::kCorrupt, "{}: rank {}, at most {}", c.what(), rank, kMaxRank);
  constexpr std::uint64_t kMost = std::uint64_t{1} << 40;
  std::uint64_t elements = 1;
  for (int i = 0; i < rank; ++i) {
    const std::uint64_t d = c.uint(length_size);
    if (d >= kMost || (d != 0 && elements >= kMost / d)) {
      fail(Status::kCorrupt, "{}: 2^40 elements or more", c.what());
    }
    elements *= d;
    space.dims.push_back(static_cast<std::int64_t>(d));
  }
  space.elements = static_cast<std::int64_t>(elements);
  return space;
}

Datatype read_datatype(Cursor& c) {
  const std::uint32_t head = c.u32();
  const int type_class = static_cast<int>(head & 15);
  const std::uint32_t bits = head >> 8;
  Datatype type;
  type.size = c.u32();
  switch (type_class) {
    case 0:
      type.kind = Datatype::Kind::kInteger;
      type.is_signed = (bits & 8) != 0;
      type.name = fmt::format("{}int{}", type.is_signed ? "" : "u", 8 * std::uint64_t{type.size});
      break;
    case 1:
      type.kind = Datatype::Kind::kFloat;
      type.name = fmt::format("float{}", 8 * std::uint64_t{type.size});
      break;
    case 3:
      type.kind = Datatype::Kind::kString;
      type.space_padded = (bits & 15) == 2;
      type.name = "a fixed-length string";
      return type;
    case 9:
      if ((bits & 15) == 1) {
        type.kind = Datatype::Kind::kVariableString;
        type.name = "a variable-length string";
        return type;
      }
      [[fallthrough]];
    default:
      type.name = fmt::format("of HDF5 type class {}", type_class);
      return type;
  }
  if ((bits & 1) != 0) {
    fail(Status::kUnsupported, "{}: big-endian numbers are not read", c.what());
  }
  const std::uint32_t offset_precision = c.u32();
  bool plain = offset_precision == 8 * std::uint64_t{type.size} << 16;
  if (type.kind == Datatype::Kind::kFloat) {
    // Exponent location, exponent size, mantissa location, mantissa size: IEEE 754 only.
    const std::uint32_t fields = c.u32();
    plain = plain &&
            ((type.size == 2 && fields == 0x0A00050A) || (type.size == 4 && fields == 0x17000817) ||
             (type.size == 8 && fields == 0x34000B34));
  } else {
    plain = plain && (type.size == 1 || type.size == 2 || type.size == 4 || type.size == 8);
  }
  if (!plain) {
    fail(Status::kUnsupported,
         "{}: an unusual {}-byte number; IEEE binary16, 32, 64 and integers of 8 to 64 bits are "
         "read",
         c.what(), type.size);
  }
  return type;
}

Layout read_layout(Cursor& c, int offset_size, int length_size) {
  Layout layout;
  const int version = c.u8();
  if (version < 1 || version > 4)
    fail(Status::kCorrupt, "{}: layout version {}", c.what(), version);
  int rank = 0;
  if (version < 3) rank = c.u8();
  const int layout_class = c.u8();
  if (layout_class > 2) {
    fail(Status::kUnsupported, "{}: storage class {}; compact, contiguous and chunked are read",
         c.what(), layout_class);
  }
  layout.kind = static_cast<Layout::Kind>(layout_class);
  const auto chunk_dims = [&](int count) {
    if (count < 1 || count > kMaxRank + 1) {
      fail(Status::kCorrupt, "{}: chunks of rank {}", c.what(), count);
    }
    for (int i = 0; i < count; ++i) layout.dims.push_back(c.u32());
  };
  if (version < 3) {
    c.skip(5);
    if (layout.kind != Layout::Kind::kCompact) layout.address = c.uint(offset_size);
    if (layout.kind == Layout::Kind::kChunked) {
      chunk_dims(rank);
      return layout;
    }
    // Contiguous data has the size of the dataset, which the caller knows.
    for (int i = 0; i < rank; ++i) c.skip(4);
    layout.size = ~std::uint64_t{0};
    if (layout.kind == Layout::Kind::kCompact) layout.data = c.take(c.u32());
    return layout;
  }
  switch (layout.kind) {
    case Layout::Kind::kCompact:
      layout.data = c.take(c.u16());
      break;
    case Layout::Kind::kContiguous:
      layout.address = c.uint(offset_size);
      layout.size = c.uint(length_size);
      break;
    case Layout::Kind::kChunked:
      if (version == 4) {
        fail(Status::kUnsupported,
             "{}: chunks under an index of HDF5 1.10's newest format are not read; save with "
             "libver='earliest' (h5py's and Keras's default)",
             c.what());
      }
      rank = c.u8();
      layout.address = c.uint(offset_size);
      chunk_dims(rank);
      break;
  }
  return layout;
}

std::vector<Filter> read_filters(Cursor& c) {
  const int version = c.u8();
  if (version != 1 && version != 2) {
    fail(Status::kCorrupt, "{}: filter pipeline version {}", c.what(), version);
  }
  const int count = c.u8();
  if (version == 1) c.skip(6);
  std::vector<Filter> filters;
  for (int i = 0; i < count; ++i) {
    Filter filter;
    filter.id = c.u16();
    const int name_size = version == 1 || filter.id >= 256 ? c.u16() : 0;
    c.skip(2);  // flags
    const int values = c.u16();
    c.skip(static_cast<std::uint64_t>(version == 1 ? (name_size + 7) / 8 * 8 : name_size));
    c.skip(4 * static_cast<std::uint64_t>(values));
    if (version == 1 && values % 2 != 0) c.skip(4);
    if (filter.id < Filter::kDeflate || filter.id > Filter::kFletcher32) {
      fail(Status::kUnsupported, "{}: filter {}; deflate, shuffle and fletcher32 are read",
           c.what(), filter.id);
    }
    filters.push_back(filter);
  }
  if (filters.size() > 8) {
    fail(Status::kCorrupt, "{}: {} filters on one dataset", c.what(), filters.size());
  }
  return filters;
}

}  // namespace pronghorn::import::hdf5::format
