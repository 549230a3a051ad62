// The mLSTM recurrence in its chunkwise, parallel and recurrent forms.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

// C [B, H, K, V], n [B, H, K], m [B, H]; C and n hold raw keys (the 1/sqrt(K) is on the query
// side). Undefined members mean zeros.
struct MlstmState {
  Tensor C, n, m;
};

enum class MlstmForm {
  chunkwise,  // linear in T; the one to use
  parallel,   // quadratic in T, from the zero state
  recurrent   // one step after the other
};

enum class MlstmInputGate {
  exponential,
  sigmoid  // no stabiliser: m is not used and stays zero
};

struct MlstmOptions {
  MlstmForm form = MlstmForm::chunkwise;
  int64_t chunk_size = 64;
  MlstmInputGate input_gate = MlstmInputGate::exponential;
  bool normalize = true;           // false only with the sigmoid input gate: no denominator
  bool detach_normalizer = false;  // leave the denominator out of the gradient, as the peers do
  double soft_cap = 0;             // > 0: gates pass through cap * tanh(x / cap) first
  double eps = 1e-6;               // added to the denominator
};

struct MlstmResult {
  Tensor h;  // [B, T, H, V]
  MlstmState final_state;
};

// q, k [B, T, H, K]; v [B, T, H, V]; i, f [B, T, H] pre-activations (any strides with dense K, V);
// reset [B, T] uint8 or undefined: 1 makes the state zero before that step, with no gradient
// across. Any T >= 0, any chunk size >= 1. Gradients flow to q, k, v, i, f and the initial C, n, m;
// the stabiliser m is a constant in every gradient except that the initial m receives <C0, dC0> +
// <n0, dn0>; the final m takes no gradient.
MlstmResult mlstm(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& i,
                  const Tensor& f, const MlstmState& initial, const Tensor& reset,
                  const MlstmOptions& options = {});

}  // namespace xlstm::ops
