#include "kernels/common/weight_dtype.h"
#include "kernels/headwise_linear/small_blocks.cuh"
#include "kernels/headwise_linear/tile_product.cuh"

namespace xlstm::kernels::headwise {
namespace {

using Forward = xlstm_headwise_linear_fwd_args;
using Backward = xlstm_headwise_linear_bwd_args;

bool is_small(int64_t I, int64_t O) {
  return I == O && (I == 2 || I == 4 || I == 8);
}

// Rows of C elements that threads can read by 16 bytes, in whole threads.
template <class T>
bool fits_threads(int64_t C, int64_t G, std::initializer_list<const void*> arrays,
                  std::initializer_list<int64_t> strides) {
  bool ok = C % (kPack<T> > G ? kPack<T> : G) == 0;
  for (const void* p : arrays) ok = ok && is_packed<T>(p);
  for (const int64_t stride : strides) ok = ok && is_packed<T>(nullptr, stride);
  return ok;
}

// Calls f with the block size as a constant.
template <class F>
void with_block_size(int64_t G, F f) {
  if (G == 2) return f(std::integral_constant<int, 2>{});
  if (G == 4) return f(std::integral_constant<int, 4>{});
  f(std::integral_constant<int, 8>{});
}

// Runs enough to keep many threads busy where rows are short, 8 channels a thread.
int64_t many_runs(int64_t C, int64_t least) {
  constexpr int64_t kBusyThreads = 1 << 15;
  const int64_t wanted = C > 0 ? kBusyThreads * 8 / C : least;
  return wanted > least ? wanted : least;
}

// At most about 2^18 or 1024 C / 8: a number of 32 bits.
int64_t small_threads(const RowRuns& runs, int64_t C, int channels) {
  return runs.count * (C / channels);
}

// Runs of rows over which dW and dbias are summed; a function of the shape alone.
RowRuns sum_runs(const Backward& a) {
  if (is_small(a.I, a.O)) return RowRuns(a.N, many_runs(a.H * a.I, 320), 16);
  const int64_t tiles = a.H * ceil_div(a.O, kTile) * ceil_div(a.I, kTile);
  const int64_t most = tiles > 0 && tiles < 512 ? 512 / tiles : 1;
  RowRuns runs(a.N, most, 256);
  runs.rows = ceil_div(runs.rows, kDepth) * kDepth;
  runs.count = ceil_div(a.N, runs.rows);
  return runs;
}

bool wants_sums(const Backward& a) {
  return a.dW != nullptr || a.dbias != nullptr;
}

int64_t sums_of_run(const Backward& a) {
  return a.H * a.O * (a.I + 1);
}

// ---- forward ----

template <class T, class W>
void forward(const Forward& a, cudaStream_t stream) {
  if (a.N * a.H * a.O == 0) return;
  const int64_t C = a.H * a.I;
  if (is_small(a.I, a.O) && C < (int64_t{1} << 24) &&
      fits_threads<T>(C, a.I, {a.x, a.y}, {a.x_stride_n, a.y_stride_n}) && is_packed<W>(a.W)) {
    with_block_size(a.I, [&](auto G) {
      const RowRuns runs(a.N, many_runs(C, 1024), 4);
      const int64_t n = small_threads(runs, C, kSmallChannels<T, G.value>);
      map_rows<T, W, G.value>
          <<<static_cast<unsigned>(ceil_div(n, kSmallThreads)), kSmallThreads, 0, stream>>>(
              a, runs, static_cast<uint32_t>(n));
    });
    return;
  }
  Product p{};
  p.A = {a.x, a.I, a.x_stride_n,
         1,   a.N, is_packed<T>(a.x, a.x_stride_n) && is_packed<T>(nullptr, a.I)};
  p.B = {a.W, a.O * a.I, a.I, 1, a.O, is_packed<W>(a.W, a.I)};
  p.depth = p.split_depth = a.I;
  p.n_splits = 1;
  p.n_heads = a.H;
  p.out = a.y;
  p.out_stride_head = a.O;
  p.out_stride_row = a.y_stride_n;
  p.bias = a.bias;
  launch_product<T, W, T, true, true>(p, stream);
}

// ---- backward ----

// partial[run][H O I + h O + o] = the sum of dy over the run's rows.
template <class T>
__global__ void bias_sums(Backward a, RowRuns runs, float* partial) {
  const int64_t columns = a.H * a.O, n = runs.count * columns;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
    const int64_t column = i % columns, run = i / columns;
    const int64_t begin = run * runs.rows;
    const int64_t end = begin + runs.rows < a.N ? begin + runs.rows : a.N;
    float sum = 0;
#pragma unroll 8
    for (int64_t r = begin; r < end; ++r)
      sum += to_float(static_cast<const T*>(a.dy)[r * a.dy_stride_n + column]);
    partial[run * columns * (a.I + 1) + columns * a.I + column] = sum;
  }
}

template <class T, class W>
void backward_products(const Backward& a, const RowRuns& runs, float* partial,
                       cudaStream_t stream) {
  const bool dy_packed = is_packed<T>(a.dy, a.dy_stride_n) && is_packed<T>(nullptr, a.O);
  Product p{};
  p.n_heads = a.H;
  if (a.dx != nullptr && a.I > 0) {
    p.A = {a.dy, a.O, a.dy_stride_n, 1, a.N, dy_packed};
    p.B = {a.W, a.O * a.I, 1, a.I, a.I, is_packed<W>(a.W, a.I)};
    p.depth = p.split_depth = a.O;
    p.n_splits = 1;
    p.out = a.dx;
    p.out_stride_head = a.I;
    p.out_stride_row = a.dx_stride_n;
    launch_product<T, W, T, true, false>(p, stream);
  }
  if (a.dW != nullptr && a.O > 0 && a.I > 0) {
    p.A = {a.dy, a.O, 1, a.dy_stride_n, a.O, dy_packed};
    p.B = {a.x,          a.I, 1,
           a.x_stride_n, a.I, is_packed<T>(a.x, a.x_stride_n) && is_packed<T>(nullptr, a.I)};
    p.depth = a.N;
    p.split_depth = runs.rows;
    p.n_splits = runs.count;
    p.out = partial;
    p.out_stride_head = a.O * a.I;
    p.out_stride_row = a.I;
    p.out_stride_split = sums_of_run(a);
    launch_product<T, T, float, false, false>(p, stream);
  }
  if (a.dbias != nullptr && a.O > 0)
    bias_sums<T><<<grid_for(runs.count * a.H * a.O, 128), 128, 0, stream>>>(a, runs, partial);
}

// Where a sum goes: [H O I] then [H O].
template <class W>
struct Place {
  W *dW, *dbias;
  int64_t n_dW;
  __device__ W* operator()(int64_t i) const {
    if (i < n_dW) return dW == nullptr ? nullptr : dW + i;
    return dbias == nullptr ? nullptr : dbias + (i - n_dW);
  }
};

template <class T, class W>
void backward(const Backward& a, float* partial, cudaStream_t stream) {
  const RowRuns runs = sum_runs(a);
  const int64_t C = a.H * a.I;
  if (a.N * a.H > 0) {
    if (is_small(a.I, a.O) && C < (int64_t{1} << 24) &&
        fits_threads<T>(C, a.I, {a.dy, a.dx, a.dW == nullptr ? nullptr : a.x},
                        {a.dy_stride_n, a.dx == nullptr ? 0 : a.dx_stride_n,
                         a.dW == nullptr ? 0 : a.x_stride_n}) &&
        is_packed<W>(a.W)) {
      with_block_size(a.I, [&](auto G) {
        const int64_t n = small_threads(runs, C, kBackChannels<T, G.value>);
        map_back<T, W, G.value>
            <<<static_cast<unsigned>(ceil_div(n, kSmallThreads)), kSmallThreads, 0, stream>>>(
                a, runs, static_cast<uint32_t>(n), wants_sums(a) ? partial : nullptr);
      });
    } else {
      backward_products<T, W>(a, runs, partial, stream);
    }
  }
  if (wants_sums(a))
    combine_partials<W>(partial, runs.count, sums_of_run(a),
                        Place<W>{static_cast<W*>(a.dW), static_cast<W*>(a.dbias), a.H * a.O * a.I},
                        stream);
}

}  // namespace
}  // namespace xlstm::kernels::headwise

