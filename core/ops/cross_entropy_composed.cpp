#include "core/ops/composed.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/elementwise.h"
#include "core/ops/embedding.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"

namespace xlstm::ops {

CrossEntropyResult cross_entropy_composed(const Tensor& logits, const Tensor& targets,
                                          double soft_cap, int64_t ignore_index) {
  const int64_t n_vocab = logits.size(-1), rows = targets.numel();
  const std::vector<int64_t> ids = targets.to_vector<int64_t>();
  // The rows that count, and where the targets' logits lie among them.
  std::vector<int64_t> counted, picked;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t target = ids[static_cast<size_t>(row)];
    if (target == ignore_index) continue;
    picked.push_back(static_cast<int64_t>(counted.size()) * n_vocab + target);
    counted.push_back(row);
  }
  CrossEntropyResult result;
  const auto n_targets = static_cast<int64_t>(counted.size());
  const Device device = logits.device();
  result.n_targets = Tensor::from(std::vector<int64_t>{n_targets}, {}).to(device);
  const Shape n{n_targets};
  const Tensor all = widened(reshape(logits, {rows, n_vocab}));
  const Tensor x = embedding(Tensor::from(counted, n).to(device), all);
  const Tensor z = softcap(x, soft_cap);
  const Tensor shifted = sub(z, max(z, -1, true).detach());  // cancels, so it needs no gradient
  const Tensor log_sum = log(sum(exp(shifted), -1));
  const Tensor at_target =
      embedding(Tensor::from(picked, n).to(device), reshape(shifted, {n_targets * n_vocab, 1}));
  const Tensor total = sum(sub(log_sum, reshape(at_target, n)));
  result.loss = scale(total, 1.0 / static_cast<double>(n_targets == 0 ? 1 : n_targets));
  return result;
}

}  // namespace xlstm::ops
