#include "core/ops/cross_entropy.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"

namespace xlstm::ops {

CrossEntropyResult cross_entropy_composed(const Tensor& logits, const Tensor& targets,
                                          double soft_cap, int64_t ignore_index) {
  const int64_t n_vocab = logits.size(-1), rows = targets.numel();
  const std::vector<int64_t> ids = targets.to_vector<int64_t>();
  CrossEntropyResult result;
  // Weights of the mean, and the one-hot targets that pick a row's logit.
  Tensor counted = Tensor::zeros({rows}, logits.dtype());
  Tensor one_hot = Tensor::zeros({rows, n_vocab}, logits.dtype());
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t target = ids[static_cast<size_t>(row)];
    if (target == ignore_index) continue;
    counted.strided_view({1}, {1}, row).fill(1);
    one_hot.strided_view({1}, {1}, row * n_vocab + target).fill(1);
    ++result.n_targets;
  }
  if (rows == 0) {
    result.loss = sum(logits);
    return result;
  }
  const Tensor z = softcap(reshape(logits, {rows, n_vocab}), soft_cap);
  const Tensor largest = max(z, -1, true).detach();  // cancels, so it needs no gradient
  const Tensor shifted = sub(z, largest);
  const Tensor log_sum = log(sum(exp(shifted), -1));
  const Tensor row_loss = sub(log_sum, sum(mul(shifted, one_hot), -1));
  const double n = static_cast<double>(result.n_targets == 0 ? 1 : result.n_targets);
  result.loss = scale(sum(mul(row_loss, counted)), 1.0 / n);
  return result;
}

}  // namespace xlstm::ops
