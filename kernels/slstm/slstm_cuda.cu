// The entry points on CUDA: which kernel runs, and how the workspace is cut.
#include "kernels/slstm/slstm_cuda.cuh"

namespace xlstm::kernels {
namespace {

enum class Form { kNothing, kCluster, kSmall, kSpread, kStep, kRefused };

bool spread_fits(const xlstm_slstm_fwd_args& a) {
  return slstm_spread_fwd_fits(a);
}
bool spread_fits(const xlstm_slstm_bwd_args& a) {
  return slstm_spread_bwd_fits(a);
}

bool cluster_fits(const xlstm_slstm_fwd_args& a) {
  return slstm_cluster_fwd_fits(a);
}
bool cluster_fits(const xlstm_slstm_bwd_args& a) {
  return slstm_cluster_bwd_fits(a);
}

template <class Args>
Form form_of(const Args& a) {
  if (a.B * a.H * a.D == 0 || a.T == 0) return Form::kNothing;
  switch (a.variant) {
    case XLSTM_SLSTM_CLUSTER:
      return cluster_fits(a) ? Form::kCluster : Form::kRefused;
    case XLSTM_SLSTM_SMALL:
      return slstm_small_fits(a.dtype, a.D) ? Form::kSmall : Form::kRefused;
    case XLSTM_SLSTM_SPREAD:
      return spread_fits(a) ? Form::kSpread : Form::kRefused;
    case XLSTM_SLSTM_STEP:
      return Form::kStep;
    default:
      break;
  }
  if (cluster_fits(a)) return Form::kCluster;
  if (slstm_small_fits(a.dtype, a.D)) return Form::kSmall;
  return spread_fits(a) ? Form::kSpread : Form::kStep;
}

int64_t recurrence_bytes(const xlstm_slstm_fwd_args& a, Form form) {
  if (form == Form::kCluster) return slstm_cluster_fwd_workspace(a);
  if (form == Form::kSmall) return slstm_small_workspace(a.H, a.D);
  if (form == Form::kSpread) return slstm_spread_fwd_workspace(a);
  return form == Form::kStep ? slstm_step_workspace(a.B, a.H, a.D) : 0;
}
int64_t recurrence_bytes(const xlstm_slstm_bwd_args& a, Form form) {
  if (form == Form::kCluster) return slstm_cluster_bwd_workspace(a);
  if (form == Form::kSmall) return slstm_small_workspace(a.H, a.D);
  if (form == Form::kSpread) return slstm_spread_bwd_workspace(a);
  return form == Form::kStep ? slstm_step_workspace(a.B, a.H, a.D) : 0;
}

const char* name_of(Form form) {
  switch (form) {
    case Form::kCluster:
      return "cluster";
    case Form::kSmall:
      return "small";
    case Form::kSpread:
      return "spread";
    case Form::kStep:
      return "step";
    case Form::kRefused:
      return "none";
    case Form::kNothing:
      break;
  }
  return "nothing";
}

bool wants_weights(const xlstm_slstm_bwd_args& a) {
  return a.dR != nullptr || a.dbias != nullptr;
}

// dwx is kept in the workspace if the caller does not want it but something here reads it.
int64_t dwx_bytes(const xlstm_slstm_bwd_args& a, Form form) {
  if (form == Form::kNothing || a.dwx != nullptr) return 0;
  if (!wants_weights(a) && form != Form::kStep) return 0;
  return slstm_round(a.B * a.T * 4 * a.H * a.D * (a.dtype == XLSTM_F32 ? 4 : 2), 256);
}

// Without steps the states are the initial ones.
void copy_states(int64_t n, cudaStream_t stream, void* to, const void* from) {
  if (to == nullptr || n == 0) return;
  const size_t bytes = static_cast<size_t>(n) * sizeof(float);
  if (from == nullptr) {
    cudaMemsetAsync(to, 0, bytes, stream);
  } else {
    cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
  }
}

// dm = c dc + n dn; null: zeros.
__global__ void stabiliser_grad(int64_t size, const float* c, const float* dc, const float* n,
                                const float* dn, float* dm) {
  for (int64_t x = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; x < size;
       x += int64_t{gridDim.x} * blockDim.x)
    dm[x] = (c == nullptr || dc == nullptr ? 0.0f : c[x] * dc[x]) +
            (n == nullptr || dn == nullptr ? 0.0f : n[x] * dn[x]);
}

xlstm_status backward_of_nothing(const xlstm_slstm_bwd_args& a, cudaStream_t stream) {
  const int64_t size = a.B * a.H * a.D;
  copy_states(size, stream, a.dh_init, a.dh_final);
  copy_states(size, stream, a.dc_init, a.dc_final);
  copy_states(size, stream, a.dn_init, a.dn_final);
  if (a.dm_init != nullptr && size > 0)
    stabiliser_grad<<<grid_for(size, 256), 256, 0, stream>>>(
        size, static_cast<const float*>(a.c_init), static_cast<const float*>(a.dc_final),
        static_cast<const float*>(a.n_init), static_cast<const float*>(a.dn_final),
        static_cast<float*>(a.dm_init));
  const auto clear = [&](void* p, int64_t n) {
    const int64_t bytes = n * (a.weight_dtype == XLSTM_F32 ? 4 : 2);
    if (p != nullptr && n > 0) cudaMemsetAsync(p, 0, static_cast<size_t>(bytes), stream);
  };
  clear(a.dR, a.H * a.D * 4 * a.D);
  clear(a.dbias, a.H * 4 * a.D);
  return launched();
}

xlstm_status forward(const xlstm_slstm_fwd_args& a, void* workspace, cudaStream_t stream) {
  switch (form_of(a)) {
    case Form::kCluster:
      return slstm_cluster_fwd(a, workspace, stream);
    case Form::kSmall:
      return slstm_small_fwd(a, workspace, stream);
    case Form::kSpread:
      return slstm_spread_fwd(a, workspace, stream);
    case Form::kStep:
      return slstm_step_fwd(a, workspace, stream);
    case Form::kRefused:
      return XLSTM_BAD_VARIANT;
    case Form::kNothing:
      break;
  }
  const int64_t size = a.B * a.H * a.D;
  copy_states(size, stream, a.h_final, a.h_init);
  copy_states(size, stream, a.c_final, a.c_init);
  copy_states(size, stream, a.n_final, a.n_init);
  copy_states(size, stream, a.m_final, a.m_init);
  return launched();
}

xlstm_status backward(xlstm_slstm_bwd_args a, void* workspace, cudaStream_t stream) {
  const Form form = form_of(a);
  if (form == Form::kNothing) return backward_of_nothing(a, stream);
  if (form == Form::kRefused) return XLSTM_BAD_VARIANT;
  unsigned char* at = static_cast<unsigned char*>(workspace);
  const int64_t kept = dwx_bytes(a, form), recurrence = recurrence_bytes(a, form);
  if (kept > 0) {
    a.dwx = at;
    a.dwx_stride_h = a.D;
    a.dwx_stride_g = a.H * a.D;
    a.dwx_stride_t = 4 * a.H * a.D;
    a.dwx_stride_b = a.T * 4 * a.H * a.D;
  }
  const xlstm_status status = form == Form::kCluster  ? slstm_cluster_bwd(a, at + kept, stream)
                              : form == Form::kSmall  ? slstm_small_bwd(a, at + kept, stream)
                              : form == Form::kSpread ? slstm_spread_bwd(a, at + kept, stream)
                                                      : slstm_step_bwd(a, at + kept, stream);
  if (status != XLSTM_OK || !wants_weights(a)) return status;
  return slstm_weight_grad(a, at + kept + recurrence, stream);
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

int64_t xlstm_slstm_saved_bytes_cuda(xlstm_dtype dtype, int64_t B, int64_t T, int64_t H,
                                     int64_t D) {
  if (!Cuda::computes_in(dtype) || B < 0 || T < 0 || H < 0 || D < 0 || D > INT64_MAX - 4) return 0;
  int64_t bytes = kSlstmSaved * static_cast<int64_t>(sizeof(float));
  for (const int64_t size : {B, T, H, slstm_saved_width(D)})
    if (__builtin_mul_overflow(bytes, size, &bytes)) return 0;
  return bytes;
}

int64_t xlstm_slstm_fwd_workspace_cuda(const xlstm_slstm_fwd_args* args) {
  return Cuda::workspace(args, xlstm_slstm_fwd_check,
                         [&](auto) { return recurrence_bytes(*args, form_of(*args)); });
}

int64_t xlstm_slstm_bwd_workspace_cuda(const xlstm_slstm_bwd_args* args) {
  return Cuda::workspace(args, xlstm_slstm_bwd_check, [&](auto) {
    const Form form = form_of(*args);
    if (form == Form::kNothing || form == Form::kRefused) return int64_t{0};
    return dwx_bytes(*args, form) + recurrence_bytes(*args, form) +
           (wants_weights(*args) ? slstm_weight_grad_workspace(*args) : 0);
  });
}

xlstm_status xlstm_slstm_fwd_cuda(const xlstm_slstm_fwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_slstm_fwd_check, exec, xlstm_slstm_fwd_workspace_cuda,
                   [&](auto) { return forward(*args, exec.workspace, stream_of(exec)); });
}

xlstm_status xlstm_slstm_bwd_cuda(const xlstm_slstm_bwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_slstm_bwd_check, exec, xlstm_slstm_bwd_workspace_cuda,
                   [&](auto) { return backward(*args, exec.workspace, stream_of(exec)); });
}

const char* xlstm_slstm_fwd_variant_cuda(const xlstm_slstm_fwd_args* args) {
  return name_of(form_of(*args));
}

const char* xlstm_slstm_bwd_variant_cuda(const xlstm_slstm_bwd_args* args) {
  return name_of(form_of(*args));
}
