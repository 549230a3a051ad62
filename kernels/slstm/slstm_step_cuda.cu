// The recurrence with one launch per time step, for heads that no card can hold at once.
//
// A block owns 32 units of one head and 8 rows of the batch. The state lies in the workspace in
// float32; h is there twice, because other blocks still read the h before.
#include "kernels/slstm/slstm_cuda.cuh"

namespace xlstm::kernels {
namespace {

constexpr int kUnits = 32, kRows = 8, kWarps = 4, kThreads = 32 * kWarps;
constexpr int kElements = kUnits * kRows / kThreads;  // cells per thread

struct ForwardState {
  const float *h, *c, *n, *m;  // before the step; null: zeros
  float *h_next, *c_next, *n_next, *m_next;
};

__device__ bool is_marked(const uint8_t* reset, int64_t at) {
  return reset != nullptr && reset[at] != 0;
}

template <class T>
__device__ float rounded(float x) {
  return to_float(from_float<T>(x));
}

template <class T>
__global__ __launch_bounds__(kThreads) void forward_step(const xlstm_slstm_fwd_args a,
                                                         const ForwardState s, int64_t t) {
  __shared__ float parts[kWarps][kUnits][4 * kRows + 1];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t blocks = (a.D + kUnits - 1) / kUnits, unit0 = blockIdx.x % blocks * kUnits;
  const int64_t head = blockIdx.x / blocks % a.H, b0 = blockIdx.x / blocks / a.H * kRows;
  {
    // A warp has every fourth k, a lane one unit.
    float sums[4][kRows] = {};
    const int64_t j = unit0 + lane;
    for (int64_t k = warp; s.h != nullptr && j < a.D && k < a.D; k += kWarps) {
      float h[kRows];
#pragma unroll
      for (int r = 0; r < kRows; ++r)
        h[r] = b0 + r < a.B ? rounded<T>(s.h[((b0 + r) * a.H + head) * a.D + k]) : 0.0f;
#pragma unroll
      for (int gate = 0; gate < 4; ++gate) {
        const float R =
            rounded<T>(load_as_float(a.R, a.weight_dtype, ((head * a.D + k) * 4 + gate) * a.D + j));
#pragma unroll
        for (int r = 0; r < kRows; ++r) sums[gate][r] = fmaf(h[r], R, sums[gate][r]);
      }
    }
#pragma unroll
    for (int x = 0; x < 4 * kRows; ++x) parts[warp][lane][x] = sums[x / kRows][x % kRows];
  }
  __syncthreads();
  const float clip = slstm_clip_of(a.forward_clip);
#pragma unroll
  for (int i = 0; i < kElements; ++i) {
    const int row = warp + i * kWarps;
    const int64_t b = b0 + row, j = unit0 + lane;
    if (b >= a.B || j >= a.D) continue;
    const int64_t at = (b * a.H + head) * a.D + j;
    const bool fresh = is_marked(a.reset, b * a.T + t);
    const T* wx = static_cast<const T*>(a.wx) + b * a.wx_stride_b + t * a.wx_stride_t +
                  head * a.wx_stride_h + j;
    float g[4];
#pragma unroll
    for (int gate = 0; gate < 4; ++gate) {
      g[gate] = to_float(wx[gate * a.wx_stride_g]);
      if (a.bias != nullptr)
        g[gate] += load_as_float(a.bias, a.weight_dtype, (head * 4 + gate) * a.D + j);
      float sum = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) sum += parts[w][lane][gate * kRows + row];
      if (!fresh) g[gate] += sum;
    }
    const auto before = [&](const float* x) { return x == nullptr || fresh ? 0.0f : x[at]; };
    const SlstmStep<float> x = slstm_cell_forward<float, SlstmExactMath>(
        g[0], g[1], g[2], g[3], before(s.c), before(s.n), before(s.m));
    const float h = slstm_clamp(x.h, clip);
    s.h_next[at] = h;
    s.c_next[at] = x.c;
    s.n_next[at] = x.n;
    s.m_next[at] = x.m;
    static_cast<T*>(a.h)[b * a.h_stride_b + t * a.h_stride_t + head * a.h_stride_h + j] =
        from_float<T>(h);
    if (a.saved == nullptr) continue;
    float* saved = static_cast<float*>(a.saved) + slstm_saved_at(a.B, a.T, a.D, head, t, b, j);
    constexpr int width = kSlstmSavedUnits;
    saved[0] = x.c;
    saved[width] = x.n;
    saved[2 * width] = x.f < 1.0f ? x.f : -x.i;
    saved[3 * width] = x.z;
    saved[4 * width] = x.o;
    saved[5 * width] = x.one_minus_sig_f;
  }
}

struct BackwardState {
  const float *dc, *dn;  // of c_t and n_t from later; null: zeros
  float *dc_next, *dn_next;
};

// sums[r] = sum_{g, j} R[k, g, j] dg_t[row r, g, j] in every lane.
template <class T>
__device__ void recurrent_sums(const xlstm_slstm_bwd_args& a, int64_t head, int64_t b0, int64_t k,
                               int64_t t, float (&sums)[kRows]) {
  const T* dg = static_cast<const T*>(a.dwx) + t * a.dwx_stride_t + head * a.dwx_stride_h;
#pragma unroll
  for (int r = 0; r < kRows; ++r) sums[r] = 0;
  for (int gate = 0; gate < 4; ++gate)
    for (int64_t j = threadIdx.x % 32; j < a.D; j += 32) {
      const float R =
          rounded<T>(load_as_float(a.R, a.weight_dtype, ((head * a.D + k) * 4 + gate) * a.D + j));
#pragma unroll
      for (int r = 0; r < kRows; ++r)
        if (b0 + r < a.B)
          sums[r] =
              fmaf(R, to_float(dg[(b0 + r) * a.dwx_stride_b + gate * a.dwx_stride_g + j]), sums[r]);
    }
#pragma unroll
  for (int r = 0; r < kRows; ++r) sums[r] = warp_sum(sums[r]);
}

// t = -1: only the gradients of the initial state.
template <class T>
__global__ __launch_bounds__(kThreads) void backward_step(const xlstm_slstm_bwd_args a,
                                                          const BackwardState s, int64_t t) {
  __shared__ float recurrent[kUnits][kRows + 1];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t blocks = (a.D + kUnits - 1) / kUnits, unit0 = blockIdx.x % blocks * kUnits;
  const int64_t head = blockIdx.x / blocks % a.H, b0 = blockIdx.x / blocks / a.H * kRows;
  for (int i = warp; i < kUnits; i += kWarps) {
    float sums[kRows] = {};
    if (t + 1 < a.T && !a.recurrent_cut && unit0 + i < a.D)
      recurrent_sums<T>(a, head, b0, unit0 + i, t + 1, sums);
    if (lane == 0)
      for (int r = 0; r < kRows; ++r) recurrent[i][r] = sums[r];
  }
  __syncthreads();
  const float clip = slstm_clip_of(a.recurrent_clip);
#pragma unroll
  for (int i = 0; i < kElements; ++i) {
    const int row = warp + i * kWarps;
    const int64_t b = b0 + row, j = unit0 + lane;
    if (b >= a.B || j >= a.D) continue;
    const int64_t at = (b * a.H + head) * a.D + j;
    const bool stop = t + 1 < a.T && is_marked(a.reset, b * a.T + t + 1);
    const auto state = [&](const void* x) {
      return x == nullptr ? 0.0f : static_cast<const float*>(x)[at];
    };
    float dh = t + 1 == a.T ? state(a.dh_final) : stop ? 0.0f : recurrent[lane][row];
    const float dc = stop ? 0.0f : state(s.dc), dn = stop ? 0.0f : state(s.dn);
    if (t < 0) {
      const auto put = [&](void* to, float x) {
        if (to != nullptr) static_cast<float*>(to)[at] = x;
      };
      put(a.dh_init, dh);
      put(a.dc_init, dc);
      put(a.dn_init, dn);
      put(a.dm_init, state(a.c_init) * dc + state(a.n_init) * dn);
      continue;
    }
    dh = slstm_clamp(dh, clip);
    if (a.dh != nullptr)
      dh += to_float(static_cast<const T*>(
          a.dh)[b * a.dh_stride_b + t * a.dh_stride_t + head * a.dh_stride_h + j]);
    const bool fresh = is_marked(a.reset, b * a.T + t);
    constexpr int width = kSlstmSavedUnits;
    const float* saved =
        static_cast<const float*>(a.saved) + slstm_saved_at(a.B, a.T, a.D, head, t, b, j);
    float x[kSlstmSaved];
#pragma unroll
    for (int k = 0; k < kSlstmSaved; ++k) x[k] = saved[k * width];
    float c = 0, n = 0;
    if (!fresh && t == 0) {
      c = state(a.c_init);
      n = state(a.n_init);
    } else if (!fresh) {
      const float* before = saved - a.B * kSlstmSaved * slstm_saved_width(a.D);
      c = before[0];
      n = before[width];
    }
    const SlstmStepGrad<float> g = slstm_step_back<SlstmExactMath>(x, c, n, dh, dc, dn);
    T* dg = static_cast<T*>(a.dwx) + b * a.dwx_stride_b + t * a.dwx_stride_t +
            head * a.dwx_stride_h + j;
    dg[0] = from_float<T>(g.i);
    dg[a.dwx_stride_g] = from_float<T>(g.f);
    dg[2 * a.dwx_stride_g] = from_float<T>(g.z);
    dg[3 * a.dwx_stride_g] = from_float<T>(g.o);
    s.dc_next[at] = g.c;
    s.dn_next[at] = g.n;
  }
}

unsigned blocks_of(int64_t B, int64_t H, int64_t D) {
  return static_cast<unsigned>(ceil_div(D, kUnits) * H * ceil_div(B, kRows));
}

template <class T>
xlstm_status forward(const xlstm_slstm_fwd_args& a, float* memory, cudaStream_t stream) {
  const int64_t size = a.B * a.H * a.D;
  float* h[2] = {memory, memory + size};
  float *c = memory + 2 * size, *n = memory + 3 * size, *m = memory + 4 * size;
  ForwardState s{static_cast<const float*>(a.h_init),
                 static_cast<const float*>(a.c_init),
                 static_cast<const float*>(a.n_init),
                 static_cast<const float*>(a.m_init),
                 h[0],
                 c,
                 n,
                 m};
  for (int64_t t = 0; t < a.T; ++t) {
    forward_step<T><<<blocks_of(a.B, a.H, a.D), kThreads, 0, stream>>>(a, s, t);
    s = {h[t % 2], c, n, m, h[(t + 1) % 2], c, n, m};
  }
  const size_t bytes = static_cast<size_t>(size) * sizeof(float);
  const auto copy = [&](void* to, const float* from) {
    if (to != nullptr) cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
  };
  copy(a.h_final, h[(a.T - 1) % 2]);
  copy(a.c_final, c);
  copy(a.n_final, n);
  copy(a.m_final, m);
  return launched();
}

template <class T>
xlstm_status backward(const xlstm_slstm_bwd_args& a, float* memory, cudaStream_t stream) {
  float *dc = memory, *dn = memory + a.B * a.H * a.D;
  BackwardState s{static_cast<const float*>(a.dc_final), static_cast<const float*>(a.dn_final), dc,
                  dn};
  for (int64_t t = a.T - 1; t >= -1; --t) {
    backward_step<T><<<blocks_of(a.B, a.H, a.D), kThreads, 0, stream>>>(a, s, t);
    s = {dc, dn, dc, dn};
  }
  return launched();
}

}  // namespace

int64_t slstm_step_workspace(int64_t B, int64_t H, int64_t D) {
  return slstm_round(5 * B * H * D * static_cast<int64_t>(sizeof(float)), 256);
}

xlstm_status slstm_step_fwd(const xlstm_slstm_fwd_args& a, void* workspace, cudaStream_t stream) {
  float* memory = static_cast<float*>(workspace);
  if (a.dtype == XLSTM_F32) return forward<float>(a, memory, stream);
  return a.dtype == XLSTM_BF16 ? forward<bf16>(a, memory, stream) : forward<f16>(a, memory, stream);
}

xlstm_status slstm_step_bwd(const xlstm_slstm_bwd_args& a, void* workspace, cudaStream_t stream) {
  float* memory = static_cast<float*>(workspace);
  if (a.dtype == XLSTM_F32) return backward<float>(a, memory, stream);
  return a.dtype == XLSTM_BF16 ? backward<bf16>(a, memory, stream)
                               : backward<f16>(a, memory, stream);
}

}  // namespace xlstm::kernels
