// Where in the backward pass gradients become final.
#include "tools/train/trainer_state.h"

namespace xlstm::train {

MicroPass::MicroPass(Trainer::State& state, layers::ForwardContext& context, bool is_last)
    : state_(state) {
  if (state.parallel == nullptr || !is_last) return;
  before_block_ = [this](const layers::Module&) {
    const int64_t element = state_.final_from[static_cast<size_t>(block_++)];
    marks_.add([this, element] { state_.parallel->passed(element); });
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
