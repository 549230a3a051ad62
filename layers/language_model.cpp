#include "layers/language_model.h"

#include "core/ops/elementwise.h"
#include "core/ops/linear_cross_entropy.h"
#include "core/ops/matmul.h"
#include "core/ops/view.h"

namespace xlstm::layers {

HiddenOutput LanguageModel::forward_hidden(const Tensor& tokens, const ModelState& state,
                                           const Tensor& reset,
                                           const ForwardContext& context) const {
  require<ShapeError>(tokens.defined() && tokens.dim() == 2, "model: tokens, got ",
                      tokens.defined() ? to_string(tokens.shape()) : "nothing",
                      ", expected int64 [B, T]");
  require<ShapeError>(state.blocks.empty() || state.blocks.size() == blocks_.size(),
                      "model: state of another model, got ", state.blocks.size(),
                      " blocks, expected ", blocks_.size());
  const int64_t rows = state.batch();
  require<ShapeError>(rows == 0 || rows == tokens.size(0), "model: state has another batch, got ",
                      rows, " rows, expected ", tokens.size(0));
  HiddenOutput out;
  ResidualStream x{
      dropout(embedding_->forward(tokens, compute_dtype()), embedding_dropout_, context), {}};
  out.state.blocks.reserve(blocks_.size());
  for (size_t b = 0; b < blocks_.size(); ++b) {
    const auto scope = MemoryScope::module(blocks_[b]->owner_name());
    if (context.before_block != nullptr) (*context.before_block)(*blocks_[b]);
    auto result = blocks_[b]->forward(
        x, state.blocks.empty() ? blocks_[b]->start_state() : state.blocks[b], reset, context);
    x = std::move(result.x);
    out.state.blocks.push_back(std::move(result.state));
  }
  out.hidden = final_norm_ ? final_norm_->forward(x).y : x.value();
  return out;
}

Tensor LanguageModel::raw_logits(const Tensor& hidden) const {
  return ops::linear(hidden, head_);
}

Tensor LanguageModel::logits(const Tensor& hidden) const {
  const Tensor raw = raw_logits(hidden);
  return soft_cap_ > 0 ? ops::softcap(raw, soft_cap_) : raw;
}

Tensor LanguageModel::loss(const Tensor& hidden, const Tensor& targets) const {
  return ops::linear_cross_entropy(hidden, head_, targets, {.soft_cap = soft_cap_});
}

ModelOutput LanguageModel::forward(const Tensor& tokens, const ModelState& state,
                                   const Tensor& reset, const ForwardContext& context) const {
  auto [hidden, next] = forward_hidden(tokens, state, reset, context);
  return {logits(hidden), std::move(next)};
}

ModelOutput LanguageModel::step(const Tensor& tokens, const ModelState& state,
                                const ForwardContext& context) const {
  require<ShapeError>(tokens.defined() && tokens.dim() == 1, "model: step tokens, got ",
                      tokens.defined() ? to_string(tokens.shape()) : "nothing",
                      ", expected int64 [B]");
  ModelOutput out = forward(ops::unsqueeze(tokens, 1), state, {}, context);
  out.logits = ops::squeeze(out.logits, 1);
  return out;
}

ModelState LanguageModel::init_state(int64_t batch) const {
  require<ConfigError>(batch > 0, "init_state: batch, got ", batch, ", expected a positive number");
  ModelState state;
  for (const auto& block : blocks_) state.blocks.push_back(block->init_state(batch));
  return state;
}

}  // namespace xlstm::layers
