#include "core/ops/dropout.h"

#include "core/autograd.h"
#include "core/ops/kernel_call.h"
#include "kernels/dropout/dropout.h"

namespace xlstm::ops {
namespace {

Tensor apply(const Tensor& x, double p, const Generator& at) {
  const Tensor source = dense(x);
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const xlstm_dropout_args args{
      kernel_dtype(x.dtype()), x.numel(), source.raw(), y.raw(), p, at.seed, at.offset, at.base};
  run_kernel(Kernel{xlstm_dropout_cpu, xlstm_dropout_cuda}, args, x.device(), "dropout");
  return y;
}

}  // namespace

Tensor dropout(const Tensor& x, double p, Generator& generator) {
  const OpScope scope("dropout", {x});
  require<ConfigError>(p >= 0 && p < 1, "dropout: the probability must be in [0, 1), got ", p);
  require_computes(x, "dropout", "x");
  if (p == 0) return x;
  const Generator at{generator.seed, generator.reserve(x.numel()), generator.base};
  const Tensor y = apply(x, p, at);
  if (autograd::must_record({x}))
    autograd::record("dropout", {x}, {y}, [p, at](const Tensors& grads) {
      return Tensors{grads[0].defined() ? apply(grads[0], p, at) : Tensor{}};
    });
  return y;
}

}  // namespace xlstm::ops
