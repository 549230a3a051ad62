#include "kernels/common/weight_dtype.h"
#include "kernels/norm/norm_bwd.cuh"
#include "kernels/norm/norm_gated.cuh"

namespace xlstm::kernels {
namespace {

using Args = xlstm_norm_gated_bwd_args;

constexpr HeldShape kHeldShape{1, 2, kTeamThreads, 2};
constexpr int kStages = 3;

template <class T>
RowPlan plan_of(const Args& a) {
  return {a, kHeldShape, kPack<T>};
}

// Where the sums of du and of du * skip go: a bias or the weight of a skip.
inline void* dshift_of(const Args& a) {
  return a.skip_weight != nullptr ? a.dskip_weight : a.dbias;
}
// Partial sums: [blocks][n_sums][D], dweight before dshift, of those that are wanted.
inline int n_sums(const Args& a) {
  return (a.dweight != nullptr) + (dshift_of(a) != nullptr);
}

// What an element of dy means for the others. xhat = (x - mean) * rstd and scale are those of the
// norm, shift that of the gated norm, without the skip's element where there is none.
struct Share {
  float du, dgate;
};
template <class T>
__device__ inline Share element_of(float dy, float gate, float u, bool silu) {
  const GateValue act = gate_at<T>(gate, silu);
  return {dy * act.value, dy * u * act.slope};
}

// A block owns a block of rows and some groups. What a thread reads of the rounds to come is on its
// way to places of shared memory that no other thread touches. A gradient may be written over an
// input: rounds are of different rows, and a thread writes only where it alone has read.
template <class T, class W, bool kSkip>
__global__ void __launch_bounds__(kHeldShape.threads, kHeldShape.blocks)
    backward_held(const Args a, const RowPlan plan, float* partial) {
  constexpr int N = kPack<T>, R = kHeldShape.rows, kIn = kSkip ? 4 : 3, kAhead = kStages - 1;
  extern __shared__ uint4 places[];  // [stages][R][x, gate, dy, skip][threads]
  __shared__ float scratch[2][16 * 2 * R], inner_scratch[2][16 * R];
  const int lane = static_cast<int>(threadIdx.x) % plan.lanes;
  const int team = static_cast<int>(threadIdx.x) / plan.lanes;
  const int packs = static_cast<int>(a.width / N);
  const int64_t group = static_cast<int64_t>(blockIdx.y) * plan.groups + team % plan.groups;
  const bool valid = group < a.groups && lane < packs;
  const int64_t begin = blockIdx.x * plan.rows_each;
  const int64_t end = begin + plan.rows_each < a.rows ? begin + plan.rows_each : a.rows;
  const int step = R * plan.teams_of_rows, mine = team / plan.groups * R;
  const float inverse_n = 1.0f / static_cast<float>(a.width);
  const int64_t column = group * a.width + lane * N;
  const bool silu = a.activation == XLSTM_SILU;
  const auto place = [&](int stage, int r, int array) {
    return places + ((stage * R + r) * kIn + array) * static_cast<int>(blockDim.x) + threadIdx.x;
  };
  const auto in_place = [&](int stage, int r, int array) {
    return load_raw<N>(reinterpret_cast<const T*>(place(stage, r, array)));
  };
  const auto at = [&](const void* p, int64_t row, int64_t stride) {
    return static_cast<const T*>(p) + row * stride + column;
  };
  // Every thread commits as many copies, if empty ones, so that they can be counted.
  const auto send_for = [&](int stage, int64_t round) {
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const int64_t row = round + mine + r;
      if (row >= end || !valid) continue;
      copy_16_async(place(stage, r, 0), at(a.x, row, a.x_stride_row));
      copy_16_async(place(stage, r, 1), at(a.gate, row, a.gate_stride_row));
      copy_16_async(place(stage, r, 2), at(a.dy, row, a.dy_stride_row));
      if constexpr (kSkip) copy_16_async(place(stage, r, 3), at(a.skip, row, a.skip_stride_row));
    }
    commit_copies();
  };
  const auto statistics = [&](int64_t round, float(&mean)[R], float(&rstd)[R]) {
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const int64_t row = round + mine + r, run = row * a.groups + group;
      mean[r] = valid && row < end ? mean_of(a, run) : 0.0f;
      rstd[r] = valid && row < end ? rstd_of(a, run) : 0.0f;
    }
  };

