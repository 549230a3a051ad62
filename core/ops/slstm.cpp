#include "core/ops/slstm.h"

#include <algorithm>

#include "core/autograd.h"
#include "core/grad_accumulate.h"
#include "core/kernel_variant.h"
#include "core/op_info.h"
#include "core/ops/kernel_call.h"
#include "core/ops/view.h"
#include "kernels/slstm/slstm.h"

namespace xlstm::ops {
namespace {

constexpr const char* kOp = "slstm";

struct Sizes {
  int64_t B, T, H, D;
};

Sizes check(const Tensor& wx, const Tensor& R, const Tensor& bias, const SlstmState& initial,
            const Tensor& reset, const SlstmOptions& options) {
  require<ShapeError>(wx.defined() && R.defined(), kOp, ": wx and R are required");
  require<ShapeError>(wx.dim() == 5 && wx.size(2) == 4, kOp, ": wrong shape of wx, got ",
                      to_string(wx.shape()), ", expected [B, T, 4, H, D]");
  const Sizes s{wx.size(0), wx.size(1), wx.size(3), wx.size(4)};
  const DType dtype = wx.dtype();
  require_weight(R, {s.H, s.D, 4, s.D}, dtype, kOp, "R ([H, D_in, 4, D_out])");
  require_weight(bias, {s.H, 4, s.D}, R.dtype(), kOp, "bias");
  const Shape state{s.B, s.H, s.D};
  require_like(initial.h, state, wide_type(dtype), kOp, "initial h");
  require_like(initial.c, state, wide_type(dtype), kOp, "initial c");
  require_like(initial.n, state, wide_type(dtype), kOp, "initial n");
  require_like(initial.m, state, wide_type(dtype), kOp, "initial m");
  require_reset(reset, s.B, s.T, kOp);
  require<ConfigError>(options.recurrent_clip >= 0, kOp, ": bad recurrent_clip, got ",
                       options.recurrent_clip, ", expected a number >= 0 (0 means no clip)");
  require<ConfigError>(options.forward_clip >= 0, kOp, ": bad forward_clip, got ",
                       options.forward_clip, ", expected a number >= 0 (0 means no clip)");
  require<ConfigError>(options.recompute_steps >= 0, kOp, ": bad recompute_steps, got ",
                       options.recompute_steps,
                       ", expected a number >= 0 (0 means nothing is recomputed)");
  return s;
}

// Runs the kernel, the variant that was asked for if one was.
template <class Args>
void run(const Kernel<Args>& kernel, Args& args, Device device) {
  static const KernelSwitch kernel_switch(kOp);
  const KernelVariant* asked = kernel_switch.asked(device);
  if (asked != nullptr) args.variant = asked->id;
  run_variant(kernel, args, device, kOp, kernel_switch, [&] {
    return detail::concat("D ", args.D, " in ", args.dtype == XLSTM_F32 ? 32 : 16, " bits");
  });
}

// What the kernels read of a call or of a stretch of its time, laid out for them.
struct Inputs {
  Tensor wx, R, bias;
  SlstmState initial;
  Tensor reset;
};

// Gradients of the inputs; an undefined one is not wanted.
struct InputGradients {
  Tensor wx, R, bias;
  SlstmState initial;
};

// What the backward kernel reads of `steps` steps.
Tensor new_saved(const Sizes& s, int64_t steps, DType dtype, Device device) {
  const auto bytes = device == kCpu ? xlstm_slstm_saved_bytes_cpu : xlstm_slstm_saved_bytes_cuda;
  return Tensor::empty({bytes(kernel_dtype(dtype), s.B, steps, s.H, s.D)}, DType::u8, device);
}

// Writes into the memory of `out`, whose final state may be undefined, and of `saved` if that is
// defined.
void run_forward(const Inputs& in, double forward_clip, const SlstmResult& out,
                 const Tensor& saved) {
  const Tensor& x = in.wx;
  xlstm_slstm_fwd_args a{};
  a.dtype = kernel_dtype(x.dtype());
  a.weight_dtype = kernel_dtype(in.R.dtype());
  a.B = x.size(0), a.T = x.size(1), a.H = x.size(3), a.D = x.size(4);
  a.wx = x.raw();
  a.wx_stride_b = x.stride(0), a.wx_stride_t = x.stride(1);
  a.wx_stride_g = x.stride(2), a.wx_stride_h = x.stride(3);
  a.R = in.R.raw();
  a.bias = raw_or_null(in.bias);
  a.h_init = raw_or_null(in.initial.h), a.c_init = raw_or_null(in.initial.c);
  a.n_init = raw_or_null(in.initial.n), a.m_init = raw_or_null(in.initial.m);
  a.reset = static_cast<const uint8_t*>(raw_or_null(in.reset));
  a.forward_clip = forward_clip;
  a.h = out.h.raw();
  a.h_stride_b = out.h.stride(0), a.h_stride_t = out.h.stride(1), a.h_stride_h = out.h.stride(2);
  a.h_final = raw_or_null(out.final_state.h), a.c_final = raw_or_null(out.final_state.c);
  a.n_final = raw_or_null(out.final_state.n), a.m_final = raw_or_null(out.final_state.m);
  a.saved = raw_or_null(saved);
  run(Kernel{xlstm_slstm_fwd_cpu, xlstm_slstm_fwd_cuda, xlstm_slstm_fwd_workspace_cpu,
             xlstm_slstm_fwd_workspace_cuda, xlstm_slstm_fwd_variant_cuda},
      a, x.device());
}

// From the gradients `given` of the results into the memory of `out`. wx, bias and the initial m
// are not read.
void run_backward(const Inputs& in, const SlstmOptions& options, const Tensor& h,
                  const Tensor& saved, const SlstmResult& given, const InputGradients& out) {
  const Tensor &dh = given.h, &dwx = out.wx;
  xlstm_slstm_bwd_args a{};
  a.dtype = kernel_dtype(h.dtype());
  a.weight_dtype = kernel_dtype(in.R.dtype());
  a.B = h.size(0), a.T = h.size(1), a.H = h.size(2), a.D = h.size(3);
  a.R = in.R.raw();
  a.h_init = raw_or_null(in.initial.h);
  a.c_init = raw_or_null(in.initial.c);
  a.n_init = raw_or_null(in.initial.n);
  a.reset = static_cast<const uint8_t*>(raw_or_null(in.reset));
  a.h = h.raw();
  a.h_stride_b = h.stride(0), a.h_stride_t = h.stride(1), a.h_stride_h = h.stride(2);
  a.saved = saved.raw();
  a.recurrent_clip = options.recurrent_clip;
  a.recurrent_cut = options.recurrent_cut ? 1 : 0;
  a.dh = raw_or_null(dh);
  if (dh.defined())
    a.dh_stride_b = dh.stride(0), a.dh_stride_t = dh.stride(1), a.dh_stride_h = dh.stride(2);
  a.dh_final = raw_or_null(given.final_state.h);
  a.dc_final = raw_or_null(given.final_state.c);
  a.dn_final = raw_or_null(given.final_state.n);
  a.dwx = raw_or_null(dwx);
  if (dwx.defined()) {
    a.dwx_stride_b = dwx.stride(0), a.dwx_stride_t = dwx.stride(1);
    a.dwx_stride_g = dwx.stride(2), a.dwx_stride_h = dwx.stride(3);
  }
  a.dR = raw_or_null(out.R);
  a.dbias = raw_or_null(out.bias);
  a.dh_init = raw_or_null(out.initial.h);
  a.dc_init = raw_or_null(out.initial.c);
  a.dn_init = raw_or_null(out.initial.n);
  a.dm_init = raw_or_null(out.initial.m);
  run(Kernel{xlstm_slstm_bwd_cpu, xlstm_slstm_bwd_cuda, xlstm_slstm_bwd_workspace_cpu,
             xlstm_slstm_bwd_workspace_cuda, xlstm_slstm_bwd_variant_cuda},
      a, h.device());
}

// T >= 1 steps in stretches of `length`, the last perhaps shorter.
struct Stretches {
  int64_t T, length;
  Stretches(int64_t n_steps, int64_t recompute_steps)
      : T(n_steps), length(std::min(n_steps, recompute_steps)) {}
  int64_t count() const { return (T - 1) / length + 1; }
  int64_t first(int64_t i) const { return i * length; }
  int64_t steps(int64_t i) const { return std::min(length, T - first(i)); }
  // Stretch i of [B, T, ...], where it lies; undefined stays so.
  Tensor of(const Tensor& t, int64_t i) const {
    if (!t.defined()) return t;
    Shape shape = t.shape();
    shape[1] = steps(i);
    return t.strided_view(shape, t.strides(), first(i) * t.stride(1));
  }
};

// The state before stretch i >= 1. starts: [stretches - 1, 4, B, H, D].
SlstmState state_before(const Tensor& starts, int64_t i) {
  const Shape shape(starts.shape().begin() + 2, starts.shape().end()),
      strides(starts.strides().begin() + 2, starts.strides().end());
  const auto state = [&](int64_t which) {
    return starts.strided_view(shape, strides,
                               (i - 1) * starts.stride(0) + which * starts.stride(1));
  };
  return {state(0), state(1), state(2), state(3)};
}

Inputs stretch_of(const Inputs& in, const Stretches& cut, int64_t i, const Tensor& starts) {
  return {cut.of(in.wx, i), in.R, in.bias, i == 0 ? in.initial : state_before(starts, i),
          dense(cut.of(in.reset, i))};
}

// The forward pass, stretch after stretch. Returns the states before them.
Tensor forward_by_stretches(const Inputs& in, const SlstmOptions& options, const SlstmResult& out) {
  const Stretches cut(in.wx.size(1), options.recompute_steps);
  const int64_t last = cut.count() - 1;
  Shape shape = out.final_state.h.shape();
  shape.insert(shape.begin(), {last, 4});
  const Tensor starts = Tensor::empty(shape, out.final_state.h.dtype(), out.h.device());
  for (int64_t i = 0; i <= last; ++i)
    run_forward(stretch_of(in, cut, i, starts), options.forward_clip,
                {cut.of(out.h, i), i == last ? out.final_state : state_before(starts, i + 1)}, {});
  return starts;
}

// What the backward pass needs of one forward call.
struct Kept {
  Sizes s;
  SlstmOptions options;
  autograd::Saved R, h_init, c_init, n_init, reset;
  autograd::Saved h, saved;                  // for the whole of it,
  autograd::Saved wx, bias, m_init, starts;  // or to repeat it by stretches
  bool want_wx, want_R, want_bias, want_h, want_c, want_n, want_m;

