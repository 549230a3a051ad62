#include "core/autograd.h"
#include "core/ops/composed.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/slstm.h"
#include "core/ops/view.h"

namespace xlstm::ops {
namespace {

Tensor minimum(const Tensor& a, const Tensor& b) {
  return neg(maximum(neg(a), neg(b)));
}

// x between -bound and bound.
Tensor clamped(const Tensor& x, double bound) {
  const Tensor high = Tensor::full({}, bound, x.dtype(), x.device());
  return maximum(minimum(x, high), neg(high));
}

// The value of `y` with the gradient of `x`.
Tensor straight_through(const Tensor& x, const Tensor& y) {
  return add(x, sub(y.detach(), x.detach()));
}

// x, whose gradient is clamped to +- bound.
Tensor with_clipped_gradient(const Tensor& x, double bound) {
  if (bound <= 0) return x;
  const Tensor y = x.detach();
  if (autograd::must_record({x})) {
    autograd::record("clip_gradient", {x}, {y}, [bound](const Tensors& g) {
      return Tensors{g[0].defined() ? clamped(g[0], bound) : Tensor{}};
    });
  }
  return y;
}

// x, whose gradient is rounded as memory of type `dtype` would hold it.
Tensor with_stored_gradient(const Tensor& x, DType dtype) {
  if (dtype == x.dtype()) return x;
  const Tensor y = x.detach();
  if (autograd::must_record({x})) {
    autograd::record("stored_gradient", {x}, {y}, [dtype](const Tensors& g) {
      return Tensors{g[0].defined() ? stored(g[0], dtype) : Tensor{}};
    });
  }
  return y;
}

// 1 where x is 0, else 0: max(0, 1 - |x| / (less than any number but 0)).
Tensor is_zero(const Tensor& x) {
  const double huge = x.dtype() == DType::f64 ? 1e300 : 1e38;
  const Tensor far = scale(scale(abs(x.detach()), huge), huge);
  return maximum(add_scalar(neg(far), 1), Tensor::zeros({}, x.dtype(), x.device()));
}

Tensor or_zeros(const Tensor& t, const Shape& shape, DType dtype, Device device) {
  return t.defined() ? t : Tensor::zeros(shape, dtype, device);
}

// One step of all rows. g: the four pre-activations [B, H, D]; `s` is replaced by the next state.
void step(const Tensors& g, SlstmState& s) {
  const Tensor l = add(s.m, log_sigmoid(g[1]));
  const Tensor fresh = is_zero(s.n);
  // m_t = g_i where fresh, else the larger: a number without gradient.
  const Tensor larger = maximum(g[0].detach(), l.detach());
  s.m = add(mul(fresh, g[0].detach()), mul(add_scalar(neg(fresh), 1), larger));
  const Tensor i = exp(sub(g[0], s.m));
  // On a fresh unit l may exceed m; f' is cut at 1 there.
  const Tensor d = sub(l, s.m), zero = Tensor::zeros({}, l.dtype(), l.device());
  const Tensor f = exp(straight_through(d, minimum(d.detach(), zero)));
  s.c = add(mul(f, s.c), mul(i, tanh(g[2])));
  s.n = add(mul(f, s.n), i);
  s.h = mul(sigmoid(g[3]), div(s.c, s.n));
}

}  // namespace

SlstmResult slstm_composed(const Tensor& wx, const Tensor& R, const Tensor& bias,
                           const SlstmState& initial, const Tensor& reset,
                           const SlstmOptions& options) {
  const int64_t B = wx.size(0), T = wx.size(1), H = wx.size(3), D = wx.size(4);
  const DType dtype = wx.dtype(), wide = wide_type(dtype);
  const Device device = wx.device();
  const Shape shape{B, H, D};
  const auto state_of = [&](const Tensor& t) { return or_zeros(t, shape, wide, device); };
  SlstmState s{state_of(initial.h), state_of(initial.c), state_of(initial.n), state_of(initial.m)};
  // m is a constant in every gradient, but (c, n) at scale m: their product with e^{m - m} has the
  // same value, and gives the initial m what the scale law says.
  const Tensor unit = exp(sub(s.m, s.m.detach()));
  s.c = mul(s.c, unit);
  s.n = mul(s.n, unit);
  s.m = s.m.detach();
  if (T == 0) return {Tensor::zeros({B, 0, H, D}, dtype, device), s};
  const Tensor keep =
      reset.defined() ? is_zero(cast(reset, wide)) : Tensor::full({B, T}, 1, wide, device);
  const Tensor inputs = widened(wx), biases = widened(bias);
  const Tensor weight = reshape(stored(widened(R), dtype), {H, D, 4 * D});
  Tensors hs;
  for (int64_t t = 0; t < T; ++t) {
    const Tensor kept = reshape(select(keep, 1, t), {B, 1, 1});
    for (Tensor* state : {&s.h, &s.c, &s.n, &s.m}) *state = mul(*state, kept);
    const Tensor h = permute(options.recurrent_cut ? s.h.detach() : s.h, {1, 0, 2});
    // Products read h and, backward, the gradients of the gates as memory holds them.
    const Tensor product = with_stored_gradient(matmul(stored(h, dtype), weight), dtype);
    const Tensor recurrent = reshape(product, {H, B, 4, D});
    Tensor g = add(permute(select(inputs, 1, t), {1, 2, 0, 3}), permute(recurrent, {2, 0, 1, 3}));
    if (bias.defined()) g = add(g, unsqueeze(permute(biases, {1, 0, 2}), 2));
    Tensors gates;
    for (int64_t gate = 0; gate < 4; ++gate)
      gates.push_back(permute(select(g, 0, gate), {1, 0, 2}));
    step(gates, s);
    if (options.forward_clip > 0)
      s.h = straight_through(s.h, clamped(s.h.detach(), options.forward_clip));
    hs.push_back(s.h);
    s.h = with_clipped_gradient(s.h, options.recurrent_clip);
  }
  return {cast(stack(hs, 1), dtype), s};
}

}  // namespace xlstm::ops
