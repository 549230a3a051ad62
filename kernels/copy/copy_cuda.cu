#include <cstring>
#include <limits>
#include <utility>

#include "kernels/common/nd_index.cuh"
#include "kernels/copy/copy.h"

namespace xlstm::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kUnroll = 4;  // loads in flight per thread
constexpr int64_t kMostBlocks = 1 << 20;

// ---- what happens to an element ----

// The same bits, in words of any size.
template <class Word>
struct SameBits {
  using From = Word;
  using To = Word;
  __device__ Word operator()(Word x) const { return x; }
};

// Between the types that kernels compute in.
template <class A, class B>
struct Rounded {
  using From = A;
  using To = B;
  __device__ B operator()(A x) const { return from_float<B>(to_float(x)); }
};

// ---- kernels ----

// Dense to dense. Packs of N elements, 16 bytes of the wider type; the last pack may be short.
template <int N, class F>
__global__ void __launch_bounds__(kThreads)
    dense_kernel(const typename F::From* from, typename F::To* to, int64_t n, F f) {
  using From = typename F::From;
  using To = typename F::To;
  const int64_t n_whole = n / N;
  const int64_t step = int64_t{gridDim.x} * (kThreads * kUnroll);
  for (int64_t first = int64_t{blockIdx.x} * (kThreads * kUnroll) + threadIdx.x; first < n_whole;
       first += step) {
    Pack<From, N> packs[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u)
      if (first + u * kThreads < n_whole)
        packs[u] = reinterpret_cast<const Pack<From, N>*>(from)[first + u * kThreads];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if (first + u * kThreads >= n_whole) break;
      Pack<To, N> out;
#pragma unroll
      for (int j = 0; j < N; ++j) out.v[j] = f(packs[u].v[j]);
      reinterpret_cast<Pack<To, N>*>(to)[first + u * kThreads] = out;
    }
  }
  const int64_t i = n_whole * N + threadIdx.x;
  if (blockIdx.x == 0 && i < n) to[i] = f(from[i]);
}

// Any strides, element by element; neighbouring threads take neighbours of the last dimension.
template <class F>
__global__ void __launch_bounds__(kThreads)
    strided_kernel(const __grid_constant__ NdIndex<2> index, const typename F::From* from,
                   typename F::To* to, int64_t n, F f) {
  const int64_t step = int64_t{gridDim.x} * (kThreads * kUnroll);
  for (int64_t first = int64_t{blockIdx.x} * (kThreads * kUnroll) + threadIdx.x; first < n;
       first += step) {
    typename F::From x[kUnroll];
    int64_t at[kUnroll][2];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if (first + u * kThreads >= n) continue;
      index.offsets(first + u * kThreads, at[u]);
      x[u] = from[at[u][0]];
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u)
      if (first + u * kThreads < n) to[at[u][1]] = f(x[u]);
  }
}

// The two dimensions of a transpose: `from` is dense along rows, `to` along columns.
struct Tiles {
  int64_t rows, cols, row_tiles, col_tiles;  // rows: the size of the dimension dense in `from`
  int64_t from_stride, to_stride;            // `from` along cols, `to` along rows
  int64_t count;                             // tiles in all batches
};

template <class T>
constexpr int kTile = sizeof(T) > 4 ? 32 : 64;

// A block moves square tiles through shared memory, so that a warp reads and writes dense lines.
template <class F>
__global__ void __launch_bounds__(kThreads)
    transpose_kernel(const __grid_constant__ NdIndex<2> batches, const Tiles tiles,
                     const typename F::From* from, typename F::To* to, F f) {
  using From = typename F::From;
  constexpr int kSide = kTile<From>, kRowsAtOnce = kThreads / 32;
  __shared__ From tile[kSide][kSide + 4 / (sizeof(From) < 4 ? sizeof(From) : 4)];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int64_t t = blockIdx.x; t < tiles.count; t += gridDim.x) {
    const int64_t c0 = t % tiles.col_tiles * kSide;
    const int64_t r0 = t / tiles.col_tiles % tiles.row_tiles * kSide;
    int64_t at[2];
    batches.offsets(t / tiles.col_tiles / tiles.row_tiles, at);
    const From* source = from + at[0];
    typename F::To* target = to + at[1];
#pragma unroll
    for (int c = warp; c < kSide; c += kRowsAtOnce) {
#pragma unroll
      for (int r = lane; r < kSide; r += 32)
        if (c0 + c < tiles.cols && r0 + r < tiles.rows)
          tile[c][r] = source[(c0 + c) * tiles.from_stride + r0 + r];
    }
    __syncthreads();
#pragma unroll
    for (int r = warp; r < kSide; r += kRowsAtOnce) {
#pragma unroll
      for (int c = lane; c < kSide; c += 32)
        if (c0 + c < tiles.cols && r0 + r < tiles.rows)
          target[(r0 + r) * tiles.to_stride + c0 + c] = f(tile[c][r]);
    }
    __syncthreads();
  }
}