  // shift of u = xhat * scale + shift, or its factor beside the skip.
  float scale[N] = {}, shift[N] = {}, dweight[1][N] = {}, dshift[1][N] = {};
  float next_mean[R], next_rstd[R];
#pragma unroll
  for (int s = 0; s < kAhead; ++s) send_for(s, begin + s * step);
  statistics(begin, next_mean, next_rstd);
  if (valid) {
    const W* weights = static_cast<const W*>(kSkip ? a.skip_weight : a.bias);
    load_values<N>(static_cast<const W*>(a.weight) + column, scale);
    if (kSkip || weights != nullptr) load_values<N>(weights + column, shift);
#pragma unroll
    for (int j = 0; j < N; ++j) scale[j] += a.one_plus ? 1.0f : 0.0f;
  }

  int stage = 0, parity = 0;
  // As many rounds for every team of the block, for the barriers.
  for (int64_t round = begin; round < end; round += step, parity ^= 1) {
    float mean[R], rstd[R];
#pragma unroll
    for (int r = 0; r < R; ++r) mean[r] = next_mean[r], rstd[r] = next_rstd[r];
    statistics(round + step, next_mean, next_rstd);
    send_for(stage == 0 ? kAhead : stage - 1, round + kAhead * step);
    wait_copies<kAhead>();
    float sums[2 * R] = {}, du[R][N] = {};
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const int64_t row = round + mine + r;
      if (row >= end || !valid) continue;
      const Raw<T, N> x = in_place(stage, r, 0), gate = in_place(stage, r, 1);
      const Raw<T, N> dy = in_place(stage, r, 2);
      Raw<T, N> skip;
      if constexpr (kSkip) skip = in_place(stage, r, 3);
      float dgate[N];
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const float xhat = (x[j] - mean[r]) * rstd[r];
        const float u = xhat * scale[j] + (kSkip ? shift[j] * skip[j] : shift[j]);
        const Share e = element_of<T>(dy[j], gate[j], u, silu);
        const float g = e.du * scale[j];
        du[r][j] = e.du;
        dgate[j] = e.dgate;
        dweight[0][j] += e.du * xhat;
        dshift[0][j] += kSkip ? e.du * skip[j] : e.du;
        sums[2 * r] += g;
        sums[2 * r + 1] += g * xhat;
      }
      if (a.dgate != nullptr)
        store_values<N>(static_cast<T*>(a.dgate) + row * a.dgate_stride_row + column, dgate);
      if constexpr (kSkip) {
        if (a.dskip == nullptr) continue;
        float dskip[N];
#pragma unroll
        for (int j = 0; j < N; ++j) dskip[j] = du[r][j] * shift[j];
        store_values<N>(static_cast<T*>(a.dskip) + row * a.dskip_stride_row + column, dskip);
      }
    }
    if (a.dx != nullptr) {
      // The scratch alternates, so one barrier a round is enough.
      if (plan.lanes >= 32) {
        wide_team_sums(sums, plan.lanes, scratch[parity]);
      } else {
        team_sums<false>(sums, plan.lanes, nullptr);
      }
      float inner[R] = {};
#pragma unroll
      for (int r = 0; r < R; ++r) {
        const int64_t row = round + mine + r;
        if (row >= end || !valid) continue;
        // dx = rstd (g - mean_g - xhat slope)
        const float mean_g = a.subtract_mean ? sums[2 * r] * inverse_n * rstd[r] : 0.0f;
        const float slope = sums[2 * r + 1] * inverse_n * rstd[r] * rstd[r];
        const Raw<T, N> x = in_place(stage, r, 0);
        float dx[N];
#pragma unroll
        for (int j = 0; j < N; ++j) {
          dx[j] = rstd[r] * (du[r][j] * scale[j]) - ((x[j] - mean[r]) * slope + mean_g);
          inner[r] += x[j] * to_float(from_float<T>(dx[j]));
        }
        store_values<N>(static_cast<T*>(a.dx) + row * a.dx_stride_row + column, dx);
      }
      if (a.x_dx != nullptr) {
        if (plan.lanes >= 32) {
          wide_team_sums(inner, plan.lanes, inner_scratch[parity]);
        } else {
          team_sums<false>(inner, plan.lanes, nullptr);
        }
#pragma unroll
        for (int r = 0; r < R; ++r) {
          const int64_t row = round + mine + r;
          if (row < end && valid && lane == 0)
            static_cast<float*>(a.x_dx)[row * a.groups + group] = inner[r];
        }
      }
    }
    stage = stage == kAhead ? 0 : stage + 1;
  }
  wait_all_copies();

  const int64_t D = a.groups * a.width;
  const bool want_shift = (kSkip ? a.dskip_weight : a.dbias) != nullptr;
  float* shared = reinterpret_cast<float*>(places);  // after a barrier
  float* out = partial + blockIdx.x * D * ((a.dweight != nullptr) + want_shift);
  if (a.dweight != nullptr) {
    write_sums(dweight, a, plan, group, lane, packs, shared, out);
    out += D;
  }
  if (want_shift) write_sums(dshift, a, plan, group, lane, packs, shared, out);
}

