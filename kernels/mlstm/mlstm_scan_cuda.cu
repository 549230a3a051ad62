// States at the chunk starts: a block owns a part of the matrix of one head and walks its chunks.
#include "kernels/mlstm/mlstm_cuda.cuh"

namespace xlstm::kernels::mlstm {
namespace {

// What is on its way for one tile of 64 steps: rows of x and y, and their scales.
template <class T, int kWide>
struct ScanStage {
  static constexpr int kRows = kChunk<T> / kTile;  // tiles of x
  T x[kRows][kTileSize<T>];
  T y[kWide][kTileSize<T>];
  float scale[kTile], vector_scale[kTile];
};

template <class T, int kWide>
class Scan {
  using Stage = ScanStage<T, kWide>;

 public:
  __device__ explicit Scan(const ScanArgs& args) : a(args) {
    const int64_t row_tiles = ceil_div(a.K, kChunk<T>);
    const int64_t col_tiles = ceil_div(a.V, kTile * kWide);
    part = blockIdx.x % (row_tiles * col_tiles);
    head = blockIdx.x / (row_tiles * col_tiles);
    col0 = part % col_tiles * kTile * kWide;
    row0 = part / col_tiles * kChunk<T>;
    warp = threadIdx.x / 32;
    row = row0 + 16 * warp + fragment_row();
    active = row0 + 16 * warp < a.K;
    pitch = ceil_div(a.V, kPack<T>) * kPack<T>;
    has_vector = a.with_vector && col0 == 0;
  }

  __device__ void run() {
    Stage* stages = reinterpret_cast<Stage*>(dynamic_shared());
    const int64_t n = ceil_div(a.T, kTile);
    for (int s = 0; s < kStages - 1; ++s) {
      if (s < n) load(stages[s], s, n);
      commit_copies();
    }
    start();
    for (int64_t s = 0; s < n; ++s) {
      wait_copies<kStages - 2>();
      __syncthreads();
      if (s + kStages - 1 < n) load(stages[(s + kStages - 1) % kStages], s + kStages - 1, n);
      commit_copies();
      const int64_t tile = a.backward ? n - 1 - s : s;
      const int64_t chunk = tile * kTile / kChunk<T>;
      const bool enters = a.backward ? s == 0 || (tile + 1) * kTile % kChunk<T> == 0
                                     : tile * kTile % kChunk<T> == 0;
      if (enters) enter(chunk);
      if (active) add(stages[s % kStages]);
    }
    if (active) finish();
  }

 private:
  static constexpr int kStages = Tiling<T>::kScanStages;

  const ScanArgs& a;
  int64_t part, head, row0, col0, row, pitch;
  int warp;
  bool active, has_vector;
  Accumulator acc[kWide];
  float vec[2];  // this lane's share of s of rows `row` and `row` + 8

  __device__ void load(Stage& stage, int64_t s, int64_t n) const {
    const int64_t t = (a.backward ? n - 1 - s : s) * kTile;
    const T* x = a.x.head<T>(head, a.H) + t * a.x.t + row0;
    for (int j = 0; j < Stage::kRows; ++j)
      load_tile(stage.x[j], x + kTile * j, a.x.t, kTile, a.T - t, a.K - row0 - kTile * j,
                a.x.packed);
    const bool has_y = a.y.data != nullptr;
    const T* y = has_y ? a.y.head<T>(head, a.H) + t * a.y.t + col0 : nullptr;
    for (int j = 0; j < kWide; ++j)
      load_tile(stage.y[j], y + kTile * j, a.y.t, kTile, has_y ? a.T - t : 0,
                a.V - col0 - kTile * j, a.y.packed);
    const int lane = threadIdx.x;
    if (lane < 16)
      copy_16_async(stage.scale + 4 * lane, a.scale + head * a.steps + t + 4 * lane, 16);
    if (lane >= 16 && lane < 32)
      copy_16_async(stage.vector_scale + 4 * (lane - 16),
                    a.vector_scale + head * a.steps + t + 4 * (lane - 16), 16);
  }

  // visit(row, column, element) for the lane's elements inside the matrix.
  template <class Visit>
  __device__ void each(Visit visit) {
#pragma unroll
    for (int w = 0; w < kWide; ++w)
#pragma unroll
      for (int n = 0; n < 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int64_t r = row + e / 2 * 8;
          const int64_t c = col0 + kTile * w + 8 * n + fragment_col() + e % 2;
          if (r < a.K && c < a.V) visit(r, c, acc[w][n][e]);
        }
  }

  __device__ void start() {
    for (int w = 0; w < kWide; ++w) clear(acc[w]);
    vec[0] = vec[1] = 0;
    if (a.S_first != nullptr) {
      const float* from = a.S_first + head * a.K * a.V;
      each([&](int64_t r, int64_t c, float& x) { x = from[r * a.V + c]; });
    }
    if (!has_vector || a.s_first == nullptr || fragment_col() != 0) return;
    for (int j = 0; j < 2; ++j)
      if (row + 8 * j < a.K) vec[j] = a.s_first[head * a.K + row + 8 * j];
  }

  // Stores what the chunk begins with (in the order of the scan), and scales it to its other end.
  __device__ void enter(int64_t chunk) {
    store(chunk);
    if (a.other_S != nullptr) inner_product(chunk);
    const float gamma = a.gamma[head * a.chunks + chunk];
    for (int w = 0; w < kWide; ++w)
#pragma unroll
      for (int n = 0; n < 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) acc[w][n][e] *= gamma;
    vec[0] *= gamma;
    vec[1] *= gamma;
  }

