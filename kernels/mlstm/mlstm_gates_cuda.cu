// Gate vectors of all chunks: one block per head, one warp per chunk at a time.
#include "kernels/mlstm/mlstm_cuda.cuh"

namespace xlstm::kernels::mlstm {
namespace {

constexpr unsigned kAll = 0xffffffffu;

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

__device__ void summarize(const GateArgs& a, int64_t head, int64_t chunk) {
  double top = -INFINITY;
  const Tail tail = walk_tail(a, head, chunk * a.chunk, [&](int64_t, bool inside, double exponent) {
    if (inside) top = fmax(top, exponent);
  });
  for (int o = 16; o > 0; o /= 2) top = fmax(top, __shfl_xor_sync(kAll, top, o));
  if (threadIdx.x % 32 != 0) return;
  const int64_t at = head * a.gates.chunks + chunk;
  a.gates.total[at] = tail.total;
  a.gates.top[at] = top;
  a.gates.gamma[at] = tail.closed ? 0.0f : 1.0f;  // for now: whether the old state lives on
}

// m at the chunk starts, by one warp. It is rounded to float there, and all weights are taken with
// the rounded value, so the states are exact for the m stored with them.
__device__ void scan_m(const GateArgs& a, int64_t head) {
  const bool sigmoid_gate = a.config.input_gate == XLSTM_MLSTM_SIGMOID;
  const float start = sigmoid_gate ? 0.0f : static_cast<float>(a.config.start_m);
  const int lane = threadIdx.x % 32;
  float m = sigmoid_gate || a.m0 == nullptr ? start : a.m0[head];
  float* m_start = a.gates.m_start + head * (a.gates.chunks + 1);
  for (int64_t base = 0; base < a.gates.chunks; base += 32) {
    const int n = static_cast<int>(a.gates.chunks - base < 32 ? a.gates.chunks - base : 32);
    const int64_t at = head * a.gates.chunks + base + lane;
    const double total = lane < n ? a.gates.total[at] : 0, top = lane < n ? a.gates.top[at] : 0;
    const float lives = lane < n ? a.gates.gamma[at] : 0;
    for (int j = 0; j < n; ++j) {
      if (lane == j) m_start[base + j] = m;
      const double g = __shfl_sync(kAll, total, j), x = __shfl_sync(kAll, top, j);
      const float before = __shfl_sync(kAll, lives, j) > 0 ? m : start;
      m = sigmoid_gate ? 0.0f : static_cast<float>(fmax(g + static_cast<double>(before), x));
    }
  }
  if (lane != 0) return;
  m_start[a.gates.chunks] = m;
  if (a.m_final != nullptr) a.m_final[head] = m;
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
  const float* m_start = a.gates.m_start + head * (a.gates.chunks + 1) + chunk;
  const double before = m_start[0], after = m_start[1];
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

__global__ void gates_kernel(GateArgs a) {
  const int64_t head = blockIdx.x;
  const int warp = threadIdx.x / 32, n_warps = blockDim.x / 32;
  for (int64_t chunk = warp; chunk < a.gates.chunks; chunk += n_warps) summarize(a, head, chunk);
  __syncthreads();
  if (warp == 0) scan_m(a, head);
  __syncthreads();
  for (int64_t chunk = warp; chunk < a.gates.chunks; chunk += n_warps)
    write_vectors(a, head, chunk);
}

}  // namespace

xlstm_status compute_gates(const GateArgs& args, xlstm_exec exec) {
  const int64_t warps = std::clamp<int64_t>(args.gates.chunks, 1, 16);
  return launch(gates_kernel, args.config.B * args.config.H, static_cast<int>(32 * warps), 0, exec,
                args);
}

}  // namespace xlstm::kernels::mlstm
