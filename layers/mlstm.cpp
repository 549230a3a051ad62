#include "layers/mlstm.h"

#include <cmath>

#include "core/ops/matmul.h"
#include "core/ops/mlstm_gated.h"
#include "core/ops/view.h"

namespace xlstm::layers {

namespace {

// One step needs no chunks.
ops::MlstmForm form_for(int64_t T) {
  return T == 1 ? ops::MlstmForm::recurrent : ops::MlstmForm::chunkwise;
}

// The official model of A begins without a stabiliser, that of B with m = 0. They differ beside
// eps.
constexpr double kStartA = ops::kNoStabilizer, kStartB = 0;

// In the wide type of the parameter, on its device.
ops::MlstmState zero_cell(int64_t B, int64_t H, int64_t K, int64_t V, double start_m,
                          const Tensor& parameter) {
  const DType dtype = wide_type(parameter.dtype());
  const Device device = parameter.device();
  return {Tensor::zeros({B, H, K, V}, dtype, device), Tensor::zeros({B, H, K}, dtype, device),
          Tensor::full({B, H}, start_m, dtype, device)};
}

// [B, T, H*X] -> [B, T, H, X]
Tensor by_head(const Tensor& x, int64_t H) {
  return ops::reshape(x, {x.size(0), x.size(1), H, x.size(2) / H});
}

// The cell over a sequence [B, T, H, ...], or one step of it in the memory of its state, and the
// gated norm of what it gives.
ops::MlstmGatedResult run_cell(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& i,
                               const Tensor& f, const ops::MlstmState& state, const Tensor& reset,
                               const ForwardContext& context, const ops::MlstmOptions& options,
                               const ops::NormGate& gate, const Norm& norm) {
  if (!context.in_place_state || q.size(1) != 1 || reset.defined() || !state.C.defined())
    return ops::mlstm_gated(q, k, v, i, f, state, reset, options, gate, norm.head_norm());
  const auto now = [](const Tensor& x) { return ops::select(x, 1, 0); };
  ops::MlstmState next = state;
  const Tensor h = ops::mlstm_step(now(q), now(k), now(v), now(i), now(f), next, options);
  return {norm.forward(ops::reshape(h, gate.gate.shape()), gate), next};
}

// Input and forget gates [..., H] in one product over joined weights. For a step, joining costs
// more than it saves.
Tensors gates_of(const Tensor& x, const Linear& input_gate, const Linear& forget_gate) {
  const Tensor W = ops::concat({input_gate.weight(), forget_gate.weight()}, 0);
  const Tensor bias = ops::concat({input_gate.bias(), forget_gate.bias()}, 0);
  const int64_t H = bias.size(0) / 2;
  return ops::split(ops::linear_wide(x, W, bias), {H, H}, -1);
}

// A step is a sequence of length one.
template <class Layer>
Outcome<MlstmLayerState> step_of(const Layer& layer, const Tensor& x,
                                 const MlstmLayerState& state) {
  auto result = layer.forward(ops::unsqueeze(x, 1), state);
  result.y = ops::squeeze(result.y, 1);
  return result;
}

}  // namespace

// ---- architecture A ----

int64_t MlstmConfig::inner_width(int64_t embedding_dim) const {
  return projected_width("mlstm", embedding_dim, proj_factor, round_proj_up_to_multiple_of,
                         round_proj_up_dim_up);
}

void MlstmConfig::validate(int64_t embedding_dim) const {
  const int64_t E = inner_width(embedding_dim);
  require<ConfigError>(num_heads > 0 && E % num_heads == 0,
                       "mlstm.num_heads: does not divide the inner width, got ", num_heads,
                       " heads for inner width ", E, ", expected a divisor");
  require<ConfigError>(qkv_proj_blocksize > 0 && E % qkv_proj_blocksize == 0,
                       "mlstm.qkv_proj_blocksize: does not divide the inner width, got ",
                       qkv_proj_blocksize, " for inner width ", E, ", expected a divisor");
  require<ConfigError>(conv1d_kernel_size >= 1 && conv1d_kernel_size <= 1024,
                       "mlstm.conv1d_kernel_size: got ", conv1d_kernel_size,
                       ", expected 1 to 1024");
  require<ConfigError>(chunk_size >= 1 && chunk_size <= 65536, "mlstm.chunk_size: got ", chunk_size,
                       ", expected 1 to 65536");
}

MlstmLayer::MlstmLayer(const BlockPlace& place, const MlstmConfig& config,
                       ParameterFactory& factory)
    : config_(config), dropout_(place.dropout) {
  config.validate(place.embedding_dim);
  const int64_t D = place.embedding_dim;
  H_ = config.num_heads;
  E_ = config.inner_width(D);
  const auto small = init::small(D), zeros = init::constant(0);

  learnable_skip_ = factory.create({E_}, init::constant(1));
  register_parameter("learnable_skip", learnable_skip_);
  proj_up_.emplace(LinearConfig{D, 2 * E_, place.bias}, small, factory);
  register_module("proj_up", *proj_up_);
  const HeadwiseLinearConfig headwise{E_, E_ / config.qkv_proj_blocksize, place.bias};
  q_proj_.emplace(headwise, small, factory);
  register_module("q_proj", *q_proj_);
  k_proj_.emplace(headwise, small, factory);
  register_module("k_proj", *k_proj_);
  v_proj_.emplace(headwise, small, factory);
  register_module("v_proj", *v_proj_);
  conv1d_.emplace(CausalConv1dConfig{.width = E_, .kernel_size = config.conv1d_kernel_size},
                  factory);
  register_module("conv1d", *conv1d_);
  const LinearConfig gate{3 * E_, H_, true};
  input_gate_.emplace(gate, zeros, factory, init::normal(0, 0.1));
  register_module("mlstm_cell.igate", *input_gate_);
  forget_gate_.emplace(gate, zeros, factory, init::linspace(3, 6));
  register_module("mlstm_cell.fgate", *forget_gate_);
  outnorm_.emplace(NormConfig{.kind = NormKind::multi_head, .width = E_, .num_heads = H_}, factory);
  register_module("mlstm_cell.outnorm", *outnorm_);
  proj_down_.emplace(LinearConfig{E_, D, place.bias}, init::wang(D, place.num_blocks), factory);
  register_module("proj_down", *proj_down_);
}

Tensors MlstmLayer::gates(const Tensor& qkv, const ForwardContext& context) const {
  if (context.in_place_state)
    return ops::linears(qkv, {input_gate_->part(true), forget_gate_->part(true)});
  return gates_of(qkv, *input_gate_, *forget_gate_);
}

Outcome<MlstmLayerState> MlstmLayer::forward(const Tensor& x, const MlstmLayerState& state,
                                             const Tensor& reset,
                                             const ForwardContext& context) const {
  const Tensors halves = ops::split(proj_up_->forward(x), {E_, E_}, 2);
  const Tensor &inner = halves[0], &gate = halves[1];
  const auto conv = conv1d_->forward(inner, state.conv, reset);
  // Side by side, as the gates read them.
  const Tensor qkv =
      ops::headwise_linears({q_proj_->of(conv.y), k_proj_->of(conv.y), v_proj_->of(inner)});
  const Tensors i_f = gates(qkv, context);
  const Tensors parts = ops::split(qkv, {E_, E_, E_}, 2);
  const auto cell = run_cell(by_head(parts[0], H_), by_head(parts[1], H_), by_head(parts[2], H_),
                             i_f[0], i_f[1], state.cell, reset, context,
                             {.form = form_for(x.size(1)),
                              .chunk_size = config_.chunk_size,
                              .eps = 1e-6,
                              .start_m = kStartA,
                              .stabilizer_gradient = config_.stabilizer_gradient},
                             {gate, ops::Activation::silu, conv.y, learnable_skip_}, *outnorm_);
  const Tensor y = proj_down_->forward(cell.y);
  return {dropout(y, dropout_, context), {conv.state, cell.final_state}};
}

Outcome<MlstmLayerState> MlstmLayer::step(const Tensor& x, const MlstmLayerState& state) const {
  return step_of(*this, x, state);
}

MlstmLayerState MlstmLayer::init_state(int64_t batch) const {
  const int64_t K = E_ / H_;
  return {conv1d_->init_state(batch), zero_cell(batch, H_, K, K, kStartA, learnable_skip_)};
}

// ---- architecture B ----

namespace {

int64_t truncated_width(const char* key, int64_t width, double factor) {
  require<ConfigError>(std::isfinite(factor) && factor > 0 && factor <= 1024, key, ": got ", factor,
                       ", expected a number in (0, 1024]");
  return static_cast<int64_t>(static_cast<double>(width) * factor);
}

}  // namespace

int64_t MlstmLargeConfig::qk_width() const {
  return truncated_width("qk_dim_factor", embedding_dim, qk_dim_factor);
}

int64_t MlstmLargeConfig::v_width() const {
  return truncated_width("v_dim_factor", embedding_dim, v_dim_factor);
}

void MlstmLargeConfig::validate() const {
  require<ConfigError>(embedding_dim > 0, "embedding_dim: got ", embedding_dim,
                       ", expected a positive number");
  require<ConfigError>(num_heads > 0, "num_heads: got ", num_heads, ", expected a positive number");
  const auto divides = [&](const char* what, int64_t width) {
    require<ConfigError>(width > 0 && width % num_heads == 0, "num_heads: does not divide the ",
                         what, " width, got ", num_heads, " heads for width ", width,
                         ", expected a divisor");
  };
  divides("query and key", qk_width());
  divides("value", v_width());
  require<ConfigError>(chunk_size >= 1 && chunk_size <= 65536, "chunk_size: got ", chunk_size,
                       ", expected 1 to 65536");
  require<ConfigError>(eps > 0 && norm_eps > 0, "eps, norm_eps: got ", eps, " and ", norm_eps,
                       ", expected positive numbers");
  require<ConfigError>(std::isfinite(gate_soft_cap) && gate_soft_cap >= 0, "gate_soft_cap: got ",
                       gate_soft_cap, ", expected a positive number, or 0 for none");
}

MlstmLargeLayer::MlstmLargeLayer(const MlstmLargeConfig& config, ParameterFactory& factory)
    : config_(config), H_(config.num_heads) {
  config.validate();
  const int64_t D = config.embedding_dim;
  const auto small = init::small(D), zeros = init::constant(0);
  const LinearConfig to_qk{D, config.qk_width(), config.use_bias};
  const LinearConfig to_v{D, config.v_width(), config.use_bias}, to_gate{D, H_, true};
  q_.emplace(to_qk, small, factory);
  register_module("q", *q_);
  k_.emplace(to_qk, small, factory);
  register_module("k", *k_);
  v_.emplace(to_v, small, factory);
  register_module("v", *v_);
  output_gate_.emplace(to_v, zeros, factory);
  register_module("ogate_preact", *output_gate_);
  input_gate_.emplace(to_gate, zeros, factory, init::constant(-10));
  register_module("igate_preact", *input_gate_);
  forget_gate_.emplace(to_gate, zeros, factory, init::linspace(3, 6));
  register_module("fgate_preact", *forget_gate_);
  multihead_norm_.emplace(NormConfig{.kind = NormKind::multi_head,
                                     .width = config.v_width(),
                                     .num_heads = H_,
                                     .eps = config.norm_eps,
                                     .scale = ops::NormScale::plain,
                                     .bias = config.use_bias},
                          factory);
  register_module("multihead_norm", *multihead_norm_);
  out_proj_.emplace(LinearConfig{config.v_width(), D, config.use_bias},
                    init::wang(D, config.num_blocks), factory);
  register_module("out_proj", *out_proj_);
}

Tensors MlstmLargeLayer::projections(const Tensor& x, const ForwardContext& context) const {
  if (context.in_place_state)
    return ops::linears(x, {q_->part(), k_->part(), v_->part(), output_gate_->part(),
                            input_gate_->part(true), forget_gate_->part(true)});
  Tensors all = ops::linears(x, {q_->part(), k_->part(), v_->part(), output_gate_->part()});
  for (const Tensor& gate : gates_of(x, *input_gate_, *forget_gate_)) all.push_back(gate);
  return all;
}

Outcome<MlstmLayerState> MlstmLargeLayer::forward(const Tensor& x, const MlstmLayerState& state,
                                                  const Tensor& reset,
                                                  const ForwardContext& context) const {
  const Tensors in = projections(x, context);
  const auto cell = run_cell(by_head(in[0], H_), by_head(in[1], H_), by_head(in[2], H_), in[4],
                             in[5], state.cell, reset, context,
                             {.form = form_for(x.size(1)),
                              .chunk_size = config_.chunk_size,
                              .soft_cap = config_.gate_soft_cap,
                              .eps = config_.eps,
                              .start_m = kStartB},
                             {in[3], ops::Activation::sigmoid, {}, {}}, *multihead_norm_);
  return {out_proj_->forward(cell.y), {Tensor{}, cell.final_state}};
}

Outcome<MlstmLayerState> MlstmLargeLayer::step(const Tensor& x,
                                               const MlstmLayerState& state) const {
  return step_of(*this, x, state);
}

MlstmLayerState MlstmLargeLayer::init_state(int64_t batch) const {
  return {Tensor{}, zero_cell(batch, H_, config_.qk_width() / H_, config_.v_width() / H_, kStartB,
                              input_gate_->weight())};
}

}  // namespace xlstm::layers
