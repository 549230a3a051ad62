/* The mLSTM kernel from plain C, twice on the same input: the whole sequence at once, and one
 * decoding step after the other. Both give the same h. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/mlstm/mlstm.h"

enum { T = 3, K = 2, V = 2 }; /* time steps, key and value width; one batch row, one head */

static void stop_unless_ok(xlstm_status status) {
  if (status == XLSTM_OK) return;
  fprintf(stderr, "mlstm: %s\n", xlstm_status_string(status));
  exit(1);
}

int main(void) {
  const float q[T * K] = {1, 0, 0, 1, 1, 1}, k[T * K] = {1, 0, 0, 1, 1, 0};
  const float v[T * V] = {1, 2, 3, 4, 5, 6};
  const float i[T] = {0, 1, 0}, f[T] = {2, 2, 2}; /* gate pre-activations */
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
  float h[T * V];
  xlstm_mlstm_fwd_args args = {0};
  args.config = config;
  args.q = q, args.k = k, args.v = v, args.i = i, args.f = f, args.h = h;
  args.q_stride = args.k_stride = key_stride;
  args.v_stride = args.h_stride = value_stride;
  args.i_stride = args.f_stride = gate_stride;
  xlstm_exec exec = {0};
  exec.workspace_bytes = xlstm_mlstm_fwd_workspace_cpu(&args);
  char* memory = malloc((size_t)exec.workspace_bytes + 63);
  if (memory == NULL) return 1;
  exec.workspace = memory + (64 - (uintptr_t)memory % 64) % 64; /* kernels want 64-byte alignment */
  stop_unless_ok(xlstm_mlstm_fwd_cpu(&args, exec));
  free(memory);

  /* Step by step: the state C, n, m goes from one call to the next. */
  float C[K * V] = {0}, n[K] = {0}, m[1] = {0}, h_step[V], difference = 0;
  for (int t = 0; t < T; ++t) {
    xlstm_mlstm_step_args step = {0};
    step.config = config;
    step.q = q + t * K, step.k = k + t * K, step.v = v + t * V, step.i = i + t, step.f = f + t;
    step.q_stride = step.k_stride = key_stride;
    step.v_stride = step.h_stride = value_stride;
    step.i_stride = step.f_stride = gate_stride;
    step.h = h_step, step.C = C, step.n = n, step.m = m;
    stop_unless_ok(xlstm_mlstm_step_cpu(&step, (xlstm_exec){0}));
    for (int j = 0; j < V; ++j) difference = fmaxf(difference, fabsf(h_step[j] - h[t * V + j]));
    printf("h[%d] = %.6f %.6f\n", t, h[t * V], h[t * V + 1]);
  }
  printf("step by step differs by at most %.1g\n", difference);
  return 0;
}
