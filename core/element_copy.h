// Copies and conversions between strided memory of any element types. What Tensor is made of.
#pragma once

#include "core/dtype.h"
#include "core/shape.h"

namespace xlstm {

// Memory read or written as a shape; strides in elements.
struct Elements {
  void* data = nullptr;
  DType dtype = DType::f32;
  const Shape* strides = nullptr;
};

// to[i] = from[i], converted, for every index of the shape. Equal types copy bit for bit; other
// conversions go through double (floating values through float where that loses nothing): to an
// integer towards zero, to the nearest end outside its range, NaN to 0; to a boolean 1 for all but
// 0, NaN included. The same on CUDA. The memory of both may overlap only if both are dense and of
// one type.
void copy_elements(const Shape& shape, const Elements& from, const Elements& to);
void fill_elements(const Shape& shape, const Elements& to, double value);

// One element.
double load_element(const void* data, DType dtype, int64_t i);
void store_element(void* data, DType dtype, int64_t i, double value);

}  // namespace xlstm
