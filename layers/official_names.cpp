#include "layers/official_names.h"

#include <array>
#include <cstring>
#include <map>

#include "core/ops/view.h"
#include "layers/xlstm_large.h"
#include "layers/xlstm_model.h"

namespace xlstm::layers {
namespace {

constexpr const char* kRecurrent = "slstm_cell._recurrent_kernel_";
constexpr const char* kBias = "slstm_cell._bias_";
constexpr const char* kPackPrefix = "weights.";

// A fused tensor's name and its parts, in the order of the rows. Both end in .weight or .bias.
struct FusedGroup {
  const char* whole;
  std::vector<const char*> parts;
};
const std::vector<FusedGroup>& fused_groups() {
  static const std::vector<FusedGroup> groups = {
      {"mlstm_layer.qkv_opreact",
       {"mlstm_layer.q", "mlstm_layer.k", "mlstm_layer.v", "mlstm_layer.ogate_preact"}},
      {"mlstm_layer.ifgate_preact", {"mlstm_layer.igate_preact", "mlstm_layer.fgate_preact"}},
      {"ffn.proj_up_gate_z", {"ffn.proj_up_gate", "ffn.proj_up"}},
  };
  return groups;
}

struct Alias {
  const char* theirs;
  const char* ours;
};
constexpr std::array<Alias, 4> kAliases = {{{"backbone.embeddings.weight", "embedding.weight"},
                                            {"mlstm_layer.query.", "mlstm_layer.q."},
                                            {"mlstm_layer.key.", "mlstm_layer.k."},
                                            {"mlstm_layer.value.", "mlstm_layer.v."}}};

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// If `name` is <stem><middle>.<weight or bias>, the stem and the last part; else empty.
struct Split {
  std::string stem, last;
  explicit operator bool() const { return !last.empty(); }
};
Split split_name(const std::string& name, const std::string& middle) {
  for (const char* last : {".weight", ".bias"})
    if (ends_with(name, middle + last))
      return {name.substr(0, name.size() - middle.size() - std::strlen(last)), last};
  return {};
}

std::string canonical(std::string name) {
  for (const Alias& alias : kAliases) {
    const size_t at = name.find(alias.theirs);
    if (at != std::string::npos) name.replace(at, std::strlen(alias.theirs), alias.ours);
  }
  return name;
}

// ---- sLSTM layouts ----

// A tensor in a file's layout seen in ours, without copying. `shape` is ours: [H, D, 4, D] or
// [H, 4, D].
Tensor seen_as_ours(const Tensor& file, const Shape& shape, RecurrentLayout layout) {
  const bool is_bias = shape.size() == 3;
  const int64_t H = shape[0], D = shape.back();
  if (layout == RecurrentLayout::cuda) return file.strided_view(shape, contiguous_strides(shape));
  return is_bias ? file.strided_view(shape, {D, H * D, 1})
                 : file.strided_view(shape, {4 * D * D, 1, D * D, D});
}

// Our tensor in a file's layout: a view where the memory agrees, else a copy.
Tensor in_file_layout(const Tensor& ours, RecurrentLayout layout) {
  const Shape& shape = ours.shape();
  const bool is_bias = shape.size() == 3;
  const int64_t H = shape[0], D = shape.back();
  Shape file_shape = is_bias ? Shape{4 * H * D} : Shape{H, D, 4 * D};
  if (layout == RecurrentLayout::cuda) return ops::reshape(ours, file_shape);
  if (!is_bias) file_shape = {H, 4 * D, D};
  const Tensor turned = is_bias ? ops::permute(ours, {1, 0, 2}) : ops::permute(ours, {0, 2, 3, 1});
  return ops::reshape(turned.clone(), file_shape);
}

bool is_recurrent(const std::string& name) {
  return ends_with(name, kRecurrent) || ends_with(name, kBias);
}

// ---- loading ----

// Everything that is wrong with a file, reported at once.
class Complaints {
 public:
  void missing(const std::string& name) { missing_.push_back(name); }
  void unexpected(const std::string& name) { unexpected_.push_back(name); }
  void wrong(const std::string& name, const Shape& got, const Shape& expected) {
    wrong_.push_back(name + " (got " + to_string(got) + ", expected " + to_string(expected) + ")");
  }
  void wrong(const std::string& complaint) { wrong_.push_back(complaint); }

