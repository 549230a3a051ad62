#include "core/ops/cross_entropy.h"

#include <cmath>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/kernel_call.h"
#include "kernels/cross_entropy/cross_entropy.h"

namespace xlstm::ops {
namespace {

void check(const Tensor& logits, const Tensor& targets, double soft_cap, int64_t ignore_index) {
  require<ShapeError>(logits.defined() && logits.dim() >= 1 && targets.defined(),
                      "cross_entropy: logits [..., n_vocab] and targets [...] are required");
  require_computes(logits, "cross_entropy", "logits");
  require<ShapeError>(targets.dtype() == DType::i64, "cross_entropy: targets must be int64, got ",
                      name_of(targets.dtype()));
  const Shape expected(logits.shape().begin(), logits.shape().end() - 1);
  require<ShapeError>(targets.shape() == expected, "cross_entropy: targets do not fit logits, got ",
                      to_string(targets.shape()), ", expected ", to_string(expected));
  require<ConfigError>(soft_cap >= 0 && std::isfinite(soft_cap),
                       "cross_entropy: the soft cap must be finite and not negative, got ",
                       soft_cap);
  require_one_device({logits, targets}, "cross_entropy");
  if (targets.device() != kCpu) return;  // reading them would wait for the device
  const Tensor dense_targets = dense(targets);
  const int64_t* target = dense_targets.data<int64_t>();
  const int64_t n_vocab = logits.size(-1);
  for (int64_t i = 0; i < targets.numel(); ++i)
    require<ShapeError>(target[i] == ignore_index || (target[i] >= 0 && target[i] < n_vocab),
                        "cross_entropy: target outside the vocabulary, got ", target[i],
                        " at position ", i, ", expected 0 to ", n_vocab - 1, " or ", ignore_index,
                        " for positions that do not count");
}

// What backward reads.
struct SavedLoss {
  autograd::Saved logits;
  Tensor targets, row_max, row_sum, n_targets;
  int64_t ignore_index;
  double soft_cap;
};

Tensor logits_gradient(const SavedLoss& saved, const Tensor& grad) {
  if (!grad.defined()) return {};
  const Tensor logits = saved.logits.get();
  const Tensor rows = as_rows(logits);
  const Tensor dlogits = Tensor::empty(logits.shape(), logits.dtype(), logits.device());
  xlstm_cross_entropy_bwd_args args{};
  args.dtype = kernel_dtype(logits.dtype());
  args.rows = saved.targets.numel();
  args.n_vocab = rows.size(1);
  args.logits = rows.raw();
  args.logits_stride_row = rows.stride(0);
  args.targets = saved.targets.data<int64_t>();
  args.ignore_index = saved.ignore_index;
  args.soft_cap = saved.soft_cap;
  args.row_max = saved.row_max.raw();
  args.row_sum = saved.row_sum.raw();
  if (logits.device() == kCpu) {
    args.n_targets = *saved.n_targets.data<int64_t>();
  } else {
    args.n_targets_device = saved.n_targets.data<int64_t>();
  }
  args.dloss = grad.raw();
  args.dlogits = dlogits.raw();
  args.dlogits_stride_row = rows.size(1);
  run_kernel(Kernel{xlstm_cross_entropy_bwd_cpu, xlstm_cross_entropy_bwd_cuda}, args,
             logits.device(), "cross_entropy");
  return dlogits;
}

}  // namespace

CrossEntropyResult cross_entropy(const Tensor& logits, const Tensor& targets, double soft_cap,
                                 int64_t ignore_index) {
  check(logits, targets, soft_cap, ignore_index);
  if (force_reference()) return cross_entropy_composed(logits, targets, soft_cap, ignore_index);
  const Tensor rows = as_rows(logits);
  const bool recorded = autograd::must_record({logits});
  // Backward reads the targets again, so a caller's buffer that is refilled meanwhile is copied.
  const Tensor ids = recorded ? targets.clone() : dense(targets);
  CrossEntropyResult result;
  result.loss = Tensor::empty({}, wide_type(logits.dtype()), logits.device());
  const Tensor row_max = Tensor::empty({ids.numel()}, wide_type(logits.dtype()), logits.device());
  const Tensor row_sum = Tensor::empty({ids.numel()}, wide_type(logits.dtype()), logits.device());
  result.n_targets = Tensor::empty({}, DType::i64, logits.device());
  xlstm_cross_entropy_fwd_args args{};
  args.dtype = kernel_dtype(logits.dtype());
  args.rows = ids.numel();
  args.n_vocab = rows.size(1);
  args.logits = rows.raw();
  args.logits_stride_row = rows.stride(0);
  args.targets = ids.data<int64_t>();
  args.ignore_index = ignore_index;
  args.soft_cap = soft_cap;
  args.loss = result.loss.raw();
  args.n_targets = result.n_targets.data<int64_t>();
  args.row_max = row_max.raw();
  args.row_sum = row_sum.raw();
  run_kernel(Kernel{xlstm_cross_entropy_fwd_cpu, xlstm_cross_entropy_fwd_cuda,
                    xlstm_cross_entropy_fwd_workspace_cpu, xlstm_cross_entropy_fwd_workspace_cuda},
             args, logits.device(), "cross_entropy");
  if (recorded) {
    SavedLoss saved{autograd::Saved(logits, "cross_entropy"),
                    ids,
                    row_max,
                    row_sum,
                    result.n_targets,
                    ignore_index,
                    soft_cap};
    autograd::record("cross_entropy", {logits}, {result.loss}, [saved](const Tensors& grads) {
      return Tensors{logits_gradient(saved, grads[0])};
    });
  }
  return result;
}

}  // namespace xlstm::ops
