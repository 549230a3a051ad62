// Parameters under the names and layouts of the official checkpoints. Modules register their
// parameters under official names already; what remains are layouts that differ between files:
//   - R and bias of the sLSTM: our memory is R [H, D_in, 4, D_out] and bias [H, 4, D]. Files hold R
//     as [H, D_in, 4 D_out] ("cuda") or [H, 4 D_out, D_in] ("vanilla"), and the bias as a vector in
//     the order (h, gate, unit) or (gate, h, unit). Both biases have the same shape, so the layout
//     is told from R's.
//   - fused weights of architecture B: qkv_opreact = [q; k; v; o], ifgate_preact = [i; f],
//     proj_up_gate_z = [gate; up], joined along the rows.
//   - Hugging Face's name of the embedding, and its long names for q, k and v.
// Reading and writing files is core/safetensors.h; this works on names and tensors.
#pragma once

#include <string>

#include "layers/language_model.h"
#include "layers/module.h"

namespace xlstm::layers {

enum class RecurrentLayout { cuda, vanilla };

// How a file lays its parameters out.
struct StateLayout {
  RecurrentLayout recurrent = RecurrentLayout::cuda;
  bool fused = false;
  bool hugging_face = false;  // backbone.embeddings.weight
  std::string prefix = "";    // before every name, "weights." in test packs
  bool operator==(const StateLayout&) const = default;
};

// The layout that the model's own configuration asks for (slstm.backend, weight_mode).
StateLayout preferred_layout(const LanguageModel& model);

// Copies values into the module's parameters, converting float16, bfloat16, float32 and float64.
// Returns the layout found. If names carry the prefix "weights.", all others are ignored.
// A tied head may be absent; if present it must equal the embedding.
// FormatError lists every missing, unexpected and wrongly shaped name; then nothing was copied.
StateLayout load_state(Module& module, const NamedTensors& file);

// The parameters in a layout, outside the tape. Tensors may share memory with the parameters.
// Tied weights appear under both names.
NamedTensors state_dict(const Module& module, const StateLayout& layout = {});
// The same of tensors with the names and shapes of a module's parameters, those of tied weights
// included (Module::named_parameters_and_aliases).
NamedTensors in_layout(NamedTensors parameters, const StateLayout& layout);
// The gradients in the same layout; parameters that have none get zeros. Tied weights appear once.
NamedTensors grad_dict(const Module& module, const StateLayout& layout = {});

}  // namespace xlstm::layers