__device__ double load_any(const void* p, xlstm_element type, int64_t i) {
  switch (type) {
    case XLSTM_ELEMENT_F32:
      return static_cast<const float*>(p)[i];
    case XLSTM_ELEMENT_F64:
      return static_cast<const double*>(p)[i];
    case XLSTM_ELEMENT_BF16:
      return to_float(static_cast<const bf16*>(p)[i]);
    case XLSTM_ELEMENT_F16:
      return to_float(static_cast<const f16*>(p)[i]);
    case XLSTM_ELEMENT_I8:
      return static_cast<const int8_t*>(p)[i];
    case XLSTM_ELEMENT_I16:
      return static_cast<const int16_t*>(p)[i];
    case XLSTM_ELEMENT_I32:
      return static_cast<const int32_t*>(p)[i];
    case XLSTM_ELEMENT_I64:
      return static_cast<double>(static_cast<const int64_t*>(p)[i]);
    case XLSTM_ELEMENT_U8:
    case XLSTM_ELEMENT_BOOL:
      return static_cast<const uint8_t*>(p)[i];
    case XLSTM_ELEMENT_U16:
      return static_cast<const uint16_t*>(p)[i];
    case XLSTM_ELEMENT_U32:
      return static_cast<const uint32_t*>(p)[i];
  }
  return 0;
}

template <class T>
constexpr T kLeast = std::numeric_limits<T>::lowest();
template <class T>
constexpr T kMost = std::numeric_limits<T>::max();

// Towards zero; the nearest end if x is outside the range, 0 for NaN.
template <class T>
__device__ T truncated(double x) {
  if (x != x) return 0;
  if (x <= static_cast<double>(kLeast<T>)) return kLeast<T>;
  if (x >= static_cast<double>(kMost<T>)) return kMost<T>;
  return static_cast<T>(x);
}

__device__ void store_any(void* p, xlstm_element type, int64_t i, double x) {
  switch (type) {
    case XLSTM_ELEMENT_F32:
      static_cast<float*>(p)[i] = static_cast<float>(x);
      return;
    case XLSTM_ELEMENT_F64:
      static_cast<double*>(p)[i] = x;
      return;
    case XLSTM_ELEMENT_BF16:
      static_cast<bf16*>(p)[i] = from_float<bf16>(static_cast<float>(x));
      return;
    case XLSTM_ELEMENT_F16:
      static_cast<f16*>(p)[i] = from_float<f16>(static_cast<float>(x));
      return;
    case XLSTM_ELEMENT_I8:
      static_cast<int8_t*>(p)[i] = truncated<int8_t>(x);
      return;
    case XLSTM_ELEMENT_I16:
      static_cast<int16_t*>(p)[i] = truncated<int16_t>(x);
      return;
    case XLSTM_ELEMENT_I32:
      static_cast<int32_t*>(p)[i] = truncated<int32_t>(x);
      return;
    case XLSTM_ELEMENT_I64:
      static_cast<int64_t*>(p)[i] = truncated<int64_t>(x);
      return;
    case XLSTM_ELEMENT_U8:
      static_cast<uint8_t*>(p)[i] = truncated<uint8_t>(x);
      return;
    case XLSTM_ELEMENT_U16:
      static_cast<uint16_t*>(p)[i] = truncated<uint16_t>(x);
      return;
    case XLSTM_ELEMENT_U32:
      static_cast<uint32_t*>(p)[i] = truncated<uint32_t>(x);
      return;
    case XLSTM_ELEMENT_BOOL:
      static_cast<uint8_t*>(p)[i] = x != 0;
      return;
  }
}

