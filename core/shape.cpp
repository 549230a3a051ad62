#include "core/shape.h"

#include <algorithm>

#include "core/checked_size.h"

namespace xlstm {

int64_t element_count(const Shape& shape) {
  require<ShapeError>(shape.size() <= kMaxRank, "shape: too many dimensions, got ", shape.size(),
                      ", expected at most ", kMaxRank);
  int64_t n = 1;
  // A zero must not hide an overflowing or negative neighbour, so every size is looked at.
  bool empty = false;
  for (const int64_t size : shape) {
    require<ShapeError>(size >= 0, "shape: sizes must not be negative, got ", to_string(shape));
    if (size == 0) {
      empty = true;
    } else {
      n = checked_mul(n, size, "shape");
    }
  }
  return empty ? 0 : n;
}

Shape contiguous_strides(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;)
    strides[i - 1] = strides[i] * std::max<int64_t>(shape[i], 1);
  return strides;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op) {
  const size_t rank = std::max(a.size(), b.size());
  Shape out(rank);
  for (size_t i = 0; i < rank; ++i) {
    const int64_t x = i < rank - a.size() ? 1 : a[i - (rank - a.size())];
    const int64_t y = i < rank - b.size() ? 1 : b[i - (rank - b.size())];
    require<ShapeError>(x == y || x == 1 || y == 1, op, ": shapes do not broadcast, got ",
                        to_string(a), " and ", to_string(b));
    out[i] = x == 1 ? y : x;
  }
  return out;
}

int64_t normalize_dim(int64_t dim, int64_t rank, const char* op) {
  const int64_t d = dim < 0 ? dim + rank : dim;
  require<ShapeError>(d >= 0 && d < rank, op, ": no such dimension, got ", dim, ", expected ",
                      -rank, " to ", rank - 1);
  return d;
}

}  // namespace xlstm
