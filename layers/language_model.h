// What every language model offers: tokens in, logits out, state carried. The two architectures
// differ in their blocks and names only (layers/xlstm_model.h, layers/xlstm_large.h).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "layers/blocks.h"
#include "layers/embedding.h"

namespace xlstm::layers {

struct ModelOutput {
  Tensor logits;     // [B, T, n_vocab]; [B, n_vocab] from a step
  ModelState state;  // after the last token
};

struct HiddenOutput {
  Tensor hidden;  // [B, T, D], ready for the head
  ModelState state;
};

class LanguageModel : public Module {
 public:
  // tokens int64 [B, T]; state from an earlier call, init_state, or {} for the start; reset uint8
  // [B, T] or undefined: 1 makes the state zero before that token. Final logits, soft cap applied.
  // Errors: ShapeError for tokens outside the vocabulary or a state of another batch size.
  ModelOutput forward(const Tensor& tokens, const ModelState& state = {}, const Tensor& reset = {},
                      const ForwardContext& context = {}) const;
  // One token per row, int64 [B].
  ModelOutput step(const Tensor& tokens, const ModelState& state,
                   const ForwardContext& context = {}) const;

  // The two halves of forward, for losses, and for prefill, where only the last position needs
  // logits.
  HiddenOutput forward_hidden(const Tensor& tokens, const ModelState& state = {},
                              const Tensor& reset = {}, const ForwardContext& context = {}) const;
  Tensor raw_logits(const Tensor& hidden) const;  // before the soft cap
  Tensor logits(const Tensor& hidden) const;      // after it
  // Mean cross-entropy of the logits of hidden [B, T, D] against targets int64 [B, T] (-1: not
  // counted), a scalar. The logits are never held as a whole.
  Tensor loss(const Tensor& hidden, const Tensor& targets) const;
  double soft_cap() const { return soft_cap_; }  // 0: none

  ModelState init_state(int64_t batch) const;
  int64_t n_vocab() const { return embedding_->weight().size(0); }
  int64_t width() const { return embedding_->weight().size(1); }
  const Embedding& embedding() const { return *embedding_; }
  const Block& block(int64_t b) const { return *blocks_[static_cast<size_t>(b)]; }
  int64_t n_blocks() const { return static_cast<int64_t>(blocks_.size()); }
  DType dtype() const { return embedding_->weight().dtype(); }
  Device device() const { return embedding_->weight().device(); }
  // The type of activations: that of the weights, or bfloat16 or float16 beside float32 weights on
  // CUDA (mixed precision). Gates, recurrent states, statistics and sums are float32 then.
  DType compute_dtype() const { return compute_dtype_.value_or(dtype()); }
  void set_compute_dtype(DType dtype) { compute_dtype_ = dtype; }

  virtual const char* arch() const = 0;         // "xlstm" or "xlstm_large"
  virtual std::string config_text() const = 0;  // JSON with the official keys
  virtual std::string layer_map() const = 0;    // one letter a block: "mmms"

 protected:
  // Built and registered by the architecture, each in its official order.
  std::optional<Embedding> embedding_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::optional<Norm> final_norm_;
  Tensor head_;  // [n_vocab, D]; the embedding's weight if tied
  double soft_cap_ = 0;
  double embedding_dropout_ = 0;

 private:
  std::optional<DType> compute_dtype_;
};

}  // namespace xlstm::layers
