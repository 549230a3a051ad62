// Whole training steps and generation, timed through the classes that `fit` and `generate` use.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tools/bench/result.h"
#include "tools/train/config.h"

namespace xlstm::bench {

using Overrides = std::vector<std::pair<std::string, std::string>>;

struct Preset {
  const char* name;
  const char* summary;
  const char* yaml;
};
const std::vector<Preset>& presets();

// A preset's configuration, or that of a file if `config` is not empty, with overrides on top.
// ConfigError for a preset that does not exist; FileError.
train::RunConfig config_of(const std::string& preset, const std::string& config,
                           const Overrides& overrides);

// Parameters that count in products: six operations for each and token in training, two in reading.
// Rows of the embedding that are looked up are no product, a head is, tied or not.
double product_parameters(const layers::LanguageModel& model);

// `steps` optimizer steps after the warm-up, which captures the CUDA graph where there is one.
// Fails if a loss is not finite or a step was skipped.
Row bench_train(const std::string& name, const train::RunConfig& config, int64_t steps);

struct GenerateShape {
  int64_t batch = 1, prompt_tokens = 2048, new_tokens = 32;  // as in published timings
};
// A row for reading the prompts and one for decoding, with random weights. The chosen tokens are
// compared with those of the whole text read at once.
std::vector<Row> bench_generate(const std::string& name, const train::RunConfig& config,
                                const GenerateShape& shape);

}  // namespace xlstm::bench
