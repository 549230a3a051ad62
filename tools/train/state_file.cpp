#include "tools/train/state_file.h"

#include <algorithm>

#include "core/error.h"
#include "core/hash.h"
#include "core/hex.h"

namespace xlstm::train {
namespace {

constexpr int64_t kElementsOfParameter = 1024;  // that the fingerprint looks at
constexpr const char* kStatePrefix = "state.";

std::string weights_hash(const layers::LanguageModel& model) {
  Hasher hasher;
  for (const auto& [name, parameter] : model.named_parameters()) {
    const int64_t n = std::min(parameter.numel(), kElementsOfParameter);
    const Tensor flat = parameter.detach().strided_view({n}, {1});
    hash_tensor(hasher, name, flat.to(kCpu));
  }
  return hasher.hex();
}

// What a file of the model has; of the states of blocks, which come first, where they go.
std::vector<StateTensor> expected_tensors(const layers::LanguageModel& model,
                                          layers::ModelState& state, std::vector<Tensor*>& places) {
  std::vector<StateTensor> expected;
  for (layers::BlockState& block : state.blocks) {
    const std::string prefix =
        kStatePrefix + std::string("blocks.") + std::to_string(&block - state.blocks.data()) + ".";
    layers::for_each_tensor(block, [&](const char* name, Tensor& tensor) {
      if (!tensor.defined()) return;
      expected.push_back({prefix + name, tensor.shape()});
      places.push_back(&tensor);
    });
  }
  expected.push_back({"logits", {1, model.n_vocab()}});
  expected.push_back({"seen", {model.n_vocab()}, false});
  return expected;
}

}  // namespace

StateOwner StateOwner::of(const layers::LanguageModel& model, const data::Tokenizer& tokenizer) {
  return {hash_hex(std::string(model.arch()) + model.config_text()), weights_hash(model),
          to_hex(tokenizer.fingerprint())};
}

void save_text_state(const std::string& path, const TextState& text, const StateOwner& owner,
                     FileSystem& files) {
  require<ConfigError>(!text.empty(), "state: ", path,
                       ": nothing was read yet, expected a text before saving");
  StateContents contents{{}, text.n_read, text.n_drawn};
  for (const auto& [name, tensor] : text.state.named_tensors())
    contents.tensors.emplace_back(kStatePrefix + name, tensor.detach().to(kCpu));
  contents.tensors.emplace_back("logits", text.logits.detach().to(kCpu));
  contents.tensors.emplace_back("seen",
                                Tensor::from(text.seen, {static_cast<int64_t>(text.seen.size())}));
  write_state_file(path, contents, owner, files);
}

TextState load_text_state(const std::string& path, const layers::LanguageModel& model,
                          const StateOwner& owner, const FileSystem& files) {
  TextState text;
  text.state = model.init_state(1);
  std::vector<Tensor*> places;
  const std::vector<StateTensor> expected = expected_tensors(model, text.state, places);
  const StateContents contents = read_state_file(path, expected, owner, files);
  for (size_t i = 0; i < places.size(); ++i)
    *places[i] = contents.tensors[i].second.to(model.device());
  text.logits = contents.tensors[places.size()].second.to(model.device());
  text.seen = contents.tensors.back().second.to_vector<uint8_t>();
  text.n_read = contents.n_read;
  text.n_drawn = contents.n_drawn;
  return text;
}

}  // namespace xlstm::train