// u of an element of a row, any alignment.
template <class T, class W>
__device__ inline float u_of(const Args& a, int64_t row, int64_t column, float xhat) {
  const float one = a.one_plus ? 1.0f : 0.0f;
  const float u = xhat * (one + to_float(static_cast<const W*>(a.weight)[column]));
  if (a.skip_weight != nullptr)
    return u + to_float(static_cast<const W*>(a.skip_weight)[column]) *
                   to_float(static_cast<const T*>(a.skip)[row * a.skip_stride_row + column]);
  return a.bias == nullptr ? u : u + to_float(static_cast<const W*>(a.bias)[column]);
}
template <class T, class W>
__device__ inline Share element_at(const Args& a, int64_t row, int64_t column, float xhat) {
  const float dy = to_float(static_cast<const T*>(a.dy)[row * a.dy_stride_row + column]);
  const float gate = to_float(static_cast<const T*>(a.gate)[row * a.gate_stride_row + column]);
  return element_of<T>(dy, gate, u_of<T, W>(a, row, column, xhat), a.activation == XLSTM_SILU);
}
template <class T>
__device__ inline float x_at(const Args& a, int64_t row, int64_t column) {
  return to_float(static_cast<const T*>(a.x)[row * a.x_stride_row + column]);
}
// dgate and dskip of an element, where they are wanted.
template <class T, class W>
__device__ inline void write_others(const Args& a, int64_t row, int64_t column, const Share& e) {
  if (a.dgate != nullptr)
    static_cast<T*>(a.dgate)[row * a.dgate_stride_row + column] = from_float<T>(e.dgate);
  if (a.dskip != nullptr)
    static_cast<T*>(a.dskip)[row * a.dskip_stride_row + column] =
        from_float<T>(e.du * to_float(static_cast<const W*>(a.skip_weight)[column]));
}

// Any width and alignment, before gradients are written: a thread owns a column of a block of rows.
template <class T, class W>
__global__ void __launch_bounds__(256)
    column_sums(const Args a, const RowPlan plan, float* partial) {
  const int64_t D = a.groups * a.width;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= D) return;
  const int64_t group = column / a.width;
  const int64_t begin = blockIdx.y * plan.rows_each;
  const int64_t end = begin + plan.rows_each < a.rows ? begin + plan.rows_each : a.rows;
  const bool want_shift = (a.skip_weight != nullptr ? a.dskip_weight : a.dbias) != nullptr;
  float dweight = 0, dshift = 0;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t run = row * a.groups + group;
    const float xhat = (x_at<T>(a, row, column) - mean_of(a, run)) * rstd_of(a, run);
    const Share e = element_at<T, W>(a, row, column, xhat);
    dweight += e.du * xhat;
    dshift +=
        a.skip_weight == nullptr
            ? e.du
            : e.du * to_float(static_cast<const T*>(a.skip)[row * a.skip_stride_row + column]);
  }
  float* out = partial + blockIdx.y * D * ((a.dweight != nullptr) + want_shift) + column;
  if (a.dweight != nullptr) {
    *out = dweight;
    out += D;
  }
  if (want_shift) *out = dshift;
}

