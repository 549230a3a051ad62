#include "core/ops/kernel_call.h"

#include <algorithm>

#include "core/cuda/runtime.h"
#include "core/ops/view.h"

namespace xlstm::ops {

xlstm_exec exec_on(Device device) {
  xlstm_exec exec{};
  if (device == kCpu) return exec;
  cuda::make_current(device);
  exec.stream = cuda::stream(device);
  exec.cublaslt = cuda::cublaslt(device);
  return exec;
}

void require_computes(const Tensor& x, const char* op, const char* name) {
  require<ShapeError>(x.defined(), op, ": ", name, " is missing");
  const DType dtype = x.dtype();
  const bool on_cpu = x.device() == kCpu;
  const bool known = dtype == DType::f32 ||
                     (on_cpu ? dtype == DType::f64 : dtype == DType::bf16 || dtype == DType::f16);
  require<ShapeError>(known, op, ": element type of ", name, " is not computed in on ",
                      to_string(x.device()), ", got ", name_of(dtype), ", expected ",
                      on_cpu ? "float32 or float64" : "float32, bfloat16 or float16");
}

Tensor beside(const Tensor& weight, DType activations) {
  if (!weight.defined() || !weight.low_precision().defined()) return weight;
  return cast(weight, activations);
}

Tensors empty_like_neighbours(const Tensors& xs) {
  const Tensor& first = xs.front();
  int64_t width = 0, offset = first.impl()->offset;
  bool side_by_side = first.dim() >= 2 && first.numel() > 0;
  for (const Tensor& x : xs) {
    const Shape rows(x.shape().begin(), x.shape().begin() + std::min<int64_t>(2, x.dim()));
    const Shape inner(x.shape().begin() + std::min<int64_t>(2, x.dim()), x.shape().end());
    const Shape strides(x.strides().begin() + std::min<int64_t>(2, x.dim()), x.strides().end());
    side_by_side = side_by_side && x.impl()->storage == first.impl()->storage &&
                   x.dtype() == first.dtype() && x.impl()->offset == offset &&
                   rows[0] == first.size(0) && rows[1] == first.size(1) &&
                   x.stride(0) == first.stride(0) && x.stride(1) == first.stride(1) &&
                   strides == contiguous_strides(inner);
    if (!side_by_side) break;
    offset += element_count(inner);
    width += element_count(inner);
  }
  side_by_side =
      side_by_side && first.stride(1) == width && first.stride(0) == width * first.size(1);
  Tensors out;
  if (!side_by_side) {
    for (const Tensor& x : xs) out.push_back(Tensor::empty(x.shape(), x.dtype(), x.device()));
    return out;
  }
  const Tensor memory =
      Tensor::empty({first.size(0) * first.size(1) * width}, first.dtype(), first.device());
  for (const Tensor& x : xs)
    out.push_back(
        memory.strided_view(x.shape(), x.strides(), x.impl()->offset - first.impl()->offset));
  return out;
}

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
