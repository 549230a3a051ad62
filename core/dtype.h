// Element types of tensors.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/common/types.h"

namespace xlstm {

enum class DType : int8_t { f32, f64, bf16, f16, i8, i16, i32, i64, u8, u16, u32, boolean };

int64_t size_of(DType dtype);      // bytes of one element
const char* name_of(DType dtype);  // "float32", "bfloat16", ...
bool is_floating(DType dtype);
xlstm_dtype kernel_dtype(DType dtype);  // ShapeError if kernels do not compute in it

// The type of statistics, states and sums of values of this type: float32, or float64 for float64.
inline DType wide_type(DType dtype) {
  return dtype == DType::f64 ? DType::f64 : DType::f32;
}

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<int8_t> {
  static constexpr DType value = DType::i8;
};
template <>
struct DTypeOf<int16_t> {
  static constexpr DType value = DType::i16;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct DTypeOf<uint16_t> {
  static constexpr DType value = DType::u16;
};
template <>
struct DTypeOf<uint32_t> {
  static constexpr DType value = DType::u32;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::boolean;
};

// bfloat16 and float16 travel as their 16 bits; both conversions round to nearest even.
inline float bf16_to_float(uint16_t bits) {
  return std::bit_cast<float>(uint32_t{bits} << 16);
}
inline uint16_t float_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
  // Rounding up could turn a NaN into an infinity, so NaN keeps its upper bits and becomes quiet.
  return static_cast<uint16_t>(value != value ? (bits >> 16) | 0x40u : rounded);
}
float f16_to_float(uint16_t bits);
uint16_t float_to_f16(float value);

}  // namespace xlstm