  Inputs inputs() const {
    return {wx.get(),
            R.get(),
            bias.get(),
            {h_init.get(), c_init.get(), n_init.get(), m_init.get()},
            reset.get()};
  }
};

Tensor new_if(bool wanted, const Shape& shape, DType dtype, Device device) {
  return wanted ? Tensor::empty(shape, dtype, device) : Tensor{};
}

// Memory for the gradients of wx and the initial state, as far as they are wanted.
InputGradients new_gradients(const Kept& k, DType dtype, Device device) {
  const Shape state{k.s.B, k.s.H, k.s.D};
  const DType wide = wide_type(dtype);
  return {new_if(k.want_wx, {k.s.B, k.s.T, 4, k.s.H, k.s.D}, dtype, device),
          {},
          {},
          {new_if(k.want_h, state, wide, device), new_if(k.want_c, state, wide, device),
           new_if(k.want_n, state, wide, device), new_if(k.want_m, state, wide, device)}};
}

// The same for those of R and bias, in the type of R.
void add_weights(InputGradients& to, const Kept& k, const Tensor& R) {
  to.R = new_if(k.want_R, R.shape(), R.dtype(), R.device());
  to.bias = new_if(k.want_bias, {k.s.H, 4, k.s.D}, R.dtype(), R.device());
}

InputGradients whole_backward(const Kept& k, const SlstmResult& given) {
  const Inputs in = k.inputs();
  const Tensor h = k.h.get();
  InputGradients out = new_gradients(k, h.dtype(), h.device());
  add_weights(out, k, in.R);
  run_backward(in, k.options, h, k.saved.get(), given, out);
  return out;
}

Tensor cast_if(const Tensor& t, DType dtype) {
  return t.defined() ? cast(t, dtype) : t;
}

void add_part(Tensor& sum, const Tensor& part) {
  sum = sum.defined() ? autograd::sum_of_gradients(std::move(sum), part) : part;
}

// From the last stretch to the first: its forward pass again, from the state kept before it, then
// its backward pass. What it finds for its initial state is what the stretch before is given.
InputGradients backward_by_stretches(const Kept& k, SlstmResult given) {
  Inputs in = k.inputs();
  const Tensor starts = k.starts.get(), dh = given.h;
  const DType dtype = in.wx.dtype(), wide = wide_type(dtype), weights = in.R.dtype();
  const Device device = in.wx.device();
  // So that the parts of their gradients are wide, and only the sum is rounded. The kernels see the
  // same numbers.
  in.R = cast(in.R, wide);
  in.bias = cast_if(in.bias, wide);
  const Stretches cut(k.s.T, k.options.recompute_steps);
  const Tensor h = Tensor::empty({k.s.B, cut.length, k.s.H, k.s.D}, dtype, device),
               saved = new_saved(k.s, cut.length, dtype, device);
  const Shape state{k.s.B, k.s.H, k.s.D};
  InputGradients out = new_gradients(k, dtype, device);
  for (int64_t i = cut.count() - 1; i >= 0; --i) {
    const Inputs stretch = stretch_of(in, cut, i, starts);
    const Tensor h_again = h.strided_view({k.s.B, cut.steps(i), k.s.H, k.s.D}, h.strides());
    run_forward(stretch, k.options.forward_clip, {h_again, {}}, saved);
    InputGradients part{cut.of(out.wx, i), {}, {}, out.initial};
    if (i > 0)
      part.initial = {Tensor::empty(state, wide, device),
                      Tensor::empty(state, wide, device),
                      Tensor::empty(state, wide, device),
                      {}};
    add_weights(part, k, in.R);
    given.h = cut.of(dh, i);
    run_backward(stretch, k.options, h_again, saved, given, part);
    add_part(out.R, part.R);
    add_part(out.bias, part.bias);
    given.final_state = part.initial;
  }
  out.R = cast_if(out.R, weights);
  out.bias = cast_if(out.bias, weights);
  return out;
}

bool keeps_stretches(const SlstmOptions& options, const Sizes& s) {
  return options.recompute_steps > 0 && s.T > 0;
}

// Gradients of wx, R, bias, h0, c0, n0, m0 from those of h and the final h, c, n.
Tensors backward(const Kept& k, const Tensors& grads) {
  const SlstmResult given{dense_last(grads[0]),
                          {dense(grads[1]), dense(grads[2]), dense(grads[3]), {}}};
  const auto [wx, R, bias, initial] =
      keeps_stretches(k.options, k.s) ? backward_by_stretches(k, given) : whole_backward(k, given);
  return {wx, R, bias, initial.h, initial.c, initial.n, initial.m};
}

}  // namespace

SlstmResult slstm(const Tensor& wx, const Tensor& given_R, const Tensor& given_bias,
                  const SlstmState& initial, const Tensor& reset, const SlstmOptions& options) {
  const OpScope scope(kOp,
                      {wx, given_R, given_bias, initial.h, initial.c, initial.n, initial.m, reset});
  const Sizes s = check(wx, given_R, given_bias, initial, reset, options);
  const Tensor R = beside(given_R, wx.dtype()), bias = beside(given_bias, wx.dtype());
  if (force_reference()) return slstm_composed(wx, R, bias, initial, reset, options);
  const Tensors inputs{wx, R, bias, initial.h, initial.c, initial.n, initial.m};
  const bool record = autograd::must_record(inputs);
  const Inputs in{dense_last(wx),
                  dense(R),
                  dense(bias),
                  {dense(initial.h), dense(initial.c), dense(initial.n), dense(initial.m)},
                  dense(reset)};
  const Shape state{s.B, s.H, s.D};
  SlstmResult out{Tensor::empty({s.B, s.T, s.H, s.D}, wx.dtype(), wx.device()),
                  {Tensor::empty(state, wide_type(wx.dtype()), wx.device()),
                   Tensor::empty(state, wide_type(wx.dtype()), wx.device()),
                   Tensor::empty(state, wide_type(wx.dtype()), wx.device()),
                   Tensor::empty(state, wide_type(wx.dtype()), wx.device())}};
  const bool by_stretches = record && keeps_stretches(options, s);
  Tensor saved, starts;
  if (by_stretches) {
    starts = forward_by_stretches(in, options, out);
  } else {
    if (record) saved = new_saved(s, s.T, wx.dtype(), wx.device());
    run_forward(in, options.forward_clip, out, saved);
  }

  if (record) {
    const auto keep = [](const Tensor& t) { return autograd::Saved(t, kOp); };
    const auto keep_if = [&](bool needed, const Tensor& t) { return keep(needed ? t : Tensor{}); };
    const Kept kept{s,
                    options,
                    keep(in.R),
                    keep(in.initial.h),
                    keep(in.initial.c),
                    keep(in.initial.n),
                    keep(in.reset),
                    keep_if(!by_stretches, out.h),
                    keep(saved),
                    keep_if(by_stretches, in.wx),
                    keep_if(by_stretches, in.bias),
                    keep_if(by_stretches, in.initial.m),
                    keep(starts),
                    wx.requires_grad(),
                    R.requires_grad(),
                    bias.requires_grad(),
                    initial.h.requires_grad(),
                    initial.c.requires_grad(),
                    initial.n.requires_grad(),
                    initial.m.requires_grad()};
    autograd::record(
        kOp, inputs,
        {out.h, out.final_state.h, out.final_state.c, out.final_state.n, out.final_state.m},
        [kept](const Tensors& grads) { return backward(kept, grads); });
  }
  return out;
}

}  // namespace xlstm::ops
