// The mLSTM with what follows it in a layer: the norm of each head and the gate on it.
#pragma once

#include "core/ops/mlstm.h"
#include "core/ops/norm.h"

namespace xlstm::ops {

struct MlstmGatedResult {
  Tensor y;  // [B, T, H*V]
  MlstmState final_state;
};

// mlstm (core/ops/mlstm.h), then multi_head_norm_gated (core/ops/norm.h) of its h [B, T, H*V]; the
// gate and a skip are [B, T, H*V]. One op of the tape, so that backward need not read h and its
// gradient again for <h, dh>, which the gradient of the normaliser is made of. Errors: those of
// both.
MlstmGatedResult mlstm_gated(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& i,
                             const Tensor& f, const MlstmState& initial, const Tensor& reset,
                             const MlstmOptions& options, const NormGate& gate,
                             const HeadNorm& norm);

// The same from the two composed ops.
MlstmGatedResult mlstm_gated_composed(const Tensor& q, const Tensor& k, const Tensor& v,
                                      const Tensor& i, const Tensor& f, const MlstmState& initial,
                                      const Tensor& reset, const MlstmOptions& options,
                                      const NormGate& gate, const HeadNorm& norm);

}  // namespace xlstm::ops
