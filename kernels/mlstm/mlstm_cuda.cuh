// The pieces of the CUDA forward and backward: gate vectors, states at the chunk starts, and the
// products inside the chunks. Internal to this folder; README.md has the algorithm.
//
// Chunks lie on a fixed grid of chunk_length<T>() steps; a document may begin anywhere. Steps of
// different documents do not see each other, a state enters the steps before the chunk's first
// reset, and leaves from those at and after its last one.
#pragma once

#include <algorithm>

#include "kernels/common/cuda.cuh"
#include "kernels/mlstm/mlstm.h"
#include "kernels/mlstm/mlstm_cell.h"
#include "kernels/mlstm/mlstm_scratch.h"
#include "kernels/mlstm/mlstm_tiles.cuh"

namespace xlstm::kernels::mlstm {

template <class T>
constexpr int kChunk = 16 * Tiling<T>::kWarps;  // steps; one row of a result per step

template <auto kCheck, class Args>
xlstm_status check_on_cuda(const Args* args) {
  if (const xlstm_status status = kCheck(args); status != XLSTM_OK) return status;
  const xlstm_mlstm_config& c = args->config;
  if (c.gate_dtype != c.dtype && c.gate_dtype != XLSTM_F32) return XLSTM_BAD_DTYPE;
  return c.variant >= XLSTM_MLSTM_AUTO && c.variant <= XLSTM_MLSTM_RESIDENT ? XLSTM_OK
                                                                            : XLSTM_BAD_VALUE;
}

// A kernel with one struct as its parameter, on a grid in one dimension. `beside`: its blocks may
// begin as soon as all blocks of the kernel launched before have begun and let it
// (hopper::let_next_begin), and it ends after that one (hopper::wait_for_previous).
template <class Args>
xlstm_status launch(void (*kernel)(Args), int64_t blocks, int threads, int64_t shared_bytes,
                    xlstm_exec exec, const Args& args, bool beside = false) {
  if (blocks > 0x7fffffff) return XLSTM_BAD_SIZE;
  if (shared_bytes > 48 * 1024 &&
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(shared_bytes)) != cudaSuccess)
    return XLSTM_DEVICE_ERROR;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<size_t>(shared_bytes);
  config.stream = stream_of(exec);
  config.attrs = &attribute;
  config.numAttrs = beside ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, args) == cudaSuccess ? launched() : XLSTM_DEVICE_ERROR;
}

// ---- strided inputs and outputs ----

// A [B,T,H,width] tensor; `packed`: every row begins at a multiple of 16 bytes.
struct View {
  void* data;
  int64_t b, t, h;
  bool packed;

  template <class T>
  __device__ T* head(int64_t index, int64_t H) const {
    return static_cast<T*>(data) + index / H * b + index % H * h;
  }
};
template <class T>
View view_of(const void* p, const xlstm_mlstm_stride& s, const xlstm_mlstm_config& c) {
  const bool packed = is_packed<T>(p, c.B > 1 ? s.b : 0) && is_packed<T>(p, c.T > 1 ? s.t : 0) &&
                      is_packed<T>(p, c.H > 1 ? s.h : 0);
  return {const_cast<void*>(p), s.b, s.t, s.h, packed};
}

// ---- gates ----

// Per head, [B H, padded T] and [B H, chunks]; see README.md. u and w are sums of two floats: they
// may be large where their differences are not. Beyond T the weights are zero.
struct GateVectors {
  float2 *u, *w;
  float *alpha, *beta, *m;
  int* first;      // the chunk's step with which the step's document begins; 0 if before the chunk
  float* gamma;    // [B H, chunks]
  float* m_start;  // [B H, chunks + 1]
  double *total, *top;  // [B H, chunks] of the last document: sum of log forget gates, max alpha
  int64_t steps, chunks;

  GateVectors() = default;
  GateVectors(Scratch& s, const xlstm_mlstm_config& c, int chunk) {
    chunks = ceil_div(c.T, chunk);
    steps = chunks * chunk;
    const int64_t heads = c.B * c.H, n = heads * steps;
    u = s.take<float2>(n);
    w = s.take<float2>(n);
    alpha = s.take<float>(n);
    beta = s.take<float>(n);
    m = s.take<float>(n);
    first = s.take<int>(n);
    gamma = s.take<float>(heads * chunks);
    m_start = s.take<float>(heads * (chunks + 1));
    total = s.take<double>(heads * chunks);
    top = s.take<double>(heads * chunks);
  }
};

// The numbers of some steps of a thread in one piece; memory is aligned to that.
template <class T, int kSteps>
struct alignas(sizeof(T) * kSteps) Steps {
  T of[kSteps];
  __device__ static Steps load(const T* from) { return *reinterpret_cast<const Steps*>(from); }
  __device__ void store(T* to) const { *reinterpret_cast<Steps*>(to) = *this; }
};

