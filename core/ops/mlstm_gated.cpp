#include "core/ops/mlstm_gated.h"

#include "core/op_info.h"
#include "core/op_scope.h"
#include "core/ops/mlstm_pass.h"
#include "core/ops/norm_gated_pass.h"
#include "core/ops/view.h"

namespace xlstm::ops {
namespace {

constexpr const char* kName = "mlstm_gated";

// [B, T, H, V] -> [B, T, H*V]
Tensor join_heads(const Tensor& h) {
  return reshape(h, {h.size(0), h.size(1), h.size(2) * h.size(3)});
}

// Gradients of the inputs of both ops, the norm's without its x.
Tensors backward(const SavedMlstm& cell, const SavedGatedNorm& norm, const Tensors& grads) {
  const xlstm_mlstm_config& c = cell.config;
  const Tensor& dy = grads[0];
  Tensor h_dh, dh;
  if (dy.defined() && cell.reads_h() && dy.device() != kCpu)
    h_dh = Tensor::empty({c.B, c.T, c.H}, wide_type(dy.dtype()), dy.device());
  const Tensors of_norm = gated_norm_backward(norm, dy, h_dh);
  if (of_norm[kX].defined())
    dh = of_norm[kX].strided_view({c.B, c.T, c.H, c.V}, contiguous_strides({c.B, c.T, c.H, c.V}));
  Tensors all = cell.backward(dh, grads[1], grads.size() > 2 ? grads[2] : Tensor{}, h_dh);
  all.insert(all.end(), of_norm.begin() + kGate, of_norm.end());
  return all;
}

}  // namespace

MlstmGatedResult mlstm_gated(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& i,
                             const Tensor& f, const MlstmState& initial, const Tensor& reset,
                             const MlstmOptions& options, const NormGate& gate,
                             const HeadNorm& norm) {
  const OpScope scope(kName, {q, k, v, i, f, initial.C, initial.n, initial.m, reset, gate.gate,
                              norm.weight, norm.bias, gate.skip, gate.skip_weight});
  const Tensors of_cell = mlstm_inputs(q, k, v, i, f, initial);
  check_mlstm(kName, of_cell, reset, options);
  if (force_reference())
    return mlstm_gated_composed(q, k, v, i, f, initial, reset, options, gate, norm);
  const GatedNormConfig config{q.size(2), norm.eps, norm.scale, gate.activation};
  Tensors inputs = of_cell;
  for (const Tensor& x : {gate.gate, norm.weight, norm.bias, gate.skip, gate.skip_weight})
    inputs.push_back(x);
  const bool recorded = autograd::must_record(inputs);
  SavedMlstm cell;
  SavedGatedNorm after;
  const MlstmResult result = mlstm_forward(of_cell, reset, options, recorded ? &cell : nullptr);
  const Tensors of_norm =
      gated_norm_inputs(kName, join_heads(result.h), gate, norm.weight, norm.bias, config);
  const Tensor y = gated_norm_forward(of_norm, config, recorded ? &after : nullptr);
  if (!recorded) return {y, result.final_state};
  after.wanted[kX] = true;
  // The weights as they were cast.
  std::copy(of_norm.begin() + kGate, of_norm.end(),
            inputs.begin() + static_cast<int64_t>(of_cell.size()));
  // The final m is no output of the tape: it takes no gradient.
  Tensors outputs{y, result.final_state.C};
  if (options.normalize) outputs.push_back(result.final_state.n);
  autograd::record(kName, inputs, outputs,
                   [cell, after](const Tensors& grads) { return backward(cell, after, grads); });
  return {y, result.final_state};
}

MlstmGatedResult mlstm_gated_composed(const Tensor& q, const Tensor& k, const Tensor& v,
                                      const Tensor& i, const Tensor& f, const MlstmState& initial,
                                      const Tensor& reset, const MlstmOptions& options,
                                      const NormGate& gate, const HeadNorm& norm) {
  const MlstmResult cell = mlstm_composed(q, k, v, i, f, initial, reset, options);
  return {multi_head_norm_gated_composed(join_heads(cell.h), gate, norm.weight, norm.bias,
                                         q.size(2), norm.eps, norm.scale),
          cell.final_state};
}

}  // namespace xlstm::ops
