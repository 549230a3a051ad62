#include "tools/train/model_file.h"

#include <algorithm>
#include <span>

#include "core/autograd.h"
#include "core/checkpoint.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/elementwise.h"
#include "core/ops/view.h"
#include "core/safetensors.h"

namespace xlstm::train {
namespace {

// The weight files of a folder, in an order that does not matter.
std::vector<std::string> weight_files(const std::string& path, const FileSystem& files) {
  require<FileError>(files.exists(path), "weights: no such file or folder, got ", path,
                     ", expected a .safetensors file or a checkpoint folder");
  if (!files.is_dir(path)) return {path};
  std::vector<std::string> found;
  const std::string whole = join_path(path, "model.safetensors");
  if (files.exists(whole)) return {whole};
  for (const std::string& name : files.list(path))
    if (name.starts_with("model") && name.ends_with(".safetensors"))
      found.push_back(join_path(path, name));
  require<FileError>(!found.empty(), "weights: nothing to load in ", path,
                     ", expected model.safetensors or model*.safetensors shards");
  return found;
}

void require_file_tensor(const SafetensorsFile& file, const std::string& name) {
  require<FormatError>(file.has(name), file.path(), ": no tensor \"", name, "\", expected ", name,
                       " int64 [B, T+1]");
}

}  // namespace

layers::StateLayout load_weights(layers::LanguageModel& model, const std::string& path,
                                 const FileSystem& files) {
  if (files.exists(join_path(path, "manifest.json")))
    return layers::load_state(model,
                              Checkpoint::open(path, files).load_tensors("model.safetensors"));
  NamedTensors all;
  for (const std::string& file : weight_files(path, files)) {
    const SafetensorsFile weights = SafetensorsFile::open(file, files);
    for (auto& tensor : weights.load_all()) all.push_back(std::move(tensor));
  }
  return layers::load_state(model, all);
}

void write_reference_outputs(layers::LanguageModel& model, const layers::StateLayout& layout,
                             const std::string& tokens_path, const std::string& logits_path,
                             const std::string& grads_path, FileSystem& files) {
  const SafetensorsFile file = SafetensorsFile::open(tokens_path, files);
  require_file_tensor(file, "tokens");
  const Tensor tokens = file.load("tokens");
  require<FormatError>(tokens.dtype() == DType::i64 && tokens.dim() == 2 && tokens.size(1) >= 2,
                       tokens_path, ": tokens must be int64 [B, T+1] with T >= 1, got ",
                       name_of(tokens.dtype()), " ", to_string(tokens.shape()));
  for (const int64_t token : std::span(tokens.data<int64_t>(), static_cast<size_t>(tokens.numel())))
    require<FormatError>(token >= 0 && token < model.n_vocab(), tokens_path,
                         ": token outside the vocabulary, got ", token, ", expected 0 to ",
                         model.n_vocab() - 1);
  const int64_t T = tokens.size(1) - 1;
  const bool with_gradients = !grads_path.empty();
  for (Tensor& parameter : model.parameters()) parameter.set_requires_grad(with_gradients);
  const Tensor inputs = ops::contiguous(ops::slice(tokens, 1, 0, T)).to(model.device());
  const Tensor targets = ops::contiguous(ops::slice(tokens, 1, 1, T + 1)).to(model.device());
  const auto written = [](const Tensor& x) { return ops::cast(x, DType::f32).to(kCpu); };
  const Tensor raw = model.raw_logits(model.forward_hidden(inputs).hidden);
  const Tensor loss = ops::cross_entropy(raw, targets, model.soft_cap()).loss;
  Tensor logits = raw.detach();
  if (model.soft_cap() > 0) {
    const autograd::NoGrad no_grad;
    logits = ops::softcap(logits, model.soft_cap());
  }
  write_safetensors(
      logits_path,
      {{"logits", written(logits)}, {"loss", written(ops::reshape(loss.detach(), {1}))}}, {},
      files);
  if (!with_gradients) return;
  model.zero_grad();
  autograd::backward(loss);
  NamedTensors gradients;
  layers::StateLayout official = layout;
  official.prefix.clear();  // a pack's own prefix is no part of the names
  for (const auto& [name, gradient] : layers::grad_dict(model, official))
    gradients.emplace_back(name, written(gradient));
  write_safetensors(grads_path, gradients, {}, files);
}

}  // namespace xlstm::train
