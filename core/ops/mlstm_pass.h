// The kernel calls of the mLSTM over a sequence, for the ops that contain it. Outside the tape.
#pragma once

#include "core/autograd.h"
#include "core/ops/mlstm.h"
#include "kernels/mlstm/mlstm.h"

namespace xlstm::ops {

// The inputs in the order of the tape. `checked` names itself in errors.
Tensors mlstm_inputs(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& i,
                     const Tensor& f, const MlstmState& initial);
void check_mlstm(const char* op, const Tensors& inputs, const Tensor& reset,
                 const MlstmOptions& options);

// What the backward pass reads.
struct SavedMlstm {
  xlstm_mlstm_config config{};
  std::vector<autograd::Saved> inputs;  // laid out for the kernels, and reset
  autograd::Saved h;
  Tensor m, l, states;
  bool wants_C0 = false, wants_n0 = false, wants_m0 = false;

  // Whether <h, dh> counts in the gradient.
  bool reads_h() const { return config.normalize && !config.detach_normalizer; }
  // Gradients of the inputs from those of h, C and n. h_dh [B, T, H] of the wide type: <h, dh>, if
  // it is at hand.
  Tensors backward(const Tensor& dh, const Tensor& dC, const Tensor& dn, const Tensor& h_dh) const;
};

// `saved`: null if there will be no backward pass.
MlstmResult mlstm_forward(const Tensors& inputs, const Tensor& reset, const MlstmOptions& options,
                          SavedMlstm* saved);

}  // namespace xlstm::ops
