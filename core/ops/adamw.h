// Optimizer updates over flat memory. Not differentiable: they write into their arguments.
//
// Errors: ShapeError if the tensors differ in shape or type, or one that is written is not
// contiguous; ConfigError for scalars that make no sense.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

// Scalars that a CUDA kernel reads when it runs, each one element on the parameter's device, so
// that an update can be captured. An undefined one: the option of the same name holds.
struct UpdateScalars {
  Tensor lr, grad_scale;  // float32
  Tensor step;            // int64
  Tensor skip;            // int32; not 0: nothing changes
};

struct AdamwOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  int64_t step = 1;       // counted from 1, for the bias correction
  double grad_scale = 1;  // gradients are multiplied by this first (clipping, accumulation)
  UpdateScalars on_device = {};
  Tensor copy = {};  // receives the new parameter in a narrower type; undefined: none
};

// Decoupled weight decay (Loshchilov and Hutter 2019): p -= lr * (mhat / (sqrt(vhat) + eps) + wd *
// p). All tensors are contiguous with one shape; float32, or float64 on the CPU.
void adamw_update(Tensor parameter, const Tensor& grad, Tensor moment1, Tensor moment2,
                  const AdamwOptions& options);

struct SgdOptions {
  double lr = 1e-2, momentum = 0, weight_decay = 0, grad_scale = 1;
  bool nesterov = false;
  UpdateScalars on_device = {};
  Tensor copy = {};
};
// velocity may be undefined if momentum == 0. Weight decay is added to the gradient, as SGD has it.
void sgd_update(Tensor parameter, const Tensor& grad, Tensor velocity, const SgdOptions& options);

// Sum of squares in double, in a fixed order. NaN or infinity if any element is.
double sum_of_squares(const Tensor& x);
// The same into one float64 element on x's device, without waiting for it.
void sum_of_squares_into(const Tensor& x, Tensor sum);

// Limits every element of x to [-limit, limit], in place. NaN stays NaN. x contiguous, limit > 0.
void clip_by_value(Tensor x, double limit);

}  // namespace xlstm::ops
