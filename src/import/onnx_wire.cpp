// SPDX-License-Identifier: Apache-2.0
#include "import/onnx_wire.h"

#include <cstdint>

#include "base/error.h"

namespace pronghorn::import {
namespace {

using base::Bytes;

// Field numbers of onnx.proto.
constexpr std::uint64_t kModelGraph = 7;
constexpr std::uint64_t kGraphInitializer = 5;
constexpr std::uint64_t kTensorRawData = 9;

enum WireType : std::uint64_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

struct Field {
  std::uint64_t number = 0;
  std::uint64_t type = 0;
  Bytes payload;  // of a length-delimited field
  Bytes whole;    // tag, length and payload
};

class Reader {
 public:
  explicit Reader(Bytes bytes) : bytes_(bytes) {}

  bool done() const { return at_ == bytes_.size(); }

  // False when the bytes are not a field.
  bool next(Field* field) {
    const std::size_t begin = at_;
    std::uint64_t tag = 0;
    if (!varint(&tag)) return false;
    field->number = tag >> 3;
    field->type = tag & 7;
    field->payload = {};
    std::uint64_t size = 0;
    switch (field->type) {
      case kVarint:
        if (!varint(&size)) return false;
        size = 0;
        break;
      case kFixed64:
        size = 8;
        break;
      case kFixed32:
        size = 4;
        break;
      case kLengthDelimited:
        if (!varint(&size)) return false;
        break;
      default:  // groups, which ONNX never used
        return false;
    }
    if (field->number == 0 || size > bytes_.size() - at_) return false;
    field->payload = bytes_.subspan(at_, size);
    at_ += size;
    field->whole = bytes_.subspan(begin, at_ - begin);
    return true;
  }

 private:
  bool varint(std::uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) return false;
      const auto byte = static_cast<std::uint64_t>(bytes_[at_++]);
      *value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

  Bytes bytes_;
  std::size_t at_ = 0;
};

void append(std::string& out, Bytes bytes) {
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void append_field(std::string& out, std::uint64_t number, const std::string& payload) {
  append_varint(out, number << 3 | kLengthDelimited);
  append_varint(out, payload.size());
  out += payload;
}

[[noreturn]] void broken(const std::string& name) {
  base::fail(base::Status::kCorrupt,
             "{}: not a whole ONNX file: its protobuf fields run past the end or are malformed",
             name);
}

Bytes slim_tensor(Bytes tensor, const std::string& name, std::string* out) {
  Bytes raw;
  Field field;
  for (Reader reader(tensor); !reader.done();) {
    if (!reader.next(&field)) broken(name);
    if (field.number == kTensorRawData && field.type == kLengthDelimited) {
      raw = field.payload;
    } else {
      append(*out, field.whole);
    }
  }
  return raw;
}

}  // namespace

SlimModel take_raw_data(Bytes model, const std::string& name) {
  SlimModel slim;
  Field field;
  for (Reader reader(model); !reader.done();) {
    if (!reader.next(&field)) broken(name);
    if (field.number != kModelGraph || field.type != kLengthDelimited) {
      append(slim.bytes, field.whole);
      continue;
    }
    std::string graph;
    Field inner;
    for (Reader graph_reader(field.payload); !graph_reader.done();) {
      if (!graph_reader.next(&inner)) broken(name);
      if (inner.number != kGraphInitializer || inner.type != kLengthDelimited) {
        append(graph, inner.whole);
        continue;
      }
      std::string tensor;
      slim.raw.push_back(slim_tensor(inner.payload, name, &tensor));
      append_field(graph, kGraphInitializer, tensor);
    }
    append_field(slim.bytes, kModelGraph, graph);
  }
  return slim;
}

bool looks_like_onnx(Bytes bytes) {
  // ir_version, which every writer puts first, or another field of ModelProto, well-formed.
  Field field;
  if (bytes.empty()) return false;
  const auto tag = static_cast<std::uint64_t>(bytes[0]);
  const std::uint64_t number = tag >> 3;
  const bool is_ir_version = number == 1 && (tag & 7) == kVarint;
  const bool is_other = number >= 2 && number <= 14 && tag < 0x80 &&
                        (tag & 7) == (number == 5 ? kVarint : kLengthDelimited);
  if (!is_ir_version && !is_other) return false;
  return number == kModelGraph || Reader(bytes).next(&field);
}

}  // namespace pronghorn::import
