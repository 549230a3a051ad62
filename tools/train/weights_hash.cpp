// A fingerprint of the weights, by which runs and ranks are compared.
#include "core/hash.h"
#include "tools/train/trainer_state.h"

namespace xlstm::train {

// Parameters in the order of the model, so that the hash does not depend on how an arena lays them.
std::string Trainer::weights_hash() {
  State& s = *state_;
  s.complete_weights();
  Hasher hasher;
  for (const auto& [name, parameter] : s.in_full_precision(s.model->named_parameters(), true)) {
    const Tensor weights = parameter.to(kCpu);
    hasher.add({static_cast<const std::byte*>(weights.raw()),
                static_cast<size_t>(weights.numel() * size_of(weights.dtype()))});
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
