// One decoding step on CUDA, in place. A block owns some columns of C of one head and reads and
// writes them once; n and m are needed by all blocks of a head, so a second launch replaces them.
#include <cmath>

#include "kernels/mlstm/mlstm_cuda.cuh"

namespace xlstm::kernels::mlstm {
namespace {

constexpr int kStepThreads = 256;
constexpr int kPiece = 1024;  // rows of C of which q and k stand in shared memory

struct StepArgs {
  xlstm_mlstm_step_args a;
  int lanes;  // threads along a row of C; each has kColumns neighbouring columns
};

__device__ inline int64_t at(const xlstm_mlstm_stride& s, int64_t head, int64_t H) {
  return head / H * s.b + head % H * s.h;
}

// Which of the B H or n_slots H states a head of the batch continues; negative: none.
__device__ inline int64_t state_of(const xlstm_mlstm_step_args& a, int64_t head) {
  if (a.slots == nullptr) return head;
  const int64_t slot = a.slots[head / a.config.H];
  return slot < 0 || slot >= a.n_slots ? -1 : slot * a.config.H + head % a.config.H;
}

__device__ StepGates<float> gates_of(const xlstm_mlstm_step_args& a, int64_t head, int64_t state) {
  const xlstm_mlstm_config& c = a.config;
  const bool sigmoid_gate = c.input_gate == XLSTM_MLSTM_SIGMOID;
  const float i = load_as_float(a.i, c.gate_dtype, at(a.i_stride, head, c.H));
  const float f = load_as_float(a.f, c.gate_dtype, at(a.f_stride, head, c.H));
  const float m = sigmoid_gate ? 0.0f : static_cast<const float*>(a.m)[state];
  return step_gates(i, f, m, c.soft_cap, sigmoid_gate);
}

template <class T, int kColumns>
__global__ void __launch_bounds__(kStepThreads) step_kernel(StepArgs args) {
  const xlstm_mlstm_step_args& a = args.a;
  const xlstm_mlstm_config& c = a.config;
  float* shared = reinterpret_cast<float*>(dynamic_shared());
  float *query = shared, *key = shared + kPiece, *sums = shared + 2 * kPiece;
  float* scratch = sums + kStepThreads * kColumns;  // [32]
  const int groups = kStepThreads / args.lanes;
  const int64_t parts = ceil_div(c.V, args.lanes * kColumns);
  const int64_t head = blockIdx.x / parts;
  const int lane = threadIdx.x % args.lanes, group = threadIdx.x / args.lanes;
  const int64_t col = (blockIdx.x % parts * args.lanes + lane) * kColumns;
  const bool inside = col < c.V;  // with several columns V is a multiple of them
  T* h = static_cast<T*>(a.h) + at(a.h_stride, head, c.H);
  const int64_t state = state_of(a, head);
  if (state < 0) {  // the whole block
    for (int j = 0; j < kColumns; ++j)
      if (group == 0 && inside) h[col + j] = from_float<T>(0.0f);
    return;
  }
  const StepGates<float> gates = gates_of(a, head, state);
  const T* q = static_cast<const T*>(a.q) + at(a.q_stride, head, c.H);
  const T* k = static_cast<const T*>(a.k) + at(a.k_stride, head, c.H);
  const T* v = static_cast<const T*>(a.v) + at(a.v_stride, head, c.H);
  const float* n = static_cast<const float*>(a.n) + state * c.K;
  float* C = static_cast<float*>(a.C) + state * c.K * c.V;

  float value[kColumns], num[kColumns];
#pragma unroll
  for (int j = 0; j < kColumns; ++j) {
    value[j] = inside ? gates.input * to_float(v[col + j]) : 0.0f;
    num[j] = 0;
  }
  float l = 0;
  for (int64_t r0 = 0; r0 < c.K; r0 += kPiece) {
    const int rows = static_cast<int>(c.K - r0 < kPiece ? c.K - r0 : kPiece);
    __syncthreads();
    for (int r = threadIdx.x; r < rows; r += kStepThreads) {
      query[r] = to_float(q[r0 + r]);
      key[r] = to_float(k[r0 + r]);
      if (c.normalize) l += query[r] * (gates.forget * n[r0 + r] + gates.input * key[r]);
    }
    __syncthreads();
    if (!inside) continue;
    float* row = C + r0 * c.V + col;
#pragma unroll 8
    for (int r = group; r < rows; r += groups) {
      float x[kColumns];
      load_pack(row + r * c.V, x);
#pragma unroll
      for (int j = 0; j < kColumns; ++j) {
        x[j] = gates.forget * x[j] + key[r] * value[j];
        num[j] += query[r] * x[j];
      }
      store_pack(row + r * c.V, x);
    }
  }
#pragma unroll
  for (int j = 0; j < kColumns; ++j) sums[threadIdx.x * kColumns + j] = num[j];
  l = block_sum(l, scratch);  // its barrier orders the sums too
  if (group != 0 || !inside) return;
  for (int other = 1; other < groups; ++other)
#pragma unroll
    for (int j = 0; j < kColumns; ++j) num[j] += sums[(other * args.lanes + lane) * kColumns + j];
  float scale = rsqrtf(static_cast<float>(c.K));
  if (c.normalize)
    scale /= denominator(scale * l, expf(floor_exponent(gates.m)), static_cast<float>(c.eps));
#pragma unroll
  for (int j = 0; j < kColumns; ++j) h[col + j] = from_float<T>(scale * num[j]);
}

template <class T>
__global__ void __launch_bounds__(kStepThreads) step_vector_kernel(StepArgs args) {
  const xlstm_mlstm_step_args& a = args.a;
  const xlstm_mlstm_config& c = a.config;
  const int64_t head = blockIdx.x;
  const int64_t state = state_of(a, head);
  if (state < 0) return;
  const StepGates<float> gates = gates_of(a, head, state);
  const T* k = static_cast<const T*>(a.k) + at(a.k_stride, head, c.H);
  float* n = static_cast<float*>(a.n) + state * c.K;
  if (c.normalize) {
    for (int64_t r = threadIdx.x; r < c.K; r += kStepThreads)
      n[r] = gates.forget * n[r] + gates.input * to_float(k[r]);
  }
  __syncthreads();  // every thread has read m
  if (threadIdx.x == 0 && c.input_gate == XLSTM_MLSTM_EXPONENTIAL)
    static_cast<float*>(a.m)[state] = gates.m;
}

template <class T, int kColumns>
xlstm_status launch_step(const xlstm_mlstm_step_args& a, xlstm_exec exec) {
  const xlstm_mlstm_config& c = a.config;
  const int64_t heads = c.B * c.H;
  // Narrow blocks where there are few, so that they fill the card; a row is 128 bytes at least.
  const auto blocks = [&](int lanes) { return heads * ceil_div(c.V, lanes * kColumns); };
  int lanes = 32;
  while (lanes * kColumns > 32 && blocks(lanes) < 528) lanes /= 2;
  const int64_t shared = (2 * kPiece + kStepThreads * kColumns + 32) * 4;
  return launch(step_kernel<T, kColumns>, blocks(lanes), kStepThreads, shared, exec,
                StepArgs{a, lanes});
}

template <class T>
xlstm_status step(const xlstm_mlstm_step_args& a, xlstm_exec exec) {
  const xlstm_mlstm_config& c = a.config;
  if (c.B * c.H == 0) return XLSTM_OK;
  const bool vectors = c.V % 4 == 0 && is_packed<float>(a.C);
  xlstm_status status = vectors ? launch_step<T, 4>(a, exec) : launch_step<T, 1>(a, exec);
  const bool has_vector = c.normalize || c.input_gate == XLSTM_MLSTM_EXPONENTIAL;
  if (status == XLSTM_OK && has_vector)
    status = launch(step_vector_kernel<T>, c.B * c.H, kStepThreads, 0, exec, StepArgs{a, 0});
  return status;
}

}  // namespace
}  // namespace xlstm::kernels::mlstm

using namespace xlstm::kernels;

xlstm_status xlstm_mlstm_step_cuda(const xlstm_mlstm_step_args* args, xlstm_exec exec) {
  return Cuda::run(args, mlstm::check_on_cuda<xlstm_mlstm_step_check>, [&](auto element) {
    return mlstm::step<typename decltype(element)::type>(*args, exec);
  });
}
