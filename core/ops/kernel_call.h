// What ops do around a kernel call: scratch memory, optional tensors, argument checks, dense
// copies. For op authors alone; everything here is outside the tape.
#pragma once

#include <optional>

#include "core/tensor.h"
#include "kernels/common/types.h"

namespace xlstm::ops {

// Scratch memory for one call, and the xlstm_exec that hands it over.
class Workspace {
 public:
  explicit Workspace(int64_t bytes) : memory_(Tensor::empty({bytes}, DType::u8)) {
    exec_.workspace = bytes > 0 ? memory_.raw() : nullptr;
    exec_.workspace_bytes = bytes;
  }
  xlstm_exec exec() const { return exec_; }

 private:
  Tensor memory_;
  xlstm_exec exec_{};
};

inline void* raw_or_null(const Tensor& t) {
  return t.defined() ? t.raw() : nullptr;
}

// t itself if it is contiguous, else a copy; undefined stays so.
inline Tensor dense(const Tensor& t) {
  return !t.defined() || t.is_contiguous() ? t : t.clone();
}

// The same, but only the last dimension need be dense.
inline Tensor dense_last(const Tensor& t) {
  return !t.defined() || t.dim() == 0 || t.size(-1) <= 1 || t.stride(-1) == 1 ? t : t.clone();
}

// The strides under which memory of (shape, strides) reads as `new_shape` in row-major order, if
// there are any. Both shapes have the same number of elements.
std::optional<Shape> strides_for_reshape(const Shape& shape, const Shape& strides,
                                         const Shape& new_shape);
// x as a matrix [numel / last, last] whose rows are dense, one row stride apart: a view where
// strides allow, else a copy. x has at least one dimension. An empty x gives [0 or rows, last].
Tensor as_rows(const Tensor& x);

// ShapeError unless `t` is undefined or has this shape and type.
inline void require_like(const Tensor& t, const Shape& shape, DType dtype, const char* op,
                         const char* name) {
  if (!t.defined()) return;
  require<ShapeError>(t.shape() == shape, op, ": wrong shape of ", name, ", got ",
                      to_string(t.shape()), ", expected ", to_string(shape));
  require<ShapeError>(t.dtype() == dtype, op, ": wrong type of ", name, ", got ",
                      name_of(t.dtype()), ", expected ", name_of(dtype));
}

// ShapeError unless `reset` is undefined or marks the steps of [B, T] with bytes.
inline void require_reset(const Tensor& reset, int64_t B, int64_t T, const char* op) {
  if (!reset.defined()) return;
  require_like(reset, {B, T}, reset.dtype() == DType::boolean ? DType::boolean : DType::u8, op,
               "reset");
}

}  // namespace xlstm::ops
