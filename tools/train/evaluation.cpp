#include "tools/train/evaluation.h"

#include <cmath>

#include "core/autograd.h"
#include "core/error.h"
#include "core/ops/view.h"

namespace xlstm::train {

BatchLoss loss_of(const layers::LanguageModel& model, const Tensor& inputs, const Tensor& targets,
                  const Tensor& reset, const layers::ForwardContext& context,
                  const layers::ModelState& state) {
  layers::HiddenOutput out = model.forward_hidden(inputs, state, reset, context);
  if (state.blocks.empty()) out.state = {};  // freed before the loss takes memory
  return {model.loss(out.hidden, targets), targets.numel(), std::move(out.state)};
}

BatchLoss batch_loss(const layers::LanguageModel& model, const Batch& batch,
                     const layers::ForwardContext& context, const layers::ModelState& state) {
  const int64_t T = batch.tokens.size(1) - 1;
  const Tensor inputs = ops::contiguous(ops::slice(batch.tokens, 1, 0, T));
  const Tensor targets = ops::contiguous(ops::slice(batch.tokens, 1, 1, T + 1));
  const Tensor reset = batch.reset.defined() ? batch.reset.to(model.device()) : batch.reset;
  return loss_of(model, inputs.to(model.device()), targets.to(model.device()), reset, context,
                 state);
}

Evaluation evaluate(const layers::LanguageModel& model,
                    const std::function<std::optional<Batch>()>& next,
                    comm::Communicator* communicator) {
  const autograd::NoGrad no_grad;
  Evaluation result;
  double sum = 0;
  while (const std::optional<Batch> batch = next()) {
    const BatchLoss loss = batch_loss(model, *batch, {});
    sum += loss.loss.item() * static_cast<double>(loss.n_tokens);
    result.n_tokens += loss.n_tokens;
  }
  if (communicator != nullptr && communicator->size() > 1) {
    sum = comm::sum(*communicator, sum, "validation loss");
    result.n_tokens = static_cast<int64_t>(
        comm::sum(*communicator, static_cast<double>(result.n_tokens), "validation tokens"));
  }
  require<ConfigError>(result.n_tokens > 0,
                       "validation: nothing to validate on, got 0 tokens, expected at least one "
                       "batch (trainer.limit_val_batches 0 turns validation off; -1 takes all)");
  result.loss = sum / static_cast<double>(result.n_tokens);
  result.perplexity = std::exp(result.loss);
  return result;
}

}  // namespace xlstm::train
