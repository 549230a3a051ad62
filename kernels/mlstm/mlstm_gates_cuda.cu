// Gate vectors of all chunks, a warp for each: first what each makes of m, then the vectors.
#include "kernels/mlstm/mlstm_cuda.cuh"

namespace xlstm::kernels::mlstm {
namespace {

constexpr unsigned kAll = 0xffffffffu;
constexpr int kWarps = 8;  // of a block

struct Gates {
  double log_f, log_i;
  bool reset;
};

// Beyond the end: nothing is forgotten, nothing is added.
__device__ Gates load_gates(const GateArgs& a, int64_t head, int64_t t) {
  const xlstm_mlstm_config& c = a.config;
  if (t >= c.T) return {0, -INFINITY, false};
  const int64_t b = head / c.H, h = head % c.H;
  const float cap = static_cast<float>(c.soft_cap);
  float i =
      load_as_float(a.i, c.gate_dtype, b * a.i_stride.b + t * a.i_stride.t + h * a.i_stride.h);
  float f =
      load_as_float(a.f, c.gate_dtype, b * a.f_stride.b + t * a.f_stride.t + h * a.f_stride.h);
  if (cap > 0) {
    i = cap * tanhf(i / cap);
    f = cap * tanhf(f / cap);
  }
  if (c.input_gate == XLSTM_MLSTM_SIGMOID) i = kernels::log_sigmoid(i);
  return {static_cast<double>(kernels::log_sigmoid(f)), static_cast<double>(i),
          a.reset != nullptr && a.reset[b * c.T + t] != 0};
}

// The lane of the last reset at or before `lane`, or -1.
__device__ int last_reset(unsigned resets, int lane) {
  resets &= kAll >> (31 - lane);
  return 31 - __clz(static_cast<int>(resets));
}

// Walks the chunk's last document from its end: visit(t, inside, exponent) for every step, where
// exponent is the log weight of the step at the chunk's end, before the stabiliser.
struct Tail {
  double total = 0;  // sum of log forget gates of the document's steps in the chunk
  bool closed = false;
};
template <class Visit>
__device__ Tail walk_tail(const GateArgs& a, int64_t head, int64_t begin, Visit visit) {
  const int lane = threadIdx.x % 32;
  Tail tail;
  for (int64_t piece = begin + a.chunk - 32; piece >= begin; piece -= 32) {
    const Gates g = load_gates(a, head, piece + lane);
    const int last = tail.closed ? 32 : last_reset(__ballot_sync(kAll, g.reset), 31);
    double sum = g.log_f;  // of this lane and the later ones
    for (int o = 1; o < 32; o *= 2) {
      const double more = __shfl_down_sync(kAll, sum, o);
      if (lane + o < 32) sum += more;
    }
    const double next = __shfl_down_sync(kAll, sum, 1);
    visit(piece + lane, lane >= last, (lane < 31 ? next : 0.0) + tail.total + g.log_i);
    if (last < 32) tail.total += __shfl_sync(kAll, sum, last < 0 ? 0 : last);
    tail.closed = tail.closed || last >= 0;
  }
  return tail;
}

__device__ float start_of(const GateArgs& a) {
  return a.config.input_gate == XLSTM_MLSTM_SIGMOID ? 0.0f : static_cast<float>(a.config.start_m);
}

__device__ void summarize(const GateArgs& a, int64_t head, int64_t chunk) {
  double top = -INFINITY;
  const Tail tail = walk_tail(a, head, chunk * a.chunk, [&](int64_t, bool inside, double exponent) {
    if (inside) top = fmax(top, exponent);
  });
  for (int o = 16; o > 0; o /= 2) top = fmax(top, __shfl_xor_sync(kAll, top, o));
  if (threadIdx.x % 32 != 0) return;
  const int64_t at = head * a.gates.chunks + chunk;
  // After a reset nothing is left of m.
  a.gates.total[at] = tail.closed ? -INFINITY : tail.total;
  a.gates.top[at] = tail.closed ? fmax(tail.total + static_cast<double>(start_of(a)), top) : top;
}

// What a chunk makes of m: max(add + m, floor).
struct Step {
  double add, floor;
};
__device__ Step then(Step x, Step y) {
  return {x.add + y.add, fmax(x.floor + y.add, y.floor)};
}

// m at the start of the head's chunk `k`, by a warp: all chunks before it, 32 at a time, always in
// the same order, so that it is the same number wherever it is asked for. It is rounded to float
// there, and all weights are taken with the rounded value, so the states are exact for the m stored
// with them.
__device__ float m_at(const GateArgs& a, int64_t head, int64_t k) {
  if (a.config.input_gate == XLSTM_MLSTM_SIGMOID) return 0.0f;
  const float* first = a.gates.m_start + head * (a.gates.chunks + 1);
  if (k == 0) return *first;
  const int lane = threadIdx.x % 32;
  double m = *first;
  for (int64_t base = 0; base < k; base += 32) {
    const int64_t at = head * a.gates.chunks + base + lane;
    Step mine{0, -INFINITY};  // beyond k: nothing
    if (base + lane < k) mine = {a.gates.total[at], a.gates.top[at]};
    for (int o = 1; o < 32; o *= 2) {
      const Step before{__shfl_up_sync(kAll, mine.add, o), __shfl_up_sync(kAll, mine.floor, o)};
      if (lane >= o) mine = then(before, mine);
    }
    const double add = __shfl_sync(kAll, mine.add, 31), floor = __shfl_sync(kAll, mine.floor, 31);
    m = fmax(add + m, floor);
  }
  return static_cast<float>(m);
}

__device__ float2 split(double x) {
  const double most = 3.4e38;
  x = x > most ? most : x < -most ? -most : x;
  const float high = static_cast<float>(x);
  return make_float2(high, static_cast<float>(x - static_cast<double>(high)));
}

__device__ void write_vectors(const GateArgs& a, int64_t head, int64_t chunk) {
  const xlstm_mlstm_config& c = a.config;
  const bool sigmoid_gate = c.input_gate == XLSTM_MLSTM_SIGMOID;
  const int lane = threadIdx.x % 32;
  const int64_t begin = chunk * a.chunk, row = head * a.gates.steps;
  const float m_before = m_at(a, head, chunk), m_after = m_at(a, head, chunk + 1);
  const double before = m_before, after = m_after;
  if (lane == 0) {
    float* m_start = a.gates.m_start + head * (a.gates.chunks + 1) + chunk;
    if (chunk > 0) m_start[0] = m_before;
    if (chunk + 1 == a.gates.chunks) {
      m_start[1] = m_after;
      if (a.m_final != nullptr) a.m_final[head] = m_after;
    }
  }
  double b_carry = 0, top_carry = before;
  bool cut = false;
  int first_carry = 0;
  for (int64_t piece = begin; piece < begin + a.chunk; piece += 32) {
    const int64_t t = piece + lane;
    const Gates g = load_gates(a, head, t);
    const unsigned resets = __ballot_sync(kAll, g.reset);
    const int from = last_reset(resets, lane), low = from < 0 ? 0 : from;
    double b = g.log_f;
    for (int o = 1; o < 32; o *= 2) {
      const double more = __shfl_up_sync(kAll, b, o);
      if (lane - o >= low) b += more;
    }
    if (from < 0) b += b_carry;
    const double u = g.log_i - b;
    double top = u;
    for (int o = 1; o < 32; o *= 2) {
      const double more = __shfl_up_sync(kAll, top, o);
      if (lane - o >= low) top = fmax(top, more);
    }
    top = fmax(top, from < 0 ? top_carry : c.start_m);
    const double w = sigmoid_gate ? -b : top;
    const float m = sigmoid_gate ? 0.0f : static_cast<float>(b + w);
    const int first = from < 0 ? first_carry : static_cast<int>(piece - begin) + from;
    const bool valid = t < c.T, sees_state = valid && !cut && from < 0;
    a.gates.u[row + t] = valid ? split(u) : make_float2(-INFINITY, 0.0f);
    a.gates.w[row + t] = valid ? split(w) : make_float2(INFINITY, 0.0f);
    a.gates.beta[row + t] = sees_state ? expf(static_cast<float>(before - w)) : 0.0f;
    a.gates.m[row + t] = valid ? m : 0.0f;
    a.gates.first[row + t] = first;
    if (valid && a.saved_m != nullptr) a.saved_m[head * c.T + t] = m;
    b_carry = __shfl_sync(kAll, b, 31);
    top_carry = __shfl_sync(kAll, top, 31);
    first_carry = __shfl_sync(kAll, first, 31);
    cut = cut || resets != 0;
  }
  const Tail tail = walk_tail(a, head, begin, [&](int64_t t, bool inside, double exponent) {
    a.gates.alpha[row + t] = inside && t < c.T ? expf(static_cast<float>(exponent - after)) : 0.0f;
  });
  if (lane == 0)
    a.gates.gamma[head * a.gates.chunks + chunk] =
        tail.closed ? 0.0f : expf(static_cast<float>(tail.total + before - after));
}

// A head without chunks has a block as well, for its m.
__host__ __device__ int64_t blocks_of_head(const GateArgs& a) {
  return a.gates.chunks > 0 ? ceil_div(a.gates.chunks, kWarps) : 1;
}

// Which chunk of which head the warp has.
struct Place {
  int64_t head, chunk;
};
__device__ Place place_of(const GateArgs& a) {
  const int64_t per_head = blocks_of_head(a);
  return {blockIdx.x / per_head, blockIdx.x % per_head * kWarps + threadIdx.x / 32};
}

__global__ void __launch_bounds__(32 * kWarps) summaries_kernel(GateArgs a) {
  const Place at = place_of(a);
  if (at.chunk == 0 && threadIdx.x % 32 == 0) {
    const bool given = a.m0 != nullptr && a.config.input_gate != XLSTM_MLSTM_SIGMOID;
    a.gates.m_start[at.head * (a.gates.chunks + 1)] = given ? a.m0[at.head] : start_of(a);
  }
  if (at.chunk < a.gates.chunks) summarize(a, at.head, at.chunk);
}

__global__ void __launch_bounds__(32 * kWarps) vectors_kernel(GateArgs a) {
  const Place at = place_of(a);
  if (at.chunk < a.gates.chunks) {
    write_vectors(a, at.head, at.chunk);
  } else if (a.gates.chunks == 0 && threadIdx.x == 0 && a.m_final != nullptr) {
    a.m_final[at.head] = a.gates.m_start[at.head];
  }
}

}  // namespace

xlstm_status compute_gates(const GateArgs& args, xlstm_exec exec) {
  const int64_t blocks = args.config.B * args.config.H * blocks_of_head(args);
  const xlstm_status status = launch(summaries_kernel, blocks, 32 * kWarps, 0, exec, args);
  return status == XLSTM_OK ? launch(vectors_kernel, blocks, 32 * kWarps, 0, exec, args) : status;
}

}  // namespace xlstm::kernels::mlstm