  void throw_if_any() const {
    std::string text;
    const auto list = [&text](const char* title, const std::vector<std::string>& names) {
      if (names.empty()) return;
      text += std::string(text.empty() ? "" : "; ") + title + " (" + std::to_string(names.size()) +
              "): ";
      for (size_t i = 0; i < names.size(); ++i) text += (i > 0 ? ", " : "") + names[i];
    };
    list("missing", missing_);
    list("unexpected", unexpected_);
    list("wrong", wrong_);
    require<FormatError>(text.empty(), "weights do not fit the model: ", text,
                         " (does the configuration belong to this file?)");
  }

 private:
  std::vector<std::string> missing_, unexpected_, wrong_;
};

using TensorMap = std::map<std::string, Tensor>;

// Names without prefix and aliases.
TensorMap canonical_names(const NamedTensors& file, StateLayout& layout, Complaints& complaints) {
  for (const auto& [name, tensor] : file)
    if (name.starts_with(kPackPrefix)) layout.prefix = kPackPrefix;
  TensorMap out;
  for (const auto& [name, tensor] : file) {
    if (!name.starts_with(layout.prefix)) continue;
    const std::string bare = name.substr(layout.prefix.size());
    const std::string ours = canonical(bare);
    if (bare == kAliases[0].theirs) layout.hugging_face = true;
    if (!is_floating(tensor.dtype())) {
      complaints.wrong(name + " (got " + name_of(tensor.dtype()) + ", expected a floating type)");
    } else if (!out.emplace(ours, tensor.is_contiguous() ? tensor : tensor.clone()).second) {
      complaints.wrong(name + " (there twice, under two names)");
    }
  }
  return out;
}

// Replaces fused tensors by views of their rows.
void unfuse(TensorMap& file, const TensorMap& targets, StateLayout& layout,
            Complaints& complaints) {
  TensorMap added;
  for (auto it = file.begin(); it != file.end();) {
    bool consumed = false;
    for (const FusedGroup& group : fused_groups()) {
      const Split split = split_name(it->first, group.whole);
      if (!split) continue;
      std::vector<std::pair<std::string, Shape>> parts;
      int64_t rows = 0;
      for (const char* part : group.parts) {
        const auto target = targets.find(split.stem + part + split.last);
        if (target == targets.end()) break;
        parts.emplace_back(target->first, target->second.shape());
        rows += parts.back().second[0];
      }
      if (parts.size() != group.parts.size()) continue;
      Shape whole = parts[0].second;
      whole[0] = rows;
      consumed = layout.fused = true;
      if (it->second.shape() != whole) {
        complaints.wrong(it->first, it->second.shape(), whole);
        // The parts are accounted for: one complaint is enough.
        for (const auto& [name, shape] : parts) added[name] = Tensor::zeros(shape);
        break;
      }
      int64_t offset = 0;
      for (const auto& [name, shape] : parts) {
        added[name] = it->second.strided_view(shape, contiguous_strides(shape), offset);
        offset += element_count(shape);
      }
      break;
    }
    it = consumed ? file.erase(it) : std::next(it);
  }
  for (auto& [name, tensor] : added)
    if (!file.emplace(name, tensor).second) complaints.unexpected(name + " (also in a fused one)");
}

// Replaces R and bias by views in our layout. The bias follows the R beside it.
void turn_recurrent(TensorMap& file, const TensorMap& targets, StateLayout& layout,
                    Complaints& complaints) {
  for (const auto& [name, target] : targets) {
    if (!ends_with(name, kRecurrent)) continue;
    const auto recurrent = file.find(name);
    if (recurrent == file.end()) continue;
    const int64_t H = target.size(0), D = target.size(3);
    const Shape cuda{H, D, 4 * D}, vanilla{H, 4 * D, D};
    const Shape got = recurrent->second.shape();
    const bool is_vanilla = got == vanilla;
    if (got != cuda && !is_vanilla) {
      complaints.wrong(name, got, cuda);
      recurrent->second = Tensor::zeros(target.shape());
      continue;
    }
    const auto found = is_vanilla ? RecurrentLayout::vanilla : RecurrentLayout::cuda;
    layout.recurrent = found;
    recurrent->second = seen_as_ours(recurrent->second, target.shape(), found);
    const std::string bias_name = name.substr(0, name.size() - std::strlen(kRecurrent)) + kBias;
    const auto bias = file.find(bias_name);
    if (bias == file.end()) continue;
    if (bias->second.shape() != Shape{4 * H * D}) {
      complaints.wrong(bias_name, bias->second.shape(), {4 * H * D});
      bias->second = Tensor::zeros({H, 4, D});
      continue;
    }
    bias->second = seen_as_ours(bias->second, {H, 4, D}, found);
  }
}

bool same_values(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.to_vector<double>() == b.to_vector<double>();
}

}  // namespace

StateLayout preferred_layout(const LanguageModel& model) {
  StateLayout layout;
  if (const auto* a = dynamic_cast<const XlstmModel*>(&model)) {
    if (a->config().slstm_block.slstm.backend == "vanilla")
      layout.recurrent = RecurrentLayout::vanilla;
  } else if (const auto* b = dynamic_cast<const XlstmLarge*>(&model)) {
    layout.fused = b->config().weight_mode == "fused";
  }
  return layout;
}

StateLayout load_state(Module& module, const NamedTensors& file) {
  StateLayout layout;
  Complaints complaints;
  TensorMap targets;
  const NamedTensors parameters = module.named_parameters_and_aliases();
  for (const auto& [name, parameter] : parameters) targets[name] = parameter;
  TensorMap given = canonical_names(file, layout, complaints);
  unfuse(given, targets, layout, complaints);
  turn_recurrent(given, targets, layout, complaints);

  std::map<const TensorImpl*, std::string> first_name;  // tied weights
  std::vector<std::pair<Tensor, Tensor>> copies;        // target, source
  for (const auto& [name, parameter] : parameters) {
    const auto source = given.find(name);
    const auto [first, is_first] = first_name.emplace(parameter.impl(), name);
    if (source == given.end()) {
      if (is_first) complaints.missing(name);
      continue;
    }
    if (source->second.shape() != parameter.shape()) {
      complaints.wrong(name, source->second.shape(), parameter.shape());
    } else if (is_first) {
      copies.emplace_back(parameter, source->second);
    } else if (given.contains(first->second) &&
               !same_values(source->second, given.at(first->second))) {
      complaints.wrong(name + " (differs from " + first->second + ", but the model ties them)");
    }
  }
  for (const auto& [name, tensor] : given)
    if (!targets.contains(name)) complaints.unexpected(name);
  complaints.throw_if_any();
  for (auto& [target, source] : copies) target.copy_from(source);
  return layout;
}

namespace {

NamedTensors join_fused(const NamedTensors& single) {
  TensorMap by_name(single.begin(), single.end());
  NamedTensors out;
  for (const auto& [name, tensor] : single) {
    bool is_part = false;
    for (const FusedGroup& group : fused_groups()) {
      for (size_t p = 0; p < group.parts.size() && !is_part; ++p) {
        const Split split = split_name(name, group.parts[p]);
        if (!split || !by_name.contains(split.stem + group.parts[0] + split.last)) continue;
        is_part = true;
        if (p > 0) continue;  // written with the first part
        Tensors parts;
        for (const char* part : group.parts)
          parts.push_back(by_name.at(split.stem + part + split.last));
        out.emplace_back(split.stem + group.whole + split.last, ops::concat(parts, 0));
      }
    }
    if (!is_part) out.emplace_back(name, tensor);
  }
  return out;
}

}  // namespace

NamedTensors in_layout(NamedTensors tensors, const StateLayout& layout) {
  for (auto& [name, tensor] : tensors)
    if (is_recurrent(name)) tensor = in_file_layout(tensor, layout.recurrent);
  if (layout.fused) tensors = join_fused(tensors);
  for (auto& [name, tensor] : tensors) {
    if (layout.hugging_face && name == kAliases[0].ours) name = kAliases[0].theirs;
    name = layout.prefix + name;
  }
  return tensors;
}

NamedTensors state_dict(const Module& module, const StateLayout& layout) {
  NamedTensors tensors = module.named_parameters_and_aliases();
  for (auto& [name, tensor] : tensors) tensor = tensor.detach();
  return in_layout(std::move(tensors), layout);
}

NamedTensors grad_dict(const Module& module, const StateLayout& layout) {
  NamedTensors tensors = module.named_parameters();
  for (auto& [name, tensor] : tensors) {
    const Tensor grad = tensor.grad();
    tensor = grad.defined() ? grad.detach() : Tensor::zeros(tensor.shape(), tensor.dtype());
  }
  return in_layout(std::move(tensors), layout);
}

}  // namespace xlstm::layers
