#include "layers/make_model.h"

namespace xlstm::layers {

std::unique_ptr<LanguageModel> make_language_model(const ModelConfig& config,
                                                   ParameterFactory& factory) {
  if (const auto* a = std::get_if<XlstmModelConfig>(&config))
    return std::make_unique<XlstmModel>(*a, factory);
  return std::make_unique<XlstmLarge>(std::get<XlstmLargeConfig>(config), factory);
}

std::unique_ptr<LanguageModel> make_language_model(const ModelConfig& config, uint64_t seed,
                                                   DType dtype) {
  ParameterFactory factory(seed, dtype);
  return make_language_model(config, factory);
}

std::unique_ptr<LanguageModel> make_model_outline(const ModelConfig& config) {
  ParameterFactory factory = ParameterFactory::shapes_only();
  return make_language_model(config, factory);
}

int64_t count_parameters(const ModelConfig& config) {
  return make_model_outline(config)->n_parameters();
}

}  // namespace xlstm::layers
