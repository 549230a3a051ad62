// Addresses given by a caller: an element lies at a multiple of its size. What wider accesses ask
// for beyond that, kernels look at themselves. Plain C++17.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "kernels/common/types.h"

namespace xlstm::kernels {

// 1 for what is no element type: that is somebody else's complaint.
inline uintptr_t bytes_of(xlstm_dtype dtype) {
  switch (dtype) {
    case XLSTM_F64:
      return 8;
    case XLSTM_F32:
      return 4;
    case XLSTM_BF16:
    case XLSTM_F16:
      return 2;
    default:
      return 1;
  }
}

// The type of states and statistics beside data of this type.
inline xlstm_dtype wide_dtype(xlstm_dtype dtype) {
  return dtype == XLSTM_F64 ? XLSTM_F64 : XLSTM_F32;
}

// Whether one of these is no multiple of `bytes`, a power of two. Null is one.
inline bool misaligned(uintptr_t bytes, std::initializer_list<const void*> pointers) {
  uintptr_t bits = 0;
  for (const void* p : pointers) bits |= reinterpret_cast<uintptr_t>(p);
  return bits % bytes != 0;
}
inline bool misaligned(xlstm_dtype dtype, std::initializer_list<const void*> pointers) {
  return misaligned(bytes_of(dtype), pointers);
}
template <class T>
bool misaligned(const T* pointer) {
  return misaligned(alignof(T), {pointer});
}

}  // namespace xlstm::kernels