// dx, dgate and dskip, any width and alignment: elements are read again from memory.
template <class T, class W, bool kBlock>
__global__ void __launch_bounds__(512) gradients_again(const Args a, const Runs runs, int team) {
  __shared__ float scratch[64];
  const int teams = static_cast<int>(blockDim.x) / team;
  const int lane = static_cast<int>(threadIdx.x) % team;
  const float one = a.one_plus ? 1.0f : 0.0f;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * teams; first < runs.count;
       first += static_cast<int64_t>(gridDim.x) * teams) {
    const int64_t run = first + threadIdx.x / team;
    const bool valid = run < runs.count;
    const int64_t row = runs.row_of(run), begin = (run - row * a.groups) * a.width;
    const int64_t width = valid ? a.width : 0;
    const W* weight = static_cast<const W*>(a.weight) + begin;
    const float mean = valid ? mean_of(a, run) : 0.0f, rstd = valid ? rstd_of(a, run) : 0.0f;
    float sums[2] = {};
    if (a.dx != nullptr) {
      for (int64_t i = lane; i < width; i += team) {
        const float xhat = (x_at<T>(a, row, begin + i) - mean) * rstd;
        const float g = element_at<T, W>(a, row, begin + i, xhat).du * (one + to_float(weight[i]));
        sums[0] += g;
        sums[1] += g * xhat;
      }
      team_sums<kBlock>(sums, team, scratch);
    }
    const float n = static_cast<float>(a.width);
    const float shift = a.subtract_mean ? sums[0] / n : 0.0f, slope = sums[1] / n;
    T* dx = static_cast<T*>(a.dx) + row * a.dx_stride_row + begin;
    float inner[1] = {};
    for (int64_t i = lane; i < width; i += team) {
      const float xhat = (x_at<T>(a, row, begin + i) - mean) * rstd;
      const Share e = element_at<T, W>(a, row, begin + i, xhat);
      const float g = e.du * (one + to_float(weight[i]));
      write_others<T, W>(a, row, begin + i, e);
      if (a.dx == nullptr) continue;
      const T of_x = from_float<T>(rstd * (g - shift - xhat * slope));
      if (a.x_dx != nullptr) inner[0] += x_at<T>(a, row, begin + i) * to_float(of_x);
      dx[i] = of_x;
    }
    if (a.x_dx != nullptr) {
      if constexpr (kBlock) __syncthreads();  // the scratch is used again
      team_sums<kBlock>(inner, team, scratch);
      if (valid && lane == 0) static_cast<float*>(a.x_dx)[run] = inner[0];
    }
    if constexpr (kBlock) __syncthreads();  // the scratch is used again
  }
}

// The same for runs of at most kNarrow elements, of a thread each.
template <class T, class W>
__global__ void __launch_bounds__(kTeamThreads) gradients_narrow(const Args a, const Runs runs) {
  const int64_t run = static_cast<int64_t>(blockIdx.x) * kTeamThreads + threadIdx.x;
  if (run >= runs.count) return;
  const int width = static_cast<int>(a.width);
  const int64_t row = runs.row_of(run), begin = (run - row * a.groups) * width;
  const double one = a.one_plus ? 1.0 : 0.0;
  double x[kNarrow] = {}, g[kNarrow] = {};
#pragma unroll
  for (int i = 0; i < kNarrow; ++i) {
    if (i >= width) continue;
    const float value = x_at<T>(a, row, begin + i);
    const Share e =
        element_at<T, W>(a, row, begin + i, (value - mean_of(a, run)) * rstd_of(a, run));
    write_others<T, W>(a, row, begin + i, e);
    x[i] = value;
    g[i] = e.du * (one + to_float(static_cast<const W*>(a.weight)[begin + i]));
  }
  if (a.dx == nullptr) return;
  narrow_gradient(a, x, g);
  T* dx = static_cast<T*>(a.dx) + row * a.dx_stride_row + begin;
#pragma unroll
  for (int i = 0; i < kNarrow; ++i)
    if (i < width) dx[i] = from_float<T>(static_cast<float>(g[i]));
  if (a.x_dx == nullptr) return;
  float inner = 0;
  for (int i = 0; i < width; ++i) inner += x_at<T>(a, row, begin + i) * to_float(dx[i]);
  static_cast<float*>(a.x_dx)[run] = inner;
}

