#include "core/ops/linear_few.h"

#include "core/autograd.h"
#include "core/kernel_variant.h"
#include "core/ops/kernel_call.h"
#include "kernels/linear/linear.h"

namespace xlstm::ops {
namespace {

bool is_read_as_it_is(const Tensor& weight, DType dtype) {
  const Tensor w = beside(weight, dtype);
  return w.dtype() == dtype && (w.size(1) <= 1 || w.stride(1) == 1);
}

// What keeps the kernel of few rows from computing these; null: nothing does.
const char* obstacle(const Tensor& x, const std::vector<LinearPart>& parts) {
  if (x.dtype() != DType::bf16 && x.dtype() != DType::f16) return "32 bits, expected 16";
  const int64_t K = x.size(-1), rows = K == 0 ? 0 : x.numel() / K;
  if (rows < 1 || rows > XLSTM_LINEAR_FEW_ROWS) return "another number of rows, expected 1 to 16";
  if (parts.size() > XLSTM_LINEAR_FEW_PARTS) return "too many maps at once, expected at most 8";
  Tensors inputs{x};
  for (const LinearPart& part : parts) {
    inputs.push_back(part.weight);
    inputs.push_back(part.bias);
  }
  if (autograd::must_record(inputs)) return "inputs with a gradient, expected none";
  const autograd::NoGrad no_grad;
  for (const LinearPart& part : parts)
    if (!is_read_as_it_is(part.weight, x.dtype()))
      return "a weight of another type or without dense rows, expected one like x";
  return nullptr;
}

}  // namespace

bool takes_few(const Tensor& x, const std::vector<LinearPart>& parts) {
  if (x.device() == kCpu) return false;
  static const KernelSwitch kernel_switch("linear");
  const KernelVariant* asked = kernel_switch.asked(x.device());
  if (asked != nullptr && asked->id != kLinearFewRows) return false;
  const char* why_not = obstacle(x, parts);
  if (asked != nullptr && why_not != nullptr) kernel_switch.refuse(*asked, why_not);
  return why_not == nullptr;
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
    const Tensor weight = beside(part.weight, x.dtype()),
                 bias = dense(beside(part.bias, x.dtype()));
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
