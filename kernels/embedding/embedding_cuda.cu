#include "kernels/common/values.cuh"
#include "kernels/common/weight_dtype.h"
#include "kernels/embedding/embedding.h"
#include "kernels/embedding/sort_positions.cuh"

namespace xlstm::kernels::embedding {
namespace {

using Forward = xlstm_embedding_fwd_args;
using Backward = xlstm_embedding_bwd_args;

constexpr int kThreads = 128;
constexpr int kWindow = 64;  // sorted positions summed by one block
constexpr int kAtOnce = 4;   // rows of dy on their way at once
constexpr int kZeroRows = 32;
constexpr int64_t kLimit = int64_t{1} << 31;

// A warp copies a row, V elements a lane and kPieces of those at once; the token of its next row is
// read meanwhile.
template <class T, class W, int V>
__global__ void __launch_bounds__(kThreads, 8) gather(Forward a) {
  constexpr int kWarps = kThreads / 32, kPieces = 8, kStep = 32 * V;
  // A plain copy moves whole words.
  using Words = std::conditional_t<std::is_same_v<T, W> && V == kPack<W>, uint4, Raw<W, V>>;
  const int64_t first = static_cast<int64_t>(threadIdx.x % 32) * V;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kWarps;
  int64_t t = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  int64_t next = t < a.n_tokens ? a.tokens[t] : 0;
  for (; t < a.n_tokens; t += stride) {
    const int64_t token = next;
    if (t + stride < a.n_tokens) next = a.tokens[t + stride];
    T* to = static_cast<T*>(a.y) + t * a.y_stride_row;
    if (token < 0 || token >= a.n_vocab) {
      float values[V];
#pragma unroll
      for (int j = 0; j < V; ++j) values[j] = NAN;
      for (int64_t i = first; i < a.D; i += kStep) store_values<V>(to + i, values);
      continue;
    }
    const W* from = static_cast<const W*>(a.weight) + token * a.weight_stride_row;
    for (int64_t i = first; i < a.D; i += kPieces * kStep) {
      Words raw[kPieces];
#pragma unroll
      for (int k = 0; k < kPieces; ++k)
        if (i + k * kStep < a.D) raw[k] = *reinterpret_cast<const Words*>(from + i + k * kStep);
#pragma unroll
      for (int k = 0; k < kPieces; ++k) {
        if (i + k * kStep >= a.D) break;
        if constexpr (std::is_same_v<T, W>) {
          *reinterpret_cast<Words*>(to + i + k * kStep) = raw[k];
        } else {
          float values[V];
#pragma unroll
          for (int j = 0; j < V; ++j) values[j] = raw[k][j];
          store_values<V>(to + i + k * kStep, values);
        }
      }
    }
  }
}

// Zeros in the rows that no token names, of the block's kZeroRows rows.
template <class W, int V>
__device__ void zero_absent(const Backward& a, const uint8_t* present, int64_t first) {
  constexpr int kWarps = kThreads / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const float zeros[V] = {};
  // All at once: which of them are absent.
  const int64_t mine = first + lane;
  const uint32_t absent = __ballot_sync(0xffffffffu, mine < a.n_vocab && present[mine] == 0);
  for (int row = warp; row < kZeroRows; row += kWarps) {
    if ((absent >> row & 1) == 0) continue;
    W* to = static_cast<W*>(a.dweight) + (first + row) * a.D;
    for (int64_t i = lane * V; i < a.D; i += 32 * V) store_values<V>(to + i, zeros);
  }
}

// Partial rows of a token that crosses windows: `head` of a window where it began earlier, `tail`
// of the window where it begins. Both [windows][D].
struct Partial {
  float *head, *tail;
};

// V columns a thread. A run of one token within the window goes to dweight, or to a partial row.
// Blocks beyond those of the windows write the zeros meanwhile.
template <class T, class W, int V>
__global__ void __launch_bounds__(kThreads)
    sum_windows(Backward a, Sorted s, Partial partial, const uint8_t* present) {
  __shared__ uint32_t keys[kWindow + 2], positions[kWindow];
  const int64_t start = static_cast<int64_t>(blockIdx.x) * kWindow;
  if (start >= a.n_tokens) {
    const int64_t block = blockIdx.x - ceil_div(a.n_tokens, kWindow);
    return zero_absent<W, V>(a, present, (block * gridDim.y + blockIdx.y) * kZeroRows);
  }
  const int n = static_cast<int>(a.n_tokens - start < kWindow ? a.n_tokens - start : kWindow);
  constexpr uint32_t kNone = 0xffffffffu;
  // keys[0] is the one before the window.
  for (int i = static_cast<int>(threadIdx.x); i < n + 2; i += kThreads) {
    const int64_t at = start + i - 1;
    keys[i] = at >= 0 && at < a.n_tokens ? s.keys[at] : kNone;
    if (i < n) positions[i] = s.positions[start + i];
  }
  __syncthreads();
  const int64_t column = (static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x) * V;
  if (column >= a.D) return;
  const T* dy = static_cast<const T*>(a.dy) + column;
  float sum[V] = {};
  bool began_earlier = keys[0] == keys[1];
  for (int first = 0; first < n; first += kAtOnce) {
    Raw<T, V> raw[kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k)
      if (first + k < n)
        raw[k] = load_raw<V>(dy + static_cast<int64_t>(positions[first + k]) * a.dy_stride_row);
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int i = first + k;
      if (i >= n) break;
#pragma unroll
      for (int j = 0; j < V; ++j) sum[j] += raw[k][j];
      const uint32_t key = keys[i + 1];
      const bool goes_on = key == keys[i + 2];
      if (goes_on && i + 1 < n) continue;
      if (key < a.n_vocab) {
        if (began_earlier) {
          store_values<V>(partial.head + blockIdx.x * a.D + column, sum);
        } else if (goes_on) {
          store_values<V>(partial.tail + blockIdx.x * a.D + column, sum);
        } else {
          store_values<V>(static_cast<W*>(a.dweight) + key * a.D + column, sum);
        }
      }
      began_earlier = false;
#pragma unroll
      for (int j = 0; j < V; ++j) sum[j] = 0.0f;
    }
  }
}

// A token that begins in window blockIdx.x and goes on: its tail and the heads that follow.
template <class W, int V>
__global__ void __launch_bounds__(kThreads) sum_crossing(Backward a, Sorted s, Partial partial) {
  const int64_t start = static_cast<int64_t>(blockIdx.x) * kWindow, end = start + kWindow;
  if (end >= a.n_tokens) return;
  const uint32_t key = s.keys[end - 1];
  if (s.keys[end] != key || key >= a.n_vocab) return;
  if (start > 0 && s.keys[start] == key && s.keys[start - 1] == key) return;
  const int64_t column = (static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x) * V;
  if (column >= a.D) return;
  // The first position behind the run.
  int64_t low = end, high = a.n_tokens;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (s.keys[middle] <= key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const int64_t last_window = (low - 1) / kWindow;
  float sum[V];
  load_values<V>(partial.tail + blockIdx.x * a.D + column, sum);
#pragma unroll 4
  for (int64_t window = blockIdx.x + 1; window <= last_window; ++window) {
    float head[V];
    load_values<V>(partial.head + window * a.D + column, head);
#pragma unroll
    for (int j = 0; j < V; ++j) sum[j] += head[j];
  }
  store_values<V>(static_cast<W*>(a.dweight) + key * a.D + column, sum);
}

// The parts of the workspace, each aligned to 64 bytes.
struct Layout {
  int64_t keys[2], positions[2], counts, present, head, tail, bytes;
  explicit Layout(const Backward& a) : bytes(0) {
    const int64_t windows = ceil_div(a.n_tokens, kWindow);
    for (int i = 0; i < 2; ++i) keys[i] = add(a.n_tokens * 4), positions[i] = add(a.n_tokens * 4);
    counts = add(sort_counts(a.n_tokens) * 4);
    present = add(a.n_vocab);
    head = add(windows * a.D * 4);
    tail = add(windows * a.D * 4);
  }

 private:
  int64_t add(int64_t size) {
    const int64_t at = bytes;
    bytes += ceil_div(size, 64) * 64;
    return at;
  }
};

template <class T, class W, int V>
void backward(const Backward& a, char* memory, cudaStream_t stream) {
  const Layout layout(a);
  const auto at = [memory](int64_t offset) { return reinterpret_cast<uint32_t*>(memory + offset); };
  uint8_t* present = reinterpret_cast<uint8_t*>(memory + layout.present);
  (void)cudaMemsetAsync(present, 0, static_cast<size_t>(a.n_vocab), stream);
  Sorted sorted{};
  if (a.n_tokens > 0)
    sorted = sort_positions(
        a.tokens, a.n_tokens, a.n_vocab, {at(layout.keys[0]), at(layout.keys[1])},
        {at(layout.positions[0]), at(layout.positions[1])}, at(layout.counts), present, stream);
  const Partial partial{reinterpret_cast<float*>(memory + layout.head),
                        reinterpret_cast<float*>(memory + layout.tail)};
  const int64_t windows = ceil_div(a.n_tokens, kWindow), parts = ceil_div(a.D, kThreads * V);
  const int64_t zero_blocks = ceil_div(a.n_vocab, kZeroRows * parts);
  const dim3 grid(static_cast<unsigned>(windows + zero_blocks), static_cast<unsigned>(parts));
  sum_windows<T, W, V><<<grid, kThreads, 0, stream>>>(a, sorted, partial, present);
  const dim3 crossing(static_cast<unsigned>(windows), static_cast<unsigned>(parts));
  if (windows > 1) sum_crossing<W, V><<<crossing, kThreads, 0, stream>>>(a, sorted, partial);
}

template <class T, class W>
void forward(const Forward& a, cudaStream_t stream) {
  const unsigned grid = grid_for(a.n_tokens, kThreads / 32);
  if (a.D % kPack<W> == 0 && is_packed<W>(a.weight, a.weight_stride_row) &&
      is_packed<T>(a.y, a.y_stride_row)) {
    gather<T, W, kPack<W>><<<grid, kThreads, 0, stream>>>(a);
  } else {
    gather<T, W, 1><<<grid, kThreads, 0, stream>>>(a);
  }
}

bool too_large(int64_t n_tokens, int64_t n_vocab) {
  return n_tokens >= kLimit || n_vocab >= kLimit;
}

}  // namespace
}  // namespace xlstm::kernels::embedding

