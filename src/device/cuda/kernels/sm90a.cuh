// SPDX-License-Identifier: Apache-2.0
// The instructions of sm_90a that the kernels of this generation share, as functions: mbarriers,
// the bulk tensor copy engine (TMA), warpgroup matrix products of u8 by s8, and the dependency of
// one launch on the one before it. Semantics: PTX ISA 8.x, the sections of the same names.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace pronghorn::device::cuda::sm90a {

__device__ __forceinline__ std::uint32_t shared_address(const void* at) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(at));
}

// ---- mbarrier -------------------------------------------------------------------------------

__device__ __forceinline__ void barrier_init(std::uint32_t barrier, std::uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Makes initialised barriers visible to the copy engine and to the other blocks of the cluster.
__device__ __forceinline__ void barrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void barrier_arrive(std::uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

__device__ __forceinline__ void barrier_expect(std::uint32_t barrier, std::uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

__device__ __forceinline__ void barrier_wait(std::uint32_t barrier, std::uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra finished;\n"
      "bra again;\n"
      "finished:\n"
      "}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// ---- TMA ------------------------------------------------------------------------------------

// A box of a matrix: `x` counts bytes along the row, `y` rows.
__device__ __forceinline__ void load_tile(std::uint32_t dst, const CUtensorMap& map,
                                          std::uint32_t barrier, int x, int y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4}], [%2];" ::"r"(dst),
      "l"(&map), "r"(barrier), "r"(x), "r"(y)
      : "memory");
}

// A box of an image: channels from `c` on, pixels from {x, y} of image `n`. Zero outside.
__device__ __forceinline__ void load_box(std::uint32_t dst, const CUtensorMap& map,
                                         std::uint32_t barrier, int c, int x, int y, int n) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(dst),
      "l"(&map), "r"(barrier), "r"(c), "r"(x), "r"(y), "r"(n)
      : "memory");
}

// A run of memory, a multiple of 16 bytes.
__device__ __forceinline__ void load_bytes(std::uint32_t dst, const void* src, std::uint32_t bytes,
                                           std::uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(dst),
      "l"(src), "r"(bytes), "r"(barrier)
      : "memory");
}

// A column of an im2col map: channels from `c`, pixels from {w, h, n} on, moved by the window place
// {kw, kh}. What lies outside the image reads as zero.
__device__ __forceinline__ void load_im2col(std::uint32_t dst, const CUtensorMap& map,
                                            std::uint32_t barrier, int c, int w, int h, int n,
                                            std::uint16_t kw, std::uint16_t kh) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8};" ::"r"(dst),
      "l"(&map), "r"(barrier), "r"(c), "r"(w), "r"(h), "r"(n), "h"(kw), "h"(kh)
      : "memory");
}

