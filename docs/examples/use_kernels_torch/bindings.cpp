// The C interface of the sLSTM and mLSTM kernels as functions on PyTorch tensors. It includes no
// CUDA header: PyTorch owns all memory, and xlstm_torch.py hands over the stream.
#include <torch/extension.h>

#include <optional>
#include <tuple>
#include <vector>

#include "kernels/mlstm/mlstm.h"
#include "kernels/slstm/slstm.h"

namespace {

using at::Tensor;
using MaybeTensor = std::optional<Tensor>;

xlstm_dtype dtype_of(const Tensor& t) {
  switch (t.scalar_type()) {
    case at::kFloat:
      return XLSTM_F32;
    case at::kDouble:
      return XLSTM_F64;
    case at::kBFloat16:
      return XLSTM_BF16;
    case at::kHalf:
      return XLSTM_F16;
    default:
      TORCH_CHECK(false, "element type ", t.scalar_type(), ", expected a floating-point type");
  }
}
// States are float64 for float64 and float32 for everything shorter.
at::TensorOptions state_options(const Tensor& like) {
  return like.options().dtype(like.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
}

// The kernels see raw pointers, so what they rely on is checked here: shape, device, element type.
Tensor checked(const char* name, const Tensor& t, at::IntArrayRef shape, at::TensorOptions like) {
  TORCH_CHECK(t.sizes() == shape, name, ": shape ", t.sizes(), ", expected ", shape);
  TORCH_CHECK(t.device() == like.device(), name, ": on ", t.device(), ", expected ", like.device());
  TORCH_CHECK(t.dtype() == like.dtype(), name, ": of type ", t.dtype(), ", expected ",
              like.dtype());
  return t.contiguous();
}
Tensor checked(const char* name, const MaybeTensor& t, at::IntArrayRef shape,
               at::TensorOptions like) {
  return t.has_value() ? checked(name, *t, shape, like) : Tensor();
}
void* raw(const Tensor& t) {
  return t.defined() ? t.data_ptr() : nullptr;
}
const uint8_t* reset_of(const Tensor& reset) {
  return static_cast<const uint8_t*>(raw(reset));
}

template <class Args>
struct Kernel {
  xlstm_status (*cpu)(const Args*, xlstm_exec);
  xlstm_status (*cuda)(const Args*, xlstm_exec);
  int64_t (*workspace_cpu)(const Args*);
  int64_t (*workspace_cuda)(const Args*);
};

// Runs a kernel where `like` lives, on the stream given as a number (CPU: not read).
template <class Args>
void run(const char* name, const Kernel<Args>& kernel, const Args& args, const Tensor& like,
         int64_t stream) {
  const bool on_gpu = like.is_cuda();
  xlstm_exec exec = {};
  exec.stream = reinterpret_cast<void*>(stream);
  exec.workspace_bytes = on_gpu ? kernel.workspace_cuda(&args) : kernel.workspace_cpu(&args);
  const Tensor workspace = at::empty({exec.workspace_bytes}, like.options().dtype(at::kByte));
  exec.workspace = raw(workspace);
  const xlstm_status status = on_gpu ? kernel.cuda(&args, exec) : kernel.cpu(&args, exec);
  TORCH_CHECK(status == XLSTM_OK, name, ": ", xlstm_status_string(status),
              status == XLSTM_DEVICE_ERROR ? ": " : "",
              status == XLSTM_DEVICE_ERROR ? xlstm_take_device_error() : "");
}

// ---- sLSTM ----

constexpr Kernel<xlstm_slstm_fwd_args> kSlstmForward = {xlstm_slstm_fwd_cpu, xlstm_slstm_fwd_cuda,
                                                        xlstm_slstm_fwd_workspace_cpu,
                                                        xlstm_slstm_fwd_workspace_cuda};
constexpr Kernel<xlstm_slstm_bwd_args> kSlstmBackward = {xlstm_slstm_bwd_cpu, xlstm_slstm_bwd_cuda,
                                                         xlstm_slstm_bwd_workspace_cpu,
                                                         xlstm_slstm_bwd_workspace_cuda};

// Returns h [B,T,H,D], the final h, c, n, m [B,H,D], and what the backward reads.
std::vector<Tensor> slstm_forward(const Tensor& wx_in, const Tensor& R_in, const Tensor& bias_in,
                                  const MaybeTensor& h_in, const MaybeTensor& c_in,
                                  const MaybeTensor& n_in, const MaybeTensor& m_in,
                                  const MaybeTensor& reset_in, int64_t stream) {
  TORCH_CHECK(wx_in.dim() == 5 && wx_in.size(2) == 4, "wx: shape ", wx_in.sizes(),
              ", expected [B, T, 4, H, D]");
  const int64_t B = wx_in.size(0), T = wx_in.size(1), H = wx_in.size(3), D = wx_in.size(4);
  const at::TensorOptions data = wx_in.options(), weights = data.dtype(R_in.dtype());
  const at::TensorOptions state = state_options(wx_in);
  const Tensor wx = wx_in.contiguous();
  const Tensor R = checked("R", R_in, {H, D, 4, D}, weights);
  const Tensor bias = checked("bias", bias_in, {H, 4, D}, weights);
  const Tensor h0 = checked("h", h_in, {B, H, D}, state), c0 = checked("c", c_in, {B, H, D}, state);
  const Tensor n0 = checked("n", n_in, {B, H, D}, state), m0 = checked("m", m_in, {B, H, D}, state);
  const Tensor reset = checked("reset", reset_in, {B, T}, data.dtype(at::kByte));
  const Tensor h = at::empty({B, T, H, D}, data);
  std::vector<Tensor> final_state;
  for (int i = 0; i < 4; ++i) final_state.push_back(at::empty({B, H, D}, state));
  const xlstm_dtype dtype = dtype_of(wx);
  const Tensor saved = at::empty({wx.is_cuda() ? xlstm_slstm_saved_bytes_cuda(dtype, B, T, H, D)
                                               : xlstm_slstm_saved_bytes_cpu(dtype, B, T, H, D)},
                                 data.dtype(at::kByte));

  xlstm_slstm_fwd_args a = {};
  a.dtype = dtype, a.weight_dtype = dtype_of(R);
  a.B = B, a.T = T, a.H = H, a.D = D;
  a.wx = raw(wx), a.R = raw(R), a.bias = raw(bias), a.reset = reset_of(reset);
  a.wx_stride_b = wx.stride(0), a.wx_stride_t = wx.stride(1);
  a.wx_stride_g = wx.stride(2), a.wx_stride_h = wx.stride(3);
  a.h_init = raw(h0), a.c_init = raw(c0), a.n_init = raw(n0), a.m_init = raw(m0);
  a.h = raw(h), a.saved = raw(saved);
  a.h_stride_b = h.stride(0), a.h_stride_t = h.stride(1), a.h_stride_h = h.stride(2);
  a.h_final = raw(final_state[0]), a.c_final = raw(final_state[1]);
  a.n_final = raw(final_state[2]), a.m_final = raw(final_state[3]);
  run("slstm", kSlstmForward, a, wx, stream);
  return {h, final_state[0], final_state[1], final_state[2], final_state[3], saved};
}

// Returns the gradients of wx, R, bias and the initial h, c, n, m. Gradients that come in may be
// None: zeros.
std::vector<Tensor> slstm_backward(const Tensor& R_in, const MaybeTensor& h_in,
                                   const MaybeTensor& c_in, const MaybeTensor& n_in,
                                   const MaybeTensor& reset_in, const Tensor& h,
                                   const Tensor& saved, const MaybeTensor& dh_in,
                                   const MaybeTensor& dh_final_in, const MaybeTensor& dc_final_in,
                                   const MaybeTensor& dn_final_in, int64_t stream) {
  const int64_t B = h.size(0), T = h.size(1), H = h.size(2), D = h.size(3);
  const at::TensorOptions data = h.options(), state = state_options(h);
  const Tensor R = R_in.contiguous();
  const Tensor h0 = checked("h", h_in, {B, H, D}, state), c0 = checked("c", c_in, {B, H, D}, state);
  const Tensor n0 = checked("n", n_in, {B, H, D}, state);
  const Tensor reset = checked("reset", reset_in, {B, T}, data.dtype(at::kByte));
  const Tensor dh = checked("dh", dh_in, {B, T, H, D}, data);
  const Tensor dh_final = checked("dh_final", dh_final_in, {B, H, D}, state);
  const Tensor dc_final = checked("dc_final", dc_final_in, {B, H, D}, state);
  const Tensor dn_final = checked("dn_final", dn_final_in, {B, H, D}, state);
  const Tensor dwx = at::empty({B, T, 4, H, D}, data);
  const Tensor dR = at::empty_like(R), dbias = at::empty({H, 4, D}, R.options());
  std::vector<Tensor> d_state;
  for (int i = 0; i < 4; ++i) d_state.push_back(at::empty({B, H, D}, state));

  xlstm_slstm_bwd_args a = {};
  a.dtype = dtype_of(h), a.weight_dtype = dtype_of(R);
  a.B = B, a.T = T, a.H = H, a.D = D;
  a.R = raw(R), a.h_init = raw(h0), a.c_init = raw(c0), a.n_init = raw(n0);
  a.reset = reset_of(reset), a.h = raw(h), a.saved = raw(saved);
  a.h_stride_b = h.stride(0), a.h_stride_t = h.stride(1), a.h_stride_h = h.stride(2);
  a.dh = raw(dh);
  a.dh_stride_b = h.stride(0), a.dh_stride_t = h.stride(1), a.dh_stride_h = h.stride(2);
  a.dh_final = raw(dh_final), a.dc_final = raw(dc_final), a.dn_final = raw(dn_final);
  a.dwx = raw(dwx), a.dR = raw(dR), a.dbias = raw(dbias);
  a.dwx_stride_b = dwx.stride(0), a.dwx_stride_t = dwx.stride(1);
  a.dwx_stride_g = dwx.stride(2), a.dwx_stride_h = dwx.stride(3);
  a.dh_init = raw(d_state[0]), a.dc_init = raw(d_state[1]);
  a.dn_init = raw(d_state[2]), a.dm_init = raw(d_state[3]);
  run("slstm", kSlstmBackward, a, h, stream);
  return {dwx, dR, dbias, d_state[0], d_state[1], d_state[2], d_state[3]};
}

// ---- mLSTM ----

constexpr Kernel<xlstm_mlstm_fwd_args> kMlstmForward = {xlstm_mlstm_fwd_cpu, xlstm_mlstm_fwd_cuda,
                                                        xlstm_mlstm_fwd_workspace_cpu,
                                                        xlstm_mlstm_fwd_workspace_cuda};
constexpr Kernel<xlstm_mlstm_bwd_args> kMlstmBackward = {xlstm_mlstm_bwd_cpu, xlstm_mlstm_bwd_cuda,
                                                         xlstm_mlstm_bwd_workspace_cpu,
                                                         xlstm_mlstm_bwd_workspace_cuda};

xlstm_mlstm_stride stride_of(const Tensor& t) {  // contiguous [B,T,H,...]
  return {t.stride(0), t.stride(1), t.stride(2)};
}

// What both directions of the mLSTM read, checked and dense, alive as long as this is.
struct MlstmInputs {
  Tensor q, k, v, i, f, reset, C, n, m;
  xlstm_mlstm_config config = {};

  MlstmInputs(const Tensor& q_in, const Tensor& k_in, const Tensor& v_in, const Tensor& i_in,
              const Tensor& f_in, const MaybeTensor& C_in, const MaybeTensor& n_in,
              const MaybeTensor& m_in, const MaybeTensor& reset_in, double eps) {
    TORCH_CHECK(q_in.dim() == 4 && v_in.dim() == 4, "q: shape ", q_in.sizes(), ", v: shape ",
                v_in.sizes(), ", expected [B, T, H, K] and [B, T, H, V]");
    const int64_t B = q_in.size(0), T = q_in.size(1), H = q_in.size(2), K = q_in.size(3);
    const int64_t V = v_in.size(3);
    const at::TensorOptions data = q_in.options(), gates = data.dtype(i_in.dtype());
    const at::TensorOptions state = state_options(q_in);
    q = q_in.contiguous();
    k = checked("k", k_in, {B, T, H, K}, data);
    v = checked("v", v_in, {B, T, H, V}, data);
    i = checked("i", i_in, {B, T, H}, gates);
    f = checked("f", f_in, {B, T, H}, gates);
    C = checked("C", C_in, {B, H, K, V}, state);
    n = checked("n", n_in, {B, H, K}, state);
    m = checked("m", m_in, {B, H}, state);
    reset = checked("reset", reset_in, {B, T}, data.dtype(at::kByte));
    config.dtype = dtype_of(q), config.gate_dtype = dtype_of(i);
    config.B = B, config.T = T, config.H = H, config.K = K, config.V = V;
    config.chunk_size = 64;
    config.normalize = 1;
    config.eps = eps;
  }

  template <class Args>
  void put_into(Args& a) const {
    a.config = config;
    a.q = raw(q), a.k = raw(k), a.v = raw(v), a.i = raw(i), a.f = raw(f);
    a.q_stride = stride_of(q), a.k_stride = stride_of(k), a.v_stride = stride_of(v);
    a.i_stride = stride_of(i), a.f_stride = stride_of(f);
    a.reset = reset_of(reset);
    a.C0 = raw(C), a.n0 = raw(n), a.m0 = raw(m);
  }
};

// Returns h [B,T,H,V], the final C [B,H,K,V], n [B,H,K], m [B,H], and m_t, l_t for the backward.
std::vector<Tensor> mlstm_forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const Tensor& i, const Tensor& f, const MaybeTensor& C_in,
                                  const MaybeTensor& n_in, const MaybeTensor& m_in,
                                  const MaybeTensor& reset, double eps, int64_t stream) {
  const MlstmInputs in(q, k, v, i, f, C_in, n_in, m_in, reset, eps);
  const auto& [B, T, H, K, V] =
      std::tie(in.config.B, in.config.T, in.config.H, in.config.K, in.config.V);
  const at::TensorOptions state = state_options(in.q);
  const Tensor h = at::empty({B, T, H, V}, in.q.options()), C = at::empty({B, H, K, V}, state);
  const Tensor n = at::empty({B, H, K}, state), m = at::empty({B, H}, state);
  const Tensor saved_m = at::empty({B, H, T}, state), saved_l = at::empty({B, H, T}, state);
  xlstm_mlstm_fwd_args a = {};
  in.put_into(a);
  a.h = raw(h), a.h_stride = stride_of(h);
  a.C = raw(C), a.n = raw(n), a.m = raw(m);
  a.saved_m = raw(saved_m), a.saved_l = raw(saved_l);
  run("mlstm", kMlstmForward, a, in.q, stream);
  return {h, C, n, m, saved_m, saved_l};
}

// Returns the gradients of q, k, v, i, f and the initial C, n, m.
std::vector<Tensor> mlstm_backward(const Tensor& q, const Tensor& k, const Tensor& v,
                                   const Tensor& i, const Tensor& f, const MaybeTensor& C_in,
                                   const MaybeTensor& n_in, const MaybeTensor& m_in,
                                   const MaybeTensor& reset, const Tensor& h, const Tensor& saved_m,
                                   const Tensor& saved_l, const MaybeTensor& dh_in,
                                   const MaybeTensor& dC_in, const MaybeTensor& dn_in, double eps,
                                   int64_t stream) {
  const MlstmInputs in(q, k, v, i, f, C_in, n_in, m_in, reset, eps);
  const auto& [B, H, K, V] = std::tie(in.config.B, in.config.H, in.config.K, in.config.V);
  const at::TensorOptions state = state_options(in.q);
  const Tensor dh = checked("dh", dh_in, h.sizes(), in.q.options());
  const Tensor dC = checked("dC", dC_in, {B, H, K, V}, state);
  const Tensor dn = checked("dn", dn_in, {B, H, K}, state);
  const Tensor dq = at::empty_like(in.q), dk = at::empty_like(in.k), dv = at::empty_like(in.v);
  const Tensor di = at::empty_like(in.i), df = at::empty_like(in.f);
  const Tensor dC0 = at::empty({B, H, K, V}, state), dn0 = at::empty({B, H, K}, state);
  const Tensor dm0 = at::empty({B, H}, state);
  xlstm_mlstm_bwd_args a = {};
  in.put_into(a);
  a.config.stabilizer_gradient = 1;  // exact for any eps
  a.h = raw(h), a.dh = raw(dh);
  a.h_stride = a.dh_stride = stride_of(h);
  a.saved_m = raw(saved_m), a.saved_l = raw(saved_l);
  a.dC = raw(dC), a.dn = raw(dn);
  a.dq = raw(dq), a.dk = raw(dk), a.dv = raw(dv), a.di = raw(di), a.df = raw(df);
  a.dq_stride = stride_of(dq), a.dk_stride = stride_of(dk), a.dv_stride = stride_of(dv);
  a.di_stride = stride_of(di), a.df_stride = stride_of(df);
  a.dC0 = raw(dC0), a.dn0 = raw(dn0), a.dm0 = raw(dm0);
  run("mlstm", kMlstmBackward, a, in.q, stream);
  return {dq, dk, dv, di, df, dC0, dn0, dm0};
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  module.def("slstm_forward", &slstm_forward);
  module.def("slstm_backward", &slstm_backward);
  module.def("mlstm_forward", &mlstm_forward);
  module.def("mlstm_backward", &mlstm_backward);
}
