#include "core/ops/cross_entropy.h"

#include <cmath>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/cross_entropy_pass.h"
#include "core/ops/kernel_call.h"
#include "kernels/cross_entropy/cross_entropy.h"

namespace xlstm::ops {
namespace {

template <class Args>
void describe(Args& args, const Tensor& logits, const CrossEntropyRows& rows) {
  args.dtype = kernel_dtype(logits.dtype());
  args.rows = rows.targets.numel();
  args.n_vocab = logits.size(1);
  args.logits = logits.raw();
  args.logits_stride_row = logits.stride(0);
  args.targets = rows.targets.data<int64_t>();
  args.ignore_index = rows.ignore_index;
  args.soft_cap = rows.soft_cap;
  args.row_max = rows.row_max.raw();
  args.row_sum = rows.row_sum.raw();
}

}  // namespace

void check_targets(const Tensor& targets, const Shape& expected, int64_t n_vocab, double soft_cap,
                   int64_t ignore_index, const char* op) {
  require<ShapeError>(targets.dtype() == DType::i64, op, ": targets must be int64, got ",
                      name_of(targets.dtype()));
  require<ShapeError>(targets.shape() == expected, op, ": targets do not fit, got ",
                      to_string(targets.shape()), ", expected ", to_string(expected));
  require<ConfigError>(soft_cap >= 0 && std::isfinite(soft_cap), op,
                       ": the soft cap must be finite and not negative, got ", soft_cap);
  if (targets.device() != kCpu) return;  // reading them would wait for the device
  const Tensor dense_targets = dense(targets);
  const int64_t* target = dense_targets.data<int64_t>();
  for (int64_t i = 0; i < targets.numel(); ++i)
    require<ShapeError>(target[i] == ignore_index || (target[i] >= 0 && target[i] < n_vocab), op,
                        ": target outside the vocabulary, got ", target[i], " at position ", i,
                        ", expected 0 to ", n_vocab - 1, " or ", ignore_index,
                        " for positions that do not count");
}

void cross_entropy_forward(const Tensor& logits, CrossEntropyRows& rows, const Tensor& loss,
                           const Tensor& n_targets) {
  const Shape n{rows.targets.numel()};
  rows.row_max = Tensor::empty(n, loss.dtype(), logits.device());
  rows.row_sum = Tensor::empty(n, loss.dtype(), logits.device());
  xlstm_cross_entropy_fwd_args args{};
  describe(args, logits, rows);
  args.loss = loss.raw();
  args.n_targets = n_targets.data<int64_t>();
  run_kernel(Kernel{xlstm_cross_entropy_fwd_cpu, xlstm_cross_entropy_fwd_cuda,
                    xlstm_cross_entropy_fwd_workspace_cpu, xlstm_cross_entropy_fwd_workspace_cuda},
             args, logits.device(), "cross_entropy");
}

void cross_entropy_backward(const Tensor& logits, const CrossEntropyRows& rows,
                            const Tensor& n_targets, const Tensor& dloss, const Tensor& dlogits) {
  xlstm_cross_entropy_bwd_args args{};
  describe(args, logits, rows);
  if (!n_targets.defined()) {
    args.n_targets = args.rows > 0 ? 1 : 0;
  } else if (logits.device() == kCpu) {
    args.n_targets = *n_targets.data<int64_t>();
  } else {
    args.n_targets_device = n_targets.data<int64_t>();
  }
  args.dloss = dloss.raw();
  args.dlogits_dtype = kernel_dtype(dlogits.dtype());
  args.dlogits = dlogits.raw();
  args.dlogits_stride_row = logits.size(1);
  run_kernel(Kernel{xlstm_cross_entropy_bwd_cpu, xlstm_cross_entropy_bwd_cuda}, args,
             logits.device(), "cross_entropy");
}

CrossEntropyResult cross_entropy(const Tensor& logits, const Tensor& targets, double soft_cap,
                                 int64_t ignore_index) {
  const OpScope scope("cross_entropy", {logits, targets});
  require<ShapeError>(logits.defined() && logits.dim() >= 1 && targets.defined(),
                      "cross_entropy: logits [..., n_vocab] and targets [...] are required");
  require_computes(logits, "cross_entropy", "logits");
  check_targets(targets, Shape(logits.shape().begin(), logits.shape().end() - 1), logits.size(-1),
                soft_cap, ignore_index, "cross_entropy");
  if (force_reference()) return cross_entropy_composed(logits, targets, soft_cap, ignore_index);
  const bool recorded = autograd::must_record({logits});
  // Backward reads the targets again, so a caller's buffer that is refilled meanwhile is copied.
  CrossEntropyRows rows{
      recorded ? targets.clone() : dense(targets), ignore_index, soft_cap, {}, {}};
  CrossEntropyResult result;
  result.loss = Tensor::empty({}, wide_type(logits.dtype()), logits.device());
  result.n_targets = Tensor::empty({}, DType::i64, logits.device());
  cross_entropy_forward(as_rows(logits), rows, result.loss, result.n_targets);
  if (recorded) {
    autograd::record("cross_entropy", {logits}, {result.loss},
                     [saved = autograd::Saved(logits, "cross_entropy"), rows,
                      n_targets = result.n_targets](const Tensors& grads) {
                       if (!grads[0].defined()) return Tensors{Tensor{}};
                       const Tensor x = saved.get();
                       const Tensor dx = Tensor::empty(x.shape(), x.dtype(), x.device());
                       cross_entropy_backward(as_rows(x), rows, n_targets, grads[0], dx);
                       return Tensors{dx};
                     });
  }
  return result;
}

}  // namespace xlstm::ops
