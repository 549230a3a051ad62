// Sizes given by a caller, checked before anything is computed from them.
#pragma once

#include <cstdint>
#include <initializer_list>

namespace xlstm::kernels {

// True if a size is negative or their product could overflow with the factors, 128 together, that
// bytes, gates and workspaces put on top. Empty sizes hide nothing: the others must fit all the
// same.
inline bool bad_sizes(std::initializer_list<int64_t> sizes) {
  int64_t product = 128;
  for (const int64_t size : sizes) {
    if (size < 0) return true;
    if (size > 0 && __builtin_mul_overflow(product, size, &product)) return true;
  }
  return false;
}

}  // namespace xlstm::kernels
