// SPDX-License-Identifier: Apache-2.0
// Plain arithmetic on short arrays that any compiler turns into what its processor has.
#include <cstdint>

#include "device/cpu/learn/kernels/learn_table.h"

namespace pronghorn::device::cpu {
namespace {

template <class Float, class Int, int kCount, int kMantissa, int kBias>
struct Lanes {
  using T = Float;
  typedef Float V __attribute__((vector_size(sizeof(Float) * kCount)));
  typedef Int I __attribute__((vector_size(sizeof(Int) * kCount)));
  static constexpr int kLanes = kCount;
  static V load(const T* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
  static V load_part(const T* p, std::int64_t n) {
    V v = {};
    for (int i = 0; i < n; ++i) v[i] = p[i];
    return v;
  }
  static void store(T* p, V v) { __builtin_memcpy(p, &v, sizeof v); }
  static void store_part(T* p, V v, std::int64_t n) {
    for (int i = 0; i < n; ++i) p[i] = v[i];
  }
  static V set1(T x) { return V{} + x; }
  static V fma(V a, V b, V c) { return a * b + c; }
  static V fnma(V a, V b, V c) { return c - a * b; }
  static V min(V a, V b) { return a < b ? a : b; }
  static V max(V a, V b) { return a > b ? a : b; }
  static V select_lt(V a, V b, V x, V y) { return a < b ? x : y; }
  static V select_eq(V a, V b, V x, V y) { return a == b ? x : y; }
  static V round(V a) {
    for (int i = 0; i < kLanes; ++i) a[i] = __builtin_rint(a[i]);
    return a;
  }
  static V pow2(V n) {
    I bits;
    for (int i = 0; i < kLanes; ++i) bits[i] = (static_cast<Int>(n[i]) + kBias) << kMantissa;
    V v;
    __builtin_memcpy(&v, &bits, sizeof v);
    return v;
  }
  static T sum(V a) {
    T s = 0;
    for (int i = 0; i < kLanes; ++i) s += a[i];
    return s;
  }
  static T least(V a) {
    T s = a[0];
    for (int i = 1; i < kLanes; ++i) s = a[i] < s ? a[i] : s;
    return s;
  }
};

using F32 = Lanes<float, std::int32_t, 4, 23, 127>;
using F64 = Lanes<double, std::int64_t, 2, 52, 1023>;

template <class T>
F64::V load_wide(const T* p) {
  return F64::V{static_cast<double>(p[0]), static_cast<double>(p[1])};
}
template <class T>
F64::V load_wide_part(const T* p, std::int64_t n) {
  return F64::V{n > 0 ? static_cast<double>(p[0]) : 0, n > 1 ? static_cast<double>(p[1]) : 0};
}

using Sums32 = F32;
struct Sums64 : F64 {
  template <class T>
  static V wide(const T* p) {
    return load_wide(p);
  }
  template <class T>
  static V wide_part(const T* p, std::int64_t n) {
    return load_wide_part(p, n);
  }
};

constexpr int kMaxNv = 2;
constexpr int kAccumulators = 12;

#include "device/cpu/learn/kernels/learn_body.h"

}  // namespace

extern const LearnKernels kLearnPortable = {"portable", loops<F32>(), loops<F64>(), short_moments,
                                            gauss};

}  // namespace pronghorn::device::cpu