// Shared memory to a box of a matrix; what lies outside is not written. The thread's stores so far
// form a group with bulk_commit.
__device__ __forceinline__ void store_tile(const CUtensorMap& map, std::uint32_t src, int x,
                                           int y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];" ::"l"(&map),
      "r"(src), "r"(x), "r"(y)
      : "memory");
}
__device__ __forceinline__ void bulk_commit() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
// Until the sources of all but the thread's latest groups may be overwritten; until the results of
// all are there.
template <int kPending>
__device__ __forceinline__ void bulk_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}
__device__ __forceinline__ void bulk_wait() {
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

// Between a thread's own accesses of shared memory and those of the copy engine and matrix units.
__device__ __forceinline__ void async_fence() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
// `threads` of the block meet at a barrier from 1 on; barrier 0 is that of the whole block.
__device__ __forceinline__ void meet(int barrier, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

__device__ __forceinline__ void prefetch_map(const CUtensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

// ---- clusters -------------------------------------------------------------------------------

__device__ __forceinline__ std::uint32_t cluster_rank() {
  std::uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

// Every thread of every block arrives and waits; writes before one are seen after the other.
__device__ __forceinline__ void cluster_arrive() {
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
}
__device__ __forceinline__ void cluster_wait() {
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
}

// Stores 16 bytes at the same shared address of another block of the cluster.
__device__ __forceinline__ void store_remote(std::uint32_t address, std::uint32_t rank, int a,
                                             int b, int c, int d) {
  asm volatile(
      "{\n.reg .u32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "st.shared::cluster.v4.s32 [remote], {%2, %3, %4, %5};\n}\n" ::"r"(address),
      "r"(rank), "r"(a), "r"(b), "r"(c), "r"(d)
      : "memory");
}
__device__ __forceinline__ void store_remote(std::uint32_t address, std::uint32_t rank, float a,
                                             float b, float c, float d) {
  store_remote(address, rank, __float_as_int(a), __float_as_int(b), __float_as_int(c),
               __float_as_int(d));
}

// 16 bytes that are read once: they do not displace constants in the first-level cache.
__device__ __forceinline__ uint4 load_once(const void* at) {
  uint4 v;
  asm volatile("ld.global.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(at)
               : "memory");
  return v;
}

// The number of this thread's warp, which the compiler then knows to be one for all its threads:
// products in a branch on it need not wait for each other.
__device__ __forceinline__ int warp_index() {
  return __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0);
}

// ---- launches that overlap ------------------------------------------------------------------

// Waits for the launch before this one to be complete and its writes visible.
__device__ __forceinline__ void wait_for_previous_launch() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}
// Lets the next launch start its blocks where there is room.
__device__ __forceinline__ void allow_next_launch() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

// ---- registers ------------------------------------------------------------------------------

// By every warp of a warpgroup: what one gives back another may take.
template <int kCount>
__device__ __forceinline__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}
template <int kCount>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}

// ---- wgmma ----------------------------------------------------------------------------------

// A matrix in shared memory whose rows hold kRowBytes (64 or 128) of the inner dimension, swizzled
// by that many bytes: eight rows make one group, groups follow each other. Each step of 32 in the
// inner dimension adds 2 to the descriptor.
template <int kRowBytes>
__device__ __forceinline__ std::uint64_t matrix(std::uint32_t address) {
  constexpr std::uint64_t kSwizzle = kRowBytes == 128 ? 1 : 2;
  return static_cast<std::uint64_t>((address & 0x3ffffu) >> 4) | std::uint64_t{1} << 16 |
         static_cast<std::uint64_t>(8 * kRowBytes >> 4) << 32 | kSwizzle << 62;
}

// One without a swizzle: 8 rows of 16 bytes lie together; `inner` bytes on is the next 16 of the
// inner dimension, `outer` the next 8 rows.
__device__ __forceinline__ std::uint64_t plain_matrix(std::uint32_t address, std::uint32_t inner,
                                                      std::uint32_t outer) {
  return static_cast<std::uint64_t>((address & 0x3ffffu) >> 4) |
         static_cast<std::uint64_t>(inner >> 4) << 16 |
         static_cast<std::uint64_t>(outer >> 4) << 32;
}

__device__ __forceinline__ void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kPending>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

#define PRONGHORN_REGS_0                                                                           \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25," \
  "%26,%27,%28,%29,%30,%31"
#define PRONGHORN_REGS_32                                                                        \
  "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54," \
  "%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define PRONGHORN_REGS_64                                                                        \
  "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85,%86," \
  "%87,%88,%89,%90,%91,%92,%93,%94,%95"
#define PRONGHORN_REGS_96                                                                       \
  "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114," \
  "%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define PRONGHORN_D8(t, i) \
  t(d[i]), t(d[i + 1]), t(d[i + 2]), t(d[i + 3]), t(d[i + 4]), t(d[i + 5]), t(d[i + 6]), t(d[i + 7])
#define PRONGHORN_D32(t, i) \
  PRONGHORN_D8(t, i), PRONGHORN_D8(t, i + 8), PRONGHORN_D8(t, i + 16), PRONGHORN_D8(t, i + 24)

