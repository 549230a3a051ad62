#include <algorithm>

#include "core/ops/causal_conv1d.h"
#include "core/ops/composed.h"
#include "core/ops/elementwise.h"
#include "core/ops/view.h"

namespace xlstm::ops {
namespace {

// [B, n, 1]: 1 where the input `back` steps before position `from + t` is in its document.
Tensor visible(const Tensor& reset, int64_t n, int64_t from, int64_t back, DType dtype) {
  const int64_t B = reset.size(0), T = reset.size(1);
  const std::vector<uint8_t> marks = reset.to_vector<uint8_t>();
  std::vector<double> out;
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t t = from; t < from + n; ++t) {
      bool seen = true;
      for (int64_t s = std::max<int64_t>(0, t - back + 1); s <= std::min(t, T - 1); ++s)
        seen = seen && marks[static_cast<size_t>(b * T + s)] == 0;
      out.push_back(seen ? 1 : 0);
    }
  }
  return cast(Tensor::from(out, {B, n, 1}), dtype).to(reset.device());
}

}  // namespace

CausalConv1dResult causal_conv1d_composed(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                          const Tensor& initial_state, const Tensor& reset,
                                          bool silu) {
  const int64_t B = x.size(0), T = x.size(1), C = x.size(2), KS = weight.size(2);
  const DType dtype = x.dtype(), wide = wide_type(dtype);
  const Device device = x.device();
  const Tensor state =
      initial_state.defined() ? initial_state : Tensor::zeros({B, KS - 1, C}, dtype, device);
  const Tensor marks = reset.defined() ? reset : Tensor::zeros({B, T}, DType::u8, device);
  const Tensor line = widened(concat({state, x}, 1)), taps = widened(weight);
  Tensor y = bias.defined() ? widened(bias) : Tensor::zeros({C}, wide, device);
  for (int64_t j = 0; j < KS; ++j) {
    const Tensor tap = reshape(select(taps, 2, j), {C});
    const Tensor seen = mul(slice(line, 1, j, j + T), visible(marks, T, 0, KS - 1 - j, wide));
    y = add(y, mul(tap, seen));
  }
  if (silu) y = mul(y, sigmoid(y));
  // The final state is what the step after the last would see, document by document.
  Tensors kept;
  for (int64_t s = 0; s < KS - 1; ++s)
    kept.push_back(mul(slice(line, 1, T + s, T + s + 1), visible(marks, 1, T, KS - 1 - s, wide)));
  return {cast(y, dtype),
          kept.empty() ? Tensor::zeros({B, 0, C}, dtype, device) : cast(concat(kept, 1), dtype)};
}

}  // namespace xlstm::ops