template <class T>
bool is_aligned(const Args& a) {
  const auto packed = [](const void* p, int64_t stride) {
    return p == nullptr || is_packed<T>(p, stride);
  };
  return a.width % kPack<T> == 0 && packed(a.x, a.x_stride_row) &&
         packed(a.gate, a.gate_stride_row) && packed(a.skip, a.skip_stride_row) &&
         packed(a.dy, a.dy_stride_row) && packed(a.dx, a.dx_stride_row) &&
         packed(a.dgate, a.dgate_stride_row) && packed(a.dskip, a.dskip_stride_row) &&
         packed(a.weight, 0) && packed(a.bias, 0) && packed(a.skip_weight, 0);
}

template <class T, class W>
void backward_any(const Args& a, const RowPlan& plan, float* partial, cudaStream_t stream) {
  const int64_t D = a.groups * a.width;
  if (n_sums(a) > 0) {
    const dim3 grid(static_cast<unsigned>(ceil_div(D, 256)), static_cast<unsigned>(plan.count));
    column_sums<T, W><<<grid, 256, 0, stream>>>(a, plan, partial);
  }
  if (a.dx == nullptr && a.dgate == nullptr && a.dskip == nullptr) return;
  constexpr int64_t kMostBlocks = 1 << 20;
  const Runs runs(a.rows, a.groups);
  if (a.width <= kNarrow) {
    gradients_narrow<T, W>
        <<<grid_for(runs.count, kTeamThreads, 0x7fffffff), kTeamThreads, 0, stream>>>(a, runs);
  } else if (a.width <= 1024) {
    gradients_again<T, W, false>
        <<<grid_for(runs.count, kWarpTeamThreads / 32, kMostBlocks), kWarpTeamThreads, 0, stream>>>(
            a, runs, 32);
  } else {
    const int threads = threads_for(a.width, 512);
    gradients_again<T, W, true>
        <<<grid_for(runs.count, 1, kMostBlocks), threads, 0, stream>>>(a, runs, threads);
  }
}

template <class T, class W, bool kSkip>
void backward_aligned(const Args& a, const RowPlan& plan, float* partial, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(plan.count), static_cast<unsigned>(plan.height));
  const int n_places = kStages * kHeldShape.rows * (kSkip ? 4 : 3) * plan.threads();
  const int bytes = n_places * static_cast<int>(sizeof(uint4));
  const auto kernel = backward_held<T, W, kSkip>;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  kernel<<<grid, plan.threads(), bytes, stream>>>(a, plan, partial);
}

template <class T, class W>
void backward(const Args& a, float* partial, cudaStream_t stream) {
  const RowPlan plan = plan_of<T>(a);
  const int64_t D = a.groups * a.width;
  // A grid is at most 65535 high.
  const bool fits =
      a.width > kNarrow && a.width / kPack<T> <= kMostGatedPacks && plan.height < 65536;
  if (a.rows == 0) {
    // Only zeros to write.
  } else if (!is_aligned<T>(a) || !fits) {
    backward_any<T, W>(a, plan, partial, stream);
  } else if (a.skip != nullptr) {
    backward_aligned<T, W, true>(a, plan, partial, stream);
  } else {
    backward_aligned<T, W, false>(a, plan, partial, stream);
  }
  combine_partials<W>(partial, plan.count, n_sums(a) * D,
                      SumPlace<W>{static_cast<W*>(a.dweight), static_cast<W*>(dshift_of(a)), D},
                      stream);
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

int64_t xlstm_norm_gated_bwd_workspace_cuda(const xlstm_norm_gated_bwd_args* args) {
  return Cuda::workspace(args, xlstm_norm_gated_bwd_check, [&](auto element) {
    using T = typename decltype(element)::type;
    return plan_of<T>(*args).count * n_sums(*args) * args->groups * args->width *
           int64_t{sizeof(float)};
  });
}

xlstm_status xlstm_norm_gated_bwd_cuda(const xlstm_norm_gated_bwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_norm_gated_bwd_check, exec, xlstm_norm_gated_bwd_workspace_cuda,
                   [&](auto element) {
                     using T = typename decltype(element)::type;
                     if (args->groups * args->width == 0) return XLSTM_OK;
                     with_weight_type<T>(args->weight_dtype, [&](auto weight) {
                       backward<T, typename decltype(weight)::type>(
                           *args, static_cast<float*>(exec.workspace), stream_of(exec));
                     });
                     return launched();
                   });
}
