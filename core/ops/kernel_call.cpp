#include "core/ops/kernel_call.h"

namespace xlstm::ops {

std::optional<Shape> strides_for_reshape(const Shape& shape, const Shape& strides,
                                         const Shape& new_shape) {
  if (element_count(shape) == 0) return contiguous_strides(new_shape);
  Shape out(new_shape.size(), 1);
  size_t to = new_shape.size();
  int64_t taken = 1, run = 1;  // of the current run of dimensions that memory walks as one
  int64_t run_stride = 1;
  const auto take = [&] {  // new dimensions that fit into the run
    while (to > 0 && (taken < run || new_shape[to - 1] == 1)) {
      --to;
      out[to] = taken * run_stride;
      taken *= new_shape[to];
    }
    return taken == run;
  };
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] == 1) continue;
    if (run > 1 && strides[d] == run * run_stride) {
      run *= shape[d];
      continue;
    }
    if (run > 1 && !take()) return std::nullopt;
    run = shape[d];
    taken = 1;
    run_stride = strides[d];
  }
  if (!take()) return std::nullopt;
  return out;
}

Tensor as_rows(const Tensor& x) {
  const int64_t last = x.size(-1);
  const int64_t rows =
      last > 0 ? x.numel() / last : element_count(Shape(x.shape().begin(), x.shape().end() - 1));
  const auto strides = strides_for_reshape(x.shape(), x.strides(), {rows, last});
  if (strides && (last <= 1 || (*strides)[1] == 1) && (rows <= 1 || (*strides)[0] >= last))
    return x.strided_view({rows, last}, {rows <= 1 ? last : (*strides)[0], 1});
  return x.clone().strided_view({rows, last}, {last, 1});
}

}  // namespace xlstm::ops
