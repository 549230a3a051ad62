// Models and the files they come from.
#pragma once

#include <string>

#include "core/file_system.h"
#include "layers/language_model.h"
#include "layers/official_names.h"

namespace xlstm::train {

// The weights at `path`: a .safetensors file, or a folder with model.safetensors (one of our
// checkpoints, then compared with its manifest) or with official shards (model_0.safetensors, ...,
// or model-00001-of-0000N.safetensors). Returns the layout the files had. FileError, FormatError
// (all names that do not fit, at once).
layers::StateLayout load_weights(layers::LanguageModel& model, const std::string& path,
                                 const FileSystem& files = real_file_system());

// Runs the model on the tensor `tokens` int64 [B, T+1] of a safetensors file, for comparison with
// other implementations. Writes `logits` [B, T, n_vocab] for tokens[:, :-1] and `loss`, the mean
// cross-entropy against tokens[:, 1:]; and, unless `grads_path` is empty, the gradients of that
// loss under the official names in `layout`.
void write_reference_outputs(layers::LanguageModel& model, const layers::StateLayout& layout,
                             const std::string& tokens_path, const std::string& logits_path,
                             const std::string& grads_path, FileSystem& files = real_file_system());

}  // namespace xlstm::train
