#include "core/ops/headwise_linear.h"

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/kernel_call.h"
#include "kernels/headwise_linear/headwise_linear.h"

namespace xlstm::ops {
namespace {

constexpr const char* kOp = "headwise_linear";

struct Sizes {
  int64_t N, H, I, O;
};

Sizes check(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  require<ShapeError>(x.defined() && weight.defined(), kOp, ": x and weight are required");
  require<ShapeError>(weight.dim() == 3, kOp, ": wrong shape of weight, got ",
                      to_string(weight.shape()), ", expected [H, O, I]");
  const int64_t H = weight.size(0), O = weight.size(1), I = weight.size(2);
  require<ShapeError>(x.dim() >= 1 && x.size(-1) == H * I, kOp, ": wrong shape of x, got ",
                      to_string(x.shape()), ", expected [..., ", H * I, "] for ", H,
                      " heads of width ", I);
  require_weight(weight, weight.shape(), x.dtype(), kOp, "weight");
  require_weight(bias, {H * O}, x.dtype(), kOp, "bias");
  const Shape rows(x.shape().begin(), x.shape().end() - 1);
  return {element_count(rows), H, I, O};
}

struct Kept {
  Sizes s;
  xlstm_dtype dtype;
  Shape x_shape;
  autograd::Saved x, weight;
  bool want_x, want_weight, want_bias;
};

Tensors backward(const Kept& k, const Tensors& grads) {
  if (!grads[0].defined()) return {{}, {}, {}};
  const Tensor x = k.x.get(), weight = k.weight.get();
  const Tensor dy = as_rows(grads[0]);
  const DType dtype = grads[0].dtype();
  Tensor dx, dW, dbias;
  if (k.want_x) dx = Tensor::empty(k.x_shape, dtype, dy.device());
  if (k.want_weight) dW = Tensor::empty(weight.shape(), weight.dtype(), dy.device());
  if (k.want_bias) dbias = Tensor::empty({k.s.H * k.s.O}, weight.dtype(), dy.device());
  xlstm_headwise_linear_bwd_args a{};
  a.dtype = k.dtype;
  a.weight_dtype = kernel_dtype(weight.dtype());
  a.N = k.s.N, a.H = k.s.H, a.I = k.s.I, a.O = k.s.O;
  if (k.want_weight) {
    const Tensor rows = as_rows(x);
    a.x = rows.raw();
    a.x_stride_n = rows.stride(0);
  }
  a.W = weight.raw();
  a.dy = dy.raw();
  a.dy_stride_n = dy.stride(0);
  a.dx = raw_or_null(dx);
  a.dx_stride_n = k.s.H * k.s.I;
  a.dW = raw_or_null(dW);
  a.dbias = raw_or_null(dbias);
  run_kernel(
      Kernel{xlstm_headwise_linear_bwd_cpu, xlstm_headwise_linear_bwd_cuda,
             xlstm_headwise_linear_bwd_workspace_cpu, xlstm_headwise_linear_bwd_workspace_cuda},
      a, dy.device(), kOp);
  return {dx, dW, dbias};
}

}  // namespace

Tensor headwise_linear(const Tensor& x, const Tensor& given_weight, const Tensor& given_bias) {
  const Sizes s = check(x, given_weight, given_bias);
  const Tensor weight = beside(given_weight, x.dtype()), bias = beside(given_bias, x.dtype());
  const xlstm_dtype dtype = kernel_dtype(x.dtype());
  if (force_reference()) return headwise_linear_composed(x, weight, bias);
  const Tensor rows = as_rows(x);
  const Tensor w = dense(weight), b = dense(bias);
  Shape shape = x.shape();
  shape.back() = s.H * s.O;
  const Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  xlstm_headwise_linear_fwd_args a{};
  a.dtype = dtype;
  a.weight_dtype = kernel_dtype(weight.dtype());
  a.N = s.N, a.H = s.H, a.I = s.I, a.O = s.O;
  a.x = rows.raw();
  a.x_stride_n = rows.stride(0);
  a.W = w.raw();
  a.bias = raw_or_null(b);
  a.y = y.raw();
  a.y_stride_n = s.H * s.O;
  run_kernel(
      Kernel{xlstm_headwise_linear_fwd_cpu, xlstm_headwise_linear_fwd_cuda,
             xlstm_headwise_linear_fwd_workspace_cpu, xlstm_headwise_linear_fwd_workspace_cuda},
      a, x.device(), kOp);
  if (autograd::must_record({x, weight, bias})) {
    const bool want_weight = weight.requires_grad();
    const Kept kept{s,
                    dtype,
                    x.shape(),
                    autograd::Saved(want_weight ? rows : Tensor{}, kOp),
                    autograd::Saved(w, kOp),
                    x.requires_grad(),
                    want_weight,
                    bias.requires_grad()};
    autograd::record(kOp, {x, weight, bias}, {y},
                     [kept](const Tensors& grads) { return backward(kept, grads); });
  }
  return y;
}

}  // namespace xlstm::ops
