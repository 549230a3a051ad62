#include "core/element_copy.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <type_traits>

#include "core/error.h"
#include "kernels/common/nd_loop.h"

namespace xlstm {
namespace {

using kernels::NdLoop;

static_assert(kMaxRank <= static_cast<size_t>(kernels::kMaxDims));

// bfloat16 as a type of its own, so that conversions can be chosen by type.
struct Bf16 {
  uint16_t bits;
};

// Calls f(value of the element's C++ type).
template <class F>
void with_type(DType dtype, F f) {
  switch (dtype) {
    case DType::f32:
      return f(float{});
    case DType::f64:
      return f(double{});
    case DType::i8:
      return f(int8_t{});
    case DType::i16:
      return f(int16_t{});
    case DType::i32:
      return f(int32_t{});
    case DType::i64:
      return f(int64_t{});
    case DType::u8:
    case DType::boolean:
      return f(uint8_t{});
    case DType::u16:
      return f(uint16_t{});
    case DType::u32:
      return f(uint32_t{});
    case DType::bf16:
    case DType::f16:
      break;
  }
  throw_error<ShapeError>("tensor: no plain C++ type for ", name_of(dtype));
}

// Calls f for the types whose conversions are worth vectorised code; false for any other.
template <class F>
bool with_fast_type(DType dtype, F f) {
  switch (dtype) {
    case DType::f32:
      f(float{});
      return true;
    case DType::f64:
      f(double{});
      return true;
    case DType::bf16:
      f(Bf16{});
      return true;
    default:
      return false;
  }
}

inline float widened(Bf16 x) {
  return bf16_to_float(x.bits);
}
inline float widened(float x) {
  return x;
}
inline double widened(double x) {
  return x;
}

template <class To, class From>
To converted(From x) {
  if constexpr (std::is_same_v<To, Bf16>) {
    return {float_to_bf16(static_cast<float>(widened(x)))};
  } else {
    return static_cast<To>(widened(x));
  }
}

NdLoop<2> loop_over(const Shape& shape, const Shape& from, const Shape& to) {
  NdLoop<2> loop;
  loop.n_dims = static_cast<int>(shape.size());
  for (size_t d = 0; d < shape.size(); ++d) {
    loop.sizes[d] = shape[d];
    loop.strides[0][d] = from[d];
    loop.strides[1][d] = to[d];
  }
  return loop;
}

// to = f(from), element by element.
template <class From, class To, class F>
void each(const NdLoop<2>& loop, const From* from, To* to, F f) {
  kernels::for_all_runs(loop, [=](const int64_t* at, int64_t, int64_t n, const int64_t* step) {
    const From* source = from + at[0];
    To* target = to + at[1];
    const int64_t s = step[0], t = step[1];
    if (s == 1 && t == 1) {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) target[i] = f(source[i]);
    } else if (s == 0 && t == 1) {
      const To value = f(*source);
      for (int64_t i = 0; i < n; ++i) target[i] = value;
    } else {
      for (int64_t i = 0; i < n; ++i) target[i * t] = f(source[i * s]);
    }
  });
}

template <class Bits>
void copy_bits(const NdLoop<2>& loop, const void* from, void* to) {
  each(loop, static_cast<const Bits*>(from), static_cast<Bits*>(to), [](Bits x) { return x; });
}

void copy_same_type(const NdLoop<2>& loop, const Elements& from, const Elements& to) {
  const int64_t size = size_of(from.dtype);
  const NdLoop<2> one = kernels::merged(loop);
  if (one.n_dims == 1 && one.strides[0][0] == 1 && one.strides[1][0] == 1) {
    const int64_t bytes = one.sizes[0] * size;
    if (std::abs(static_cast<char*>(to.data) - static_cast<char*>(from.data)) < bytes) {
      std::memmove(to.data, from.data, static_cast<size_t>(bytes));  // overlapping
      return;
    }
  }
  switch (size) {
    case 1:
      return copy_bits<uint8_t>(loop, from.data, to.data);
    case 2:
      return copy_bits<uint16_t>(loop, from.data, to.data);
    case 4:
      return copy_bits<uint32_t>(loop, from.data, to.data);
    default:
      return copy_bits<uint64_t>(loop, from.data, to.data);
  }
}

// Towards zero; the nearest end if x is outside the range of an integer, 0 for NaN.
template <class T>
T truncated(double x) {
  if constexpr (std::is_integral_v<T>) {
    constexpr T kLeast = std::numeric_limits<T>::lowest(), kMost = std::numeric_limits<T>::max();
    if (std::isnan(x)) return 0;
    if (x <= static_cast<double>(kLeast)) return kLeast;
    if (x >= static_cast<double>(kMost)) return kMost;
  }
  return static_cast<T>(x);
}

}  // namespace

double load_element(const void* data, DType dtype, int64_t i) {
  if (dtype == DType::bf16) return bf16_to_float(static_cast<const uint16_t*>(data)[i]);
  if (dtype == DType::f16) return f16_to_float(static_cast<const uint16_t*>(data)[i]);
  double value = 0;
  with_type(dtype, [&](auto zero) {
    value = static_cast<double>(static_cast<const decltype(zero)*>(data)[i]);
  });
  return value;
}

void store_element(void* data, DType dtype, int64_t i, double value) {
  if (dtype == DType::bf16) {
    static_cast<uint16_t*>(data)[i] = float_to_bf16(static_cast<float>(value));
  } else if (dtype == DType::f16) {
    static_cast<uint16_t*>(data)[i] = float_to_f16(static_cast<float>(value));
  } else if (dtype == DType::boolean) {
    static_cast<uint8_t*>(data)[i] = value != 0;
  } else {
    with_type(dtype, [&](auto zero) {
      static_cast<decltype(zero)*>(data)[i] = truncated<decltype(zero)>(value);
    });
  }
}

void copy_elements(const Shape& shape, const Elements& from, const Elements& to) {
  if (element_count(shape) == 0) return;
  const NdLoop<2> loop = loop_over(shape, *from.strides, *to.strides);
  if (from.dtype == to.dtype) return copy_same_type(loop, from, to);
  bool done = false;
  with_fast_type(from.dtype, [&](auto a) {
    done = with_fast_type(to.dtype, [&](auto b) {
      using A = decltype(a);
      using B = decltype(b);
      each(loop, static_cast<const A*>(from.data), static_cast<B*>(to.data),
           [](A x) { return converted<B>(x); });
    });
  });
  if (done) return;
  kernels::for_all_runs(loop, [&](const int64_t* at, int64_t, int64_t n, const int64_t* step) {
    for (int64_t i = 0; i < n; ++i)
      store_element(to.data, to.dtype, at[1] + i * step[1],
                    load_element(from.data, from.dtype, at[0] + i * step[0]));
  });
}

void fill_elements(const Shape& shape, const Elements& to, double value) {
  if (element_count(shape) == 0) return;
  // One converted element, repeated.
  alignas(8) unsigned char element[8] = {};
  store_element(element, to.dtype, 0, value);
  const Shape repeated(shape.size(), 0);
  copy_same_type(loop_over(shape, repeated, *to.strides), {element, to.dtype, &repeated}, to);
}

}  // namespace xlstm
