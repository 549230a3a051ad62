#include "core/ops/slstm_decode.h"

#include <algorithm>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/causal_conv1d.h"
#include "core/ops/headwise_linear.h"
#include "core/ops/kernel_call.h"
#include "core/ops/view.h"
#include "kernels/slstm/slstm_decode.h"

namespace xlstm::ops {
namespace {

constexpr const char* kOp = "slstm_decode";

struct Sizes {
  int64_t B, H, D, KS;
};

Tensors parameters_of(const SlstmLayerWeights& w) {
  return {w.conv, w.conv_bias, w.i, w.f, w.z, w.o, w.R, w.bias};
}

Sizes check(const Tensor& x, const SlstmLayerWeights& w, const Tensor& conv,
            const SlstmState& initial, const SlstmOptions& options) {
  require<ShapeError>(x.defined() && w.i.defined() && w.f.defined() && w.z.defined() &&
                          w.o.defined() && w.R.defined(),
                      kOp, ": x, the weights of the gates and R are required");
  require<ShapeError>(w.R.dim() == 4, kOp, ": wrong shape of R, got ", to_string(w.R.shape()),
                      ", expected [H, D_in, 4, D_out]");
  require<ShapeError>(!w.conv.defined() || (w.conv.dim() == 3 && w.conv.size(2) >= 1), kOp,
                      ": wrong shape of the convolution's weight, expected [H*D, 1, KS] with KS "
                      ">= 1");
  const int64_t H = w.R.size(0), D = w.R.size(1);
  require<ShapeError>(x.dim() == 2 && x.size(1) == H * D, kOp, ": wrong shape of x, got ",
                      to_string(x.shape()), ", expected [B, ", H * D, "] for ", H,
                      " heads of width ", D);
  const Sizes s{x.size(0), H, D, w.conv.defined() ? w.conv.size(2) : 0};
  const DType dtype = x.dtype();
  require_weight(w.R, {H, D, 4, D}, dtype, kOp, "R ([H, D_in, 4, D_out])");
  require_weight(w.bias, {H, 4, D}, dtype, kOp, "bias");
  for (const Tensor& gate : {w.i, w.f, w.z, w.o})
    require_weight(gate, {H, D, D}, dtype, kOp, "a gate's weight");
  const Shape state{s.B, H, D};
  require_like(initial.h, state, wide_type(dtype), kOp, "initial h");
  require_like(initial.c, state, wide_type(dtype), kOp, "initial c");
  require_like(initial.n, state, wide_type(dtype), kOp, "initial n");
  require_like(initial.m, state, wide_type(dtype), kOp, "initial m");
  require<ConfigError>(options.forward_clip >= 0, kOp, ": bad forward_clip, got ",
                       options.forward_clip, ", expected a number >= 0 (0 means no clip)");
  if (s.KS == 0) return s;
  require_weight(w.conv, {H * D, 1, s.KS}, dtype, kOp, "the convolution's weight");
  require_weight(w.conv_bias, {H * D}, dtype, kOp, "the convolution's bias");
  require_like(conv, {s.B, s.KS - 1, H * D}, dtype, kOp, "the convolution's state");
  return s;
}

bool of_one_type(const Tensors& tensors, DType dtype) {
  return std::all_of(tensors.begin(), tensors.end(),
                     [&](const Tensor& t) { return !t.defined() || t.dtype() == dtype; });
}

// Parameters as parameters_of has them, of one type.
SlstmDecodeResult run_fused(const Sizes& s, const Tensor& x, const Tensors& parameters,
                            const Tensor& conv, const SlstmState& initial, double forward_clip,
                            bool in_place) {
  const DType dtype = x.dtype(), wide = wide_type(dtype);
  const Device device = x.device();
  Tensors w;
  for (const Tensor& parameter : parameters) w.push_back(dense(parameter));
  const Tensor input = dense(x), conv_init = dense(conv), h = dense(initial.h),
               c = dense(initial.c), n = dense(initial.n), m = dense(initial.m);
  const Shape state{s.B, s.H, s.D};
  const auto next = [&](const Tensor& before) {
    const bool here = in_place && before.defined() && before.is_contiguous();
    return here ? before : Tensor::empty(state, wide, device);
  };
  SlstmDecodeResult out{
      Tensor::empty(x.shape(), dtype, device),
      s.KS > 0 ? Tensor::empty({s.B, s.KS - 1, s.H * s.D}, dtype, device) : Tensor{},
      {Tensor::empty(state, wide, device), next(initial.c), next(initial.n), next(initial.m)}};
  xlstm_slstm_decode_args a{};
  a.dtype = kernel_dtype(dtype);
  a.weight_dtype = kernel_dtype(w[2].dtype());
  a.B = s.B, a.H = s.H, a.D = s.D, a.KS = s.KS;
  a.x = input.raw();
  a.conv_weight = raw_or_null(w[0]), a.conv_bias = raw_or_null(w[1]);
  a.conv_init = raw_or_null(conv_init);
  for (size_t gate = 0; gate < 4; ++gate) a.W[gate] = w[2 + gate].raw();
  a.R = w[6].raw(), a.bias = raw_or_null(w[7]);
  a.h_init = raw_or_null(h), a.c_init = raw_or_null(c);
  a.n_init = raw_or_null(n), a.m_init = raw_or_null(m);
  a.forward_clip = forward_clip;
  a.h = out.h.raw();
  a.conv_final = raw_or_null(out.conv);
  a.h_final = out.final_state.h.raw(), a.c_final = out.final_state.c.raw();
  a.n_final = out.final_state.n.raw(), a.m_final = out.final_state.m.raw();
  // The CPU has no such kernel: nothing comes here from there.
  run_kernel(Kernel<xlstm_slstm_decode_args>{nullptr, xlstm_slstm_decode_cuda}, a, device, kOp);
  for (Tensor* written : {&out.final_state.c, &out.final_state.n, &out.final_state.m})
    written->bump_version();
  return out;
}

}  // namespace

SlstmDecodeResult slstm_decode(const Tensor& x, const SlstmLayerWeights& weights,
                               const Tensor& conv, const SlstmState& initial,
                               const SlstmOptions& options, bool in_place) {
  const Tensors given = parameters_of(weights);
  OpScope scope(kOp, {x, conv, initial.h, initial.c, initial.n, initial.m});
  scope.add(given);
  const Sizes s = check(x, weights, conv, initial, options);
  Tensors all = given;
  all.insert(all.end(), {x, conv, initial.h, initial.c, initial.n, initial.m});
  if (x.device() != kCpu && !force_reference() && !autograd::must_record(all)) {
    Tensors parameters;
    for (const Tensor& parameter : given) parameters.push_back(beside(parameter, x.dtype()));
    if (of_one_type(parameters, parameters[2].dtype()))
      return run_fused(s, x, parameters, conv, initial, options.forward_clip, in_place);
  }
  return slstm_decode_composed(x, weights, conv, initial, options);
}

SlstmDecodeResult slstm_decode_composed(const Tensor& x, const SlstmLayerWeights& w,
                                        const Tensor& conv, const SlstmState& initial,
                                        const SlstmOptions& options) {
  const int64_t B = x.size(0), H = w.R.size(0), D = w.R.size(1);
  const Tensor now = unsqueeze(x, 1);
  CausalConv1dResult u{now, {}};
  if (w.conv.defined()) u = causal_conv1d(now, w.conv, w.conv_bias, conv, {}, true);
  const Tensor g =
      headwise_linears({{u.y, w.i, {}}, {u.y, w.f, {}}, {now, w.z, {}}, {now, w.o, {}}});
  const SlstmResult cell = slstm(reshape(g, {B, 1, 4, H, D}), w.R, w.bias, initial, {}, options);
  return {reshape(cell.h, x.shape()), u.final_state, cell.final_state};
}

}  // namespace xlstm::ops
