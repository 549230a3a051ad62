// Architecture A: the language model of the xLSTM paper, sLSTM and mLSTM blocks mixed.
#pragma once

#include "layers/language_model.h"

namespace xlstm::layers {

// Which blocks are sLSTM blocks: given indices, or all of them.
struct BlockPositions {
  bool all = false;
  std::vector<int64_t> indices;
};

// Member names are the official configuration keys; `signature` and `num_layers` are shorthands.
struct XlstmModelConfig {
  int64_t vocab_size = 0;       // required
  int64_t context_length = -1;  // read for compatibility: sequences may have any length
  int64_t num_blocks = 1;
  int64_t embedding_dim = 128;
  bool add_post_blocks_norm = true;
  bool bias = false;   // of the mLSTM layers' projections
  double dropout = 0;  // after both cells, and after the embedding if add_embedding_dropout
  BlockPositions slstm_at;
  // [a, b]: of every a + b blocks in a row, the first a are mLSTM and the rest sLSTM.
  std::optional<std::vector<int64_t>> signature;
  // With a signature [a, b]: num_blocks = num_layers * (a + b).
  std::optional<int64_t> num_layers;
  bool tie_weights = false;
  bool weight_decay_on_embedding = false;
  bool add_embedding_dropout = false;
  MlstmBlockConfig mlstm_block;
  SlstmBlockConfig slstm_block;

  void validate() const;  // ConfigError
  // Without the shorthands: num_blocks and slstm_at say everything. Validates.
  XlstmModelConfig resolved() const;
  // For each block, whether it is an sLSTM block.
  std::vector<bool> block_map() const;
};

class XlstmModel : public LanguageModel {
 public:
  XlstmModel(const XlstmModelConfig& config, ParameterFactory& factory);
  XlstmModel(const XlstmModelConfig& config, ParameterFactory&& factory)
      : XlstmModel(config, factory) {}
  const XlstmModelConfig& config() const { return config_; }
  const char* arch() const override { return "xlstm"; }
  std::string config_text() const override;
  std::string layer_map() const override;

 private:
  XlstmModelConfig config_;  // resolved
};

}  // namespace xlstm::layers
