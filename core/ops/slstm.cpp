#include "core/ops/slstm.h"

#include "core/autograd.h"
#include "core/checked_size.h"
#include "core/kernel_variant.h"
#include "core/op_info.h"
#include "core/ops/kernel_call.h"
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

// What the backward pass needs of one forward call.
struct Kept {
  Sizes s;
  SlstmOptions options;
  xlstm_dtype dtype;
  autograd::Saved R, h_init, c_init, n_init, reset, h, saved;
  bool want_wx, want_R, want_bias, want_h, want_c, want_n, want_m;
};

// Gradients of wx, R, bias, h0, c0, n0, m0 from those of h and the final h, c, n.
Tensors backward(const Kept& k, const Tensors& grads) {
  const Tensor R = k.R.get(), h_init = k.h_init.get(), c_init = k.c_init.get(),
               n_init = k.n_init.get(), reset = k.reset.get(), h = k.h.get(), saved = k.saved.get();
  const Tensor dh = dense_last(grads[0]), dh_final = dense(grads[1]), dc_final = dense(grads[2]),
               dn_final = dense(grads[3]);
  const Shape state{k.s.B, k.s.H, k.s.D};
  const auto make = [&](bool wanted, const Shape& shape, DType dtype) {
    return wanted ? Tensor::empty(shape, dtype, h.device()) : Tensor{};
  };
  const DType wide = wide_type(h.dtype());
  const Tensor dwx = make(k.want_wx, {k.s.B, k.s.T, 4, k.s.H, k.s.D}, h.dtype());
  const Tensor dR = make(k.want_R, R.shape(), R.dtype()),
               dbias = make(k.want_bias, {k.s.H, 4, k.s.D}, R.dtype());
  const Tensor dh_init = make(k.want_h, state, wide), dc_init = make(k.want_c, state, wide),
               dn_init = make(k.want_n, state, wide), dm_init = make(k.want_m, state, wide);
  xlstm_slstm_bwd_args a{};
  a.dtype = k.dtype;
  a.weight_dtype = kernel_dtype(R.dtype());
  a.B = k.s.B, a.T = k.s.T, a.H = k.s.H, a.D = k.s.D;
  a.R = R.raw();
  a.h_init = raw_or_null(h_init);
  a.c_init = raw_or_null(c_init);
  a.n_init = raw_or_null(n_init);
  a.reset = static_cast<const uint8_t*>(raw_or_null(reset));
  a.h = h.raw();
  a.h_stride_b = h.stride(0), a.h_stride_t = h.stride(1), a.h_stride_h = h.stride(2);
  a.saved = saved.raw();
  a.recurrent_clip = k.options.recurrent_clip;
  a.recurrent_cut = k.options.recurrent_cut ? 1 : 0;
  a.dh = raw_or_null(dh);
  if (dh.defined())
    a.dh_stride_b = dh.stride(0), a.dh_stride_t = dh.stride(1), a.dh_stride_h = dh.stride(2);
  a.dh_final = raw_or_null(dh_final);
  a.dc_final = raw_or_null(dc_final);
  a.dn_final = raw_or_null(dn_final);
  a.dwx = raw_or_null(dwx);
  if (dwx.defined()) {
    a.dwx_stride_b = dwx.stride(0), a.dwx_stride_t = dwx.stride(1);
    a.dwx_stride_g = dwx.stride(2), a.dwx_stride_h = dwx.stride(3);
  }
  a.dR = raw_or_null(dR);
  a.dbias = raw_or_null(dbias);
  a.dh_init = raw_or_null(dh_init);
  a.dc_init = raw_or_null(dc_init);
  a.dn_init = raw_or_null(dn_init);
  a.dm_init = raw_or_null(dm_init);
  run(Kernel{xlstm_slstm_bwd_cpu, xlstm_slstm_bwd_cuda, xlstm_slstm_bwd_workspace_cpu,
             xlstm_slstm_bwd_workspace_cuda, xlstm_slstm_bwd_variant_cuda},
      a, h.device());
  return {dwx, dR, dbias, dh_init, dc_init, dn_init, dm_init};
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
  const xlstm_dtype dtype = kernel_dtype(wx.dtype());
  const Tensor x = dense_last(wx), weight = dense(R), b = dense(bias), marks = dense(reset);
  const Tensor h0 = dense(initial.h), c0 = dense(initial.c), n0 = dense(initial.n),
               m0 = dense(initial.m);
  const Shape state{s.B, s.H, s.D};
  SlstmResult out{Tensor::empty({s.B, s.T, s.H, s.D}, wx.dtype(), wx.device()),
                  {Tensor::empty(state, wide_type(wx.dtype()), wx.device()),
                   Tensor::empty(state, wide_type(wx.dtype()), wx.device()),
                   Tensor::empty(state, wide_type(wx.dtype()), wx.device()),
                   Tensor::empty(state, wide_type(wx.dtype()), wx.device())}};
  Tensor saved;
  if (record)
    saved = Tensor::empty(
        {(wx.device() == kCpu ? xlstm_slstm_saved_bytes_cpu : xlstm_slstm_saved_bytes_cuda)(
            dtype, s.B, s.T, s.H, s.D)},
        DType::u8, wx.device());

  xlstm_slstm_fwd_args a{};
  a.dtype = dtype;
  a.weight_dtype = kernel_dtype(weight.dtype());
  a.B = s.B, a.T = s.T, a.H = s.H, a.D = s.D;
  a.wx = x.raw();
  a.wx_stride_b = x.stride(0), a.wx_stride_t = x.stride(1);
  a.wx_stride_g = x.stride(2), a.wx_stride_h = x.stride(3);
  a.R = weight.raw();
  a.bias = raw_or_null(b);
  a.h_init = raw_or_null(h0), a.c_init = raw_or_null(c0);
  a.n_init = raw_or_null(n0), a.m_init = raw_or_null(m0);
  a.reset = static_cast<const uint8_t*>(raw_or_null(marks));
  a.forward_clip = options.forward_clip;
  a.h = out.h.raw();
  a.h_stride_b = out.h.stride(0), a.h_stride_t = out.h.stride(1), a.h_stride_h = out.h.stride(2);
  a.h_final = out.final_state.h.raw(), a.c_final = out.final_state.c.raw();
  a.n_final = out.final_state.n.raw(), a.m_final = out.final_state.m.raw();
  a.saved = raw_or_null(saved);
  run(Kernel{xlstm_slstm_fwd_cpu, xlstm_slstm_fwd_cuda, xlstm_slstm_fwd_workspace_cpu,
             xlstm_slstm_fwd_workspace_cuda, xlstm_slstm_fwd_variant_cuda},
      a, wx.device());

  if (record) {
    const auto keep = [](const Tensor& t) { return autograd::Saved(t, kOp); };
    const Kept kept{s,
                    options,
                    dtype,
                    keep(weight),
                    keep(h0),
                    keep(c0),
                    keep(n0),
                    keep(marks),
                    keep(out.h),
                    keep(saved),
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
