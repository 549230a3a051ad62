#include "layers/slstm.h"

#include <cmath>

#include "core/ops/headwise_linear.h"
#include "core/ops/slstm_decode.h"
#include "core/ops/view.h"

namespace xlstm::layers {
namespace {

void check_clip(const char* key, const std::optional<double>& value) {
  require<ConfigError>(!value || (std::isfinite(*value) && *value > 0), "slstm.", key, ": got ",
                       value.value_or(0), ", expected a positive number or null");
}

}  // namespace

void SlstmConfig::validate(int64_t embedding_dim) const {
  require<ConfigError>(num_heads > 0 && embedding_dim > 0 && embedding_dim % num_heads == 0,
                       "slstm.num_heads: does not divide the width, got ", num_heads,
                       " heads for embedding_dim ", embedding_dim, ", expected a divisor");
  require<ConfigError>(conv1d_kernel_size >= 0 && conv1d_kernel_size <= 1024,
                       "slstm.conv1d_kernel_size: got ", conv1d_kernel_size,
                       ", expected 0 (no convolution) to 1024");
  require<ConfigError>(dropout >= 0 && dropout < 1, "slstm.dropout: got ", dropout,
                       ", expected 0 <= p < 1");
  require<ConfigError>(backend == "cuda" || backend == "vanilla", "slstm.backend: got \"", backend,
                       "\", expected cuda or vanilla (it sets the layout of written files only)");
  require<ConfigError>(initial_val == 0, "slstm.initial_val: got ", initial_val, ", expected 0");
  check_clip("gradient_recurrent_clipval", gradient_recurrent_clipval);
  check_clip("forward_clipval", forward_clipval);
  init::slstm_bias(bias_init, 0, 1);
  init::slstm_recurrent(recurrent_weight_init);
}

SlstmLayer::SlstmLayer(const BlockPlace& place, const SlstmConfig& config,
                       ParameterFactory& factory)
    : config_(config), dropout_(place.dropout) {
  config.validate(place.embedding_dim);
  H_ = config.num_heads;
  D_ = place.embedding_dim / H_;
  if (config.conv1d_kernel_size > 0) {
    conv1d_.emplace(
        CausalConv1dConfig{.width = place.embedding_dim, .kernel_size = config.conv1d_kernel_size},
        factory);
    register_module("conv1d", *conv1d_);
  }
  const auto small = init::small(place.embedding_dim);
  const auto gate = [&](const char* name) {
    const Tensor weight = factory.create({H_, D_, D_}, small);
    register_parameter(name, weight);
    return weight;
  };
  // The names of these two are swapped in the official files, and files must load either way: what
  // they call fgate feeds the cell's input gate, and igate the forget gate. Bias and R are not
  // swapped. This is the only place that knows.
  input_gate_ = gate("fgate.weight");
  forget_gate_ = gate("igate.weight");
  cell_input_ = gate("zgate.weight");
  output_gate_ = gate("ogate.weight");
  recurrent_ = factory.create({H_, D_, 4, D_}, init::slstm_recurrent(config.recurrent_weight_init));
  register_parameter("slstm_cell._recurrent_kernel_", recurrent_);
  bias_ = factory.create({H_, 4, D_},
                         init::slstm_bias(config.bias_init, place.block_index, place.num_blocks));
  register_parameter("slstm_cell._bias_", bias_);
  group_norm_.emplace(NormConfig{.kind = NormKind::multi_head,
                                 .width = place.embedding_dim,
                                 .num_heads = H_,
                                 .weight = config.group_norm_weight},
                      factory);
  register_module("group_norm", *group_norm_);
}

Tensor SlstmLayer::gates(const Tensor& convolved, const Tensor& x) const {
  // Written where the recurrence reads them.
  const Tensor all = ops::headwise_linears({{convolved, input_gate_, {}},
                                            {convolved, forget_gate_, {}},
                                            {x, cell_input_, {}},
                                            {x, output_gate_, {}}});
  return ops::reshape(all, {x.size(0), x.size(1), 4, H_, D_});
}

ops::SlstmOptions SlstmLayer::options(const ForwardContext& context) const {
  return {.recurrent_clip = config_.gradient_recurrent_clipval.value_or(0),
          .recurrent_cut = config_.gradient_recurrent_cut,
          .forward_clip = config_.forward_clipval.value_or(0),
          .recompute_steps = context.slstm_recompute_steps};
}

Outcome<SlstmLayerState> SlstmLayer::forward(const Tensor& x, const SlstmLayerState& state,
                                             const Tensor& reset,
                                             const ForwardContext& context) const {
  SlstmLayerState next;
  Tensor convolved = x;
  if (conv1d_) {
    const auto result = conv1d_->forward(x, state.conv, reset);
    convolved = result.y;
    next.conv = result.state;
  }
  const auto cell =
      ops::slstm(gates(convolved, x), recurrent_, bias_, state.cell, reset, options(context));
  next.cell = cell.final_state;
  const Tensor h = dropout(ops::reshape(cell.h, x.shape()), dropout_, context);
  return {group_norm_->forward(h), next};
}

Outcome<SlstmLayerState> SlstmLayer::step(const Tensor& x, const SlstmLayerState& state,
                                          const ForwardContext& context) const {
  ops::SlstmLayerWeights weights{.i = input_gate_,
                                 .f = forget_gate_,
                                 .z = cell_input_,
                                 .o = output_gate_,
                                 .R = recurrent_,
                                 .bias = bias_};
  if (conv1d_) weights.conv = conv1d_->weight(), weights.conv_bias = conv1d_->bias();
  const Tensor inputs = state.conv.defined() ? ops::cast(state.conv, x.dtype()) : state.conv;
  const auto cell =
      ops::slstm_decode(x, weights, inputs, state.cell, options(context), context.in_place_state);
  return {group_norm_->forward(dropout(cell.h, dropout_, context)), {cell.conv, cell.final_state}};
}

SlstmLayerState SlstmLayer::init_state(int64_t batch) const {
  const auto zeros = [&] {
    return Tensor::zeros({batch, H_, D_}, wide_type(bias_.dtype()), bias_.device());
  };
  return {conv1d_ ? conv1d_->init_state(batch) : Tensor{}, {zeros(), zeros(), zeros(), zeros()}};
}

}  // namespace xlstm::layers
