// Size arithmetic that cannot wrap. Every product or sum of numbers that came from a file or a user
// goes through here. Readers of files ask for FormatError: checked_mul<FormatError>(a, b, "rows").
#pragma once

#include <cstdint>

#include "core/error.h"

namespace xlstm {

template <class E = ShapeError>
int64_t checked_mul(int64_t a, int64_t b, const char* what = "size") {
  int64_t r = 0;
  if (__builtin_mul_overflow(a, b, &r))
    throw_error<E>(what, ": product overflows, got ", a, " x ", b);
  return r;
}

template <class E = ShapeError>
int64_t checked_add(int64_t a, int64_t b, const char* what = "size") {
  int64_t r = 0;
  if (__builtin_add_overflow(a, b, &r)) throw_error<E>(what, ": sum overflows, got ", a, " + ", b);
  return r;
}

}  // namespace xlstm
