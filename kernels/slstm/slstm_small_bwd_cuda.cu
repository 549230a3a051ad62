// The backward of small heads: a block owns one head and 8 rows of the batch, walking back in time.
#include "kernels/slstm/slstm_cuda.cuh"

namespace xlstm::kernels {
namespace {

constexpr int kRows = 8;
constexpr int kSlots = 5;  // steps of saved numbers and dh in shared memory: two read, three coming

// W units, D rounded up. A warp owns 16 units and holds their rows of R over all 4 W gates; a
// thread owns two neighbouring units of two neighbouring rows.
template <class T, int W>
struct Backward {
  static constexpr int kThreads = 2 * W;
  static constexpr int kTiles = 4 * W / 16;
  // Rows are 16 bytes apart modulo 64, so that no access below meets a bank twice.
  static constexpr int kGatePitch = 4 * W + 8, kSavedPitch = kSlstmSaved * W + 4, kDhPitch = W + 8;
  static constexpr int kSlotBytes =
      kRows * (kSavedPitch * 4 + kDhPitch * static_cast<int>(sizeof(T)));
  static constexpr int kBytes =
      2 * kRows * kGatePitch * static_cast<int>(sizeof(T)) + kSlots * kSlotBytes;

  const xlstm_slstm_bwd_args& a;
  const bool dh_packed, dwx_packed;
  const int64_t head, b0;
  T* dg_rows;           // [2, rows, 4, W]: step t writes half t % 2, the product reads it
  unsigned char* ring;  // [slots]: saved [rows, 6, W] of float, dh [rows, W]

  __device__ int64_t rows() const { return a.B - b0 < kRows ? a.B - b0 : kRows; }
  __device__ T* half(int64_t t) const { return dg_rows + (t & 1) * kRows * kGatePitch; }
  __device__ float* saved_slot(int64_t t) const {
    return reinterpret_cast<float*>(ring + t % kSlots * kSlotBytes);
  }
  __device__ T* dh_slot(int64_t t) const {
    return reinterpret_cast<T*>(saved_slot(t) + kRows * kSavedPitch);
  }

  // Starts the copies of step t; one group of copies per call.
  __device__ void load_step(int64_t t) const {
    if (t >= 0) {
      load_saved(t);
      if (a.dh != nullptr) load_dh(t);
    }
    commit_copies();
  }

  __device__ void load_saved(int64_t t) const {
    const float* saved = static_cast<const float*>(a.saved);
    float* slot = saved_slot(t);
    for (int x = threadIdx.x * 4; x < kRows * kSlstmSaved * W; x += kThreads * 4) {
      const int unit = x % W, line = x / W, row = line / kSlstmSaved;
      if (row >= rows() || unit >= a.D) continue;
      copy_16_async(slot + row * kSavedPitch + line % kSlstmSaved * W + unit,
                    saved + slstm_saved_at(a.B, a.T, a.D, head, t, b0 + row, unit) +
                        line % kSlstmSaved * kSlstmSavedUnits);
    }
  }

  __device__ void load_dh(int64_t t) const {
    const T* from =
        static_cast<const T*>(a.dh) + b0 * a.dh_stride_b + t * a.dh_stride_t + head * a.dh_stride_h;
    T* slot = dh_slot(t);
    const int width = dh_packed ? kPack<T> : 1;
    for (int x = threadIdx.x * width; x < kRows * W; x += kThreads * width) {
      const int unit = x % W, row = x / W;
      if (row >= rows() || unit >= a.D) continue;
      T* to = slot + row * kDhPitch + unit;
      const T* p = from + row * a.dh_stride_b + unit;
      if (dh_packed) {
        copy_16_async(to, p);
      } else {
        *to = *p;
      }
    }
  }

  __device__ void store_dwx(int64_t t) const {
    if (a.dwx == nullptr) return;
    const T* from = half(t);
    T* to =
        static_cast<T*>(a.dwx) + b0 * a.dwx_stride_b + t * a.dwx_stride_t + head * a.dwx_stride_h;
    const int width = dwx_packed ? kPack<T> : 1;
    for (int x = threadIdx.x * width; x < kRows * 4 * W; x += kThreads * width) {
      const int unit = x % W, gate = x / W % 4, row = x / (4 * W);
      if (row >= rows() || unit >= a.D) continue;
      T* p = to + row * a.dwx_stride_b + gate * a.dwx_stride_g + unit;
      const T* q = from + row * kGatePitch + gate * W + unit;
      if (dwx_packed) {
        *reinterpret_cast<uint4*>(p) = *reinterpret_cast<const uint4*>(q);
      } else {
        *p = *q;
      }
    }
  }

  __device__ bool starts_document(int64_t t, int row) const {
    return a.reset != nullptr && t >= 0 && row < rows() && a.reset[(b0 + row) * a.T + t] != 0;
  }

