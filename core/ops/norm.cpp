#include "core/ops/norm.h"

#include <cmath>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/elementwise.h"
#include "core/ops/kernel_call.h"
#include "kernels/norm/norm.h"

namespace xlstm::ops {
namespace {

struct NormConfig {
  const char* name;
  int64_t groups = 1;
  double eps = 0;
  NormScale scale = NormScale::plain;
  bool subtract_mean = true;
};

void check_parameter(const Tensor& parameter, const Tensor& x, const char* op, const char* what) {
  require<ShapeError>(parameter.defined() && parameter.shape() == Shape{x.size(-1)}, op, ": ", what,
                      " does not fit x, got ",
                      parameter.defined() ? to_string(parameter.shape()) : "no tensor",
                      ", expected ", to_string(Shape{x.size(-1)}));
  require_weight(parameter, parameter.shape(), x.dtype(), op, what);
}

void check(const Tensor& x, const Tensor& residual, const Tensor& weight, const Tensor& bias,
           const NormConfig& config) {
  require<ShapeError>(x.defined() && x.dim() >= 1, config.name,
                      ": x needs at least one dimension, got ",
                      x.defined() ? to_string(x.shape()) : "no tensor");
  require_computes(x, config.name, "x");
  require_like(residual, x.shape(), x.dtype(), config.name, "residual");
  check_parameter(weight, x, config.name, "weight");
  if (bias.defined()) check_parameter(bias, x, config.name, "bias");
  require<ConfigError>(config.eps >= 0 && std::isfinite(config.eps), config.name,
                       ": eps must be finite and not negative, got ", config.eps);
  require<ShapeError>(config.groups >= 1 && x.size(-1) % config.groups == 0, config.name,
                      ": the number of heads must divide the last dimension, got ", config.groups,
                      " heads for ", x.size(-1), " features");
}

// What backward reads.
struct SavedNorm {
  autograd::Saved x, weight;  // x: what was normalised
  Tensor mean, rstd;
  NormConfig config;
  bool want_x, want_weight, want_bias;
};

// Gradients of what was normalised, dsum (or undefined) added, of weight and of bias.
Tensors norm_backward(const SavedNorm& saved, const Tensor& grad, const Tensor& dsum) {
  if (!grad.defined()) return {dsum, {}, {}};
  const Tensor x = saved.x.get(), weight = dense(saved.weight.get());
  const Tensor rows = as_rows(x), dy = as_rows(grad);
  const Tensor more = dsum.defined() ? as_rows(dsum) : Tensor{};
  const Tensor dx = saved.want_x ? Tensor::empty(x.shape(), x.dtype(), x.device()) : Tensor{};
  // Written by the kernel, except where there is no row to sum over.
  const Tensor dweight =
      saved.want_weight ? Tensor::zeros(weight.shape(), weight.dtype(), x.device()) : Tensor{};
  const Tensor dbias =
      saved.want_bias ? Tensor::zeros(weight.shape(), weight.dtype(), x.device()) : Tensor{};
  xlstm_norm_bwd_args args{};
  args.dtype = kernel_dtype(x.dtype());
  args.weight_dtype = kernel_dtype(weight.dtype());
  args.rows = rows.size(0);
  args.groups = saved.config.groups;
  args.width = rows.size(1) / saved.config.groups;
  args.subtract_mean = saved.config.subtract_mean;
  args.one_plus = saved.config.scale == NormScale::one_plus;
  args.eps = saved.config.eps;
  args.x = rows.raw();
  args.x_stride_row = rows.stride(0);
  args.weight = weight.raw();
  args.mean = raw_or_null(saved.mean);
  args.rstd = saved.rstd.raw();
  args.dy = dy.raw();
  args.dy_stride_row = dy.stride(0);
  args.dx = raw_or_null(dx);
  args.dx_stride_row = rows.size(1);
  args.dweight = raw_or_null(dweight);
  args.dbias = raw_or_null(dbias);
  if (more.defined()) {
    args.dsum = more.raw();
    args.dsum_stride_row = more.stride(0);
  }
  run_kernel(Kernel{xlstm_norm_bwd_cpu, xlstm_norm_bwd_cuda, xlstm_norm_bwd_workspace_cpu,
                    xlstm_norm_bwd_workspace_cuda},
             args, x.device(), saved.config.name);
  return {dx, dweight, dbias};
}

// residual may be undefined; so is the sum then.
AddedNorm norm(const Tensor& x, const Tensor& residual, const Tensor& given_weight,
               const Tensor& given_bias, const NormConfig& config) {
  const OpScope scope(config.name, {x, residual, given_weight, given_bias});
  check(x, residual, given_weight, given_bias, config);
  const Tensor weight = beside(given_weight, x.dtype()), bias = beside(given_bias, x.dtype());
  const bool adds = residual.defined();
  if (force_reference()) {
    const Tensor sum = adds ? add(x, residual) : Tensor{};
    return {norm_composed(adds ? sum : x, weight, bias, config.groups, config.eps, config.scale,
                          config.subtract_mean),
            sum};
  }
  const Tensors inputs = adds ? Tensors{x, residual, weight, bias} : Tensors{x, weight, bias};
  const bool recorded = autograd::must_record(inputs);
  const Tensor rows = as_rows(x), other = adds ? as_rows(residual) : Tensor{};
  const Tensor dense_weight = dense(weight), dense_bias = dense(bias);
  const Shape statistics{rows.size(0), config.groups};
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const Tensor sum = adds ? Tensor::empty(x.shape(), x.dtype(), x.device()) : Tensor{};
  Tensor mean, rstd;
  if (recorded) {
    if (config.subtract_mean) mean = Tensor::empty(statistics, wide_type(x.dtype()), x.device());
    rstd = Tensor::empty(statistics, wide_type(x.dtype()), x.device());
  }
  xlstm_norm_fwd_args args{};
  args.dtype = kernel_dtype(x.dtype());
  args.weight_dtype = kernel_dtype(weight.dtype());
  args.rows = rows.size(0);
  args.groups = config.groups;
  args.width = rows.size(1) / config.groups;
  args.subtract_mean = config.subtract_mean;
  args.one_plus = config.scale == NormScale::one_plus;
  args.eps = config.eps;
  args.x = rows.raw();
  args.x_stride_row = rows.stride(0);
  args.weight = dense_weight.raw();
  args.bias = raw_or_null(dense_bias);
  args.y = y.raw();
  args.y_stride_row = rows.size(1);
  args.mean = raw_or_null(mean);
  args.rstd = raw_or_null(rstd);
  if (adds) {
    args.residual = other.raw();
    args.residual_stride_row = other.stride(0);
    args.sum = sum.raw();
    args.sum_stride_row = rows.size(1);
  }
  run_kernel(Kernel{xlstm_norm_fwd_cpu, xlstm_norm_fwd_cuda}, args, x.device(), config.name);
  if (recorded) {
    SavedNorm saved{autograd::Saved(adds ? sum : x, config.name),
                    autograd::Saved(weight, config.name),
                    mean,
                    rstd,
                    config,
                    x.requires_grad() || residual.requires_grad(),
                    weight.requires_grad(),
                    bias.requires_grad()};
    autograd::record(config.name, inputs, adds ? Tensors{y, sum} : Tensors{y},
                     [saved, adds](const Tensors& grads) {
                       Tensors out = norm_backward(saved, grads[0], adds ? grads[1] : Tensor{});
                       if (adds) out.insert(out.begin(), out[0]);  // of x and residual alike
                       return out;
                     });
  }
  return {y, sum};
}

AddedNorm add_norm(const Tensor& x, const Tensor& residual, const Tensor& weight,
                   const Tensor& bias, const NormConfig& config) {
  require<ShapeError>(residual.defined(), config.name, ": residual, got no tensor");
  return norm(x, residual, weight, bias, config);
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
                  NormScale scale) {
  return norm(x, {}, weight, bias, {"layer_norm", 1, eps, scale, true}).y;
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps, NormScale scale) {
  return norm(x, {}, weight, {}, {"rms_norm", 1, eps, scale, false}).y;
}

Tensor multi_head_norm(const Tensor& x, const Tensor& weight, int64_t n_heads, double eps,
                       NormScale scale) {
  return norm(x, {}, weight, {}, {"multi_head_norm", n_heads, eps, scale, true}).y;
}

AddedNorm add_layer_norm(const Tensor& x, const Tensor& residual, const Tensor& weight,
                         const Tensor& bias, double eps, NormScale scale) {
  return add_norm(x, residual, weight, bias, {"add_layer_norm", 1, eps, scale, true});
}

AddedNorm add_rms_norm(const Tensor& x, const Tensor& residual, const Tensor& weight, double eps,
                       NormScale scale) {
  return add_norm(x, residual, weight, {}, {"add_rms_norm", 1, eps, scale, false});
}

}  // namespace xlstm::ops
