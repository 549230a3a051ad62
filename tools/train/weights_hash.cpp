// A fingerprint of the weights, by which runs and ranks are compared.
#include "core/hash.h"
#include "tools/train/trainer_state.h"

namespace xlstm::train {

// Parameters in the order of the model, so that the hash does not depend on how an arena lays them.
std::string Trainer::weights_hash() {
  State& s = *state_;
  s.complete_weights();
  if (s.parallel != nullptr) s.parallel->gather_full_weights();
  const Tensor weights = s.arena->weights().to(kCpu);
  const auto* bytes = static_cast<const std::byte*>(weights.raw());
  const auto element = static_cast<size_t>(size_of(weights.dtype()));
  Hasher hasher;
  for (const Tensor& parameter : s.model->parameters()) {
    const auto at = static_cast<size_t>(parameter.impl()->offset) * element;
    hasher.add({bytes + at, static_cast<size_t>(parameter.numel()) * element});
  }
  const std::string hash = hasher.hex();
  if (s.world.size > 1)
    comm::require_same(
        *s.communicator, hash_number(hash),
        detail::concat("the hash of the weights after step ", s.progress.step),
        "a rank computes wrongly or its memory is damaged: leave its machine out and "
        "continue from a checkpoint before the last step whose hashes agreed");
  return hash;
}

}  // namespace xlstm::train
