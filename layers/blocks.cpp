#include "layers/blocks.h"

#include "core/autograd.h"
#include "core/ops/view.h"

namespace xlstm::layers {
namespace {

// Architecture A's block norm.
NormConfig residual_weight_norm(int64_t width) {
  return {.kind = NormKind::layer, .width = width};
}

NormConfig rms_norm(const MlstmLargeConfig& config) {
  return {.kind = NormKind::rms,
          .width = config.embedding_dim,
          .eps = config.norm_eps,
          .scale = ops::NormScale::plain,
          .bias = config.use_bias};
}

template <class State>
const State& of_kind(const BlockState& state) {
  const State* kind = std::get_if<State>(&state);
  require<ConfigError>(kind != nullptr,
                       "block: the state belongs to another kind of block, expected one made by "
                       "init_state of this model");
  return *kind;
}

Tensors flatten(const Tensor& first, const BlockState& state) {
  Tensors all{first};
  for_each_tensor(state, [&all](const char*, const Tensor& t) { all.push_back(t); });
  return all;
}

Outcome<BlockState> unflatten(const Tensors& all, const BlockState& like) {
  Outcome<BlockState> out{all[0], like};
  size_t i = 1;
  for_each_tensor(out.state, [&](const char*, Tensor& t) { t = all[i++]; });
  return out;
}

}  // namespace

Outcome<BlockState> Block::forward(const Tensor& x, const BlockState& state, const Tensor& reset,
                                   const ForwardContext& context) const {
  auto out = forward(ResidualStream{x, {}}, state, reset, context);
  return {out.x.value(), std::move(out.state)};
}

StreamOutcome Block::forward(const ResidualStream& x, const BlockState& state, const Tensor& reset,
                             const ForwardContext& context) const {
  require<ShapeError>(x.sum.dim() == 3 && x.sum.size(2) == width_, "block: input, got ",
                      to_string(x.sum.shape()), ", expected [B, T, ", width_, "]");
  if (!context.activation_checkpointing || !autograd::grad_enabled())
    return run(x, state, reset, context);
  // An addition that is left to the block stays its own, so that recomputing changes no bit.
  const bool has_update = x.update.defined();
  Tensors kept = flatten(x.sum, state);
  if (has_update) kept.push_back(x.update);
  const Tensors outputs = autograd::checkpoint(
      [this, state, reset, context, has_update](const Tensors& inputs) {
        const auto in = unflatten(inputs, state);
        const Tensor update = has_update ? inputs.back() : Tensor{};
        const auto out = run({in.y, update}, in.state, reset, context);
        Tensors all = flatten(out.x.sum, out.state);
        all.push_back(out.x.update);
        return all;
      },
      kept, context.training ? context.generator : nullptr);
  auto out = unflatten(outputs, state);
  return {{out.y, outputs.back()}, std::move(out.state)};
}

Outcome<BlockState> Block::step(const Tensor& x, const BlockState& state,
                                const ForwardContext& context) const {
  require<ShapeError>(x.dim() == 2, "block: step input, got ", to_string(x.shape()),
                      ", expected [B, ", width_, "]");
  auto out = forward(ops::unsqueeze(x, 1), state, {}, context);
  out.y = ops::squeeze(out.y, 1);
  return out;
}

// ---- sLSTM ----

SlstmBlock::SlstmBlock(const BlockPlace& place, const SlstmBlockConfig& config,
                       ParameterFactory& factory)
    : Block(place.embedding_dim),
      xlstm_norm_(residual_weight_norm(place.embedding_dim), factory),
      xlstm_(place, config.slstm, factory) {
  register_module("xlstm_norm", xlstm_norm_);
  register_module("xlstm", xlstm_);
  if (!config.feedforward) return;
  ffn_norm_.emplace(residual_weight_norm(place.embedding_dim), factory);
  register_module("ffn_norm", *ffn_norm_);
  ffn_.emplace(place, *config.feedforward, factory);
  register_module("ffn", *ffn_);
}

namespace {

SlstmBlockConfig alone(int64_t n_heads, double proj_factor, int64_t kernel_size) {
  SlstmBlockConfig config;
  config.slstm.num_heads = n_heads;
  config.slstm.conv1d_kernel_size = kernel_size;
  config.feedforward->proj_factor = proj_factor;
  return config;
}

}  // namespace

SlstmBlock::SlstmBlock(int64_t width, int64_t n_heads, double proj_factor, int64_t kernel_size,
                       uint64_t seed)
    : SlstmBlock(BlockPlace{.embedding_dim = width}, alone(n_heads, proj_factor, kernel_size),
                 ParameterFactory(seed)) {}

namespace {

// A sequence of one token is a step, which has a kernel of its own where no gradient is recorded.
// What may be computed again with one must have the same bits both times.
Outcome<SlstmLayerState> run_layer(const SlstmLayer& layer, const Tensor& x,
                                   const SlstmLayerState& state, const Tensor& reset,
                                   const ForwardContext& context) {
  const bool again = context.training || context.activation_checkpointing;
  if (x.size(1) != 1 || reset.defined() || again) return layer.forward(x, state, reset, context);
  auto out = layer.step(ops::squeeze(x, 1), state, context);
  out.y = ops::unsqueeze(out.y, 1);
  return out;
}

}  // namespace

StreamOutcome SlstmBlock::run(const ResidualStream& x, const BlockState& state, const Tensor& reset,
                              const ForwardContext& context) const {
  const auto in = xlstm_norm_.forward(x);
  const auto cell = run_layer(xlstm_, in.y, of_kind<SlstmLayerState>(state), reset, context);
  const ResidualStream mixed{in.sum, cell.y};
  if (!ffn_) return {mixed, cell.state};
  const auto up = ffn_norm_->forward(mixed);
  return {{up.sum, ffn_->forward(up.y, context)}, cell.state};
}

BlockState SlstmBlock::init_state(int64_t batch) const {
  return xlstm_.init_state(batch);
}

// ---- mLSTM, architecture A ----

MlstmBlock::MlstmBlock(const BlockPlace& place, const MlstmBlockConfig& config,
                       ParameterFactory& factory)
    : Block(place.embedding_dim),
      xlstm_norm_(residual_weight_norm(place.embedding_dim), factory),
      xlstm_(place, config.mlstm, factory) {
  register_module("xlstm_norm", xlstm_norm_);
  register_module("xlstm", xlstm_);
}

MlstmBlock::MlstmBlock(int64_t width, int64_t n_heads, double proj_factor, int64_t kernel_size,
                       uint64_t seed)
    : MlstmBlock(BlockPlace{.embedding_dim = width},
                 MlstmBlockConfig{.mlstm = {.conv1d_kernel_size = kernel_size,
                                            .num_heads = n_heads,
                                            .proj_factor = proj_factor}},
                 ParameterFactory(seed)) {}

StreamOutcome MlstmBlock::run(const ResidualStream& x, const BlockState& state, const Tensor& reset,
                              const ForwardContext& context) const {
  const auto in = xlstm_norm_.forward(x);
  const auto cell = xlstm_.forward(in.y, of_kind<MlstmLayerState>(state), reset, context);
  return {{in.sum, cell.y}, cell.state};
}

BlockState MlstmBlock::init_state(int64_t batch) const {
  return xlstm_.init_state(batch);
}

// ---- mLSTM, architecture B ----

MlstmLargeBlock::MlstmLargeBlock(const MlstmLargeConfig& mlstm,
                                 const FeedForwardLargeConfig& feed_forward,
                                 ParameterFactory& factory)
    : Block(mlstm.embedding_dim),
      norm_mlstm_(rms_norm(mlstm), factory),
      mlstm_layer_(mlstm, factory),
      norm_ffn_(rms_norm(mlstm), factory),
      ffn_(feed_forward, factory) {
  register_module("norm_mlstm", norm_mlstm_);
  register_module("mlstm_layer", mlstm_layer_);
  register_module("norm_ffn", norm_ffn_);
  register_module("ffn", ffn_);
}

StreamOutcome MlstmLargeBlock::run(const ResidualStream& x, const BlockState& state,
                                   const Tensor& reset, const ForwardContext& context) const {
  const auto in = norm_mlstm_.forward(x);
  const auto cell = mlstm_layer_.forward(in.y, of_kind<MlstmLayerState>(state), reset, context);
  const auto up = norm_ffn_.forward(ResidualStream{in.sum, cell.y});
  return {{up.sum, ffn_.forward(up.y)}, cell.state};
}

BlockState MlstmLargeBlock::init_state(int64_t batch) const {
  return mlstm_layer_.init_state(batch);
}

}  // namespace xlstm::layers
