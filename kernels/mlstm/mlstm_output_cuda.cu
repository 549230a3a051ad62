// What the chunks put out, h forward and dq, dk, dv backward: one kernel for the four, because each
// is weighted scores X Y^T times Z plus X times a state. A block owns the steps of one chunk of one
// head and up to two tiles of columns; a warp 16 of the steps.
#include "kernels/mlstm/mlstm_cuda.cuh"

namespace xlstm::kernels::mlstm {
namespace {

// The gate vectors of the chunk's steps as columns of the scores.
template <class T>
struct ColumnGates {
  float2 uw[kChunk<T>];  // u of key steps, w of query steps
  float inv_n[kChunk<T>], dl[kChunk<T>];
  int first[kChunk<T>];
};

// kWide: tiles of columns of the result. One leaves room for two blocks on a multiprocessor.
template <class T, Output kOutput, int kWide>
class ChunkOutput {
 public:
  static constexpr int kWarps = Tiling<T>::kWarps;
  static constexpr int kStages = Tiling<T>::kStages, kXSize = 16 * kWarps * kPitch<T>;

  // Shared memory: column gates, X (all inner tiles if resident), the stages (a tile each, and one
  // of X if not resident), and for float32 the weighted scores.
  __host__ __device__ static int64_t shared_bytes(const OutputArgs& a) {
    const int64_t n_inner = ceil_div(a.inner, kTile);
    const int64_t x = a.resident ? n_inner * kXSize : kStages * kXSize;
    const int64_t scores = sizeof(T) == 4 ? kXSize : 0;
    return static_cast<int64_t>(sizeof(ColumnGates<T>)) +
           (x + kStages * kTileSize<T> + scores) * static_cast<int64_t>(sizeof(T));
  }

  __device__ explicit ChunkOutput(const OutputArgs& args) : a(args) {
    const int64_t groups = ceil_div(a.width, kTile * kWide);
    group = blockIdx.x % groups;
    chunk = blockIdx.x / groups % a.gates.chunks;
    head = blockIdx.x / groups / a.gates.chunks;
    t0 = chunk * kChunk<T>;
    n_steps = static_cast<int>(a.T - t0 < kChunk<T> ? a.T - t0 : kChunk<T>);
    col0 = group * kTile * kWide;
    n_wide = static_cast<int>(min64(ceil_div(a.width - col0, kTile), kWide));
    n_inner = static_cast<int>(ceil_div(a.inner, kTile));
    n_columns = (n_steps + kTile - 1) / kTile;
    const bool edge = kReadsC ? chunk == 0 : chunk == a.gates.chunks - 1;
    n_state = edge && !a.edge_state ? 0 : n_inner * n_wide;
    n_loads = n_state + n_columns * (n_inner + n_wide);
    pitch = ceil_div(a.V, kPack<T>) * kPack<T>;
    at_step = head * a.gates.steps + t0;
    const int64_t slot = head * a.slots + chunk;
    S = static_cast<const T*>(a.S) + slot * a.K * pitch;
    s = a.s + slot * a.K;

    columns = reinterpret_cast<ColumnGates<T>*>(dynamic_shared());
    X = reinterpret_cast<T*>(columns + 1);
    ring = X + (a.resident ? n_inner : kStages) * kXSize;
    warp = threadIdx.x / 32;
    m0 = 16 * warp;
    scratch = ring + kStages * kTileSize<T> + m0 * kPitch<T>;
    row = m0 + fragment_row();
  }

  __device__ void run() {
    load_columns();
    if (a.resident)
      for (int inner = 0; inner < n_inner; ++inner) load_x(X + inner * kXSize, inner);
    for (int j = 0; j < kStages - 1; ++j) {
      if (j < n_loads) load(j);
      commit_copies();
    }
    load_rows();
#pragma unroll
    for (int w = 0; w < kWide; ++w) clear(acc[w]);
    read_state();
    for (int column = 0; column < n_columns; ++column) read_steps(kTile * column);
    wait_copies<0>();
    __syncthreads();  // the stages become room for the output
    finish();
  }

 private:
  static constexpr bool kQueryRows = kOutput == Output::kH || kOutput == Output::kDq;
  static constexpr bool kReadsC = kQueryRows;
  // Whether the state's rows are summed over, or are the output's columns.
  static constexpr bool kSumsK = kOutput == Output::kH || kOutput == Output::kDv;