// The pairs of types that are rare.
__global__ void __launch_bounds__(kThreads)
    any_kernel(const __grid_constant__ NdIndex<2> index, const void* from, xlstm_element from_type,
               void* to, xlstm_element to_type, int64_t n) {
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kThreads) {
    int64_t at[2];
    index.offsets(i, at);
    store_any(to, to_type, at[1], load_any(from, from_type, at[0]));
  }
}

// ---- the choice of a kernel ----

int64_t size_of(xlstm_element type) {
  switch (type) {
    case XLSTM_ELEMENT_F64:
    case XLSTM_ELEMENT_I64:
      return 8;
    case XLSTM_ELEMENT_F32:
    case XLSTM_ELEMENT_I32:
    case XLSTM_ELEMENT_U32:
      return 4;
    case XLSTM_ELEMENT_BF16:
    case XLSTM_ELEMENT_F16:
    case XLSTM_ELEMENT_I16:
    case XLSTM_ELEMENT_U16:
      return 2;
    case XLSTM_ELEMENT_I8:
    case XLSTM_ELEMENT_U8:
    case XLSTM_ELEMENT_BOOL:
      return 1;
  }
  return 0;
}

struct Array {
  const void* data;
  xlstm_element type;
};

template <class Args>
xlstm_status check(const Args* args, std::initializer_list<Array> arrays) {
  if (args->n_dims < 0 || args->n_dims > XLSTM_COPY_MAX_DIMS) return XLSTM_BAD_SIZE;
  bool empty = false;
  for (int32_t d = 0; d < args->n_dims; ++d) {
    if (args->sizes[d] < 0) return XLSTM_BAD_SIZE;
    if (args->sizes[d] == 0) empty = true;
  }
  for (const Array& a : arrays) {
    if (size_of(a.type) == 0) return XLSTM_BAD_DTYPE;
    if (!empty && a.data == nullptr) return XLSTM_NULL_POINTER;
    if (misaligned(static_cast<uintptr_t>(size_of(a.type)), {a.data})) return XLSTM_MISALIGNED;
  }
  return XLSTM_OK;
}

// Strides of array 0 are those of `from`, of array 1 those of `to`. The dimensions are sorted so
// that `to` is walked in the order of memory, then merged.
NdLoop<2> loop_of(const xlstm_copy_args& g) {
  NdLoop<2> loop;
  loop.n_dims = g.n_dims;
  for (int d = 0; d < g.n_dims; ++d) {
    loop.sizes[d] = g.sizes[d];
    loop.strides[0][d] = g.from_strides[d];
    loop.strides[1][d] = g.to_strides[d];
  }
  const auto distance = [&](int d) {
    return loop.strides[1][d] < 0 ? -loop.strides[1][d] : loop.strides[1][d];
  };
  for (int end = loop.n_dims; end > 1; --end) {
    for (int d = 1; d < end; ++d) {
      if (distance(d - 1) >= distance(d)) continue;
      std::swap(loop.sizes[d - 1], loop.sizes[d]);
      for (auto& strides : loop.strides) std::swap(strides[d - 1], strides[d]);
    }
  }
  return merged(loop);
}

template <class F>
void launch_strided(const NdLoop<2>& loop, const void* from, void* to, const xlstm_exec& exec) {
  const int64_t n = loop.count();
  strided_kernel<<<grid_for(n, kThreads * kUnroll, kMostBlocks), kThreads, 0, stream_of(exec)>>>(
      NdIndex<2>(loop), static_cast<const typename F::From*>(from),
      static_cast<typename F::To*>(to), n, F{});
}

