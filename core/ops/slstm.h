// The sLSTM recurrence.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

// All [B, H, D] with D units per head; undefined members mean zeros.
struct SlstmState {
  Tensor h, c, n, m;
};

struct SlstmOptions {
  double recurrent_clip = 0;   // > 0: elementwise clip of the part of dh from later steps
  bool recurrent_cut = false;  // no gradient through h_{t-1} (R still gets its own)
  double forward_clip = 0;     // > 0: h is clamped to +-this; ignored by the gradient
  // > 0: keeps for the gradient wx and the state before every so many steps alone, and repeats the
  // forward of one such stretch at a time in the backward, whose memory is then one stretch's. A
  // third more work. The results are the same bits, and so are the gradients of wx and the initial
  // state; those of R and bias are summed in another order.
  int64_t recompute_steps = 0;
};

struct SlstmResult {
  Tensor h;  // [B, T, H, D]
  SlstmState final_state;
};

// Gates in the order i, f, z, o. wx [B, T, 4, H, D] pre-activations from the input (any strides
// with dense D); R [H, D_in, 4, D_out]; bias [H, 4, D] or undefined; reset [B, T] uint8 or
// undefined: 1 makes the state zero before that step, with no gradient across. Gradients flow to
// wx, R, bias, and the initial h, c, n, m; the stabiliser m is a constant in every gradient except
// that the initial m receives <c0, dc0> + <n0, dn0>; the final m takes no gradient. Errors:
// ShapeError for shapes or types that do not fit, ConfigError for an option that is not >= 0.
SlstmResult slstm(const Tensor& wx, const Tensor& R, const Tensor& bias, const SlstmState& initial,
                  const Tensor& reset, const SlstmOptions& options = {});

// The same, made of small ops. Keeps every step whatever recompute_steps.
SlstmResult slstm_composed(const Tensor& wx, const Tensor& R, const Tensor& bias,
                           const SlstmState& initial, const Tensor& reset,
                           const SlstmOptions& options);

}  // namespace xlstm::ops
