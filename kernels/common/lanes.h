// One SIMD register of T, as the compiler's vector type: arithmetic on it is elementwise, and a
// scalar operand is broadcast. For the few inner loops that must live in registers; other loops
// are left to the vectoriser.
#pragma once

#include <cstdint>
#include <cstring>

namespace xlstm::kernels {

#if defined(__AVX512F__)
inline constexpr int64_t kLaneBytes = 64;
#elif defined(__AVX__)
inline constexpr int64_t kLaneBytes = 32;
#else
inline constexpr int64_t kLaneBytes = 16;
#endif

template <class T>
inline constexpr int64_t kLanes = kLaneBytes / static_cast<int64_t>(sizeof(T));

template <class T>
struct LanesOf {
  typedef T type __attribute__((vector_size(kLaneBytes)));
};
template <class T>
using Lanes = typename LanesOf<T>::type;

// Unaligned.
template <class T>
inline Lanes<T> load_lanes(const T* p) {
  Lanes<T> v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
template <class T>
inline void store_lanes(T* p, const Lanes<T>& v) {
  std::memcpy(p, &v, sizeof(v));
}

// n rounded up to whole registers.
template <class T>
constexpr int64_t whole_lanes(int64_t n) {
  return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

}  // namespace xlstm::kernels
