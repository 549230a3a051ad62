// Shapes and strides, both in elements, outermost dimension first.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace xlstm {

using Shape = std::vector<int64_t>;

inline constexpr size_t kMaxRank = 8;  // dimensions of a tensor

// Number of elements; 1 for a scalar (empty shape). ShapeError if a size is negative, the product
// overflows, or there are too many dimensions.
int64_t element_count(const Shape& shape);
Shape contiguous_strides(const Shape& shape);
std::string to_string(const Shape& shape);  // "[2, 3]"

// The common shape by the usual rules (sizes equal or 1, aligned at the right). ShapeError names
// `op`.
Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op);

// Turns -1 as "last dimension" and so on into 0 <= dim < rank. ShapeError names `op`.
int64_t normalize_dim(int64_t dim, int64_t rank, const char* op);

}  // namespace xlstm
