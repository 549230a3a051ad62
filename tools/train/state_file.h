// Text states in files (docs/generation.md): a long text is read once, and gone on from many times.
//
// A .safetensors file with the state's tensors, the logits of the next token and a byte for each
// token that was seen. __metadata__ has the format and its version, fingerprints of the model's
// configuration and weights and of the tokenizer, the two counts, and a hash of all of that and of
// every tensor. Its size depends on the model alone.
#pragma once

#include <string>

#include "core/file_system.h"
#include "tools/train/state_format.h"
#include "tools/train/text_state.h"

namespace xlstm::train {

// Atomically. ConfigError for the empty state; FileError.
void save_text_state(const std::string& path, const TextState& text, const StateOwner& owner,
                     FileSystem& files = real_file_system());

// On the model's device. FileError; FormatError if the file is damaged, of a newer version or
// another kind, or of another owner.
TextState load_text_state(const std::string& path, const layers::LanguageModel& model,
                          const StateOwner& owner, const FileSystem& files = real_file_system());

}  // namespace xlstm::train
