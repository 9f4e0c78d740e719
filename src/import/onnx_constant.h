// SPDX-License-Identifier: Apache-2.0
// Constants of an ONNX file: initializers, Constant nodes, and what is computed from them.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "graph/graph.h"

namespace pronghorn::import {

// Stands for the batch size among the int64 values that a Shape node makes.
inline constexpr std::int64_t kBatch = std::numeric_limits<std::int64_t>::min() + 7;

// Elements of any one tensor, constant or activation, that a file may ask for.
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 31;

struct Constant {
  int type = onnx::TensorProto::FLOAT;
  std::vector<std::int64_t> dims;
  base::Bytes bytes;                  // little-endian elements, perhaps unaligned
  std::shared_ptr<const void> owner;  // of the bytes

  std::int64_t size() const;
  bool is_float() const;    // float16, float32 or double
  bool is_integer() const;  // (u)int8, int32, int64 or bool
};

// `where` names the tensor in messages. `raw` is its raw_data, which lives in `owner`; empty when
// the tensor holds its data itself. Throws Error(kCorrupt) for a size that does not fit the
// dimensions, Error(kUnsupported) for other element types and data outside the file.
Constant read_constant(const onnx::TensorProto& tensor, base::Bytes raw,
                       const std::shared_ptr<const void>& owner, const std::string& where);

std::string type_name(int type);

// The values as float32 or as int64 (which need is_float or is_integer; kInternal otherwise).
std::vector<float> to_floats(const Constant& constant);
std::vector<std::int64_t> to_integers(const Constant& constant);

Constant make_floats(std::vector<std::int64_t> dims, const std::vector<float>& values);
Constant make_integers(std::vector<std::int64_t> dims, const std::vector<std::int64_t>& values);
Constant make_bytes(std::vector<std::int64_t> dims, int type,
                    const std::vector<std::int8_t>& values);

// The same elements under other dimensions of the same product.
Constant reshaped(Constant constant, std::vector<std::int64_t> dims);
// dst dim i is src dim perm[i]. Shares the bytes when only dimensions of size 1 move.
Constant transposed(const Constant& constant, const std::vector<int>& perm);

// float32 (converted from float16 and double), int8, uint8 or int32; shares the bytes if aligned.
graph::Tensor to_tensor(const Constant& constant);

}  // namespace pronghorn::import