  const OutputArgs& a;
  int64_t group, chunk, head, t0, col0, pitch, at_step;
  int n_steps, n_wide, n_inner, n_columns, n_state, n_loads, warp, m0, row;
  const T* S;
  const float* s;
  ColumnGates<T>* columns;
  T *X, *ring, *scratch;
  int next = 0;  // number of the next tile
  Accumulator acc[kWide];
  // Of the lane's rows `row` and `row` + 8.
  float2 uw[2];
  float state_scale[2], vector_scale[2], inv_n[2], dl[2], l[2];
  int first[2];

  __device__ static int64_t min64(int64_t x, int64_t y) {
    return x < y ? x : y;
  }

  // ---- loads ----

  __device__ void load_columns() {
    for (int j = threadIdx.x; j < kChunk<T>; j += kThreads<T>) {
      columns->uw[j] = kQueryRows ? a.gates.u[at_step + j] : a.gates.w[at_step + j];
      columns->first[j] = a.gates.first[at_step + j];
      if constexpr (!kQueryRows) {
        columns->inv_n[j] = a.inv_n[at_step + j];
        columns->dl[j] = a.dl[at_step + j];
      }
    }
  }

  __device__ void load_rows() {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int64_t t = at_step + row + 8 * j;
      uw[j] = kQueryRows ? a.gates.w[t] : a.gates.u[t];
      first[j] = a.gates.first[t];
      l[j] = inv_n[j] = dl[j] = vector_scale[j] = 0;
      if constexpr (kOutput == Output::kH) {
        state_scale[j] = a.query_scale * a.gates.beta[t];
      } else if constexpr (kOutput == Output::kDq) {
        inv_n[j] = a.inv_n[t];
        dl[j] = a.dl[t];
        state_scale[j] = a.q_scale[t];
        vector_scale[j] = a.q_vector_scale[t];
      } else {
        state_scale[j] = vector_scale[j] = a.gates.alpha[t];
      }
    }
  }

  __device__ void load_x(T* to, int inner) const {
    load_steps(to, a.x, kChunk<T>, 0, kTile * inner, a.inner);
  }
  // `rows` steps from `step` of the chunk, elements from `col`; no data are zeros.
  __device__ void load_steps(T* to, const View& from, int rows, int step, int64_t col,
                             int64_t n_cols) const {
    const T* data =
        from.data == nullptr ? nullptr : from.head<T>(head, a.H) + (t0 + step) * from.t + col;
    load_tile(to, data, from.t, rows, data == nullptr ? 0 : n_steps - step, n_cols - col,
              from.packed);
  }

  // Tiles in the order of use: of the state for each inner tile and column tile; then, for each 64
  // steps of the chunk, of Y for each inner tile and of Z for each column tile.
  __device__ void load(int number) {
    T* to = ring + number % kStages * kTileSize<T>;
    int inner = -1;
    if (number < n_state) {
      inner = number / n_wide;
      const int64_t col = col0 + number % n_wide * kTile;
      if constexpr (kSumsK) {
        load_tile(to, S + inner * kTile * pitch + col, pitch, kTile, a.K - inner * kTile, a.V - col,
                  true);
      } else {
        load_tile(to, S + col * pitch + inner * kTile, pitch, kTile, a.K - col, a.V - inner * kTile,
                  true);
      }
    } else {
      const int column = (number - n_state) / (n_inner + n_wide);
      const int which = (number - n_state) % (n_inner + n_wide);
      if (which < n_inner) {
        inner = which;
        load_steps(to, a.y, kTile, kTile * column, kTile * inner, a.inner);
      } else {
        load_steps(to, a.z, kTile, kTile * column, col0 + (which - n_inner) * kTile, a.width);
      }
    }
    if (!a.resident && inner >= 0) load_x(X + number % kStages * kXSize, inner);
  }

  // Waits for the next tile, has one more loaded, and returns where the tile is.
  __device__ const T* take(int inner, const T** x) {
    wait_copies<kStages - 2>();
    __syncthreads();
    if (next + kStages - 1 < n_loads) load(next + kStages - 1);
    commit_copies();
    const int stage = next++ % kStages;
    if (x != nullptr) *x = X + (a.resident ? inner : stage) * kXSize;
    return ring + stage * kTileSize<T>;
  }

  __device__ static int pieces(int64_t n) {
    return n >= kTile ? 4 : n <= 0 ? 0 : static_cast<int>(n + 15) / 16;
  }

  // ---- the state ----

