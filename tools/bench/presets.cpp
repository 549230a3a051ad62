#include "core/error.h"
#include "tools/bench/end_to_end.h"
#include "tools/train/config_io.h"
#include "tools/train/config_sources.h"
#include "tools/train/yaml.h"

namespace xlstm::bench {

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all = {
      {"didactic", "A, width 64, 64 blocks, sLSTM at 7, 15, ..., 63, batch 64 x 256", R"(
model:
  arch: xlstm
  vocab_size: 50304
  embedding_dim: 64
  num_blocks: 64
  slstm_at: [7, 15, 23, 31, 39, 47, 55, 63]
  mlstm_block: {mlstm: {num_heads: 4}}
  slstm_block: {slstm: {num_heads: 4}}
data: {batch_size: 64, max_length: 256, n_stories: 4000}
)"},
      {"paper-120m", "A, 12 blocks of width 768, sLSTM at 3 and 9, batch 8 x 2048", R"(
model:
  arch: xlstm
  vocab_size: 50304
  embedding_dim: 768
  num_blocks: 12
  slstm_at: [3, 9]
  mlstm_block: {mlstm: {num_heads: 4}}
  slstm_block: {slstm: {num_heads: 4}}
data: {batch_size: 8, max_length: 2048, n_stories: 4000}
)"},
      {"paper-120m-mlstm", "A, xLSTM[1:0]: 12 blocks of width 768, all mLSTM, batch 8 x 2048", R"(
model:
  arch: xlstm
  vocab_size: 50304
  embedding_dim: 768
  num_blocks: 12
  slstm_at: []
  mlstm_block: {mlstm: {num_heads: 4}}
data: {batch_size: 8, max_length: 2048, n_stories: 4000}
)"},
      {"large-407m", "B, 24 blocks of width 1024, 4 heads, batch 16 x 2048", R"(
model: {arch: xlstm_large, vocab_size: 50304, embedding_dim: 1024, num_heads: 4, num_blocks: 24}
data: {batch_size: 16, max_length: 2048, n_stories: 4000}
)"},
      {"large-1.4b", "B, 24 blocks of width 2048, 8 heads, batch 8 x 2048", R"(
model: {arch: xlstm_large, vocab_size: 50304, embedding_dim: 2048, num_heads: 8, num_blocks: 24}
data: {batch_size: 8, max_length: 2048, n_stories: 4000}
)"},
      {"large-7b", "B, 32 blocks of width 4096, 8 heads: for generation", R"(
trainer: {precision: bf16-true}
model: {arch: xlstm_large, vocab_size: 50304, embedding_dim: 4096, num_heads: 8, num_blocks: 32}
data: {batch_size: 1, max_length: 2048, n_stories: 4000}
)"},
      {"tiny", "A, two blocks of width 32, batch 2 x 64: to see that it works", R"(
model:
  arch: xlstm
  vocab_size: 512
  embedding_dim: 32
  num_blocks: 2
  slstm_at: [1]
  mlstm_block: {mlstm: {num_heads: 2}}
  slstm_block: {slstm: {num_heads: 2}}
data: {batch_size: 2, max_length: 64, n_stories: 200, vocab_size: 300}
)"}};
  return all;
}

train::RunConfig config_of(const std::string& preset, const std::string& config,
                           const Overrides& overrides) {
  if (!config.empty()) return train::load_run_config({config}, overrides);
  std::string names;
  for (const Preset& p : presets()) {
    names += std::string(names.empty() ? "" : ", ") + p.name;
    if (preset != p.name) continue;
    train::Problems problems;
    train::ConfigSources sources(problems);
    sources.add(train::parse_yaml(p.yaml, std::string("preset ") + p.name), p.name);
    for (const auto& [path, text] : overrides) sources.add_override(path, text);
    problems.throw_if_any();
    return train::run_config_from_json(sources.merged(), std::string("preset ") + p.name);
  }
  throw_error<ConfigError>("bench: --preset: got ", preset, ", expected one of ", names);
}

}  // namespace xlstm::bench
