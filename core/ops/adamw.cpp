#include "kernels/adamw/adamw.h"

#include "core/ops/adamw.h"
#include "core/ops/kernel_call.h"

namespace xlstm::ops {
namespace {

void check_floating(const Tensor& x, const char* op, const char* what) {
  require_computes(x, op, what);
}

void check_like(const Tensor& x, const Tensor& parameter, const char* op, const char* what) {
  check_floating(x, op, what);
  require<ShapeError>(x.shape() == parameter.shape() && x.dtype() == parameter.dtype(), op, ": ",
                      what, " does not look like the parameter, got ", to_string(x.shape()), " ",
                      name_of(x.dtype()), ", expected ", to_string(parameter.shape()), " ",
                      name_of(parameter.dtype()));
}

void check_written(const Tensor& x, const char* op, const char* what) {
  require<ShapeError>(x.is_contiguous(), op, ": ", what,
                      " is written in place and must be contiguous, got shape ",
                      to_string(x.shape()), " with strides ", to_string(x.strides()));
}

// Scalars are the user's, so a bad one is a configuration error rather than a bug.
void check_update(xlstm_status status, const char* op, Device device) {
  require<ConfigError>(status != XLSTM_BAD_VALUE, op,
                       ": a scalar is outside its range (lr, weight decay and gradient scale must "
                       "be finite, betas and momentum in [0, 1), eps >= 0, step >= 1)");
  check_status(status, op, device);
}

template <class T>
const T* scalar(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

// What both updates share beyond their equations.
template <class Args, class Options>
void set_update(Args& args, const Tensor& parameter, const Options& options) {
  args.lr = options.lr;
  args.weight_decay = options.weight_decay;
  args.grad_scale = options.grad_scale;
  const UpdateScalars& on_device = options.on_device;
  args.on_device.lr = scalar<float>(on_device.lr);
  args.on_device.grad_scale = scalar<float>(on_device.grad_scale);
  args.on_device.step = scalar<int64_t>(on_device.step);
  args.on_device.skip = scalar<int32_t>(on_device.skip);
  if (!options.copy.defined() || parameter.device() == kCpu) return;
  args.weights_copy = options.copy.raw();
  args.weights_copy_dtype = kernel_dtype(options.copy.dtype());
}

void check_copy(const Tensor& copy, const Tensor& parameter, const char* op) {
  if (!copy.defined()) return;
  require<ShapeError>(copy.shape() == parameter.shape(), op,
                      ": the low-precision copy does not fit, got ", to_string(copy.shape()),
                      ", expected ", to_string(parameter.shape()));
  check_written(copy, op, "the low-precision copy");
}

// On CUDA the kernel has written it.
void finish_copy(Tensor copy, const Tensor& parameter) {
  if (!copy.defined()) return;
  if (parameter.device() == kCpu) {
    copy.copy_from(parameter);
  } else {
    copy.bump_version();
  }
}

}  // namespace

void adamw_update(Tensor parameter, const Tensor& grad, Tensor moment1, Tensor moment2,
                  const AdamwOptions& options) {
  const char* op = "adamw_update";
  const UpdateScalars& scalars = options.on_device;
  const OpScope scope(op, {parameter, grad, moment1, moment2, options.copy, scalars.lr,
                           scalars.grad_scale, scalars.step, scalars.skip});
  check_floating(parameter, op, "the parameter");
  check_like(grad, parameter, op, "the gradient");
  check_like(moment1, parameter, op, "moment1");
  check_like(moment2, parameter, op, "moment2");
  check_written(parameter, op, "the parameter");
  check_written(moment1, op, "moment1");
  check_written(moment2, op, "moment2");
  check_copy(options.copy, parameter, op);
  const Tensor g = dense(grad);
  xlstm_adamw_args args{};
  args.dtype = args.grad_dtype = kernel_dtype(parameter.dtype());
  args.n = parameter.numel();
  args.parameter = parameter.raw();
  args.grad = g.raw();
  args.moment1 = moment1.raw();
  args.moment2 = moment2.raw();
  args.beta1 = options.beta1;
  args.beta2 = options.beta2;
  args.eps = options.eps;
  args.step = options.step;
  set_update(args, parameter, options);
  const Device device = parameter.device();
  check_update(status_of(Kernel{xlstm_adamw_cpu, xlstm_adamw_cuda}, args, device), op, device);
  parameter.bump_version();
  moment1.bump_version();
  moment2.bump_version();
  finish_copy(options.copy, parameter);
}

void sgd_update(Tensor parameter, const Tensor& grad, Tensor velocity, const SgdOptions& options) {
  const char* op = "sgd_update";
  const UpdateScalars& scalars = options.on_device;
  const OpScope scope(op, {parameter, grad, velocity, options.copy, scalars.lr, scalars.grad_scale,
                           scalars.step, scalars.skip});
  check_floating(parameter, op, "the parameter");
  check_like(grad, parameter, op, "the gradient");
  check_written(parameter, op, "the parameter");
  if (options.momentum != 0) {
    check_like(velocity, parameter, op, "the velocity");
    check_written(velocity, op, "the velocity");
  }
  check_copy(options.copy, parameter, op);
  const Tensor g = dense(grad);
  xlstm_sgd_args args{};
  args.dtype = args.grad_dtype = kernel_dtype(parameter.dtype());
  args.n = parameter.numel();
  args.parameter = parameter.raw();
  args.grad = g.raw();
  args.velocity = options.momentum != 0 ? velocity.raw() : nullptr;
  args.momentum = options.momentum;
  args.nesterov = options.nesterov;
  set_update(args, parameter, options);
  const Device device = parameter.device();
  check_update(status_of(Kernel{xlstm_sgd_cpu, xlstm_sgd_cuda}, args, device), op, device);
  parameter.bump_version();
  if (options.momentum != 0) velocity.bump_version();
  finish_copy(options.copy, parameter);
}

double sum_of_squares(const Tensor& x) {
  require<ShapeError>(x.defined(), "sum_of_squares: x is missing");
  const Tensor sum = Tensor::empty({1}, DType::f64, x.device());
  sum_of_squares_into(x, sum);
  return sum.item();
}

void sum_of_squares_into(const Tensor& x, Tensor sum) {
  const OpScope scope("sum_of_squares", {x, sum});
  check_floating(x, "sum_of_squares", "x");
  require_like(sum, {1}, DType::f64, "sum_of_squares", "the sum");
  const Tensor values = dense(x);
  const xlstm_sum_of_squares_args args{kernel_dtype(x.dtype()), x.numel(), values.raw(),
                                       sum.data<double>()};
  run_kernel(Kernel{xlstm_sum_of_squares_cpu, xlstm_sum_of_squares_cuda,
                    xlstm_sum_of_squares_workspace_cpu, xlstm_sum_of_squares_workspace_cuda},
             args, x.device(), "sum_of_squares");
  sum.bump_version();
}

void clip_by_value(Tensor x, double limit) {
  const OpScope scope("clip_by_value", {x});
  check_floating(x, "clip_by_value", "x");
  check_written(x, "clip_by_value", "x");
  require<ConfigError>(limit > 0, "clip_by_value: the limit must be positive, got ", limit);
  const xlstm_clip_args args{kernel_dtype(x.dtype()), x.numel(), x.raw(), limit};
  run_kernel(Kernel{xlstm_clip_cpu, xlstm_clip_cuda}, args, x.device(), "clip_by_value");
  x.bump_version();
}

}  // namespace xlstm::ops
