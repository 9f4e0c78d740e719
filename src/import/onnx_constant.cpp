// SPDX-License-Identifier: Apache-2.0
#include "import/onnx_constant.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/buffer.h"
#include "base/error.h"

namespace pronghorn::import {
namespace {

using base::Status;
using onnx::TensorProto;

// Bytes of an element; 0 for types that we do not read.
std::int64_t element_size(int type) {
  switch (type) {
    case TensorProto::UINT8:
    case TensorProto::INT8:
    case TensorProto::BOOL:
      return 1;
    case TensorProto::FLOAT16:
      return 2;
    case TensorProto::FLOAT:
    case TensorProto::INT32:
      return 4;
    case TensorProto::INT64:
    case TensorProto::DOUBLE:
      return 8;
    default:
      return 0;
  }
}

template <typename T>
T load(const Constant& c, std::int64_t i) {
  T value;
  std::memcpy(&value, c.bytes.data() + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
  return value;
}

float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  const std::uint32_t exponent = half >> 10 & 31;
  const std::uint32_t fraction = half & 1023;
  if (exponent == 0) {  // zero or subnormal
    const float value = std::ldexp(static_cast<float>(fraction), -24);
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

Constant allocate(int type, std::vector<std::int64_t> dims, std::byte** data) {
  Constant c{type, std::move(dims), {}, nullptr};
  const auto size = static_cast<std::size_t>(c.size() * element_size(type));
  auto buffer = std::make_shared<base::Buffer>(size);
  *data = buffer->data();
  c.bytes = {buffer->data(), size};
  c.owner = std::move(buffer);
  return c;
}

template <typename T, typename Values>
Constant copy_values(int type, std::vector<std::int64_t> dims, const Values& values) {
  std::byte* data = nullptr;
  Constant c = allocate(type, std::move(dims), &data);
  for (const auto v : values) {
    const T value = static_cast<T>(v);
    std::memcpy(data, &value, sizeof(T));
    data += sizeof(T);
  }
  return c;
}

// The typed field that holds `type`, when raw_data does not.
template <typename Visit>
Constant read_typed_field(const TensorProto& t, const Visit& visit) {
  switch (t.data_type()) {
    case TensorProto::FLOAT:
      return visit(t.float_data(), float{});
    case TensorProto::DOUBLE:
      return visit(t.double_data(), double{});
    case TensorProto::INT64:
      return visit(t.int64_data(), std::int64_t{});
    case TensorProto::FLOAT16:
      return visit(t.int32_data(), std::uint16_t{});
    case TensorProto::INT32:
      return visit(t.int32_data(), std::int32_t{});
    default:
      return visit(t.int32_data(), std::uint8_t{});
  }
}

template <typename T>
void gather(const Constant& src, const std::int64_t (&size)[4], const std::int64_t (&stride)[4],
            std::byte* dst) {
  const auto* from = reinterpret_cast<const std::byte*>(src.bytes.data());
  for (std::int64_t a = 0; a < size[0]; ++a) {
    for (std::int64_t b = 0; b < size[1]; ++b) {
      for (std::int64_t c = 0; c < size[2]; ++c) {
        const std::byte* p = from + (a * stride[0] + b * stride[1] + c * stride[2]) * sizeof(T);
        for (std::int64_t d = 0; d < size[3]; ++d) {
          std::memcpy(dst, p + d * stride[3] * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
          dst += sizeof(T);
        }
      }
    }
  }
}

}  // namespace

std::int64_t Constant::size() const {
  std::int64_t size = 1;
  for (const std::int64_t d : dims) size *= d;
  return size;
}

bool Constant::is_float() const {
  return type == TensorProto::FLOAT || type == TensorProto::FLOAT16 || type == TensorProto::DOUBLE;
}

bool Constant::is_integer() const { return !is_float(); }

std::string type_name(int type) {
  return TensorProto::DataType_IsValid(type)
             ? TensorProto::DataType_Name(static_cast<TensorProto::DataType>(type))
             : fmt::format("number {}", type);
}

Constant read_constant(const TensorProto& t, base::Bytes raw,
                       const std::shared_ptr<const void>& owner, const std::string& where) {
  if (t.data_location() == TensorProto::EXTERNAL || t.external_data_size() > 0) {
    base::fail(Status::kUnsupported,
               "{}: its data lies in another file (external data); save the model as one file",
               where);
  }
  if (t.has_segment()) base::fail(Status::kUnsupported, "{}: comes in segments", where);
  const std::int64_t element = element_size(t.data_type());
  if (element == 0) {
    base::fail(Status::kUnsupported,
               "{}: element type {} is not one of float32, float16, double, int8, uint8, int32, "
               "int64, bool",
               where, type_name(t.data_type()));
  }
  if (t.dims_size() > 8) base::fail(Status::kUnsupported, "{}: more than 8 dimensions", where);
  std::int64_t size = 1;
  for (const std::int64_t d : t.dims()) {
    if (d < 0 || d > kMaxElements || size * d > kMaxElements) {
      base::fail(Status::kCorrupt, "{}: dimension {} is negative or too large", where, d);
    }
    size *= d;
  }
  std::vector<std::int64_t> dims(t.dims().begin(), t.dims().end());
  std::shared_ptr<const void> raw_owner = owner;
  if (raw.empty() && !t.raw_data().empty()) {  // a tensor inside a node; short, so copied
    auto copy = std::make_shared<const std::string>(t.raw_data());
    raw = std::as_bytes(std::span(copy->data(), copy->size()));
    raw_owner = std::move(copy);
  }
  if (!raw.empty() || size == 0) {
    if (static_cast<std::int64_t>(raw.size()) != size * element) {
      base::fail(Status::kCorrupt, "{}: {} bytes of data, its dimensions need {}", where,
                 raw.size(), size * element);
    }
    return {t.data_type(), std::move(dims), raw, std::move(raw_owner)};
  }
  return read_typed_field(t, [&]<typename T>(const auto& values, T) {
    if (values.size() != size) {
      base::fail(Status::kCorrupt, "{}: {} values of data, its dimensions need {}", where,
                 values.size(), size);
    }
    return copy_values<T>(t.data_type(), dims, values);
  });
}

std::vector<float> to_floats(const Constant& c) {
  std::vector<float> values(static_cast<std::size_t>(c.size()));
  if (c.type == TensorProto::FLOAT) {
    if (!values.empty()) std::memcpy(values.data(), c.bytes.data(), c.bytes.size());
    return values;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    if (c.type == TensorProto::DOUBLE) {
      values[i] = static_cast<float>(load<double>(c, at));
    } else if (c.type == TensorProto::FLOAT16) {
      values[i] = half_to_float(load<std::uint16_t>(c, at));
    } else {
      base::fail(Status::kInternal, "a constant of {} read as float", type_name(c.type));
    }
  }
  return values;
}

std::vector<std::int64_t> to_integers(const Constant& c) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(c.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    switch (c.type) {
      case TensorProto::INT64:
        values[i] = load<std::int64_t>(c, at);
        break;
      case TensorProto::INT32:
        values[i] = load<std::int32_t>(c, at);
        break;
      case TensorProto::INT8:
        values[i] = load<std::int8_t>(c, at);
        break;
      case TensorProto::UINT8:
      case TensorProto::BOOL:
        values[i] = load<std::uint8_t>(c, at);
        break;
      default:
        base::fail(Status::kInternal, "a constant of {} read as integers", type_name(c.type));
    }
  }
  return values;
}

Constant make_floats(std::vector<std::int64_t> dims, const std::vector<float>& values) {
  return copy_values<float>(TensorProto::FLOAT, std::move(dims), values);
}

Constant make_integers(std::vector<std::int64_t> dims, const std::vector<std::int64_t>& values) {
  return copy_values<std::int64_t>(TensorProto::INT64, std::move(dims), values);
}

Constant make_bytes(std::vector<std::int64_t> dims, int type,
                    const std::vector<std::int8_t>& values) {
  return copy_values<std::int8_t>(type, std::move(dims), values);
}

Constant reshaped(Constant constant, std::vector<std::int64_t> dims) {
  constant.dims = std::move(dims);
  return constant;
}

Constant transposed(const Constant& src, const std::vector<int>& perm) {
  // Dimensions of size 1 carry no data: the others alone decide the order of the elements.
  std::vector<std::int64_t> dims;
  std::vector<int> moving;
  for (const int from : perm) {
    dims.push_back(src.dims[static_cast<std::size_t>(from)]);
    if (dims.back() != 1) moving.push_back(from);
  }
  bool same_order = true;
  for (std::size_t i = 1; i < moving.size(); ++i) same_order &= moving[i - 1] < moving[i];
  if (same_order || src.size() == 0) return reshaped(src, std::move(dims));
  if (moving.size() > 4) {
    base::fail(Status::kUnsupported, "transposing a constant of more than 4 dimensions");
  }
  std::vector<std::int64_t> stride(src.dims.size(), 1);
  for (std::size_t i = src.dims.size() - 1; i > 0; --i) stride[i - 1] = stride[i] * src.dims[i];
  std::int64_t size4[4] = {1, 1, 1, 1};
  std::int64_t stride4[4] = {0, 0, 0, 0};
  const std::size_t shift = 4 - moving.size();
  for (std::size_t i = 0; i < moving.size(); ++i) {
    size4[shift + i] = src.dims[static_cast<std::size_t>(moving[i])];
    stride4[shift + i] = stride[static_cast<std::size_t>(moving[i])];
  }
  std::byte* data = nullptr;
  Constant dst = allocate(src.type, std::move(dims), &data);
  switch (element_size(src.type)) {
    case 1:
      gather<std::uint8_t>(src, size4, stride4, data);
      break;
    case 2:
      gather<std::uint16_t>(src, size4, stride4, data);
      break;
    case 4:
      gather<std::uint32_t>(src, size4, stride4, data);
      break;
    default:
      gather<std::uint64_t>(src, size4, stride4, data);
      break;
  }
  return dst;
}

graph::Tensor to_tensor(const Constant& c) {
  const auto wrap = [&](graph::DType dtype) {
    const auto address = reinterpret_cast<std::uintptr_t>(c.bytes.data());
    if (address % graph::size_of(dtype) == 0) {
      return graph::Tensor(dtype, c.dims, c.owner, c.bytes.data());
    }
    auto copy = std::make_shared<base::Buffer>(c.bytes.size());
    std::memcpy(copy->data(), c.bytes.data(), c.bytes.size());
    const std::byte* data = copy->data();
    return graph::Tensor(dtype, c.dims, std::move(copy), data);
  };
  switch (c.type) {
    case TensorProto::FLOAT:
      return wrap(graph::DType::kF32);
    case TensorProto::INT8:
      return wrap(graph::DType::kS8);
    case TensorProto::UINT8:
      return wrap(graph::DType::kU8);
    case TensorProto::INT32:
      return wrap(graph::DType::kS32);
    default:
      return graph::Tensor::from(c.dims, to_floats(c));
  }
}

}  // namespace pronghorn::import
