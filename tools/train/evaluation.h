// The loss of a model over a stream of tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "core/comm/communicator.h"
#include "core/tensor.h"
#include "layers/language_model.h"

namespace xlstm::train {

// Sequences of T + 1 tokens: the model reads the first T and is asked for the last T.
struct Batch {
  Tensor tokens;  // int64 [B, T + 1]
  Tensor reset;   // uint8 [B, T] or undefined: 1 where a document starts
  // uint8 [B], where states go from batch to batch: 1 where this one begins at the start.
  Tensor fresh = {};
};

struct Evaluation {
  double loss = 0;        // mean cross-entropy in nats per token
  double perplexity = 0;  // e^loss
  int64_t n_tokens = 0;
};

// The loss is differentiable, and lies on the model's device, where the batch goes.
struct BatchLoss {
  Tensor loss;
  int64_t n_tokens = 0;
  layers::ModelState state;  // after the last token; empty if none was given: memory for nothing
};
// `state`: that before the first token; empty: the start.
BatchLoss batch_loss(const layers::LanguageModel& model, const Batch& batch,
                     const layers::ForwardContext& context, const layers::ModelState& state = {});
// The same for tokens that have been cut already: inputs and targets int64 [B, T].
BatchLoss loss_of(const layers::LanguageModel& model, const Tensor& inputs, const Tensor& targets,
                  const Tensor& reset, const layers::ForwardContext& context,
                  const layers::ModelState& state = {});

// Every token counts the same, whatever batch it came in. `next` gives batches until it gives none;
// ConfigError if there is none at all. With a communicator, of the batches of all ranks.
Evaluation evaluate(const layers::LanguageModel& model,
                    const std::function<std::optional<Batch>()>& next,
                    comm::Communicator* communicator = nullptr);

}  // namespace xlstm::train