// Sums of kN columns: kN / 2 a thread, in registers of type `t`. The product is written once for
// each width; `shape_k` and `types` name the instruction, `scales` is what follows the predicate.
#define PRONGHORN_WGMMA(t, shape_k, types, scales)                                              \
  if constexpr (kN == 32) {                                                                     \
    asm volatile(                                                                               \
        "{\n.reg .pred p;\nsetp.ne.b32 p, %18, 0;\n"                                            \
        "wgmma.mma_async.sync.aligned.m64n32" shape_k types                                     \
        " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, %16, %17, p" scales ";\n}\n" \
        : PRONGHORN_D8(t, 0), PRONGHORN_D8(t, 8)                                                \
        : "l"(a), "l"(b), "r"(accumulate));                                                     \
  } else if constexpr (kN == 64) {                                                              \
    asm volatile(                                                                               \
        "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"                                            \
        "wgmma.mma_async.sync.aligned.m64n64" shape_k types " {" PRONGHORN_REGS_0               \
        "}, %32, %33, p" scales ";\n}\n"                                                        \
        : PRONGHORN_D32(t, 0)                                                                   \
        : "l"(a), "l"(b), "r"(accumulate));                                                     \
  } else if constexpr (kN == 128) {                                                             \
    asm volatile(                                                                               \
        "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"                                            \
        "wgmma.mma_async.sync.aligned.m64n128" shape_k types " {" PRONGHORN_REGS_0              \
        "," PRONGHORN_REGS_32 "}, %64, %65, p" scales ";\n}\n"                                  \
        : PRONGHORN_D32(t, 0), PRONGHORN_D32(t, 32)                                             \
        : "l"(a), "l"(b), "r"(accumulate));                                                     \
  } else {                                                                                      \
    asm volatile(                                                                               \
        "{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\n"                                           \
        "wgmma.mma_async.sync.aligned.m64n256" shape_k types " {" PRONGHORN_REGS_0              \
        "," PRONGHORN_REGS_32 "," PRONGHORN_REGS_64 "," PRONGHORN_REGS_96                       \
        "}, %128, %129, p" scales ";\n}\n"                                                      \
        : PRONGHORN_D32(t, 0), PRONGHORN_D32(t, 32), PRONGHORN_D32(t, 64), PRONGHORN_D32(t, 96) \
        : "l"(a), "l"(b), "r"(accumulate));                                                     \
  }

// d[64 x kN] (+)= a[64 x 32] u8 * b[kN x 32] s8, kN / 2 sums a thread. Thread t of the warpgroup
// holds rows t / 32 * 16 + t % 32 / 4 + {0, 8}, columns 8 * j + t % 4 * 2 + {0, 1}:
// d[4 * j + 2 * (row half) + (column half)].
template <int kN>
__device__ __forceinline__ void wgmma(int (&d)[kN / 2], std::uint64_t a, std::uint64_t b,
                                      int accumulate) {
  static_assert(kN == 32 || kN == 64 || kN == 128 || kN == 256);
  PRONGHORN_WGMMA("+r", "k32", ".s32.u8.s8", "")
}

// The same of 16 binary16, which are as many bytes.
template <int kN>
__device__ __forceinline__ void wgmma(float (&d)[kN / 2], std::uint64_t a, std::uint64_t b,
                                      int accumulate) {
  static_assert(kN == 32 || kN == 64 || kN == 128 || kN == 256);
  PRONGHORN_WGMMA("+f", "k16", ".f32.f16.f16", ", 1, 1, 0, 0")
}

#undef PRONGHORN_WGMMA
#undef PRONGHORN_REGS_0
#undef PRONGHORN_REGS_32
#undef PRONGHORN_REGS_64
#undef PRONGHORN_REGS_96
#undef PRONGHORN_D8
#undef PRONGHORN_D32

}  // namespace pronghorn::device::cuda::sm90a
