// The forward of small heads: a block owns one head and 8 rows of the batch over all of time.
#include "kernels/slstm/slstm_cuda.cuh"

namespace xlstm::kernels {
namespace {

constexpr int kRows = 8;
constexpr int kSlots = 4;  // steps of wx in shared memory

// W units, D rounded up: 16, 32, 64 or 128. A warp owns 16 units, a thread two neighbouring units
// of two neighbouring rows.
template <class T, int W>
struct Forward {
  static constexpr int kThreads = 2 * W;
  static constexpr int kTiles = W / 16;
  // Rows are 16 bytes apart modulo 64, so that no access below meets a bank twice.
  static constexpr int kPitch = W + 8, kWxPitch = 4 * W + 8;
  static constexpr int kBytes =
      (2 * kRows * kPitch + kSlots * kRows * kWxPitch) * static_cast<int>(sizeof(T));

  const xlstm_slstm_fwd_args& a;
  const bool wx_packed, h_packed;
  const int64_t head, b0;
  T* h_rows;   // [2, rows, pitch]: step t reads the h of half t % 2 and writes the other
  T* wx_ring;  // [slots, rows, 4, W]

  __device__ int64_t rows() const { return a.B - b0 < kRows ? a.B - b0 : kRows; }
  __device__ T* half(int64_t t) const { return h_rows + (t & 1) * kRows * kPitch; }
  __device__ const T* wx_slot(int64_t t) const { return wx_ring + t % kSlots * (kRows * kWxPitch); }

  // Starts the copy of wx_t; one group of copies per call.
  __device__ void load_wx(int64_t t) const {
    if (t < a.T) {
      T* slot = const_cast<T*>(wx_slot(t));
      const T* from = static_cast<const T*>(a.wx) + b0 * a.wx_stride_b + t * a.wx_stride_t +
                      head * a.wx_stride_h;
      constexpr int kStep = kPack<T>;
      const int width = wx_packed ? kStep : 1;
      for (int x = threadIdx.x * width; x < kRows * 4 * W; x += kThreads * width) {
        const int unit = x % W, gate = x / W % 4, row = x / (4 * W);
        if (row >= rows() || unit >= a.D) continue;
        T* to = slot + row * kWxPitch + gate * W + unit;
        const T* p = from + row * a.wx_stride_b + gate * a.wx_stride_g + unit;
        if (wx_packed) {
          copy_16_async(to, p);
        } else {
          *to = *p;
        }
      }
    }
    commit_copies();
  }

  // h of step t, which lies in the half that step t + 1 reads.
  __device__ void store_h(int64_t t) const {
    const T* from = half(t + 1);
    T* to = static_cast<T*>(a.h) + b0 * a.h_stride_b + t * a.h_stride_t + head * a.h_stride_h;
    const int width = h_packed ? kPack<T> : 1;
    for (int x = threadIdx.x * width; x < kRows * W; x += kThreads * width) {
      const int unit = x % W, row = x / W;
      if (row >= rows() || unit >= a.D) continue;
      T* p = to + row * a.h_stride_b + unit;
      const T* q = from + row * kPitch + unit;
      if (h_packed) {
        *reinterpret_cast<uint4*>(p) = *reinterpret_cast<const uint4*>(q);
      } else {
        *p = *q;
      }
    }
  }

  __device__ bool starts_document(int64_t t, int row) const {
    return a.reset != nullptr && t < a.T && row < rows() && a.reset[(b0 + row) * a.T + t] != 0;
  }

  // sums[2 u + p] of unit u, as the fragments have it: gates 2 p and 2 p + 1 of two rows.
  __device__ void product(const T* h, const uint4 (&R)[kTiles][4], float (&sums)[4][4]) const {
    const int lane = threadIdx.x % 32;
    const T* row = h + lane % 8 * kPitch + lane / 8 % (kTiles > 1 ? 4 : 2) * 8;
#pragma unroll
    for (int k = 0; k < kTiles; k += 2) {
      uint32_t b[4];
      load_matrices(b, row + k * 16);
#pragma unroll
      for (int tile = 0; tile < 4; ++tile) multiply_16x8x16<T>(sums[tile], R[k][tile], b[0], b[1]);
      if constexpr (kTiles > 1) {
#pragma unroll
        for (int tile = 0; tile < 4; ++tile)
          multiply_16x8x16<T>(sums[tile], R[k + 1][tile], b[2], b[3]);
      }
    }
  }

  __device__ void run(const uint4* fragments) const {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int unit = warp * 16 + lane / 4 * 2, row = lane % 4 * 2;
    const bool has_unit = unit < a.D, both = unit + 1 < a.D;
    const float clip = slstm_clip_of(a.forward_clip);
    uint4 R[kTiles][4];
    const uint4* mine = fragments + ((head * kTiles + warp) * kTiles * 4) * 32 + lane;
#pragma unroll
    for (int k = 0; k < kTiles; ++k)
#pragma unroll
      for (int tile = 0; tile < 4; ++tile) R[k][tile] = mine[(k * 4 + tile) * 32];
    float bias[4][2] = {};
#pragma unroll
    for (int gate = 0; gate < 4; ++gate)
#pragma unroll
      for (int u = 0; u < 2; ++u)
        if (a.bias != nullptr && unit + u < a.D)
          bias[gate][u] = load_as_float(a.bias, a.weight_dtype, (head * 4 + gate) * a.D + unit + u);

    // Units beyond D stay zero in both halves.
    for (int x = threadIdx.x; x < 2 * kRows * kPitch; x += kThreads) h_rows[x] = from_float<T>(0);
    for (int t = 0; t < kSlots - 1; ++t) load_wx(t);
    __syncthreads();
    SlstmPair s[2] = {};
    bool mine_too[2], fresh[2];
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      mine_too[e] = has_unit && row + e < rows();
      fresh[e] = starts_document(0, row + e);
      if (!mine_too[e]) continue;
      const int64_t at = ((b0 + row + e) * a.H + head) * a.D + unit;
      slstm_load_state(s[e].h, a.h_init, at, both);
      slstm_load_state(s[e].c, a.c_init, at, both);
      slstm_load_state(s[e].n, a.n_init, at, both);
      slstm_load_state(s[e].m, a.m_init, at, both);
      put_h(0, row + e, unit, both, s[e]);
    }
    wait_copies<kSlots - 2>();
    __syncthreads();

