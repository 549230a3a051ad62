// Normalisation layers of both architectures.
#pragma once

#include "core/ops/norm.h"
#include "layers/module.h"

namespace xlstm::layers {

enum class NormKind {
  layer,      // over the last dimension
  rms,        // the same without the mean
  multi_head  // LayerNorm over each head's share of the last dimension
};

struct NormConfig {
  NormKind kind = NormKind::layer;
  int64_t width = 0;
  int64_t num_heads = 1;  // multi_head only
  double eps = 1e-5;
  // Architecture A stores w with an effective scale of 1 + w; B stores the scale itself. Either
  // way the scale starts at 1.
  ops::NormScale scale = ops::NormScale::one_plus;
  bool weight = true;  // false: no scale at all
  bool bias = false;
  void validate() const;  // ConfigError
};

// The residual stream on its way through layers: `sum`, and what the last layer computed. That
// `update` is left to the norm that reads the stream next, which adds it in its own pass.
struct ResidualStream {
  Tensor sum, update;    // no update: nothing is left to add
  Tensor value() const;  // sum + update
};

// Parameters: weight [width], bias [width].
class Norm : public Module {
 public:
  Norm(const NormConfig& config, ParameterFactory& factory);
  Tensor forward(const Tensor& x) const;  // [..., width] -> [..., width]
  // The norm of the stream's value, and that value.
  ops::AddedNorm forward(const ResidualStream& x) const;
  // multi_head only: the norm with a gate on it, and its parameters for ops that contain one.
  Tensor forward(const Tensor& x, const ops::NormGate& gate) const;
  ops::HeadNorm head_norm() const;

 private:
  NormConfig config_;
  Tensor weight_, bias_;  // the weight may be a constant
};

}  // namespace xlstm::layers
