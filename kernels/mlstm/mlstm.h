/* mLSTM: a linear recurrence with a matrix state, exponential input gate and a normaliser.
 *
 * Per batch row and head, with s = 1/sqrt(K), soft-capped gates i, f (x <- cap * tanh(x / cap)):
 *
 *   ell = log_sigmoid(f_t) + m_{t-1};  m_t = max(ell, i_t)
 *
 *   F = exp(ell - m_t);  I = exp(i_t - m_t)
 *
 *   C_t = F C_{t-1} + I k_t v_t^T;  n_t = F n_{t-1} + I k_t
 *
 *   l_t = s q_t.n_t;  N_t = max(|l_t|, exp(-m_t)) + eps;  h_t = s C_t^T q_t / N_t
 *
 * (Beck et al., "xLSTM", arXiv 2405.04517, equations 19-27; the chunkwise algorithm follows Beck et
 * al., "Tiled Flash Linear Attention", arXiv 2503.14376; README.md of this folder has it on a
 * page). With the sigmoid input gate I = sigmoid(i_t), F = sigmoid(f_t), m = 0 and N is max(|l|, 1)
 * + eps, or 1 without the normaliser (then n is not used).
 *
 * Layouts. q, k [B,T,H,K]; v, h [B,T,H,V]; i, f [B,T,H]; strides in elements, K and V dense, and
 * for q, k, v, h and their gradients stride t >= K (or V) when T > 1. States C [B,H,K,V], n
 * [B,H,K], m [B,H] and the saved m_t, l_t [B,H,T] are contiguous and have the type of computation
 * (f64 for f64, else f32). reset [B,T] contiguous: 1 makes the state zero (and m = start_m) before
 * that step. Outputs depend on start_m through eps alone. CPU: f32 and f64, gates of the same type.
 *
 * CUDA: f32, bf16 and f16, gates of the same type or f32; states, m and l in f32. 16-bit products
 * are made on tensor cores with f32 sums, f32 ones by FMA; gates, weights and normaliser in f32,
 * sums of log gates in f64. The chunk length is the kernel's own: 128 steps, 64 for f32 and for
 * sweeps, on a fixed grid, so chunk_size and form change nothing. README.md says what a block owns.
 */
#ifndef XLSTM_KERNELS_MLSTM_MLSTM_H_
#define XLSTM_KERNELS_MLSTM_MLSTM_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum xlstm_mlstm_form {
  XLSTM_MLSTM_CHUNKWISE = 0, /* linear in T */
  XLSTM_MLSTM_PARALLEL = 1,  /* one chunk per document: quadratic in T */
  XLSTM_MLSTM_RECURRENT = 2  /* one step after the other */
} xlstm_mlstm_form;

typedef enum xlstm_mlstm_input_gate {
  XLSTM_MLSTM_EXPONENTIAL = 0,
  XLSTM_MLSTM_SIGMOID = 1
} xlstm_mlstm_input_gate;

/* Kernels on CUDA. AUTO takes what is fastest for the call; another one that does not compute it on
 * the current device is XLSTM_BAD_VARIANT. */
typedef enum xlstm_mlstm_variant {
  XLSTM_MLSTM_AUTO = 0,
  XLSTM_MLSTM_PORTABLE = 1, /* any sizes, types and device */
  XLSTM_MLSTM_RESIDENT = 2  /* Hopper, 16 bits: the state in registers over the whole sequence */
} xlstm_mlstm_variant;

typedef struct xlstm_mlstm_config {
  xlstm_dtype dtype;      /* of q, k, v, h */
  xlstm_dtype gate_dtype; /* of i, f */
  int64_t B, T, H, K, V;  /* B, T, H >= 0; K, V >= 1 */
  int64_t chunk_size;     /* >= 1, any; results differ by rounding only */
  xlstm_mlstm_form form;  /* of the forward; the backward is chunkwise for all three */
  xlstm_mlstm_input_gate input_gate;
  int32_t normalize;           /* 0 only with the sigmoid input gate */
  int32_t detach_normalizer;   /* 1: N is a constant in the gradient */
  int32_t stabilizer_gradient; /* 1: m_t has its gradient through eps */
  double soft_cap;             /* 0: none */
  double eps;                  /* >= 0 */
  double start_m;  /* m of the zero state: 0, or very low (-1e30) for "no stabiliser yet" */
  int32_t variant; /* xlstm_mlstm_variant; the CPU has AUTO alone */
} xlstm_mlstm_config;

typedef struct xlstm_mlstm_stride {
  int64_t b, t, h;
} xlstm_mlstm_stride;