  __device__ void read_state() {
    if (n_state == 0) return;
    for (int inner = 0; inner < n_inner; ++inner) {
#pragma unroll
      for (int w = 0; w < kWide; ++w) {
        if (w >= n_wide) continue;
        const T* x;
        const T* tile = take(inner, &x);
        if (m0 >= n_steps) continue;
        multiply<!kSumsK>(acc[w], x, m0, tile, 0, pieces(a.inner - kTile * inner), 0,
                          pieces(a.width - col0 - kTile * w));
        if (kOutput == Output::kH && w == 0 && a.normalize) add_vector(x, kTile * inner);
      }
    }
#pragma unroll
    for (int w = 0; w < kWide; ++w)
#pragma unroll
      for (int n = 0; n < 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          acc[w][n][e] *= state_scale[e / 2];
          if constexpr (kOutput == Output::kDq || kOutput == Output::kDk) {
            const int64_t col = col0 + kTile * w + 8 * n + fragment_col() + e % 2;
            if (a.normalize && col < a.K) acc[w][n][e] += vector_scale[e / 2] * s[col];
          }
        }
    l[0] *= state_scale[0];
    l[1] *= state_scale[1];
  }

  // l += q n over one inner tile.
  __device__ void add_vector(const T* x, int k0) {
    const T* q = x + row * kPitch<T> + fragment_col();
#pragma unroll
    for (int k = 0; k < kTile; k += 8)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int64_t at = k0 + k + fragment_col() + e;
        const float n = at < a.K ? s[at] : 0.0f;
        l[0] += n * to_float(q[k + e]);
        l[1] += n * to_float(q[8 * kPitch<T> + k + e]);
      }
  }

  // ---- the chunk's own steps ----

  // The columns are the steps c0 .. c0 + 63 of the chunk.
  __device__ void read_steps(int c0) {
    // Sixteens of columns with which some row of the warp is paired.
    const int from = kQueryRows ? 0 : max(m0 - c0, 0) / 16;
    const int to = min(pieces(n_steps - c0), kQueryRows ? (m0 + 16 - c0) / 16 : 4);
    const bool active = from < to && m0 < n_steps;
    Accumulator scores;
    clear(scores);
    for (int inner = 0; inner < n_inner; ++inner) {
      const T* x;
      const T* tile = take(inner, &x);
      if (active) multiply<true>(scores, x, m0, tile, 0, pieces(a.inner - kTile * inner), from, to);
    }
    if (active) weigh(scores, c0);
#pragma unroll
    for (int w = 0; w < kWide; ++w) {
      if (w >= n_wide) continue;
      const T* tile = take(0, nullptr);
      if (active)
        multiply_result(acc[w], scores, scratch, tile, from, to,
                        pieces(a.width - col0 - kTile * w));
    }
  }

  __device__ void weigh(Accumulator& scores, int c0) {
#pragma unroll
    for (int n = 0; n < 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int j = e / 2, r = row + 8 * j, c = c0 + 8 * n + fragment_col() + e % 2;
        const bool paired = kQueryRows ? c <= r && c >= first[j] : r <= c && r >= columns->first[c];
        const float2 other = columns->uw[c];
        const float high = kQueryRows ? other.x - uw[j].x : uw[j].x - other.x;
        const float low = kQueryRows ? other.y - uw[j].y : uw[j].y - other.y;
        const float decay = paired ? __expf(high + low) : 0.0f;
        float x = scores[n][e];
        if constexpr (kOutput == Output::kDq) x = inv_n[j] * x + dl[j];
        if constexpr (kOutput == Output::kDk) x = columns->inv_n[c] * x + columns->dl[c];
        if constexpr (kOutput == Output::kDv) x = columns->inv_n[c] * x;
        x = paired ? a.query_scale * decay * x : 0.0f;
        if constexpr (kOutput == Output::kH) l[j] += x;
        scores[n][e] = x;
      }
  }

  // ---- the end ----

