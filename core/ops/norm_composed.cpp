#include <algorithm>

#include "core/ops/activation_composed.h"
#include "core/ops/composed.h"
#include "core/ops/elementwise.h"
#include "core/ops/norm.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"

namespace xlstm::ops {
namespace {

// Mean over the last dimension; of no features 0, where ops::mean would refuse.
Tensor feature_mean(const Tensor& x) {
  return scale(sum(x, -1, true), 1.0 / static_cast<double>(std::max<int64_t>(x.size(-1), 1)));
}

}  // namespace

Tensor norm_composed(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t n_heads,
                     double eps, NormScale norm_scale, bool subtract_mean) {
  Shape grouped = x.shape();
  grouped.back() = n_heads;
  grouped.push_back(x.size(-1) / n_heads);
  Tensor centred = reshape(widened(x), grouped);
  if (subtract_mean) centred = sub(centred, feature_mean(centred));
  const Tensor variance = feature_mean(square(centred));
  const Tensor xhat = reshape(div(centred, sqrt(add_scalar(variance, eps))), x.shape());
  const Tensor w = widened(weight);
  Tensor y = mul(xhat, norm_scale == NormScale::one_plus ? add_scalar(w, 1) : w);
  if (bias.defined()) y = add(y, widened(bias));
  return cast(y, x.dtype());
}

Tensor multi_head_norm_gated_composed(const Tensor& x, const NormGate& gate, const Tensor& weight,
                                      const Tensor& bias, int64_t n_heads, double eps,
                                      NormScale scale) {
  Tensor u = norm_composed(widened(x), weight, bias, n_heads, eps, scale, true);
  if (gate.skip.defined()) u = add(u, mul(widened(gate.skip), widened(gate.skip_weight)));
  return cast(gated_composed(widened(gate.gate), u, gate.activation), x.dtype());
}

}  // namespace xlstm::ops
