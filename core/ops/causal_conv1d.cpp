#include "core/ops/causal_conv1d.h"

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/kernel_call.h"
#include "kernels/causal_conv1d/causal_conv1d.h"

namespace xlstm::ops {
namespace {

constexpr const char* kOp = "causal_conv1d";

struct Sizes {
  int64_t B, T, C, KS;
};

Sizes check(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& initial_state,
            const Tensor& reset) {
  require<ShapeError>(x.defined() && weight.defined(), kOp, ": x and weight are required");
  require<ShapeError>(x.dim() == 3, kOp, ": wrong shape of x, got ", to_string(x.shape()),
                      ", expected [B, T, C]");
  require<ShapeError>(weight.dim() == 3 && weight.size(2) >= 1, kOp,
                      ": wrong shape of weight, got ", to_string(weight.shape()),
                      ", expected [C, 1, KS] with KS >= 1");
  const Sizes s{x.size(0), x.size(1), x.size(2), weight.size(2)};
  require_weight(weight, {s.C, 1, s.KS}, x.dtype(), kOp, "weight");
  require_weight(bias, {s.C}, x.dtype(), kOp, "bias");
  require_like(initial_state, {s.B, s.KS - 1, s.C}, x.dtype(), kOp, "initial_state");
  require_reset(reset, s.B, s.T, kOp);
  return s;
}

struct Kept {
  Sizes s;
  bool silu;
  xlstm_dtype dtype;
  autograd::Saved x, weight, bias, state, reset;
  bool want_x, want_weight, want_bias, want_state;
};

// Gradients of x, weight, bias and initial_state from those of y and the final state.
Tensors backward(const Kept& k, const Tensors& grads) {
  const Tensor x = k.x.get(), weight = k.weight.get(), bias = k.bias.get(), state = k.state.get(),
               reset = k.reset.get();
  const Tensor dy = dense_last(grads[0]), dstate_final = dense(grads[1]);
  const auto make = [&](bool wanted, const Shape& shape, DType dtype) {
    return wanted ? Tensor::empty(shape, dtype, x.device()) : Tensor{};
  };
  const Tensor dx = make(k.want_x, x.shape(), x.dtype()),
               dweight = make(k.want_weight, weight.shape(), weight.dtype()),
               dbias = make(k.want_bias, {k.s.C}, weight.dtype()),
               dstate = make(k.want_state, {k.s.B, k.s.KS - 1, k.s.C}, x.dtype());
  xlstm_causal_conv1d_bwd_args a{};
  a.dtype = k.dtype;
  a.weight_dtype = kernel_dtype(weight.dtype());
  a.B = k.s.B, a.T = k.s.T, a.C = k.s.C, a.KS = k.s.KS;
  a.x = x.raw();
  a.x_stride_b = x.stride(0), a.x_stride_t = x.stride(1);
  a.weight = weight.raw();
  a.bias = raw_or_null(bias);
  a.state_init = raw_or_null(state);
  a.reset = static_cast<const uint8_t*>(raw_or_null(reset));
  a.silu = k.silu ? 1 : 0;
  a.dy = raw_or_null(dy);
  if (dy.defined()) a.dy_stride_b = dy.stride(0), a.dy_stride_t = dy.stride(1);
  a.dstate_final = raw_or_null(dstate_final);
  a.dx = raw_or_null(dx);
  if (dx.defined()) a.dx_stride_b = dx.stride(0), a.dx_stride_t = dx.stride(1);
  a.dweight = raw_or_null(dweight);
  a.dbias = raw_or_null(dbias);
  a.dstate_init = raw_or_null(dstate);
  run_kernel(Kernel{xlstm_causal_conv1d_bwd_cpu, xlstm_causal_conv1d_bwd_cuda,
                    xlstm_causal_conv1d_bwd_workspace_cpu, xlstm_causal_conv1d_bwd_workspace_cuda},
             a, x.device(), kOp);
  return {dx, dweight, dbias, dstate};
}

}  // namespace

CausalConv1dResult causal_conv1d(const Tensor& x, const Tensor& given_weight,
                                 const Tensor& given_bias, const Tensor& initial_state,
                                 const Tensor& reset, bool silu) {
  const OpScope scope(kOp, {x, given_weight, given_bias, initial_state, reset});
  const Sizes s = check(x, given_weight, given_bias, initial_state, reset);
  const Tensor weight = beside(given_weight, x.dtype()), bias = beside(given_bias, x.dtype());
  if (force_reference()) return causal_conv1d_composed(x, weight, bias, initial_state, reset, silu);
  const Tensors inputs{x, weight, bias, initial_state};
  const xlstm_dtype dtype = kernel_dtype(x.dtype());
  const Tensor xd = dense_last(x), w = dense(weight), b = dense(bias), state = dense(initial_state),
               marks = dense(reset);
  const CausalConv1dResult out{Tensor::empty(x.shape(), x.dtype(), x.device()),
                               Tensor::empty({s.B, s.KS - 1, s.C}, x.dtype(), x.device())};
  xlstm_causal_conv1d_fwd_args a{};
  a.dtype = dtype;
  a.weight_dtype = kernel_dtype(weight.dtype());
  a.B = s.B, a.T = s.T, a.C = s.C, a.KS = s.KS;
  a.x = xd.raw();
  a.x_stride_b = xd.stride(0), a.x_stride_t = xd.stride(1);
  a.weight = w.raw();
  a.bias = raw_or_null(b);
  a.state_init = raw_or_null(state);
  a.reset = static_cast<const uint8_t*>(raw_or_null(marks));
  a.silu = silu ? 1 : 0;
  a.y = out.y.raw();
  a.y_stride_b = out.y.stride(0), a.y_stride_t = out.y.stride(1);
  a.state_final = out.final_state.raw();
  run_kernel(Kernel{xlstm_causal_conv1d_fwd_cpu, xlstm_causal_conv1d_fwd_cuda,
                    xlstm_causal_conv1d_fwd_workspace_cpu, xlstm_causal_conv1d_fwd_workspace_cuda},
             a, x.device(), kOp);
  if (autograd::must_record(inputs)) {
    const auto keep = [](const Tensor& t) { return autograd::Saved(t, kOp); };
    const Kept kept{s,
                    silu,
                    dtype,
                    keep(xd),
                    keep(w),
                    keep(b),
                    keep(state),
                    keep(marks),
                    x.requires_grad(),
                    weight.requires_grad(),
                    bias.requires_grad(),
                    initial_state.requires_grad()};
    autograd::record(kOp, inputs, {out.y, out.final_state},
                     [kept](const Tensors& grads) { return backward(kept, grads); });
  }
  return out;
}

}  // namespace xlstm::ops
