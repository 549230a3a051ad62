// The mLSTM recurrence in its chunkwise, parallel and recurrent forms.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

// C [B, H, K, V], n [B, H, K], m [B, H]; C and n hold raw keys (the 1/sqrt(K) is on the query
// side). Undefined members mean zeros, but m the start_m of the options.
struct MlstmState {
  Tensor C, n, m;
};

enum class MlstmForm {
  chunkwise,  // linear in T; the one to use
  parallel,   // one chunk per document: quadratic in T
  recurrent   // one step after the other
};

enum class MlstmInputGate {
  exponential,
  sigmoid  // no stabiliser: m is not used and stays zero
};

// The zero state has no scale of its own: the first m is the first input gate.
inline constexpr double kNoStabilizer = -1e30;

struct MlstmOptions {
  MlstmForm form = MlstmForm::chunkwise;
  int64_t chunk_size = 64;
  MlstmInputGate input_gate = MlstmInputGate::exponential;
  bool normalize = true;           // false only with the sigmoid input gate: no denominator
  bool detach_normalizer = false;  // leave the denominator out of the gradient, as the peers do
  double soft_cap = 0;             // > 0: gates pass through cap * tanh(x / cap) first
  double eps = 1e-6;               // added to the denominator
  // m of the zero state, at the start and after a reset: 0, or kNoStabilizer. Results depend on it
  // through eps alone.
  double start_m = 0;
  // m cancels but beside eps, where it is a constant of the gradient unless this is set. It makes
  // the gradient of one sequence exact, but no longer the sum over its pieces: a final m takes
  // none.
  bool stabilizer_gradient = false;
  // Keeps the states at the chunk starts for the gradient, where its kernels would make them again:
  // K V / 128 numbers a step and head for a tenth of its time (kernels/mlstm/README.md).
  bool keep_states = false;
};

struct MlstmResult {
  Tensor h;  // [B, T, H, V]
  MlstmState final_state;
};

// q, k [B, T, H, K]; v [B, T, H, V]; i, f [B, T, H] pre-activations, float32 or float64 (any
// strides; copied only if K or V is not dense); reset [B, T] uint8 or undefined: 1 makes the state
// zero before that step, with no gradient across. Any T >= 0, any chunk size >= 1.
// With ell = log_sigmoid(f_t) + m_{t-1}, m_t = max(ell, i_t), C_t = exp(ell - m_t) C_{t-1} +
// exp(i_t - m_t) k_t v_t^T and n_t likewise without v, the result is h_t = C_t^T q_t / (sqrt(K) N),
// N = max(|n_t.q_t| / sqrt(K), exp(-m_t)) + eps (arXiv 2405.04517, equations 19-27;
// kernels/mlstm/README.md).
// Gradients flow to q, k, v, i, f and the initial C, n, m; the stabiliser m is a constant in every
// gradient except that the initial m receives <C0, dC0> + <n0, dn0>; the final m takes no gradient.
// The gradient is computed chunkwise whatever the form. Without the normaliser n stays zero.
// Errors: ShapeError, ConfigError for options out of range.
MlstmResult mlstm(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& i,
                  const Tensor& f, const MlstmState& initial, const Tensor& reset,
                  const MlstmOptions& options = {});

// The same from small ops, step by step: slow, the meaning of `mlstm`. Ignores form and chunk size.
MlstmResult mlstm_composed(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& i,
                           const Tensor& f, const MlstmState& initial, const Tensor& reset,
                           const MlstmOptions& options = {});

// One decoding step: q, k [B, H, K]; v [B, H, V]; i, f [B, H] -> h [B, H, V]. The state is
// overwritten in place; undefined members are first created as zeros. Not differentiable
// (AutogradError when a gradient is wanted: use `mlstm` with T = 1). Form and chunk size are not
// read.
// With slots [B] int64 the state holds n_slots sequences, C [n_slots, H, K, V] and so on, all
// defined, and row b continues slot slots[b]; a row with a negative slot has h = 0 and leaves every
// state alone. Rows name different slots. On the CPU a slot out of range or named twice is a
// ShapeError; on CUDA, where slots stay on the device, one out of range counts as negative.
Tensor mlstm_step(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& i,
                  const Tensor& f, MlstmState& state, const MlstmOptions& options = {},
                  const Tensor& slots = {});

}  // namespace xlstm::ops