// The dimension along which `from` is dense while `to` is dense along the last one, or -1.
int transposed_dim(const NdLoop<2>& loop) {
  const int last = loop.n_dims - 1;
  if (loop.strides[1][last] != 1 || loop.strides[0][last] == 1 || loop.sizes[last] < 8) return -1;
  for (int d = 0; d < last; ++d)
    if (loop.strides[0][d] == 1 && loop.sizes[d] >= 8) return d;
  return -1;
}

template <class F>
void launch_transpose(const NdLoop<2>& loop, int dim, const void* from, void* to,
                      const xlstm_exec& exec) {
  const int last = loop.n_dims - 1;
  constexpr int kSide = kTile<typename F::From>;
  Tiles tiles{loop.sizes[dim],
              loop.sizes[last],
              ceil_div(loop.sizes[dim], kSide),
              ceil_div(loop.sizes[last], kSide),
              loop.strides[0][last],
              loop.strides[1][dim],
              0};
  NdLoop<2> batches;  // the other dimensions
  for (int d = 0; d < last; ++d) {
    if (d == dim) continue;
    batches.sizes[batches.n_dims] = loop.sizes[d];
    for (int a = 0; a < 2; ++a) batches.strides[a][batches.n_dims] = loop.strides[a][d];
    ++batches.n_dims;
  }
  batches = merged(batches);
  tiles.count = batches.count() * tiles.row_tiles * tiles.col_tiles;
  transpose_kernel<<<grid_for(tiles.count, 1, kMostBlocks), kThreads, 0, stream_of(exec)>>>(
      NdIndex<2>(batches), tiles, static_cast<const typename F::From*>(from),
      static_cast<typename F::To*>(to), F{});
}

bool is_dense(const NdLoop<2>& loop) {
  return loop.n_dims == 1 &&
         (loop.sizes[0] == 1 || (loop.strides[0][0] == 1 && loop.strides[1][0] == 1));
}

template <class F>
void copy_elements(const NdLoop<2>& loop, const void* from, void* to, const xlstm_exec& exec) {
  using From = typename F::From;
  using To = typename F::To;
  constexpr int N = 16 / static_cast<int>(sizeof(From) > sizeof(To) ? sizeof(From) : sizeof(To));
  const auto* source = static_cast<const From*>(from);
  auto* target = static_cast<To*>(to);
  if (is_dense(loop)) {
    const int64_t n = loop.sizes[0];
    if (is_packed<char>(from) && is_packed<char>(to)) {
      dense_kernel<N><<<grid_for(ceil_div(n, N), kThreads * kUnroll, kMostBlocks), kThreads, 0,
                        stream_of(exec)>>>(source, target, n, F{});
    } else {
      dense_kernel<1>
          <<<grid_for(n, kThreads * kUnroll, kMostBlocks), kThreads, 0, stream_of(exec)>>>(
              source, target, n, F{});
    }
  } else if (const int dim = transposed_dim(loop); dim >= 0) {
    launch_transpose<F>(loop, dim, from, to, exec);
  } else {
    launch_strided<F>(loop, from, to, exec);
  }
}

// Rows that are dense on both sides and aligned: moved in words of 16 bytes. Whether they were.
bool copy_wide_rows(NdLoop<2> loop, int64_t size, const void* from, void* to,
                    const xlstm_exec& exec) {
  const int last = loop.n_dims - 1;
  const int64_t per_word = 16 / size;
  if (loop.n_dims == 1 || !is_packed<char>(from) || !is_packed<char>(to)) return false;
  if (loop.sizes[last] % per_word != 0) return false;
  for (int a = 0; a < 2; ++a) {
    if (loop.strides[a][last] != 1) return false;
    for (int d = 0; d < last; ++d) {
      if (loop.strides[a][d] % per_word != 0) return false;
      loop.strides[a][d] /= per_word;
    }
  }
  loop.sizes[last] /= per_word;
  launch_strided<SameBits<uint4>>(loop, from, to, exec);
  return true;
}

void copy_same_type(const NdLoop<2>& loop, int64_t size, const void* from, void* to,
                    const xlstm_exec& exec) {
  if (copy_wide_rows(loop, size, from, to, exec)) return;
  switch (size) {
    case 1:
      return copy_elements<SameBits<uint8_t>>(loop, from, to, exec);
    case 2:
      return copy_elements<SameBits<uint16_t>>(loop, from, to, exec);
    case 4:
      return copy_elements<SameBits<uint32_t>>(loop, from, to, exec);
    default:
      return copy_elements<SameBits<uint64_t>>(loop, from, to, exec);
  }
}

