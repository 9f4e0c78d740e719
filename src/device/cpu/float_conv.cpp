// SPDX-License-Identifier: Apache-2.0
// Float convolutions through oneDNN. One primitive handles one image, so that a batch changes
// neither the kernel nor a bit of the result.
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/buffer.h"
#include "device/cpu/float_ops.h"

// oneDNN's threads are OpenMP's. Declared here instead of including omp.h, which needs compiler
// support that nothing else of ours wants.
extern "C" void omp_set_num_threads(int count);
extern "C" int omp_get_max_threads();

namespace pronghorn::device::cpu {
namespace {

// OpenMP's thread count belongs to the calling thread, which may be a host program's: put it back.
class TeamSize {
 public:
  explicit TeamSize(int threads) : before_(omp_get_max_threads()) {
    if (threads != before_) omp_set_num_threads(threads);
  }
  ~TeamSize() { omp_set_num_threads(before_); }
  TeamSize(const TeamSize&) = delete;
  TeamSize& operator=(const TeamSize&) = delete;

 private:
  int before_;
};

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

using Tag = dnnl::memory::format_tag;
constexpr auto kF32 = dnnl::memory::data_type::f32;

dnnl::primitive_attr attributes(const graph::Clip& clip) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (clip.lo == kNoClip.lo && clip.hi == kNoClip.hi) return attr;
  dnnl::post_ops ops;
  if (clip.lo == kRelu.lo && clip.hi == kRelu.hi) {
    ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
  } else {
    ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_clip, clip.lo, clip.hi);
  }
  attr.set_post_ops(ops);
  return attr;
}

}  // namespace

struct FloatConv::Impl {
  int threads = 1;
  std::int64_t src_size = 0, dst_size = 0;
  dnnl::convolution_forward::primitive_desc desc;
  dnnl::convolution_forward primitive;
  dnnl::memory weights, bias;
  std::string kernel;
};

FloatConv::FloatConv(const graph::Shape& src, const graph::Window& w,
                     std::span<const float> weights, std::span<const float> bias,
                     const graph::Clip& clip, int threads)
    : impl_(std::make_unique<Impl>()) {
  const TeamSize team(threads);
  const std::int64_t ic = src.c / w.groups;
  const std::int64_t oc = static_cast<std::int64_t>(weights.size()) / (ic * w.kh * w.kw);
  const graph::Shape dst{graph::window_out(src.h, w.kh, w.sh, w.pad_top, w.pad_bottom),
                         graph::window_out(src.w, w.kw, w.sw, w.pad_left, w.pad_right), oc};
  impl_->threads = threads;
  impl_->src_size = src.size();
  impl_->dst_size = dst.size();
  try {
    const dnnl::memory::desc src_md({1, src.c, src.h, src.w}, kF32, Tag::nhwc);
    const dnnl::memory::desc dst_md({1, oc, dst.h, dst.w}, kF32, Tag::nhwc);
    const bool grouped = w.groups > 1;
    const dnnl::memory::dims weight_dims =
        grouped ? dnnl::memory::dims{w.groups, oc / w.groups, ic, w.kh, w.kw}
                : dnnl::memory::dims{oc, ic, w.kh, w.kw};
    const dnnl::memory::desc any_md(weight_dims, kF32, Tag::any);
    const dnnl::memory::desc bias_md({oc}, kF32, Tag::x);
    const dnnl::convolution_forward::desc problem(
        dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, src_md, any_md,
        bias_md, dst_md, {w.sh, w.sw}, {w.pad_top, w.pad_left}, {w.pad_bottom, w.pad_right});
    impl_->desc = {problem, attributes(clip), cpu_engine()};
    impl_->kernel = impl_->desc.impl_info_str();
    impl_->primitive = dnnl::convolution_forward(impl_->desc);

    dnnl::stream stream(cpu_engine());
    const dnnl::memory::desc plain_md(weight_dims, kF32, grouped ? Tag::gohwi : Tag::ohwi);
    dnnl::memory plain(plain_md, cpu_engine(), const_cast<float*>(weights.data()));
    impl_->weights = dnnl::memory(impl_->desc.weights_desc(), cpu_engine());
    dnnl::reorder(plain, impl_->weights).execute(stream, plain, impl_->weights);
    stream.wait();
    impl_->bias = dnnl::memory(bias_md, cpu_engine());
    auto* packed_bias = static_cast<float*>(impl_->bias.get_data_handle());
    std::memset(packed_bias, 0, static_cast<std::size_t>(oc) * sizeof(float));
    if (!bias.empty()) std::memcpy(packed_bias, bias.data(), bias.size_bytes());
  } catch (const dnnl::error& e) {
    base::fail(base::Status::kInternal,
               "oneDNN refuses a {}x{} convolution of {}x{}x{} to {} channels: {}", w.kh, w.kw,
               src.h, src.w, src.c, oc, e.what());
  }
}

FloatConv::~FloatConv() = default;
FloatConv::FloatConv(FloatConv&&) noexcept = default;
FloatConv& FloatConv::operator=(FloatConv&&) noexcept = default;

void FloatConv::run(const float* src, float* dst, int batch, void* scratch) const {
  const TeamSize team(impl_->threads);
  try {
    dnnl::stream stream(cpu_engine());
    dnnl::memory src_memory(impl_->desc.src_desc(), cpu_engine(), const_cast<float*>(src));
    dnnl::memory dst_memory(impl_->desc.dst_desc(), cpu_engine(), dst);
    dnnl::memory pad_memory(impl_->desc.scratchpad_desc(), cpu_engine(), scratch);
    const std::unordered_map<int, dnnl::memory> arguments{{DNNL_ARG_SRC, src_memory},
                                                          {DNNL_ARG_WEIGHTS, impl_->weights},
                                                          {DNNL_ARG_BIAS, impl_->bias},
                                                          {DNNL_ARG_DST, dst_memory},
                                                          {DNNL_ARG_SCRATCHPAD, pad_memory}};
    for (int n = 0; n < batch; ++n) {
      src_memory.set_data_handle(const_cast<float*>(src + n * impl_->src_size));
      dst_memory.set_data_handle(dst + n * impl_->dst_size);
      impl_->primitive.execute(stream, arguments);
    }
    stream.wait();
  } catch (const dnnl::error& e) {
    base::fail(base::Status::kInternal, "oneDNN kernel {}: {}", impl_->kernel, e.what());
  }
}

std::size_t FloatConv::scratch_bytes() const { return impl_->desc.scratchpad_desc().get_size(); }

std::int64_t FloatConv::memory_bytes() const {
  return static_cast<std::int64_t>(impl_->weights.get_desc().get_size() +
                                   impl_->bias.get_desc().get_size());
}

const char* FloatConv::kernel() const { return impl_->kernel.c_str(); }

}  // namespace pronghorn::device::cpu