/* ---- forward ----
 * Reads q, k, v, i, f and, unless null, the initial C0, n0, m0 (null: zeros, start_m; each on its
 * own) and reset. Writes h and, unless null, the final C, n, m and for the backward m_t and the
 * signed l_t. C may be C0, n may be n0, m may be m0; nothing else may overlap. n0 and n are not
 * touched without the normaliser, m0 is not read and m is 0 with the sigmoid gate.
 *
 * Sums of log gates are in double, everything else in the type of the data; no exponent is positive
 * but that of exp(-m_t), which is clamped at 80. Gates of any finite size give finite results.
 * Flops per step and head: chunkwise 4 K V + (L + 1) (K + V) with chunk length L; parallel the same
 * with L = T; recurrent 6 K V. Bytes: q, k, v, h once.
 * CPU: heads are spread over the threads, one workspace slot each. The query counts a slot for
 * every OpenMP thread, or one for little work; the call needs one and uses as many as it was given.
 * CUDA, portable: gates (a block per head), states (a block per head and 128 x 128 of C), outputs
 * (a block per head, chunk and 128 columns of h): 3 launches. The workspace holds the state at
 * every chunk start in the type of the data, B H T / 128 K V elements, and 32 bytes of gates a step
 * and head. Bytes: q and k are read by every block of columns, v by every block of rows of C
 * (mostly from L2), and the states are written and read once: 4 K V / 128 bytes a step and head in
 * 16 bits. CUDA, resident: gates, then one sweep. The workspace is 32 bytes of gates a step and
 * head. Bytes: q and k are read by every block, 128 columns of h. Status: NULL_POINTER, BAD_SIZE,
 * BAD_STRIDE, BAD_DTYPE, BAD_VALUE, WORKSPACE_TOO_SMALL. */
typedef struct xlstm_mlstm_fwd_args {
  xlstm_mlstm_config config;
  const void *q, *k, *v, *i, *f;
  xlstm_mlstm_stride q_stride, k_stride, v_stride, i_stride, f_stride;
  const uint8_t* reset;
  const void *C0, *n0, *m0;
  void* h;
  xlstm_mlstm_stride h_stride;
  void *C, *n, *m;
  void *saved_m, *saved_l; /* saved_l is not written without the normaliser */
  void* states; /* CUDA: takes the states at the chunk starts for the backward; or null */
} xlstm_mlstm_fwd_args;

