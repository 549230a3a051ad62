#include "layers/xlstm_model.h"

#include <algorithm>

#include "layers/config_fields.h"

namespace xlstm::layers {
namespace {

constexpr int64_t kMaxBlocks = 1024;
constexpr int64_t kMaxWidth = int64_t{1} << 24;

void check_signature(const XlstmModelConfig& config) {
  if (!config.signature) {
    require<ConfigError>(!config.num_layers, "num_layers: got ", config.num_layers.value_or(0),
                         " without a signature, expected signature: [a, b] beside it (without one, "
                         "use num_blocks)");
    return;
  }
  const auto& s = *config.signature;
  const bool fits = s.size() == 2 && s[0] >= 0 && s[1] >= 0 && s[0] <= kMaxBlocks &&
                    s[1] <= kMaxBlocks && s[0] + s[1] > 0;
  require<ConfigError>(fits, "signature: got ", to_string(s),
                       ", expected [a, b]: a mLSTM blocks, then b sLSTM blocks");
  require<ConfigError>(!config.slstm_at.all && config.slstm_at.indices.empty(),
                       "signature: got both signature and slstm_at, expected one of them");
  if (!config.num_layers) return;
  const int64_t n = *config.num_layers;
  require<ConfigError>(n > 0 && n <= kMaxBlocks, "num_layers: got ", n, ", expected 1 to ",
                       kMaxBlocks);
  const int64_t expected = n * (s[0] + s[1]);
  require<ConfigError>(expected <= kMaxBlocks, "num_layers: too many blocks, got ", expected,
                       ", expected at most ", kMaxBlocks);
  require<ConfigError>(config.num_blocks == 1 || config.num_blocks == expected,
                       "num_blocks: contradicts num_layers and signature, got ", config.num_blocks,
                       ", expected ", expected, " (leave num_blocks out)");
}

BlockPlace place_of(const XlstmModelConfig& config, int64_t block_index) {
  return {.embedding_dim = config.embedding_dim,
          .block_index = block_index,
          .num_blocks = config.num_blocks,
          .bias = config.bias,
          .dropout = config.dropout};
}

}  // namespace

void XlstmModelConfig::validate() const {
  check_signature(*this);
  require<ConfigError>(vocab_size > 0 && vocab_size <= int64_t{1} << 31, "vocab_size: got ",
                       vocab_size, ", expected a positive number");
  require<ConfigError>(embedding_dim > 0 && embedding_dim <= kMaxWidth, "embedding_dim: got ",
                       embedding_dim, ", expected 1 to ", kMaxWidth);
  require<ConfigError>(num_blocks > 0 && num_blocks <= kMaxBlocks, "num_blocks: got ", num_blocks,
                       ", expected 1 to ", kMaxBlocks);
  require<ConfigError>(dropout >= 0 && dropout < 1, "dropout: got ", dropout,
                       ", expected 0 <= p < 1");
  const double inner = slstm_block.slstm.dropout;
  require<ConfigError>(inner == 0 || inner == dropout,
                       "slstm_block.slstm.dropout: differs from the model's, got ", inner,
                       ", expected ", dropout, " (set the model's dropout, which applies to both)");
  std::vector<int64_t> seen = slstm_at.indices;
  std::sort(seen.begin(), seen.end());
  for (const int64_t index : seen)
    require<ConfigError>(index >= 0 && index < num_blocks, "slstm_at: block index, got ", index,
                         ", expected 0 to ", num_blocks - 1);
  const auto twice = std::adjacent_find(seen.begin(), seen.end());
  require<ConfigError>(twice == seen.end(), "slstm_at: got block ",
                       twice == seen.end() ? 0 : *twice, " twice, expected each index once");
  const std::vector<bool> map = block_map();
  if (std::find(map.begin(), map.end(), true) != map.end()) {
    slstm_block.slstm.validate(embedding_dim);
    if (slstm_block.feedforward) slstm_block.feedforward->validate(embedding_dim);
  }
  if (std::find(map.begin(), map.end(), false) != map.end())
    mlstm_block.mlstm.validate(embedding_dim);
}

std::vector<bool> XlstmModelConfig::block_map() const {
  int64_t n = num_blocks;
  if (signature && num_layers) n = *num_layers * ((*signature)[0] + (*signature)[1]);
  std::vector<bool> map(static_cast<size_t>(n), slstm_at.all);
  for (const int64_t index : slstm_at.indices) map[static_cast<size_t>(index)] = true;
  if (signature) {
    const int64_t a = (*signature)[0], b = (*signature)[1];
    for (int64_t k = 0; k < n; ++k) map[static_cast<size_t>(k)] = k % (a + b) >= a;
  }
  return map;
}

XlstmModelConfig XlstmModelConfig::resolved() const {
  validate();
  XlstmModelConfig out = *this;
  const std::vector<bool> map = block_map();
  out.signature.reset();
  out.num_layers.reset();
  out.num_blocks = static_cast<int64_t>(map.size());
  out.slstm_at = {};
  for (size_t k = 0; k < map.size(); ++k)
    if (map[k]) out.slstm_at.indices.push_back(static_cast<int64_t>(k));
  out.slstm_block.slstm.dropout = dropout;
  out.validate();
  return out;
}

XlstmModel::XlstmModel(const XlstmModelConfig& config, ParameterFactory& factory)
    : config_(config.resolved()) {
  const std::vector<bool> is_slstm = config_.block_map();
  for (int64_t k = 0; k < config_.num_blocks; ++k) {
    const BlockPlace place = place_of(config_, k);
    if (is_slstm[static_cast<size_t>(k)]) {
      blocks_.push_back(std::make_unique<SlstmBlock>(place, config_.slstm_block, factory));
    } else {
      blocks_.push_back(std::make_unique<MlstmBlock>(place, config_.mlstm_block, factory));
    }
    register_module("xlstm_block_stack.blocks." + std::to_string(k), *blocks_.back());
  }
  if (config_.add_post_blocks_norm) {
    final_norm_.emplace(NormConfig{.width = config_.embedding_dim}, factory);
    register_module("xlstm_block_stack.post_blocks_norm", *final_norm_);
  }
  const auto small = init::small(config_.embedding_dim);
  embedding_.emplace(EmbeddingConfig{config_.vocab_size, config_.embedding_dim}, small, factory);
  register_module("token_embedding", *embedding_);
  head_ = config_.tie_weights ? embedding_->weight()
                              : factory.create({config_.vocab_size, config_.embedding_dim}, small);
  register_parameter("lm_head.weight", head_);
  embedding_dropout_ = config_.add_embedding_dropout ? config_.dropout : 0;
}

std::string XlstmModel::config_text() const {
  return to_text(config_json(config_), 2);
}

std::string XlstmModel::layer_map() const {
  std::string map;
  for (const bool is_slstm : config_.block_map()) map += is_slstm ? 's' : 'm';
  return map;
}

}  // namespace xlstm::layers
