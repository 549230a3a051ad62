/* The mLSTM kernel from plain C, on a GPU if there is one, else on the CPU; twice on the same
 * input: the whole sequence at once, and one decoding step after the other. Both give the same h.
 */
#define _POSIX_C_SOURCE 200112L
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef USE_CUDA
#include <cuda_runtime_api.h>
#endif

#include "kernels/mlstm/mlstm.h"

enum { T = 3, K = 2, V = 2 }; /* time steps, key and value width; one batch row, one head */

static int on_gpu = 0;

static void stop(const char* what) {
  fprintf(stderr, "use_kernels_c: %s\n", what);
  exit(1);
}
static void stop_unless_ok(xlstm_status status) {
  if (status != XLSTM_OK) stop(xlstm_status_string(status));
}

/* Memory where the kernels run: zeros, 64-byte aligned as they want it. */
static void* zeros(size_t bytes) {
  void* memory = NULL;
#ifdef USE_CUDA
  if (on_gpu) {
    if (cudaMalloc(&memory, bytes) != cudaSuccess) stop("no device memory");
    if (cudaMemset(memory, 0, bytes) != cudaSuccess) stop("no memset");
    return memory;
  }
#endif
  if (posix_memalign(&memory, 64, bytes) != 0) stop("no memory");
  return memset(memory, 0, bytes);
}
static void copy(void* to, const void* from, size_t bytes) { /* in either direction */
#ifdef USE_CUDA
  if (on_gpu) {
    if (cudaMemcpy(to, from, bytes, cudaMemcpyDefault) != cudaSuccess) stop("no copy");
    return;
  }
#endif
  memcpy(to, from, bytes);
}
static float* floats(const float* values, size_t n) {
  float* there = zeros(n * sizeof(float));
  copy(there, values, n * sizeof(float));
  return there;
}

int main(void) {
#ifdef USE_CUDA
  int n_devices = 0;
  on_gpu = cudaGetDeviceCount(&n_devices) == cudaSuccess && n_devices > 0;
#endif
  const float q_values[T * K] = {1, 0, 0, 1, 1, 1}, k_values[T * K] = {1, 0, 0, 1, 1, 0};
  const float v_values[T * V] = {1, 2, 3, 4, 5, 6};
  const float i_values[T] = {0, 1, 0}, f_values[T] = {2, 2, 2}; /* gate pre-activations */
  const float *q = floats(q_values, T * K), *k = floats(k_values, T * K);
  const float *v = floats(v_values, T * V), *i = floats(i_values, T), *f = floats(f_values, T);
  const xlstm_mlstm_stride key_stride = {T * K, K, K}, value_stride = {T * V, V, V};
  const xlstm_mlstm_stride gate_stride = {T, 1, 1};

  xlstm_mlstm_config config = {0}; /* float32, chunkwise, exponential input gate */
  config.B = 1;
  config.T = T;
  config.H = 1;
  config.K = K;
  config.V = V;
  config.chunk_size = 64;
  config.normalize = 1;
  config.eps = 1e-6;

  /* The whole sequence. Null pointers: start from zeros, and drop the final state. */
  xlstm_mlstm_fwd_args args = {0};
  args.config = config;
  args.q = q, args.k = k, args.v = v, args.i = i, args.f = f;
  args.h = zeros(T * V * sizeof(float));
  args.q_stride = args.k_stride = key_stride;
  args.v_stride = args.h_stride = value_stride;
  args.i_stride = args.f_stride = gate_stride;
  xlstm_exec exec = {0}; /* the default stream */
  exec.workspace_bytes =
      on_gpu ? xlstm_mlstm_fwd_workspace_cuda(&args) : xlstm_mlstm_fwd_workspace_cpu(&args);
  exec.workspace = zeros((size_t)exec.workspace_bytes);
  stop_unless_ok(on_gpu ? xlstm_mlstm_fwd_cuda(&args, exec) : xlstm_mlstm_fwd_cpu(&args, exec));
  float h[T * V];
  copy(h, args.h, sizeof h);

  /* Step by step: the state C, n, m goes from one call to the next. */
  void *C = zeros(K * V * sizeof(float)), *n = zeros(K * sizeof(float)), *m = zeros(sizeof(float));
  float* h_step = zeros(V * sizeof(float));
  float difference = 0;
  for (int t = 0; t < T; ++t) {
    xlstm_mlstm_step_args step = {0};
    step.config = config;
    step.q = q + t * K, step.k = k + t * K, step.v = v + t * V, step.i = i + t, step.f = f + t;
    step.q_stride = step.k_stride = key_stride;
    step.v_stride = step.h_stride = value_stride;
    step.i_stride = step.f_stride = gate_stride;
    step.h = h_step, step.C = C, step.n = n, step.m = m;
    const xlstm_exec no_workspace = {0};
    stop_unless_ok(on_gpu ? xlstm_mlstm_step_cuda(&step, no_workspace)
                          : xlstm_mlstm_step_cpu(&step, no_workspace));
    float got[V];
    copy(got, h_step, sizeof got);
    for (int j = 0; j < V; ++j) difference = fmaxf(difference, fabsf(got[j] - h[t * V + j]));
    printf("h[%d] = %.6f %.6f\n", t, (double)h[t * V], (double)h[t * V + 1]);
  }
  printf("step by step differs by at most %.1g\n", (double)difference);
  printf("ran on the %s\n", on_gpu ? "GPU" : "CPU");
  return 0;
}
