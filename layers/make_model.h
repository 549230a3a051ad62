// Language models from configurations.
#pragma once

#include "layers/xlstm_large.h"
#include "layers/xlstm_model.h"

namespace xlstm::layers {

using ModelConfig = std::variant<XlstmModelConfig, XlstmLargeConfig>;

// ConfigError if the configuration makes no sense; nothing is allocated before that.
std::unique_ptr<LanguageModel> make_language_model(const ModelConfig& config,
                                                   ParameterFactory& factory);
std::unique_ptr<LanguageModel> make_language_model(const ModelConfig& config, uint64_t seed,
                                                   DType dtype = DType::f32);

// The same names and shapes without weights: takes no memory worth mentioning at any size. Must not
// be run.
std::unique_ptr<LanguageModel> make_model_outline(const ModelConfig& config);

// Trainable numbers; tied weights count once.
int64_t count_parameters(const ModelConfig& config);

}  // namespace xlstm::layers
