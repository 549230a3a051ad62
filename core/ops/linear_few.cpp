#include "core/ops/linear_few.h"

#include "core/autograd.h"
#include "core/ops/kernel_call.h"
#include "kernels/linear/linear.h"

namespace xlstm::ops {
namespace {

bool is_read_as_it_is(const Tensor& weight, DType dtype) {
  const Tensor w = beside(weight, dtype);
  return w.dtype() == dtype && (w.size(1) <= 1 || w.stride(1) == 1);
}

}  // namespace

bool takes_few(const Tensor& x, const std::vector<LinearPart>& parts) {
  if (x.device() == kCpu || (x.dtype() != DType::bf16 && x.dtype() != DType::f16)) return false;
  const int64_t K = x.size(-1), rows = K == 0 ? 0 : x.numel() / K;
  if (rows < 1 || rows > XLSTM_LINEAR_FEW_ROWS || parts.size() > XLSTM_LINEAR_FEW_PARTS)
    return false;
  Tensors inputs{x};
  for (const LinearPart& part : parts) {
    inputs.push_back(part.weight);
    inputs.push_back(part.bias);
  }
  if (autograd::must_record(inputs)) return false;
  const autograd::NoGrad no_grad;
  for (const LinearPart& part : parts)
    if (!is_read_as_it_is(part.weight, x.dtype())) return false;
  return true;
}

Tensors linear_few(const Tensor& x, const std::vector<LinearPart>& parts) {
  const autograd::NoGrad no_grad;
  const Tensor rows = as_rows(x);
  xlstm_linear_few_args args{};
  args.dtype = kernel_dtype(x.dtype());
  args.M = rows.size(0);
  args.K = rows.size(1);
  args.x = rows.raw();
  args.x_stride_row = rows.stride(0);
  Tensors results, read;  // what is read lives until the launch
  for (const LinearPart& part : parts) {
    const Tensor weight = beside(part.weight, x.dtype()), bias = dense(part.bias);
    Shape shape = x.shape();
    shape.back() = weight.size(0);
    const Tensor y = Tensor::empty(shape, part.wide ? wide_type(x.dtype()) : x.dtype(), x.device());
    xlstm_linear_part& to = args.parts[args.n_parts++];
    to.N = weight.size(0);
    to.weight = weight.raw();
    to.weight_stride_row = weight.stride(0);
    to.bias = raw_or_null(bias);
    if (bias.defined()) to.bias_dtype = kernel_dtype(bias.dtype());
    to.y = y.raw();
    to.y_stride_row = to.N;
    to.y_dtype = kernel_dtype(y.dtype());
    results.push_back(y);
    read.insert(read.end(), {weight, bias});
  }
  // The CPU has no such kernel: takes_few sends nothing from there.
  Kernel<xlstm_linear_few_args> kernel{nullptr, xlstm_linear_few_cuda};
  kernel.cuda_variant = [](const xlstm_linear_few_args*) { return "few_rows"; };
  run_kernel(kernel, args, x.device(), "linear");
  return results;
}

}  // namespace xlstm::ops