  // dh[e][u] of row e and unit u: what comes back through R from dg.
  __device__ void product(const T* dg, const uint4 (&R)[kTiles], float (&dh)[2][2]) const {
    const int lane = threadIdx.x % 32;
    const T* row = dg + lane % 8 * kGatePitch + lane / 8 * 8;
    float sums[4][4] = {};  // four chains, because one would wait for itself
#pragma unroll
    for (int k = 0; k < kTiles; k += 2) {
      uint32_t b[4];
      load_matrices(b, row + k * 16);
      multiply_16x8x16<T>(sums[k % 4], R[k], b[0], b[1]);
      multiply_16x8x16<T>(sums[k % 4 + 1], R[k + 1], b[2], b[3]);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i)
      dh[i % 2][i / 2] = (sums[0][i] + sums[1][i]) + (sums[2][i] + sums[3][i]);
  }

  __device__ void run(const uint4* fragments) const {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int unit = warp * 16 + lane / 4 * 2, row = lane % 4 * 2;
    const bool has_unit = unit < a.D, both = unit + 1 < a.D;
    const float clip = slstm_clip_of(a.recurrent_clip);
    uint4 R[kTiles] = {};
    if (!a.recurrent_cut) {
      const uint4* mine = fragments + (head * (W / 16) + warp) * kTiles * 32 + lane;
#pragma unroll
      for (int k = 0; k < kTiles; ++k) R[k] = mine[k * 32];
    }
    // Units and rows beyond the ends stay zero in both halves.
    for (int x = threadIdx.x; x < 2 * kRows * kGatePitch; x += kThreads)
      dg_rows[x] = from_float<T>(0);
    for (int i = 1; i < kSlots; ++i) load_step(a.T - i);
    float dh[2][2] = {}, dc[2][2] = {}, dn[2][2] = {};
    bool mine_too[2], fresh[2], stop[2] = {false, false};
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      mine_too[e] = has_unit && row + e < rows();
      fresh[e] = starts_document(a.T - 1, row + e);
      if (!mine_too[e]) continue;
      const int64_t at = ((b0 + row + e) * a.H + head) * a.D + unit;
      slstm_load_state(dh[e], a.dh_final, at, both);
      slstm_load_state(dc[e], a.dc_final, at, both);
      slstm_load_state(dn[e], a.dn_final, at, both);
    }
    wait_copies<kSlots - 3>();
    __syncthreads();

    for (int64_t t = a.T - 1; t >= 0; --t) {
      if (t < a.T - 1) recurrent_part(t, R, stop, dh);
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        if (mine_too[e]) cells(t, row + e, unit, both, fresh[e], clip, dh[e], dc[e], dn[e]);
        stop[e] = fresh[e];
        if (fresh[e]) dc[e][0] = dc[e][1] = dn[e][0] = dn[e][1] = 0;
        fresh[e] = starts_document(t - 1, row + e);
      }
      // Everybody is past step t + 1, whose slot and half are free.
      load_step(t - kSlots + 1);
      if (t < a.T - 1) store_dwx(t + 1);
      wait_copies<kSlots - 3>();
      __syncthreads();
    }
    if (a.T > 0) {
      store_dwx(0);
      recurrent_part(-1, R, stop, dh);
    }
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      if (!mine_too[e]) continue;
      const int64_t at = ((b0 + row + e) * a.H + head) * a.D + unit;
      float c[2], n[2], dm[2];
      slstm_load_state(c, a.c_init, at, both);
      slstm_load_state(n, a.n_init, at, both);
      for (int u = 0; u < 2; ++u) dm[u] = c[u] * dc[e][u] + n[u] * dn[e][u];
      slstm_store_state(a.dh_init, at, both, dh[e]);
      slstm_store_state(a.dc_init, at, both, dc[e]);
      slstm_store_state(a.dn_init, at, both, dn[e]);
      slstm_store_state(a.dm_init, at, both, dm);
    }
  }

  // The gradient of h_t through step t + 1; none where that step started a document.
  __device__ void recurrent_part(int64_t t, const uint4 (&R)[kTiles], const bool (&stop)[2],
                                 float (&dh)[2][2]) const {
    if (a.recurrent_cut) {
      dh[0][0] = dh[0][1] = dh[1][0] = dh[1][1] = 0;
      return;
    }
    product(half(t + 1), R, dh);
#pragma unroll
    for (int e = 0; e < 2; ++e)
      if (stop[e]) dh[e][0] = dh[e][1] = 0;
  }

  // One row's two cells of step t; dc and dn become those of step t - 1.
  __device__ void cells(int64_t t, int row, int unit, bool both, bool fresh, float clip,
                        const float (&dh)[2], float (&dc)[2], float (&dn)[2]) const {
    float x[kSlstmSaved][2], before[2][2] = {};
    read_saved<kSlstmSaved>(t, row, unit, x);
    if (!fresh && t > 0) read_saved<2>(t - 1, row, unit, before);
    if (!fresh && t == 0) {
      const int64_t at = ((b0 + row) * a.H + head) * a.D + unit;
      slstm_load_state(before[0], a.c_init, at, both);
      slstm_load_state(before[1], a.n_init, at, both);
    }
    float2 above = make_float2(0, 0);
    if (a.dh != nullptr)
      above =
          unpacked_pair<T>(*reinterpret_cast<const uint32_t*>(dh_slot(t) + row * kDhPitch + unit));
    float dg[4][2];
#pragma unroll
    for (int u = 0; u < 2; ++u) {
      float saved[kSlstmSaved];
#pragma unroll
      for (int i = 0; i < kSlstmSaved; ++i) saved[i] = x[i][u];
      const float whole = slstm_clamp(dh[u], clip) + (u == 0 ? above.x : above.y);
      const SlstmStepGrad<float> g =
          slstm_step_back<SlstmFastMath>(saved, before[0][u], before[1][u], whole, dc[u], dn[u]);
      dg[0][u] = g.i;
      dg[1][u] = g.f;
      dg[2][u] = g.z;
      dg[3][u] = g.o;
      dc[u] = g.c;
      dn[u] = g.n;
    }
    T* to = half(t) + row * kGatePitch + unit;
#pragma unroll
    for (int gate = 0; gate < 4; ++gate)
      *reinterpret_cast<uint32_t*>(to + gate * W) =
          packed_pair<T>(dg[gate][0], both ? dg[gate][1] : 0.0f);
  }

  // The first N saved arrays of two units.
  template <int N>
  __device__ void read_saved(int64_t t, int row, int unit, float (&x)[N][2]) const {
    const float* from = saved_slot(t) + row * kSavedPitch + unit;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float2 pair = *reinterpret_cast<const float2*>(from + i * W);
      x[i][0] = pair.x;
      x[i][1] = pair.y;
    }
  }
};

