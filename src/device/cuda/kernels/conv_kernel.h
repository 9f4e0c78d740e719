// SPDX-License-Identifier: Apache-2.0
// The convolution kernels of the CUDA device: plain functions over plain structs, one file a
// generation, one table of all in order of preference. docs/add_a_kernel.md is the recipe. They are
// about bytes; those that can work on half-precision floats too, 2 bytes an element.
//
// The device takes care of everything that is not a plain convolution of u8 pixels, so that kernels
// stay few:
//   - Activations are u8 everywhere: an s8 tensor is held as value + 128 with its zero points and
//     ranges moved along, which changes no result.
//   - The source's zero point is inside the bias (bias - z_src * sum of the channel's weights), so
//   a
//     kernel computes sum(src * weights) + bias over whole windows. Where the window leaves the
//     image, it reads `z_src` instead; most networks have z_src 0 there.
//   - A small number of input channels with a stride (a first layer) arrives rewritten: blocks of
//     stride x stride pixels become the channels of one pixel, 16 bytes each, border included.
//
// This header is read by nvcc and by the host compiler, and includes no library.
#pragma once

#include <cstdint>

struct CUstream_st;

namespace pronghorn::device::cuda {

using Stream = CUstream_st*;  // cudaStream_t

enum : std::int32_t {
  kChannelPad = 256,  // bias and m hold this many entries rounded up, the rest zero
  kAlignment = 256,   // of every device pointer below, in bytes
};

enum class ConvResult : std::int32_t { kBytes, kBytesResidual, kFloat };

enum class ConvElement : std::int32_t { kByte, kHalf };

// dst[n][oh][ow][oc] = finish(bias[oc] + sum src[n][oh * sh - pad_top + kh][..][ic] * weights),
// NHWC, no gaps. finish:
//   kBytes          clamp(rne(fp32(acc) * m[oc]) + z_dst, lo, hi)
//   kBytesResidual  clamp(rne(fma(fp32(acc), m[oc], fp32(res - z_res) * m_res)) + z_dst, lo, hi);
//                   res is u8 in dst's shape
//   kFloat          fp32(acc) * m[oc], binary32
// With elements kHalf src, weights, res and dst are binary16, the sum is binary32 in an order that
// depends on the variant alone, and finish is
//   kBytes          rn16(min(max(acc, least), most)); kBytesResidual the same of acc + res
//   kFloat          acc, binary32
// kernels/finish.cuh has it for device code. The sum fits s32 (graph::verify), partial sums in any
// order may wrap around.
struct ConvProblem {
  std::int32_t n, ih, iw;
  std::int32_t ic;  // bytes of an input pixel: its channels, or twice as many for kHalf
  std::int32_t oh, ow, oc;
  std::int32_t kh, kw, sh, sw;
  std::int32_t pad_top, pad_left;  // what lies right and below follows from oh and ow
  std::int32_t groups;
  ConvResult result;
  std::int32_t z_src;  // what padding reads, 0 to 255
  std::int32_t z_dst, lo, hi;
  std::int32_t z_res;
  float m_res;
  ConvElement element;
  float least, most;  // kHalf only, at most 65504 away from zero

  constexpr bool half() const { return element == ConvElement::kHalf; }
  // Of a result's element.
  constexpr std::int32_t result_bytes() const {
    return result == ConvResult::kFloat ? 4 : half() ? 2 : 1;
  }
  constexpr std::int64_t pixels() const { return std::int64_t{n} * oh * ow; }
  // Bytes of the source that a result depends on.
  constexpr std::int32_t window() const { return kh * kw * (ic / groups); }
  // No output pixel reads outside its image.
  constexpr bool inside() const {
    return pad_top == 0 && pad_left == 0 && (oh - 1) * sh + kh <= ih && (ow - 1) * sw + kw <= iw;
  }
  constexpr bool pointwise() const { return kh == 1 && kw == 1 && inside() && groups == 1; }
};

// Device memory. Each pointer is aligned to kAlignment and followed by kAlignment bytes that may be
// read.
struct ConvBuffers {
  const std::uint8_t* src;
  const std::int8_t* weights;  // as pack() left them
  const void* bias;            // std::int32_t, zero point inside; float for kHalf
  const float* m;
  const std::uint8_t* res;  // kBytesResidual only; as dst
  void* dst;
  const std::uint8_t* pad;  // 256 bytes of z_src
  // workspace_bytes() of memory that no other launch in flight uses. It is zero before the first
  // launch, and each launch leaves it zero.
  std::uint8_t* workspace;
};

// A tile variant is an index below `variants`; what it means is the kernel's own affair.
struct ConvKernel {
  const char* name;  // "mma_sm80"
  // The compute capability as 10 * major + minor: 75, 80, 90.
  bool (*supports)(const ConvProblem& problem, std::int32_t capability);
  std::int32_t variants;
  const char* (*variant_name)(std::int32_t variant);
  // Whether a variant can run this problem; the one that choose() gives always can.
  bool (*takes)(const ConvProblem& problem, std::int32_t variant);
  // The variant for a GPU of so many multiprocessors, from measurements made once.
  std::int32_t (*choose)(const ConvProblem& problem, std::int32_t multiprocessors);
  // Host side. Weights come as [oc][kh][kw][ic / groups] bytes and do not depend on n or the
  // variant.
  std::int64_t (*packed_bytes)(const ConvProblem& problem);
  void (*pack)(const ConvProblem& problem, const std::int8_t* weights, std::int8_t* packed);
  std::int64_t (*workspace_bytes)(const ConvProblem& problem, std::int32_t variant);
  // Enqueues the work, also into a stream that is being captured; never waits. Once a process and
  // GPU, before any capture, prepare() raises limits and looks up driver functions.
  // Both return a cudaError_t, 0 for success.
  int (*prepare)();
  int (*launch)(const ConvProblem& problem, const ConvBuffers& buffers, std::int32_t variant,
                Stream stream);
};

// The preferred one first; the last takes everything.
extern const ConvKernel* const kConvKernels[];
extern const std::int32_t kConvKernelCount;

extern const ConvKernel kConvWgmmaSm90a;
extern const ConvKernel kConvMmaSm80;
extern const ConvKernel kConvDirect;

}  // namespace pronghorn::device::cuda