xlstm_status xlstm_mlstm_fwd_check(const xlstm_mlstm_fwd_args* args);
int64_t xlstm_mlstm_fwd_workspace_cpu(const xlstm_mlstm_fwd_args* args); /* bytes; 0 if refused */
/* What the workspace does not exceed with any B: a part for each thread. */
int64_t xlstm_mlstm_fwd_workspace_most_cpu(const xlstm_mlstm_fwd_args* args);
int64_t xlstm_mlstm_fwd_workspace_cuda(const xlstm_mlstm_fwd_args* args);
xlstm_status xlstm_mlstm_fwd_cpu(const xlstm_mlstm_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_mlstm_fwd_cuda(const xlstm_mlstm_fwd_args* args, xlstm_exec exec);
/* Bytes of `states`, 16-byte aligned. The portable backward that is given them does not make them
 * again, a fifth of its flops; 0 where it has no use for them, as with sweeps, which pass through
 * all states anyway. */
int64_t xlstm_mlstm_states_bytes_cuda(const xlstm_mlstm_fwd_args* args);

/* ---- backward ----
 * From dh (null: zero) and the gradients dC, dn of the final state (null: zero; taken at fixed m),
 * writes dq, dk, dv, di, df and, unless null, dC0, dn0 and dm0 = <C0,dC0> + <n0,dn0>. The
 * stabiliser m_t is a constant, which is exact but for a term of the size of eps. With
 * stabilizer_gradient that term is there: -<h_t,dh_t> eps / N_t into m_t, and from there into
 * whichever of i_t, f_t and m_{t-1} decided the maximum (still nothing comes from the final m).
 * Nothing flows across a reset. h,
 * saved_m, saved_l are those of the forward; h is read only for the exact gradient of the
 * normaliser, i.e. with normalize and without detach_normalizer; saved_m, saved_l with normalize.
 * Of h nothing but <h, dh> counts: on CUDA a caller that has it (kernels/norm/norm_gated.h) gives
 * h_dh, and h is not read. The CPU does not read h_dh.
 * Flops per step and head: 10 K V + (L + 1) (3 K + 2 V). 2 K V of them recompute the states at the
 * chunk starts, which stand in the workspace: (T / L + 2) (K V + K) numbers a slot.
 * CUDA, portable: 8 launches, 9 where m has a gradient: gates, states, <h, dh>, gradients of the
 * states, dq, dk, dv, gates. The workspace is that of the forward with two states a chunk. CUDA,
 * resident: 6 launches, 7 where m has a gradient: gates, <h, dh>, sweeps for dq, dk and dv, gates.
 * The workspace holds a state in 16 bits for 512 steps, and 48 bytes of gates and 8 for each 64
 * columns of q a step and head. */
typedef struct xlstm_mlstm_bwd_args {
  xlstm_mlstm_config config;
  const void *q, *k, *v, *i, *f;
  xlstm_mlstm_stride q_stride, k_stride, v_stride, i_stride, f_stride;
  const uint8_t* reset;
  const void *C0, *n0, *m0;
  const void *h, *dh;
  xlstm_mlstm_stride h_stride, dh_stride;
  const void *saved_m, *saved_l;
  const void* states; /* those of the forward, of the same variant; null: make them again */
  const void* h_dh;   /* [B,T,H] contiguous, of the type of states: <h, dh>; null: not at hand */
  const void *dC, *dn;
  void *dq, *dk, *dv, *di, *df;
  xlstm_mlstm_stride dq_stride, dk_stride, dv_stride, di_stride, df_stride;
  void *dC0, *dn0, *dm0;
} xlstm_mlstm_bwd_args;

xlstm_status xlstm_mlstm_bwd_check(const xlstm_mlstm_bwd_args* args);
int64_t xlstm_mlstm_bwd_workspace_cpu(const xlstm_mlstm_bwd_args* args); /* bytes; 0 if refused */
/* What the workspace does not exceed with any B: a part for each thread. */
int64_t xlstm_mlstm_bwd_workspace_most_cpu(const xlstm_mlstm_bwd_args* args);
int64_t xlstm_mlstm_bwd_workspace_cuda(const xlstm_mlstm_bwd_args* args);
xlstm_status xlstm_mlstm_bwd_cpu(const xlstm_mlstm_bwd_args* args, xlstm_exec exec);
xlstm_status xlstm_mlstm_bwd_cuda(const xlstm_mlstm_bwd_args* args, xlstm_exec exec);

/* Which kernel a call with these arguments runs on the current device, for reports: "portable",
 * "resident", or "none" where the variant asked for is refused. Never null, never freed. */
const char* xlstm_mlstm_fwd_variant_cuda(const xlstm_mlstm_fwd_args* args);
const char* xlstm_mlstm_bwd_variant_cuda(const xlstm_mlstm_bwd_args* args);

/* ---- one decoding step ----
 * q, k [B,H,K], v, h [B,H,V], i, f [B,H]; the state C, n, m is read and overwritten (n may be null
 * without the normaliser, m with the sigmoid gate). config.T, chunk_size and form are not read, nor
 * the t of the strides. No workspace. Bound by reading and writing C: 2 K V numbers a head, 6 K V
 * flops. CUDA: a block of threads owns 32 to 128 columns of C of a head; a second launch writes n
 * and m, which all blocks of a head read.
 *
 * With slots the states of many sequences stand in C [n_slots,H,K,V], n [n_slots,H,K] and
 * m [n_slots,H], and row b continues that of slot slots[b]: int64 in the memory of the backend, so
 * that a captured launch serves any choice of sequences. For a row with a negative slot h is zero
 * and nothing else of the row is read or written. Rows must name different slots. CPU: BAD_VALUE
 * for a slot >= n_slots or one that two rows name, before anything is written. CUDA cannot look:
 * a slot >= n_slots counts as negative, and of a slot named twice the state is unspecified. */
typedef struct xlstm_mlstm_step_args {
  xlstm_mlstm_config config;
  const void *q, *k, *v, *i, *f;
  xlstm_mlstm_stride q_stride, k_stride, v_stride, i_stride, f_stride;
  void* h;
  xlstm_mlstm_stride h_stride;
  void *C, *n, *m;
  const int64_t* slots; /* [B] contiguous, or null: row b has slot b */
  int64_t n_slots;      /* >= 0; read only with slots */
} xlstm_mlstm_step_args;

xlstm_status xlstm_mlstm_step_check(const xlstm_mlstm_step_args* args);
xlstm_status xlstm_mlstm_step_cpu(const xlstm_mlstm_step_args* args, xlstm_exec exec);
xlstm_status xlstm_mlstm_step_cuda(const xlstm_mlstm_step_args* args, xlstm_exec exec);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_MLSTM_MLSTM_H_ */