  __device__ void finish() {
    if (kOutput == Output::kH && a.normalize) divide();
    if (kOutput == Output::kDq || kOutput == Output::kDk) store_products();
    T* room = ring + m0 * kPitch<T>;
    T* out = a.out.head<T>(head, a.H) + (t0 + m0) * a.out.t;
#pragma unroll
    for (int w = 0; w < kWide; ++w) {
      __syncwarp();
#pragma unroll
      for (int n = 0; n < 8; ++n)
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          const float pair[2] = {acc[w][n][2 * j], acc[w][n][2 * j + 1]};
          store_pack<2>(room + (fragment_row() + 8 * j) * kPitch<T> + 8 * n + fragment_col(), pair);
        }
      __syncwarp();
      store_rows(out + col0 + kTile * w, room, n_steps - m0, a.width - col0 - kTile * w);
    }
  }

  // The warp's 16 rows of a tile from shared to device memory.
  __device__ void store_rows(T* to, const T* from, int n_rows, int64_t n_cols) const {
    constexpr int kPieces = kTile / kPack<T>;
    for (int at = threadIdx.x % 32; at < 16 * kPieces; at += 32) {
      const int r = at / kPieces, c = at % kPieces * kPack<T>;
      if (r >= n_rows || c >= n_cols) continue;
      const T* piece = from + r * kPitch<T> + c;
      if (a.out.packed && c + kPack<T> <= n_cols) {
        *reinterpret_cast<uint4*>(to + r * a.out.t + c) = *reinterpret_cast<const uint4*>(piece);
      } else {
        for (int e = 0; e < kPack<T> && c + e < n_cols; ++e) to[r * a.out.t + c + e] = piece[e];
      }
    }
  }

  __device__ void divide() {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const float whole = row_sum(l[j]);
      const int r = row + 8 * j;
      if (group == 0 && a.saved_l != nullptr && fragment_col() == 0 && r < n_steps)
        a.saved_l[head * a.T + t0 + r] = whole;
      const float floor = expf(floor_exponent(a.gates.m[at_step + r]));
      const float scale = 1.0f / denominator(whole, floor, a.eps);
#pragma unroll
      for (int w = 0; w < kWide; ++w)
#pragma unroll
        for (int n = 0; n < 8; ++n) {
          acc[w][n][2 * j] *= scale;
          acc[w][n][2 * j + 1] *= scale;
        }
    }
  }

  // <q_t, dq_t> or <k_t, dk_t> over the block's columns, before dq, dk are rounded.
  __device__ void store_products() {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int r = row + 8 * j;
      const T* factor = static_cast<const T*>(a.factor.head<T>(head, a.H)) + (t0 + r) * a.factor.t;
      float sum = 0;
#pragma unroll
      for (int w = 0; w < kWide; ++w)
#pragma unroll
        for (int n = 0; n < 8; ++n)
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            const int64_t col = col0 + kTile * w + 8 * n + fragment_col() + e;
            if (r < n_steps && col < a.width) sum += to_float(factor[col]) * acc[w][n][2 * j + e];
          }
      sum = row_sum(sum);
      if (fragment_col() == 0) a.products[(group * a.heads + head) * a.gates.steps + t0 + r] = sum;
    }
  }
};

template <class T, Output kOutput, int kWide>
__global__ void __launch_bounds__(kThreads<T>, kWide == 1 && sizeof(T) == 2 ? 2 : 1)
    output_kernel(OutputArgs a) {
  ChunkOutput<T, kOutput, kWide>(a).run();
}

template <class T, Output kOutput, int kWide>
xlstm_status launch_output(OutputArgs args, xlstm_exec exec) {
  using Code = ChunkOutput<T, kOutput, kWide>;
  const int64_t blocks = args.heads * args.gates.chunks * output_groups<T>(args.width);
  // Two blocks fit a multiprocessor of 164 KB; up to that one may take all.
  constexpr int64_t kMostResident = 160 * 1024;
  args.resident = true;
  if (Code::shared_bytes(args) > kMostResident) args.resident = false;
  return launch(output_kernel<T, kOutput, kWide>, blocks, kThreads<T>, Code::shared_bytes(args),
                exec, args);
}

}  // namespace

template <class T, Output kOutput>
xlstm_status compute_output(OutputArgs args, xlstm_exec exec) {
  if constexpr (Tiling<T>::kWide > 1) {
    if (args.width <= kTile) return launch_output<T, kOutput, 1>(args, exec);
  }
  return launch_output<T, kOutput, Tiling<T>::kWide>(args, exec);
}

#define XLSTM_OUTPUTS(T)                                                        \
  template xlstm_status compute_output<T, Output::kH>(OutputArgs, xlstm_exec);  \
  template xlstm_status compute_output<T, Output::kDq>(OutputArgs, xlstm_exec); \
  template xlstm_status compute_output<T, Output::kDk>(OutputArgs, xlstm_exec); \
  template xlstm_status compute_output<T, Output::kDv>(OutputArgs, xlstm_exec);
XLSTM_OUTPUTS(float)
XLSTM_OUTPUTS(bf16)
XLSTM_OUTPUTS(f16)

}  // namespace xlstm::kernels::mlstm
