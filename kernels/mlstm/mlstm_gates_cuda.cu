// Gate vectors of all chunks, a warp for each: first what each makes of m, then the vectors.
#include "kernels/mlstm/mlstm_cuda.cuh"

namespace xlstm::kernels::mlstm {
namespace {

constexpr unsigned kAll = 0xffffffffu;
constexpr int kWarps = 8;  // of a block

// A chunk is kSteps steps for each lane of a warp, one after the other.
template <int kSteps>
struct Gates {
  double log_f[kSteps], log_i[kSteps];
  bool reset[kSteps];
  int last = -1;  // the lane's last reset, a step of the chunk
};

// Which chunk of which head a warp has.
struct Place {
  int64_t b, h, head, chunk;
};

__device__ float start_of(const GateArgs& a) {
  return a.config.input_gate == XLSTM_MLSTM_SIGMOID ? 0.0f : static_cast<float>(a.config.start_m);
}

// Beyond the end: nothing is forgotten, nothing is added.
template <int kSteps>
__device__ Gates<kSteps> load_gates(const GateArgs& a, const Place& at) {
  const xlstm_mlstm_config& c = a.config;
  const int lane = threadIdx.x % 32;
  const float cap = static_cast<float>(c.soft_cap);
  Gates<kSteps> g;
#pragma unroll
  for (int j = 0; j < kSteps; ++j) {
    const int64_t t = at.chunk * (32 * kSteps) + lane * kSteps + j;
    g.log_f[j] = 0;
    g.log_i[j] = -INFINITY;
    g.reset[j] = false;
    if (t >= c.T) continue;
    float i = load_as_float(a.i, c.gate_dtype,
                            at.b * a.i_stride.b + t * a.i_stride.t + at.h * a.i_stride.h);
    float f = load_as_float(a.f, c.gate_dtype,
                            at.b * a.f_stride.b + t * a.f_stride.t + at.h * a.f_stride.h);
    if (cap > 0) {
      i = cap * tanhf(i / cap);
      f = cap * tanhf(f / cap);
    }
    if (c.input_gate == XLSTM_MLSTM_SIGMOID) i = kernels::log_sigmoid(i);
    g.log_f[j] = static_cast<double>(kernels::log_sigmoid(f));
    g.log_i[j] = static_cast<double>(i);
    g.reset[j] = a.reset != nullptr && a.reset[at.b * c.T + t] != 0;
    if (g.reset[j]) g.last = lane * kSteps + j;
  }
  return g;
}

// The chunk's last document, which may have begun before.
template <int kSteps>
struct Tail {
  int begin;     // its first step in the chunk, or -1
  double total;  // sum of its log forget gates in the chunk
  // Log weight of the lane's steps at the chunk's end, before the stabiliser; -inf before the
  // document.
  double exponent[kSteps];
};
template <int kSteps>
__device__ Tail<kSteps> tail_of(const Gates<kSteps>& g) {
  const int lane = threadIdx.x % 32;
  Tail<kSteps> tail;
  const unsigned resets = __ballot_sync(kAll, g.last >= 0);
  tail.begin = resets == 0 ? -1 : __shfl_sync(kAll, g.last, 31 - __clz(static_cast<int>(resets)));
  double mine = 0;
#pragma unroll
  for (int j = 0; j < kSteps; ++j)
    if (lane * kSteps + j >= tail.begin) mine += g.log_f[j];
  double sum = mine;  // of this lane and the later ones
  for (int o = 1; o < 32; o *= 2) {
    const double more = __shfl_down_sync(kAll, sum, o);
    if (lane + o < 32) sum += more;
  }
  tail.total = __shfl_sync(kAll, sum, 0);
  double later = __shfl_down_sync(kAll, sum, 1);
  if (lane == 31) later = 0;
#pragma unroll
  for (int j = kSteps - 1; j >= 0; --j) {
    tail.exponent[j] = lane * kSteps + j >= tail.begin ? later + g.log_i[j] : -INFINITY;
    later += g.log_f[j];
  }
  return tail;
}

// What a chunk makes of m: max(add + m, floor).
struct Step {
  double add, floor;
};
__device__ Step then(Step x, Step y) {
  return {x.add + y.add, fmax(x.floor + y.add, y.floor)};
}

template <int kSteps>
__device__ void summarize(const GateArgs& a, const Place& at) {
  const Tail<kSteps> tail = tail_of(load_gates<kSteps>(a, at));
  double top = tail.exponent[0];
#pragma unroll
  for (int j = 1; j < kSteps; ++j) top = fmax(top, tail.exponent[j]);
  for (int o = 16; o > 0; o /= 2) top = fmax(top, __shfl_xor_sync(kAll, top, o));
  if (threadIdx.x % 32 != 0) return;
  const int64_t index = at.head * a.gates.chunks + at.chunk;
  // After a reset nothing is left of m.
  const bool cut = tail.begin >= 0;
  a.gates.total[index] = cut ? -INFINITY : tail.total;
  a.gates.top[index] = cut ? fmax(tail.total + static_cast<double>(start_of(a)), top) : top;
}

// m at the start and the end of a chunk, by a warp: all chunks before it, 32 at a time, always in
// the same order, so that it is the same number wherever it is asked for. It is rounded to float
// there, and all weights are taken with the rounded value, so the states are exact for the m stored
// with them.
struct Stabilizer {
  float before, after;
};
__device__ Stabilizer stabilizer_at(const GateArgs& a, const Place& at) {
  if (a.config.input_gate == XLSTM_MLSTM_SIGMOID) return {0.0f, 0.0f};
  const int lane = threadIdx.x % 32, mine = static_cast<int>(at.chunk % 32);
  double m = a.gates.m_start[at.head * (a.gates.chunks + 1)], before = m, after = m;
  for (int64_t base = 0; base <= at.chunk; base += 32) {
    const int64_t index = at.head * a.gates.chunks + base + lane;
    Step step{0, -INFINITY};  // beyond the chunk: nothing
    if (base + lane <= at.chunk) step = {a.gates.total[index], a.gates.top[index]};
    for (int o = 1; o < 32; o *= 2) {
      const Step earlier{__shfl_up_sync(kAll, step.add, o), __shfl_up_sync(kAll, step.floor, o)};
      if (lane >= o) step = then(earlier, step);
    }
    const double here = fmax(step.add + m, step.floor);  // after the lane's chunk
    if (base + 32 > at.chunk) {
      after = __shfl_sync(kAll, here, mine);
      before = mine == 0 ? m : __shfl_sync(kAll, here, (mine + 31) % 32);
    }
    m = __shfl_sync(kAll, here, 31);
  }
  return {static_cast<float>(before), static_cast<float>(after)};
}

__device__ float2 split(double x) {
  const double most = 3.4e38;
  x = x > most ? most : x < -most ? -most : x;
  const float high = static_cast<float>(x);
  return make_float2(high, static_cast<float>(x - static_cast<double>(high)));
}

// A running value over the steps of a chunk that begins anew with every document: what a lane's
// steps make of it.
struct Running {
  double value;
  bool anew;
};
// What the lanes before this one made of it, from `first` on.
template <class Combine>
__device__ double before_lane(Running mine, double first, Combine combine) {
  const int lane = threadIdx.x % 32;
  for (int o = 1; o < 32; o *= 2) {
    const double value = __shfl_up_sync(kAll, mine.value, o);
    const bool anew = __shfl_up_sync(kAll, static_cast<int>(mine.anew), o) != 0;
    if (lane >= o && !mine.anew) mine = {combine(value, mine.value), anew};
  }
  if (!mine.anew) mine.value = combine(first, mine.value);
  const double before = __shfl_up_sync(kAll, mine.value, 1);
  return lane == 0 ? first : before;
}

template <int kSteps>
__device__ void write_vectors(const GateArgs& a, const Place& at) {
  const xlstm_mlstm_config& c = a.config;
  const bool sigmoid_gate = c.input_gate == XLSTM_MLSTM_SIGMOID;
  const int lane = threadIdx.x % 32;
  const Gates<kSteps> g = load_gates<kSteps>(a, at);
  const Stabilizer stabilizer = stabilizer_at(a, at);
  const double before = stabilizer.before, after = stabilizer.after;
  const int64_t index = at.head * a.gates.chunks + at.chunk;
  if (lane == 0) {
    float* m_start = a.gates.m_start + at.head * (a.gates.chunks + 1) + at.chunk;
    if (at.chunk > 0) m_start[0] = stabilizer.before;
    if (at.chunk + 1 == a.gates.chunks) {
      m_start[1] = stabilizer.after;
      if (a.m_final != nullptr) a.m_final[at.head] = stabilizer.after;
    }
  }
  // The last reset before the lane's steps.
  const unsigned resets = __ballot_sync(kAll, g.last >= 0) & ~(kAll << lane);
  const int earlier =
      __shfl_sync(kAll, g.last, resets == 0 ? 0 : 31 - __clz(static_cast<int>(resets)));
  int first = resets == 0 ? -1 : earlier;
  // b, the sum of log forget gates of the document so far; then u = log i - b and its maximum.
  double b[kSteps], top[kSteps];
  Running sum{0, false};
#pragma unroll
  for (int j = 0; j < kSteps; ++j) {
    if (g.reset[j]) sum = {0, true};
    sum.value += g.log_f[j];
  }
  double run = before_lane(sum, 0.0, [](double x, double y) { return x + y; });
#pragma unroll
  for (int j = 0; j < kSteps; ++j) b[j] = run = (g.reset[j] ? 0.0 : run) + g.log_f[j];
  Running most{-INFINITY, false};
#pragma unroll
  for (int j = 0; j < kSteps; ++j) {
    if (g.reset[j]) most = {c.start_m, true};
    most.value = fmax(most.value, g.log_i[j] - b[j]);
  }
  run = before_lane(most, before, [](double x, double y) { return fmax(x, y); });
#pragma unroll
  for (int j = 0; j < kSteps; ++j)
    top[j] = run = fmax(g.reset[j] ? c.start_m : run, g.log_i[j] - b[j]);
  const Tail<kSteps> tail = tail_of(g);
  Steps<float2, kSteps> u_split, w_split;
  Steps<float, kSteps> alpha, beta, m;
  Steps<int, kSteps> document;
  const int64_t begin = at.chunk * (32 * kSteps) + lane * kSteps;
#pragma unroll
  for (int j = 0; j < kSteps; ++j) {
    const bool valid = begin + j < c.T;
    if (g.reset[j]) first = lane * kSteps + j;
    const double w = sigmoid_gate ? -b[j] : top[j];
    m.of[j] = valid && !sigmoid_gate ? static_cast<float>(b[j] + w) : 0.0f;
    u_split.of[j] = valid ? split(g.log_i[j] - b[j]) : make_float2(-INFINITY, 0.0f);
    w_split.of[j] = valid ? split(w) : make_float2(INFINITY, 0.0f);
    beta.of[j] = valid && first < 0 ? expf(static_cast<float>(before - w)) : 0.0f;
    alpha.of[j] = expf(static_cast<float>(tail.exponent[j] - after));
    document.of[j] = first < 0 ? 0 : first;
    if (valid && a.saved_m != nullptr) a.saved_m[at.head * c.T + begin + j] = m.of[j];
  }
  const int64_t to = at.head * a.gates.steps + begin;
  u_split.store(a.gates.u + to);
  w_split.store(a.gates.w + to);
  alpha.store(a.gates.alpha + to);
  beta.store(a.gates.beta + to);
  m.store(a.gates.m + to);
  document.store(a.gates.first + to);
  if (lane == 0)
    a.gates.gamma[index] =
        tail.begin >= 0 ? 0.0f : expf(static_cast<float>(tail.total + before - after));
}

// A head without chunks has a warp as well, for its m.
__host__ __device__ int64_t warps_of_head(const GateArgs& a) {
  return a.gates.chunks > 0 ? a.gates.chunks : 1;
}

// The heads of a chunk stand side by side, as their gates do in memory. Beyond the last one: no
// head.
__device__ Place place_of(const GateArgs& a) {
  const int64_t H = a.config.H, chunks = warps_of_head(a);
  const int64_t index = blockIdx.x * int64_t{kWarps} + threadIdx.x / 32;
  const int64_t b = index / (H * chunks), of_b = index - b * H * chunks, chunk = of_b / H;
  if (b >= a.config.B) return {0, 0, -1, 0};
  return {b, of_b - chunk * H, b * H + of_b - chunk * H, chunk};
}

template <int kSteps>
__global__ void __launch_bounds__(32 * kWarps) summaries_kernel(GateArgs a) {
  const Place at = place_of(a);
  if (at.head < 0) return;
  if (at.chunk == 0 && threadIdx.x % 32 == 0) {
    const bool given = a.m0 != nullptr && a.config.input_gate != XLSTM_MLSTM_SIGMOID;
    a.gates.m_start[at.head * (a.gates.chunks + 1)] = given ? a.m0[at.head] : start_of(a);
  }
  if (at.chunk < a.gates.chunks) summarize<kSteps>(a, at);
}

template <int kSteps>
__global__ void __launch_bounds__(32 * kWarps) vectors_kernel(GateArgs a) {
  const Place at = place_of(a);
  if (at.head < 0) return;
  if (at.chunk < a.gates.chunks) {
    write_vectors<kSteps>(a, at);
  } else if (threadIdx.x % 32 == 0 && a.m_final != nullptr) {
    a.m_final[at.head] = a.gates.m_start[at.head];
  }
}

template <int kSteps>
xlstm_status compute(const GateArgs& args, xlstm_exec exec) {
  const int64_t blocks = ceil_div(args.config.B * args.config.H * warps_of_head(args), kWarps);
  const xlstm_status status = launch(summaries_kernel<kSteps>, blocks, 32 * kWarps, 0, exec, args);
  return status == XLSTM_OK ? launch(vectors_kernel<kSteps>, blocks, 32 * kWarps, 0, exec, args)
                            : status;
}

}  // namespace

xlstm_status compute_gates(const GateArgs& args, xlstm_exec exec) {
  return args.chunk == 64 ? compute<2>(args, exec) : compute<4>(args, exec);
}

}  // namespace xlstm::kernels::mlstm
