// The gradients of the gates from the products of dq with q and dk with k, and that of the initial
// m.
#include "kernels/mlstm/mlstm_cuda.cuh"

namespace xlstm::kernels::mlstm {
namespace {

constexpr unsigned kAll = 0xffffffffu;
constexpr int kHeadThreads = 256;  // of the initial state of a head
constexpr int kWalkSteps = 2;      // steps of a thread
constexpr int kGradThreads = 256;  // of a block: a walk of sweeps, or several shorter ones

__device__ bool is_reset(const GateGradArgs& g, int64_t b, int64_t t) {
  const xlstm_mlstm_config& c = g.a.config;
  return g.a.reset != nullptr && t < c.T && g.a.reset[b * c.T + t] != 0;
}

// Whether the input gate, rather than what was before, decided m_t: u_t is above the maximum so
// far.
__device__ bool input_decides(const GateGradArgs& g, int64_t head, int64_t t, bool reset) {
  const int64_t at = head * g.gates.steps + t;
  const float2 u = g.gates.u[at];
  float2 top;
  if (reset) {
    top = make_float2(static_cast<float>(g.a.config.start_m), 0.0f);
  } else if (t % g.chunk == 0) {
    top = make_float2(g.gates.m_start[head * (g.gates.chunks + 1) + t / g.chunk], 0.0f);
  } else {
    top = g.gates.w[at - 1];
  }
  return u.x > top.x || (u.x == top.x && u.y > top.y);
}

// Suffix sums over the lanes; a lane with `stop` takes nothing from later lanes.
__device__ double suffix_sum(double x, bool stop) {
  const int lane = threadIdx.x % 32;
  const unsigned later = __ballot_sync(kAll, stop) & (kAll << lane);
  const int last = later == 0 ? 31 : __ffs(static_cast<int>(later)) - 1;
  for (int o = 1; o < 32; o *= 2) {
    const double more = __shfl_down_sync(kAll, x, o);
    if (lane + o <= last) x += more;
  }
  return x;
}

// dm_t <- dm_t + what is left of dm_{t+1}: a warp per head from the end to the beginning. Writes
// <C0, dC0> + <n0, dn0> and what is left of dm_1 to dm0.
__global__ void initial_kernel(GateGradArgs g) {
  const xlstm_mlstm_config& c = g.a.config;
  const int64_t head = blockIdx.x, b = head / c.H;
  float* partial = reinterpret_cast<float*>(dynamic_shared());
  const int lane = threadIdx.x % 32;
  double left = 0;
  if (g.dm != nullptr && threadIdx.x < 32) {
    bool next_stops = true;
    double carry = 0;
    for (int64_t piece = (c.T - 1) / 32 * 32; piece >= 0 && c.T > 0; piece -= 32) {
      const int64_t t = piece + lane;
      const bool inside = t < c.T, reset = is_reset(g, b, t);
      // Whether nothing of dm_t goes on to the step before.
      const bool stops = inside && (reset || input_decides(g, head, t, reset));
      const unsigned stopping = __ballot_sync(kAll, stops);
      const bool stop = lane == 31 ? next_stops : (stopping >> (lane + 1) & 1) != 0;
      double x = inside ? static_cast<double>(g.dm[head * g.gates.steps + t]) : 0.0;
      if (lane == 31 && !next_stops) x += carry;
      x = suffix_sum(x, stop);
      if (inside) g.dm[head * g.gates.steps + t] = static_cast<float>(x);
      carry = __shfl_sync(kAll, x, 0);
      next_stops = (stopping & 1) != 0;
    }
    left = next_stops ? 0.0 : carry;
  }
  if (g.a.dm0 == nullptr) return;
  float sum = 0;
  const bool cut = is_reset(g, b, 0);
  if (!cut && c.input_gate == XLSTM_MLSTM_EXPONENTIAL) {
    const int64_t size = c.K * c.V;
    const float *C0 = static_cast<const float*>(g.a.C0), *n0 = static_cast<const float*>(g.a.n0);
    for (int64_t j = threadIdx.x; C0 != nullptr && j < size; j += blockDim.x)
      sum += C0[head * size + j] * g.first_dC[head * size + j];
    for (int64_t j = threadIdx.x; n0 != nullptr && j < c.K; j += blockDim.x)
      sum += n0[head * c.K + j] * g.first_dn[head * c.K + j];
  }
  sum = block_sum(sum, partial);
  if (threadIdx.x == 0)
    static_cast<float*>(g.a.dm0)[head] = static_cast<float>(left + static_cast<double>(sum));
}

struct GatePair {
  float i, f;
};

// di and df of a step from the gradients of the logarithms of its gates.
__device__ GatePair through_gates(const GateGradArgs& g, int64_t b, int64_t h, int64_t t,
                                  float d_log_i, float d_log_f) {
  const xlstm_mlstm_config& c = g.a.config;
  const float cap = static_cast<float>(c.soft_cap);
  float i = load_as_float(g.a.i, c.gate_dtype,
                          b * g.a.i_stride.b + t * g.a.i_stride.t + h * g.a.i_stride.h);
  float f = load_as_float(g.a.f, c.gate_dtype,
                          b * g.a.f_stride.b + t * g.a.f_stride.t + h * g.a.f_stride.h);
  if (cap > 0) {
    i = cap * tanhf(i / cap);
    f = cap * tanhf(f / cap);
  }
  const float through = c.input_gate == XLSTM_MLSTM_SIGMOID ? sigmoid(-i) : 1.0f;
  return {d_log_i * through * soft_cap_gradient(i, cap),
          d_log_f * sigmoid(-f) * soft_cap_gradient(f, cap)};
}

// What the steps of a lane make of the sum from the later ones on: sum, plus that if nothing stops
// it.
struct Suffix {
  double sum;
  bool open;
};
__device__ Suffix then_later(Suffix x, Suffix later) {
  return {x.open ? x.sum + later.sum : x.sum, x.open && later.open};
}

// A walk of a head for so many threads of a block, kWalkSteps steps each; sums run from the last
// step to the first.
__global__ void __launch_bounds__(kGradThreads) gate_grad_kernel(GateGradArgs g) {
  const xlstm_mlstm_config& c = g.a.config;
  const int64_t heads = c.B * c.H;
  const int threads = static_cast<int>(g.walk) / kWalkSteps, thread = threadIdx.x % threads;
  const int64_t index = blockIdx.x * int64_t{kGradThreads / threads} + threadIdx.x / threads;
  const bool exists = index < heads * g.n_walks;
  // The heads of a walk side by side, as their gates are in memory.
  const int64_t b = index / (c.H * g.n_walks), of_b = index - b * c.H * g.n_walks;
  const int64_t mine = of_b / c.H, h = of_b - mine * c.H, head = b * c.H + h;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  __shared__ Suffix of_warp[kGradThreads / 32];
  const int64_t begin = exists ? mine * g.walk + thread * kWalkSteps : c.T;
  const int64_t at = head * g.gates.steps + begin;
  double q_dq[kWalkSteps] = {}, k_dk[kWalkSteps] = {};
  for (int64_t group = 0; begin < c.T && group < g.groups; ++group) {
    const int64_t from = group * heads * g.gates.steps + at;
    const auto of_q = Steps<float, kWalkSteps>::load(g.q_dq + from),
               of_k = Steps<float, kWalkSteps>::load(g.k_dk + from);
#pragma unroll
    for (int j = 0; j < kWalkSteps; ++j) {
      if (begin + j >= c.T) continue;  // chunks reach beyond the end
      q_dq[j] += static_cast<double>(of_q.of[j]);
      k_dk[j] += static_cast<double>(of_k.of[j]);
    }
  }
  double after = 0;  // <C, dC> + <n, dn> after the walk's steps
  for (int64_t part = lane; exists && part < g.parts; part += 32)
    after += static_cast<double>(g.inner[(part * heads + head) * g.n_walks + mine]);
  for (int o = 16; o > 0; o /= 2) after += __shfl_xor_sync(kAll, after, o);
  // A reset right behind a step, and be it behind the walk: gamma and alpha let nothing out that
  // could come back.
  bool reset[kWalkSteps + 1];
#pragma unroll
  for (int j = 0; j <= kWalkSteps; ++j) reset[j] = is_reset(g, b, begin + j);
  Suffix steps{0, true};
#pragma unroll
  for (int j = kWalkSteps - 1; j >= 0; --j)
    steps = then_later({q_dq[j] - k_dk[j], !reset[j + 1]}, steps);
  for (int o = 1; o < 32; o *= 2) {
    const Suffix later{__shfl_down_sync(kAll, steps.sum, o),
                       __shfl_down_sync(kAll, static_cast<int>(steps.open), o) != 0};
    if (lane + o < 32) steps = then_later(steps, later);
  }
  if (lane == 0) of_warp[warp] = steps;
  __syncthreads();
  // From the last warp to the next, then to the next lane.
  Suffix later{after, false};
  const int last = warp - thread / 32 + threads / 32 - 1;  // of the walk
  for (int w = last; w > warp; --w) later = then_later(of_warp[w], later);
  const Suffix next{__shfl_down_sync(kAll, steps.sum, 1),
                    __shfl_down_sync(kAll, static_cast<int>(steps.open), 1) != 0};
  double sum = lane == 31 ? later.sum : then_later(next, later).sum;
#pragma unroll
  for (int j = kWalkSteps - 1; j >= 0; --j) {
    const int64_t t = begin + j;
    sum = (reset[j + 1] ? 0.0 : sum) + (q_dq[j] - k_dk[j]);
    if (t >= c.T) continue;
    // The first forget gate of a document multiplies zeros; the sum would leave rounding noise.
    float d_log_f = reset[j] || (g.fresh && t == 0) ? 0.0f : static_cast<float>(sum);
    float d_log_i = static_cast<float>(k_dk[j]);
    if (g.dm != nullptr) (input_decides(g, head, t, reset[j]) ? d_log_i : d_log_f) += g.dm[at + j];
    const GatePair d = through_gates(g, b, h, t, d_log_i, d_log_f);
    store_from_float(g.a.di, c.gate_dtype,
                     b * g.a.di_stride.b + t * g.a.di_stride.t + h * g.a.di_stride.h, d.i);
    store_from_float(g.a.df, c.gate_dtype,
                     b * g.a.df_stride.b + t * g.a.df_stride.t + h * g.a.df_stride.h, d.f);
  }
}

}  // namespace

xlstm_status gate_gradients(const GateGradArgs& args, xlstm_exec exec) {
  const xlstm_mlstm_config& c = args.a.config;
  xlstm_status status = XLSTM_OK;
  if (args.dm != nullptr || args.a.dm0 != nullptr)
    status = launch(initial_kernel, c.B * c.H, kHeadThreads, 32 * sizeof(float), exec, args);
  if (status != XLSTM_OK || c.T == 0) return status;
  const int64_t threads = c.B * c.H * args.n_walks * (args.walk / kWalkSteps);
  return launch(gate_grad_kernel, ceil_div(threads, kGradThreads), kGradThreads, 0, exec, args);
}

}  // namespace xlstm::kernels::mlstm