  __device__ void store(int64_t slot) {
    const int64_t at = head * a.slots + slot;
    T* to = static_cast<T*>(a.S_chunks) + at * a.K * pitch;
#pragma unroll
    for (int w = 0; w < kWide; ++w)
#pragma unroll
      for (int n = 0; n < 8; ++n) {
        const int64_t c = col0 + kTile * w + 8 * n + fragment_col();
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          const float pair[2] = {acc[w][n][2 * j], acc[w][n][2 * j + 1]};
          if (row + 8 * j < a.K && c < pitch) store_pack<2>(to + (row + 8 * j) * pitch + c, pair);
        }
      }
    if (!has_vector) return;
    const float whole[2] = {row_sum(vec[0]), row_sum(vec[1])};
    if (fragment_col() != 0) return;
    for (int j = 0; j < 2; ++j)
      if (row + 8 * j < a.K) a.s_chunks[at * a.K + row + 8 * j] = whole[j];
  }

  __device__ void inner_product(int64_t chunk) {
    const int64_t at = head * (a.chunks + 1) + chunk + 1;
    const T* other = static_cast<const T*>(a.other_S) + at * a.K * pitch;
    float sum = 0;
    each([&](int64_t r, int64_t c, float& x) { sum += x * to_float(other[r * pitch + c]); });
    if (has_vector) {
      for (int j = 0; j < 2; ++j)
        if (row + 8 * j < a.K) sum += vec[j] * a.other_s[at * a.K + row + 8 * j];
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0)
      a.inner[((part * Tiling<T>::kWarps + warp) * a.heads + head) * a.chunks + chunk] = sum;
  }

  // acc += (scale x)^T y over the 64 steps of the stage.
  __device__ void add(const Stage& stage) {
    const T* x = stage.x[warp / 4];
    const int m0 = warp % 4 * 16;
    if constexpr (sizeof(T) == 2) {
#pragma unroll
      for (int k = 0; k < kTile; k += 16) {
        uint32_t left[4];
        load_left<true>(left, x, m0, k);
#pragma unroll
        for (int j = 0; j < 4; ++j) {  // rows g, g + 8 of the steps c, c + 1, then of those 8 later
          const int t = k + j / 2 * 8 + fragment_col();
          const float2 pair = unpacked_pair<T>(left[j]);
          vec[j % 2] += stage.vector_scale[t] * pair.x + stage.vector_scale[t + 1] * pair.y;
          left[j] = packed_pair<T>(stage.scale[t] * pair.x, stage.scale[t + 1] * pair.y);
        }
#pragma unroll
        for (int w = 0; w < kWide; ++w) {
          const int64_t cols = a.V - col0 - kTile * w;
          multiply_by<false>(acc[w], left, stage.y[w], k, 0,
                             cols >= kTile ? 4 : static_cast<int>(cols + 15) / 16);
        }
      }
    } else {
      for (int t = 0; t < kTile; ++t) {
        const float scale = stage.scale[t];
        const float x0 = x[t * kPitch<T> + m0 + fragment_row()];
        const float x1 = x[t * kPitch<T> + m0 + fragment_row() + 8];
        if (t % 4 == threadIdx.x % 4) {  // one of the lanes that share the row
          vec[0] += stage.vector_scale[t] * x0;
          vec[1] += stage.vector_scale[t] * x1;
        }
        const float a0 = scale * x0, a1 = scale * x1;
#pragma unroll
        for (int w = 0; w < kWide; ++w)
#pragma unroll
          for (int n = 0; n < 8; ++n) {
            const float2 b = *reinterpret_cast<const float2*>(
                &stage.y[w][t * kPitch<T> + 8 * n + fragment_col()]);
            acc[w][n][0] += a0 * b.x;
            acc[w][n][1] += a0 * b.y;
            acc[w][n][2] += a1 * b.x;
            acc[w][n][3] += a1 * b.y;
          }
      }
    }
  }

  __device__ void finish() {
    if (a.slots > a.chunks) store(a.chunks);
    if (a.S_last != nullptr) {
      float* to = a.S_last + head * a.K * a.V;
      each([&](int64_t r, int64_t c, float& x) { to[r * a.V + c] = x; });
    }
    if (!has_vector || a.s_last == nullptr) return;
    const float whole[2] = {row_sum(vec[0]), row_sum(vec[1])};
    if (fragment_col() != 0) return;
    for (int j = 0; j < 2; ++j)
      if (row + 8 * j < a.K) a.s_last[head * a.K + row + 8 * j] = whole[j];
  }
};

template <class T, int kWide>
__global__ void __launch_bounds__(kThreads<T>, sizeof(T) == 2 ? 2 : 1) scan_kernel(ScanArgs a) {
  Scan<T, kWide>(a).run();
}

template <class T, int kWide>
xlstm_status launch_scan(const ScanArgs& args, xlstm_exec exec) {
  const int64_t blocks = args.heads * scan_parts<T>(args.K, args.V) / Tiling<T>::kWarps;
  return launch(scan_kernel<T, kWide>, blocks, kThreads<T>,
                Tiling<T>::kScanStages * static_cast<int64_t>(sizeof(ScanStage<T, kWide>)), exec,
                args);
}

}  // namespace

template <class T>
xlstm_status scan_states(const ScanArgs& args, xlstm_exec exec) {
  if constexpr (Tiling<T>::kWide > 1) {
    if (args.V <= kTile) return launch_scan<T, 1>(args, exec);
  }
  return launch_scan<T, Tiling<T>::kWide>(args, exec);
}
template xlstm_status scan_states<float>(const ScanArgs&, xlstm_exec);
template xlstm_status scan_states<bf16>(const ScanArgs&, xlstm_exec);
template xlstm_status scan_states<f16>(const ScanArgs&, xlstm_exec);

}  // namespace xlstm::kernels::mlstm
