// Where in a step weights are read and gradients become final.
#include "tools/train/trainer_state.h"

namespace xlstm::train {

MicroPass::MicroPass(Trainer::State& state, layers::ForwardContext& context, bool is_first,
                     bool is_last)
    : state_(state) {
  if (state.parallel == nullptr || (!is_first && !is_last)) return;
  if (is_first) {
    state.parallel->start_gathering();
    state.parallel->needs(state.final_from.empty() ? state.parallel->n_early()
                                                   : state.final_from.front());
  }
  before_block_ = [this, is_first, is_last](const layers::Module&) {
    const auto b = static_cast<size_t>(block_++);
    const std::vector<int64_t>& final_from = state_.final_from;
    // What the next block begins with, this one ends with; the head comes with the last.
    if (is_first)
      state_.parallel->needs(b + 1 < final_from.size() ? final_from[b + 1]
                                                       : state_.parallel->n_early());
    if (is_last) marks_.add([this, element = final_from[b]] { state_.parallel->passed(element); });
  };
  context.before_block = &before_block_;
}

void MicroPass::backward(const Tensor& loss, const Tensor& loss_grad) {
  autograd::backward(loss, loss_grad, &marks_);
}

// What lies before is used by the embedding or an earlier block.
std::vector<int64_t> final_elements(const layers::LanguageModel& model,
                                    const layers::ParameterArena& arena, int64_t n_early) {
  const auto end_of = [&arena, n_early](const layers::Module& module) {
    int64_t end = 0;
    for (const Tensor& parameter : module.parameters())
      for (const layers::ParameterArena::Entry& entry : arena.entries())
        if (entry.parameter.impl() == parameter.impl() && entry.offset < n_early)
          end = std::max(end, entry.offset + entry.numel);
    return end;
  };
  std::vector<int64_t> first;
  int64_t end = end_of(model.embedding());
  for (int64_t b = 0; b < model.n_blocks(); ++b) {
    first.push_back(end);
    end = std::max(end, end_of(model.block(b)));
  }
  return first;
}

}  // namespace xlstm::train
