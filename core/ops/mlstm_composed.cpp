// The mLSTM from small ops, one step after the other: the meaning of `mlstm`.
#include <cmath>

#include "core/ops/composed.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/mlstm.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "kernels/mlstm/mlstm_cell.h"

namespace xlstm::ops {
namespace {

// [B, ...] with ones for the dimensions that x lacks at the right.
Tensor widen(const Tensor& x, int64_t rank) {
  Shape shape = x.shape();
  shape.resize(static_cast<size_t>(rank), 1);
  return reshape(x, shape);
}

// The state, and beside its stabiliser m the same with its gradient. In the state m is a constant,
// for it cancels; in eps it does not.
struct LiveState : MlstmState {
  Tensor live_m;
};

// The state times 0 where a document begins.
void forget_at_reset(LiveState& state, const Tensor& reset, int64_t t, double start_m) {
  const Tensor starts = cast(select(reset, 1, t), state.C.dtype());
  const Tensor keep = add_scalar(neg(starts), 1);
  state.C = mul(state.C, widen(keep, 4));
  state.n = mul(state.n, widen(keep, 3));
  const Tensor start = scale(widen(starts, 2), start_m);
  state.m = add(mul(state.m, widen(keep, 2)), start);
  state.live_m = add(mul(state.live_m, widen(keep, 2)), start);
}

struct StepInputs {
  Tensor q, k, v, i, f;  // [B, H, K], [B, H, V], [B, H], in the wide type
  DType dtype;           // in which products read and memory holds them
};

// Weights of the old state and of the new key. The stabiliser is a constant of the gradient but
// where the initial one scales the initial state.
struct StepWeights {
  Tensor forget, input;
};

StepWeights weights(const StepInputs& x, LiveState& state, const MlstmOptions& options) {
  const Tensor log_f = log_sigmoid(softcap(x.f, options.soft_cap));
  const Tensor i = softcap(x.i, options.soft_cap);
  if (options.input_gate == MlstmInputGate::sigmoid) return {exp(log_f), sigmoid(i)};
  const Tensor decayed = add(log_f, state.m);
  state.m = maximum(decayed.detach(), i.detach());
  state.live_m = maximum(add(log_f, state.live_m), i);
  return {exp(sub(decayed, state.m)), exp(sub(i, state.m))};
}

// h [B, H, V]; the state becomes that after the step.
Tensor step(const StepInputs& x, LiveState& state, const MlstmOptions& options) {
  const StepWeights w = weights(x, state, options);
  const Tensor key = stored(mul(unsqueeze(w.input, -1), x.k), x.dtype);
  state.C = add(mul(widen(w.forget, 4), state.C), mul(unsqueeze(key, -1), unsqueeze(x.v, -2)));
  const double query_scale = 1 / std::sqrt(static_cast<double>(x.q.size(-1)));
  const Tensor query = stored(scale(x.q, query_scale), x.dtype);
  const Tensor product = matmul(unsqueeze(query, -2), stored(state.C, x.dtype));
  const Tensor numerator = stored(squeeze(product, -2), x.dtype);
  if (!options.normalize) return numerator;
  state.n = add(mul(unsqueeze(w.forget, -1), state.n), key);
  const Tensor l = sum(mul(query, state.n), -1);
  const Tensor lowest =
      Tensor::full({}, -kernels::mlstm::kMaxFloorExponent, state.m.dtype(), state.m.device());
  const Tensor floor = exp(neg(maximum(state.m.detach(), lowest)));
  Tensor eps = Tensor::full({}, options.eps, l.dtype(), l.device());
  if (options.stabilizer_gradient) eps = mul(exp(sub(state.live_m, state.m.detach())), eps);
  Tensor denominator = add(maximum(abs(l), floor), eps);
  if (options.detach_normalizer) denominator = denominator.detach();
  return div(numerator, unsqueeze(denominator, -1));
}

}  // namespace

MlstmResult mlstm_composed(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& i,
                           const Tensor& f, const MlstmState& initial, const Tensor& reset,
                           const MlstmOptions& options) {
  const int64_t B = q.size(0), T = q.size(1), H = q.size(2), K = q.size(3), V = v.size(3);
  const DType dtype = q.dtype(), wide = wide_type(dtype);
  const Device device = q.device();
  const bool exponential = options.input_gate == MlstmInputGate::exponential;
  const Tensor wide_q = widened(q), wide_k = widened(k), wide_v = widened(v), wide_i = widened(i),
               wide_f = widened(f);
  LiveState state{initial, {}};
  if (!state.C.defined()) state.C = Tensor::zeros({B, H, K, V}, wide, device);
  if (!state.n.defined() || !options.normalize) state.n = Tensor::zeros({B, H, K}, wide, device);
  if (!state.m.defined() || !exponential)
    state.m = Tensor::full({B, H}, exponential ? options.start_m : 0, wide, device);
  state.live_m = state.m;
  Tensors hs;
  for (int64_t t = 0; t < T; ++t) {
    if (reset.defined()) forget_at_reset(state, reset, t, exponential ? options.start_m : 0);
    const StepInputs x{select(wide_q, 1, t), select(wide_k, 1, t), select(wide_v, 1, t),
                       select(wide_i, 1, t), select(wide_f, 1, t), dtype};
    hs.push_back(step(x, state, options));
  }
  if (T == 0) {
    // The initial m scales the state that it leaves unchanged.
    const Tensor unit = exp(sub(state.m, state.m.detach()));
    state.C = mul(state.C, widen(unit, 4));
    state.n = mul(state.n, widen(unit, 3));
  }
  state.m = state.m.detach();
  if (T == 0) return {Tensor::empty({B, 0, H, V}, dtype, device), state};
  return {cast(stack(hs, 1), dtype), state};
}

}  // namespace xlstm::ops