using namespace xlstm::kernels;

int64_t xlstm_headwise_linear_fwd_workspace_cuda(const xlstm_headwise_linear_fwd_args*) {
  return 0;
}

int64_t xlstm_headwise_linear_bwd_workspace_cuda(const xlstm_headwise_linear_bwd_args* args) {
  return Cuda::workspace(args, xlstm_headwise_linear_bwd_check, [&](auto) {
    if (!headwise::wants_sums(*args)) return int64_t{0};
    return headwise::sum_runs(*args).count * headwise::sums_of_run(*args) * int64_t{sizeof(float)};
  });
}

xlstm_status xlstm_headwise_linear_fwd_cuda(const xlstm_headwise_linear_fwd_args* args,
                                            xlstm_exec exec) {
  return Cuda::run(args, xlstm_headwise_linear_fwd_check, [&](auto element) {
    using T = typename decltype(element)::type;
    with_weight_type<T>(args->weight_dtype, [&](auto weight) {
      headwise::forward<T, typename decltype(weight)::type>(*args, stream_of(exec));
    });
    return launched();
  });
}

xlstm_status xlstm_headwise_linear_bwd_cuda(const xlstm_headwise_linear_bwd_args* args,
                                            xlstm_exec exec) {
  return Cuda::run(args, xlstm_headwise_linear_bwd_check, exec,
                   xlstm_headwise_linear_bwd_workspace_cuda, [&](auto element) {
                     using T = typename decltype(element)::type;
                     with_weight_type<T>(args->weight_dtype, [&](auto weight) {
                       headwise::backward<T, typename decltype(weight)::type>(
                           *args, static_cast<float*>(exec.workspace), stream_of(exec));
                     });
                     return launched();
                   });
}