template <class T, int W>
__global__ __launch_bounds__(2 * W, 1) void small_backward(const xlstm_slstm_bwd_args a,
                                                           const uint4* fragments, bool dh_packed,
                                                           bool dwx_packed) {
  extern __shared__ uint4 memory[];
  T* dg_rows = reinterpret_cast<T*>(memory);
  const int64_t head = blockIdx.x % a.H, b0 = blockIdx.x / a.H * kRows;
  Backward<T, W>{a,
                 dh_packed,
                 dwx_packed,
                 head,
                 b0,
                 dg_rows,
                 reinterpret_cast<unsigned char*>(dg_rows + 2 * kRows * Backward<T, W>::kGatePitch)}
      .run(fragments);
}

template <class T, int W>
xlstm_status launch(const xlstm_slstm_bwd_args& a, void* workspace, cudaStream_t stream) {
  if (!a.recurrent_cut) {
    const xlstm_status status = slstm_pack_fragments(a.R, a.weight_dtype, a.dtype, a.H, a.D,
                                                     {W / 16, W / 4, W}, true, workspace, stream);
    if (status != XLSTM_OK) return status;
  }
  const bool whole = a.D % kPack<T> == 0;
  const bool dh_packed = whole && is_packed<T>(a.dh, a.dh_stride_b) &&
                         is_packed<T>(a.dh, a.dh_stride_t) && is_packed<T>(a.dh, a.dh_stride_h);
  const bool dwx_packed =
      whole && is_packed<T>(a.dwx, a.dwx_stride_b) && is_packed<T>(a.dwx, a.dwx_stride_t) &&
      is_packed<T>(a.dwx, a.dwx_stride_g) && is_packed<T>(a.dwx, a.dwx_stride_h);
  constexpr int kBytes = Backward<T, W>::kBytes;
  if (cudaFuncSetAttribute(small_backward<T, W>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           kBytes) != cudaSuccess)
    return XLSTM_DEVICE_ERROR;
  const unsigned blocks = static_cast<unsigned>(ceil_div(a.B, kRows) * a.H);
  small_backward<T, W><<<blocks, 2 * W, kBytes, stream>>>(a, static_cast<const uint4*>(workspace),
                                                          dh_packed, dwx_packed);
  return launched();
}

template <class T>
xlstm_status launch_width(const xlstm_slstm_bwd_args& a, void* workspace, cudaStream_t stream) {
  if (a.D <= 16) return launch<T, 16>(a, workspace, stream);
  if (a.D <= 32) return launch<T, 32>(a, workspace, stream);
  if (a.D <= 64) return launch<T, 64>(a, workspace, stream);
  return launch<T, 128>(a, workspace, stream);
}

}  // namespace

xlstm_status slstm_small_bwd(const xlstm_slstm_bwd_args& a, void* workspace, cudaStream_t stream) {
  return a.dtype == XLSTM_BF16 ? launch_width<bf16>(a, workspace, stream)
                               : launch_width<f16>(a, workspace, stream);
}

bool slstm_small_fits(xlstm_dtype dtype, int64_t D) {
  if (dtype == XLSTM_F32 || D > 128) return false;
  const int needed = D <= 64 ? Backward<bf16, 64>::kBytes : Backward<bf16, 128>::kBytes;
  int device = 0, most = 0;
  return answered(cudaGetDevice(&device)) &&
         answered(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device)) &&
         needed <= most;
}

int64_t slstm_small_workspace(int64_t H, int64_t D) {
  const int64_t W = D <= 16 ? 16 : D <= 32 ? 32 : D <= 64 ? 64 : 128;
  return SlstmFragments{W / 16, W / 16, 0}.bytes(H, false);
}

}  // namespace xlstm::kernels
