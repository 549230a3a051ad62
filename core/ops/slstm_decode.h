// One decoding step of an sLSTM layer up to its norm: the convolution, the gates and the cell.
#pragma once

#include "core/ops/slstm.h"

namespace xlstm::ops {

// H heads of D units.
struct SlstmLayerWeights {
  Tensor conv = {}, conv_bias = {};  // [H*D, 1, KS] and [H*D]; conv undefined: no convolution
  Tensor i, f, z, o;                 // of the gates, [H, D_out, D_in]
  Tensor R, bias;                    // as in slstm
};

struct SlstmDecodeResult {
  Tensor h;     // [B, H*D]
  Tensor conv;  // [B, KS-1, H*D], the last inputs; undefined without a convolution
  SlstmState final_state;
};

// x [B, H*D]; conv [B, KS-1, H*D], the inputs before x, or undefined (zeros). i and f read
// u = SiLU(causal_conv1d(x)), z and o read x, each by headwise_linear; then slstm for one step.
// in_place: c, n and m of `initial` may be overwritten where they are contiguous, and are then the
// final ones; not where a gradient is recorded.
// On CUDA one kernel without rounding in between (kernels/slstm/slstm_decode.h), where nothing is
// to be recorded and all weights have one type; elsewhere the three ops, and their gradients.
// Errors: theirs.
SlstmDecodeResult slstm_decode(const Tensor& x, const SlstmLayerWeights& weights,
                               const Tensor& conv, const SlstmState& initial,
                               const SlstmOptions& options = {}, bool in_place = false);

// The same of the three ops.
SlstmDecodeResult slstm_decode_composed(const Tensor& x, const SlstmLayerWeights& weights,
                                        const Tensor& conv, const SlstmState& initial,
                                        const SlstmOptions& options);

}  // namespace xlstm::ops