xlstm_status copy(const xlstm_copy_args& g, const xlstm_exec& exec) {
  const NdLoop<2> loop = loop_of(g);
  const int64_t n = loop.count();
  if (n == 0) return XLSTM_OK;
  const auto is = [&](xlstm_element from, xlstm_element to) {
    return g.from_type == from && g.to_type == to;
  };
  if (g.from_type == g.to_type || is(XLSTM_ELEMENT_BOOL, XLSTM_ELEMENT_U8)) {
    copy_same_type(loop, size_of(g.from_type), g.from, g.to, exec);
  } else if (is(XLSTM_ELEMENT_F32, XLSTM_ELEMENT_BF16)) {
    copy_elements<Rounded<float, bf16>>(loop, g.from, g.to, exec);
  } else if (is(XLSTM_ELEMENT_BF16, XLSTM_ELEMENT_F32)) {
    copy_elements<Rounded<bf16, float>>(loop, g.from, g.to, exec);
  } else if (is(XLSTM_ELEMENT_F32, XLSTM_ELEMENT_F16)) {
    copy_elements<Rounded<float, f16>>(loop, g.from, g.to, exec);
  } else if (is(XLSTM_ELEMENT_F16, XLSTM_ELEMENT_F32)) {
    copy_elements<Rounded<f16, float>>(loop, g.from, g.to, exec);
  } else {
    any_kernel<<<grid_for(n, kThreads, kMostBlocks), kThreads, 0, stream_of(exec)>>>(
        NdIndex<2>(loop), g.from, g.from_type, g.to, g.to_type, n);
  }
  return launched();
}

// ---- fill ----

template <class Word>
__global__ void __launch_bounds__(kThreads)
    fill_kernel(const __grid_constant__ NdIndex<1> index, Word* to, int64_t n, Word value) {
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kThreads) {
    int64_t at[1];
    index.offsets(i, at);
    to[at[0]] = value;
  }
}

template <class Word>
void launch_fill(const NdLoop<1>& loop, const xlstm_fill_args& g, const xlstm_exec& exec) {
  Word value;
  memcpy(&value, g.value, sizeof(value));
  const int64_t n = loop.count();
  fill_kernel<<<grid_for(n, kThreads, kMostBlocks), kThreads, 0, stream_of(exec)>>>(
      NdIndex<1>(loop), static_cast<Word*>(g.to), n, value);
}

xlstm_status fill(const xlstm_fill_args& g, const xlstm_exec& exec) {
  NdLoop<1> loop;
  loop.n_dims = g.n_dims;
  for (int d = 0; d < g.n_dims; ++d) {
    loop.sizes[d] = g.sizes[d];
    loop.strides[0][d] = g.to_strides[d];
  }
  loop = merged(loop);
  if (loop.count() == 0) return XLSTM_OK;
  switch (size_of(g.type)) {
    case 1:
      launch_fill<uint8_t>(loop, g, exec);
      break;
    case 2:
      launch_fill<uint16_t>(loop, g, exec);
      break;
    case 4:
      launch_fill<uint32_t>(loop, g, exec);
      break;
    default:
      launch_fill<uint64_t>(loop, g, exec);
      break;
  }
  return launched();
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

xlstm_status xlstm_fill_cuda(const xlstm_fill_args* args, xlstm_exec exec) {
  if (args == nullptr) return XLSTM_NULL_POINTER;
  const xlstm_status status = check(args, {{args->to, args->type}});
  return status != XLSTM_OK ? status : fill(*args, exec);
}

xlstm_status xlstm_copy_cuda(const xlstm_copy_args* args, xlstm_exec exec) {
  if (args == nullptr) return XLSTM_NULL_POINTER;
  const xlstm_status status =
      check(args, {{args->from, args->from_type}, {args->to, args->to_type}});
  return status != XLSTM_OK ? status : xlstm::kernels::copy(*args, exec);
}