struct GateArgs {
  xlstm_mlstm_config config;
  const void *i, *f;
  xlstm_mlstm_stride i_stride, f_stride;
  const uint8_t* reset;
  const float* m0;
  GateVectors gates;
  int chunk;
  float *saved_m, *m_final;  // or null
};
// Needs T >= 0 and B H > 0.
xlstm_status compute_gates(const GateArgs& args, xlstm_exec exec);

// ---- states ----

// S <- gamma S + sum_t scale_t x_t y_t^T and s <- gamma s + sum_t vector_scale_t x_t over the
// chunks, forward in time (x = k, y = v) or backward (x = q, y = dh).
struct ScanArgs {
  int64_t heads, H, T, K, V;
  View x, y;
  const float *scale, *vector_scale;  // [heads, steps]
  const float* gamma;
  int64_t steps, chunks;
  bool backward, with_vector;
  const float *S_first, *s_first;  // [heads, K, V], [heads, K] or null: zero
  void* S_chunks;                  // [heads, slots, K, pitch]: what a chunk begins (ends) with
  float* s_chunks;                 // [heads, slots, K]
  int64_t slots;                   // chunks, or one more for the last
  float *S_last, *s_last;          // or null
  // Backward: <S, dS> + <s, ds> of the states after each chunk, in parts: [parts, heads, chunks].
  const void* other_S;  // [heads, chunks + 1, K, pitch] or null
  const float* other_s;
  float* inner;
};
template <class T>
int64_t state_pitch(int64_t V) {
  return ceil_div(V, kPack<T>) * kPack<T>;
}
// C [B H, slots, K, pitch] and n [B H, slots, K]: before each chunk and, with one slot more, at the
// end.
template <class T>
struct ChunkStates {
  T* C = nullptr;
  float* n = nullptr;
  ChunkStates() = default;
  ChunkStates(Scratch& s, const xlstm_mlstm_config& c, int64_t slots) {
    C = s.take<T>(c.B * c.H * slots * c.K * state_pitch<T>(c.V));
    n = s.take<float>(c.B * c.H * slots * c.K);
  }
};
template <class T>
int64_t scan_parts(int64_t K, int64_t V) {
  return ceil_div(K, kChunk<T>) * ceil_div(V, kTile * Tiling<T>::kWide) * Tiling<T>::kWarps;
}
template <class T>
xlstm_status scan_states(const ScanArgs& args, xlstm_exec exec);

// ---- outputs ----

// One product of a chunk: scores X Y^T [rows, columns], weighted by the gates, times Z, and X times
// the state. Rows are steps; so are columns.
enum class Output {
  kH,   // X = q, Y = k, Z = v, C; rows t
  kDq,  // X = dh, Y = v, Z = k, C; rows t
  kDk,  // X = v, Y = dh, Z = q, dC; rows j
  kDv   // X = k, Y = q, Z = dh, dC; rows j
};
struct OutputArgs {
  int64_t heads, H, T, K, V;
  int64_t inner, width;  // of X and Y; of Z and the output
  View x, y, z, out;
  GateVectors gates;
  const void* S;   // C before or dC after the chunk, [heads, slots, K, pitch]
  const float* s;  // n or dn, [heads, slots, K]
  int64_t slots;
  bool edge_state;  // whether the first chunk's state before it (the last one's after it) counts
  bool normalize;
  float query_scale, eps;
  float* saved_l;                         // kH, or null
  const float *inv_n, *dl;                // [heads, steps]: gradients
  const float *q_scale, *q_vector_scale;  // [heads, steps]: s beta / N, s beta dl
  View factor;                            // kDq: q, kDk: k
  float* products;                        // [groups, heads, steps] sums of factor times output
  bool resident;                          // X of all inner tiles stays in shared memory
};
template <class T>
int64_t output_groups(int64_t width) {
  return ceil_div(width, kTile * Tiling<T>::kWide);
}
template <class T, Output kOutput>
xlstm_status compute_output(OutputArgs args, xlstm_exec exec);

// ---- gradients of gates ----

// di, df and dm0 from what dq and dk left. A walk: the steps from one inner product to the next, a
// power of 2 from 64 to 512.
struct GateGradArgs {
  xlstm_mlstm_bwd_args a;
  GateVectors gates;
  int chunk, walk;  // of the gate vectors; steps from one inner product to the next
  int64_t n_walks;
  const float *q_dq, *k_dk, *inner;
  int64_t groups, parts;
  bool fresh;  // no initial state was given
  float* dm;   // null: m is a constant
  const float *first_dC, *first_dn;
};
xlstm_status gate_gradients(const GateGradArgs& args, xlstm_exec exec);

}  // namespace xlstm::kernels::mlstm