using namespace xlstm::kernels;

xlstm_status xlstm_embedding_fwd_cuda(const xlstm_embedding_fwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_embedding_fwd_check, [&](auto element) {
    using T = typename decltype(element)::type;
    if (embedding::too_large(args->n_tokens, args->n_vocab)) return XLSTM_BAD_SIZE;
    if (args->n_tokens * args->D == 0) return XLSTM_OK;
    with_weight_type<T>(args->weight_dtype, [&](auto weight) {
      embedding::forward<T, typename decltype(weight)::type>(*args, stream_of(exec));
    });
    return launched();
  });
}

int64_t xlstm_embedding_bwd_workspace_cuda(const xlstm_embedding_bwd_args* args) {
  return Cuda::workspace(args, xlstm_embedding_bwd_check, [&](auto) {
    if (args->n_vocab == 0 || args->D == 0 || embedding::too_large(args->n_tokens, args->n_vocab))
      return int64_t{0};
    return embedding::Layout(*args).bytes;
  });
}

xlstm_status xlstm_embedding_bwd_cuda(const xlstm_embedding_bwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_embedding_bwd_check, exec, xlstm_embedding_bwd_workspace_cuda,
                   [&](auto element) {
                     using T = typename decltype(element)::type;
                     if (embedding::too_large(args->n_tokens, args->n_vocab)) return XLSTM_BAD_SIZE;
                     if (args->n_vocab == 0 || args->D == 0) return XLSTM_OK;
                     with_weight_type<T>(args->weight_dtype, [&](auto weight) {
                       using W = typename decltype(weight)::type;
                       char* memory = static_cast<char*>(exec.workspace);
                       const bool packed = args->D % kPack<T> == 0 &&
                                           is_packed<T>(args->dy, args->dy_stride_row) &&
                                           is_packed<W>(args->dweight);
                       if (packed) {
                         embedding::backward<T, W, kPack<T>>(*args, memory, stream_of(exec));
                       } else {
                         embedding::backward<T, W, 1>(*args, memory, stream_of(exec));
                       }
                     });
                     return launched();
                   });
}
