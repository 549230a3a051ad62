#include "kernels/norm/norm_gated.h"

#include <cmath>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/kernel_call.h"
#include "core/ops/norm_gated_pass.h"
#include "core/ops/view.h"

namespace xlstm::ops {
namespace {

constexpr const char* kName = "multi_head_norm_gated";

void check(const char* op, const Tensors& in, const GatedNormConfig& config) {
  const Tensor &x = in[kX], &gate = in[kGate], &weight = in[kWeight];
  require<ShapeError>(x.defined() && x.dim() >= 1, op, ": x needs at least one dimension, got ",
                      x.defined() ? to_string(x.shape()) : "no tensor");
  require_computes(x, op, "x");
  require<ShapeError>(gate.defined() && weight.defined(), op, ": got no ",
                      gate.defined() ? "weight" : "gate");
  require_like(gate, x.shape(), x.dtype(), op, "gate");
  require_like(in[kSkip], x.shape(), x.dtype(), op, "skip");
  const Shape width{x.size(-1)};
  require_weight(weight, width, x.dtype(), op, "weight");
  require_weight(in[kBias], width, x.dtype(), op, "bias");
  require_weight(in[kSkipWeight], width, x.dtype(), op, "skip_weight");
  require<ShapeError>(in[kSkip].defined() == in[kSkipWeight].defined(), op,
                      ": a skip needs its weight, got one of them");
  require<ShapeError>(!in[kSkip].defined() || !in[kBias].defined(), op,
                      ": got a bias and a skip, expected one of them");
  require<ConfigError>(config.eps >= 0 && std::isfinite(config.eps), op,
                       ": eps must be finite and not negative, got ", config.eps);
  require<ConfigError>(
      config.activation == Activation::sigmoid || config.activation == Activation::silu, op,
      ": a gate of a norm is sigmoid or silu, got another activation");
  require<ShapeError>(config.n_heads >= 1 && x.size(-1) % config.n_heads == 0, op,
                      ": the number of heads must divide the last dimension, got ", config.n_heads,
                      " heads for ", x.size(-1), " features");
}

// What both directions tell the kernel. `in`: weights dense, matrices as rows.
template <class Args>
Args arguments(const Tensors& in, const GatedNormConfig& config) {
  Args args{};
  args.dtype = kernel_dtype(in[kX].dtype());
  args.weight_dtype = kernel_dtype(in[kWeight].dtype());
  args.rows = in[kX].size(0);
  args.groups = config.n_heads;
  args.width = in[kX].size(1) / config.n_heads;
  args.subtract_mean = 1;
  args.one_plus = config.scale == NormScale::one_plus;
  args.eps = config.eps;
  args.activation = config.activation == Activation::silu ? XLSTM_SILU : XLSTM_SIGMOID;
  args.x = in[kX].raw();
  args.x_stride_row = in[kX].stride(0);
  args.gate = in[kGate].raw();
  args.gate_stride_row = in[kGate].stride(0);
  args.weight = in[kWeight].raw();
  args.bias = raw_or_null(in[kBias]);
  args.skip_weight = raw_or_null(in[kSkipWeight]);
  args.skip = raw_or_null(in[kSkip]);
  if (in[kSkip].defined()) args.skip_stride_row = in[kSkip].stride(0);
  return args;
}

Tensors as_kernel_reads(Tensors in) {
  for (const size_t i : {kX, kGate, kSkip})
    if (in[i].defined()) in[i] = as_rows(in[i]);
  for (const size_t i : {kWeight, kBias, kSkipWeight}) in[i] = dense(in[i]);
  return in;
}

}  // namespace

Tensors gated_norm_backward(const SavedGatedNorm& saved, const Tensor& grad, const Tensor& x_dx) {
  Tensors grads(kGatedNormInputs);
  if (!grad.defined()) return grads;
  Tensors inputs;
  for (const autograd::Saved& input : saved.inputs) inputs.push_back(input.get());
  for (const size_t i : {kX, kGate, kSkip})
    if (saved.wanted[i])
      grads[i] = Tensor::empty(inputs[i].shape(), inputs[i].dtype(), inputs[i].device());
  // Written by the kernel, except where there is no row to sum over.
  for (const size_t i : {kWeight, kBias, kSkipWeight})
    if (saved.wanted[i])
      grads[i] = Tensor::zeros(inputs[i].shape(), inputs[i].dtype(), inputs[i].device());
  const Tensors in = as_kernel_reads(inputs);
  const Tensor dy = as_rows(grad);
  auto args = arguments<xlstm_norm_gated_bwd_args>(in, saved.config);
  args.mean = saved.mean.raw();
  args.rstd = saved.rstd.raw();
  args.dy = dy.raw();
  args.dy_stride_row = dy.stride(0);
  args.dx = raw_or_null(grads[kX]);
  args.dgate = raw_or_null(grads[kGate]);
  args.dskip = raw_or_null(grads[kSkip]);
  args.dx_stride_row = args.dgate_stride_row = args.dskip_stride_row = in[kX].size(1);
  args.dweight = raw_or_null(grads[kWeight]);
  args.dbias = raw_or_null(grads[kBias]);
  args.dskip_weight = raw_or_null(grads[kSkipWeight]);
  args.x_dx = raw_or_null(x_dx);
  run_kernel(Kernel{xlstm_norm_gated_bwd_cpu, xlstm_norm_gated_bwd_cuda,
                    xlstm_norm_gated_bwd_workspace_cpu, xlstm_norm_gated_bwd_workspace_cuda},
             args, dy.device(), kName);
  return grads;
}

Tensors gated_norm_inputs(const char* op, const Tensor& x, const NormGate& gate,
                          const Tensor& weight, const Tensor& bias, const GatedNormConfig& config) {
  Tensors inputs{x, gate.gate, weight, bias, gate.skip, gate.skip_weight};
  check(op, inputs, config);
  for (const size_t i : {kWeight, kBias, kSkipWeight}) {
    inputs[i] = beside(inputs[i], x.dtype());
    if (inputs[i].defined()) inputs[i] = cast(inputs[i], inputs[kWeight].dtype());
  }
  return inputs;
}

Tensor gated_norm_forward(const Tensors& inputs, const GatedNormConfig& config,
                          SavedGatedNorm* saved) {
  const Tensor& x = inputs[kX];
  const Tensors in = as_kernel_reads(inputs);
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  auto args = arguments<xlstm_norm_gated_fwd_args>(in, config);
  args.y = y.raw();
  args.y_stride_row = in[kX].size(1);
  if (saved != nullptr) {
    const Shape statistics{in[kX].size(0), config.n_heads};
    saved->config = config;
    saved->mean = Tensor::empty(statistics, wide_type(x.dtype()), x.device());
    saved->rstd = Tensor::empty(statistics, wide_type(x.dtype()), x.device());
    for (const Tensor& input : inputs) {
      saved->inputs.emplace_back(input, kName);
      saved->wanted.push_back(input.requires_grad());
    }
    args.mean = saved->mean.raw();
    args.rstd = saved->rstd.raw();
  }
  run_kernel(Kernel{xlstm_norm_gated_fwd_cpu, xlstm_norm_gated_fwd_cuda}, args, x.device(), kName);
  return y;
}

Tensor multi_head_norm_gated(const Tensor& x, const NormGate& gate, const Tensor& weight,
                             const Tensor& bias, int64_t n_heads, double eps, NormScale scale) {
  const OpScope scope(kName, {x, gate.gate, weight, bias, gate.skip, gate.skip_weight});
  const GatedNormConfig config{n_heads, eps, scale, gate.activation};
  const Tensors inputs = gated_norm_inputs(kName, x, gate, weight, bias, config);
  if (force_reference())
    return multi_head_norm_gated_composed(
        x, {gate.gate, gate.activation, gate.skip, inputs[kSkipWeight]}, inputs[kWeight],
        inputs[kBias], n_heads, eps, scale);
  if (!autograd::must_record(inputs)) return gated_norm_forward(inputs, config, nullptr);
  SavedGatedNorm saved;
  const Tensor y = gated_norm_forward(inputs, config, &saved);
  autograd::record(kName, inputs, {y}, [saved](const Tensors& grads) {
    return gated_norm_backward(saved, grads[0], {});
  });
  return y;
}

}  // namespace xlstm::ops