    for (int64_t t = 0; t < a.T; ++t) {
      float sums[4][4] = {};
      product(half(t), R, sums);
      const T* wx = wx_slot(t) + row * kWxPitch + unit;
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float g[4][2];
#pragma unroll
        for (int gate = 0; gate < 4; ++gate) {
          const float2 x =
              unpacked_pair<T>(*reinterpret_cast<const uint32_t*>(wx + e * kWxPitch + gate * W));
          const int at = gate % 2 * 2 + e;
          g[gate][0] = x.x + bias[gate][0] + (fresh[e] ? 0.0f : sums[gate / 2][at]);
          g[gate][1] = x.y + bias[gate][1] + (fresh[e] ? 0.0f : sums[2 + gate / 2][at]);
        }
        if (fresh[e]) s[e] = SlstmPair{};
        float x[kSlstmSaved][2];
        slstm_step_pair<SlstmFastMath>(s[e], g, clip, x);
        if (mine_too[e]) {
          put_h(t + 1, row + e, unit, both, s[e]);
          if (a.saved != nullptr)
            slstm_save_pair(static_cast<float*>(a.saved) +
                                slstm_saved_at(a.B, a.T, a.D, head, t, b0 + row + e, unit),
                            x);
        }
        fresh[e] = starts_document(t + 1, row + e);
      }
      // Everybody is past step t - 1, whose slot and half are free.
      load_wx(t + kSlots - 1);
      if (t > 0) store_h(t - 1);
      wait_copies<kSlots - 2>();
      __syncthreads();
    }
    if (a.T > 0) store_h(a.T - 1);
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      if (!mine_too[e]) continue;
      const int64_t at = ((b0 + row + e) * a.H + head) * a.D + unit;
      slstm_store_state(a.h_final, at, both, s[e].h);
      slstm_store_state(a.c_final, at, both, s[e].c);
      slstm_store_state(a.n_final, at, both, s[e].n);
      slstm_store_state(a.m_final, at, both, s[e].m);
    }
  }

  __device__ void put_h(int64_t t, int row, int unit, bool both, const SlstmPair& s) const {
    *reinterpret_cast<uint32_t*>(half(t) + row * kPitch + unit) =
        packed_pair<T>(s.h[0], both ? s.h[1] : 0.0f);
  }
};

template <class T, int W>
__global__ __launch_bounds__(2 * W, 1) void small_forward(const xlstm_slstm_fwd_args a,
                                                          const uint4* fragments, bool wx_packed,
                                                          bool h_packed) {
  extern __shared__ uint4 memory[];
  T* h_rows = reinterpret_cast<T*>(memory);
  const int64_t head = blockIdx.x % a.H, b0 = blockIdx.x / a.H * kRows;
  Forward<T, W>{
      a, wx_packed, h_packed, head, b0, h_rows, h_rows + 2 * kRows * Forward<T, W>::kPitch}
      .run(fragments);
}

template <class T, int W>
xlstm_status launch(const xlstm_slstm_fwd_args& a, void* workspace, cudaStream_t stream) {
  xlstm_status status = slstm_pack_fragments(a.R, a.weight_dtype, a.dtype, a.H, a.D,
                                             {W / 16, W / 16, 0}, false, workspace, stream);
  if (status != XLSTM_OK) return status;
  const bool whole = a.D % kPack<T> == 0;
  const bool wx_packed = whole && is_packed<T>(a.wx, a.wx_stride_b) &&
                         is_packed<T>(a.wx, a.wx_stride_t) && is_packed<T>(a.wx, a.wx_stride_g) &&
                         is_packed<T>(a.wx, a.wx_stride_h);
  const bool h_packed = whole && is_packed<T>(a.h, a.h_stride_b) &&
                        is_packed<T>(a.h, a.h_stride_t) && is_packed<T>(a.h, a.h_stride_h);
  const unsigned blocks = static_cast<unsigned>(ceil_div(a.B, kRows) * a.H);
  small_forward<T, W><<<blocks, 2 * W, Forward<T, W>::kBytes, stream>>>(
      a, static_cast<const uint4*>(workspace), wx_packed, h_packed);
  return launched();
}

template <class T>
xlstm_status launch_width(const xlstm_slstm_fwd_args& a, void* workspace, cudaStream_t stream) {
  if (a.D <= 16) return launch<T, 16>(a, workspace, stream);
  if (a.D <= 32) return launch<T, 32>(a, workspace, stream);
  if (a.D <= 64) return launch<T, 64>(a, workspace, stream);
  return launch<T, 128>(a, workspace, stream);
}

}  // namespace

xlstm_status slstm_small_fwd(const xlstm_slstm_fwd_args& a, void* workspace, cudaStream_t stream) {
  return a.dtype == XLSTM_BF16 ? launch_width<bf16>(a, workspace, stream)
                               : launch_width<f16>(a, workspace, stream);
}

}  // namespace xlstm::kernels
