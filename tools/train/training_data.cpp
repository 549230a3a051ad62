#include "tools/train/training_data.h"

#include "core/hex.h"
#include "core/log.h"
#include "data/bpe_trainer.h"
#include "data/content_hash.h"
#include "data/text_corpus.h"
#include "data/token_file.h"
#include "tools/train/tokenizer_path.h"

namespace xlstm::train {
namespace {

// Pretoken counts settle early; a tokenizer gains nothing from more text than this.
constexpr int64_t kTokenizerBytes = int64_t{32} << 20;

// Text files, or token shards.
struct Corpus {
  data::TextCorpus text;
  data::TokenShards shards;
  std::string root;
  double weight = 1;
};

std::vector<Corpus> open_corpora(const DataConfig& config, const std::string& cache_dir,
                                 FileSystem& files) {
  std::vector<DataSource> sources = config.sources;
  if (sources.empty()) sources.push_back({config.root, 1});
  std::vector<Corpus> corpora;
  for (const DataSource& source : sources) {
    Corpus& corpus = corpora.emplace_back();
    corpus.weight = source.weight;
    if (source.root == data::kStories) {
      corpus.text = data::make_stories(cache_dir, config.n_stories, 0, files);
      continue;
    }
    corpus.shards = data::find_token_shards(source.root, files);
    if (!corpus.shards.any()) corpus.text = data::open_corpus(source.root, files);
    corpus.root = source.root;
  }
  return corpora;
}

// From equal parts of the texts.
data::Tokenizer train_tokenizer(const std::vector<Corpus>& corpora, int64_t n_vocab,
                                const FileSystem& files) {
  data::BpeTrainer trainer({.n_vocab = n_vocab});
  const int64_t each = kTokenizerBytes / static_cast<int64_t>(corpora.size());
  for (const Corpus& corpus : corpora) {
    data::DocumentReader reader(corpus.text.train_path, int64_t{8} << 20, files);
    std::vector<data::DocumentPart> parts;
    int64_t n_bytes = 0;
    while (n_bytes < each && reader.next(parts)) {
      for (const data::DocumentPart& part : parts) {
        trainer.add_text(part.text);
        n_bytes += static_cast<int64_t>(part.text.size());
      }
    }
  }
  return trainer.train();
}

data::Tokenizer open_tokenizer(const DataConfig& config, const std::vector<Corpus>& corpora,
                               const std::string& cache_dir, FileSystem& files) {
  if (config.tokenizer != "train")
    return data::Tokenizer::load(find_tokenizer(config.tokenizer, files), files);
  for (const Corpus& corpus : corpora)
    require<ConfigError>(!corpus.shards.any(),
                         "data.tokenizer: got train, expected the tokenizer that made the token "
                         "shards in ",
                         corpus.root);
  uint64_t hash = data::hash_file(corpora.front().text.train_path, files);
  if (corpora.size() > 1) {
    data::ContentHash all;
    for (const Corpus& corpus : corpora)
      all.add(static_cast<int64_t>(data::hash_file(corpus.text.train_path, files)));
    hash = all.value();
  }
  const std::string path = join_path(
      cache_dir, "bpe-" + to_hex(hash) + "-" + std::to_string(config.vocab_size) + ".json");
  if (files.exists(path)) {
    try {
      return data::Tokenizer::load(path, files);
    } catch (const FormatError& e) {
      log_warning("the cached tokenizer is damaged and is trained anew: ", e.what());
    }
  }
  const data::Tokenizer tokenizer = train_tokenizer(corpora, config.vocab_size, files);
  files.make_dirs(cache_dir);
  tokenizer.save(path, files);
  return tokenizer;
}

data::TokenStream open_tokens(const std::string& text, const std::vector<std::string>& shards,
                              const data::Tokenizer& tokenizer, const std::string& cache_dir,
                              FileSystem& files) {
  if (shards.empty()) return data::cached_tokens(text, tokenizer, cache_dir, files);
  return data::TokenStream::open_shards(shards, tokenizer);
}

std::vector<data::WeightedStream> open_training(const std::vector<Corpus>& corpora,
                                                const data::Tokenizer& tokenizer,
                                                const std::string& cache_dir, FileSystem& files) {
  std::vector<data::WeightedStream> streams;
  for (const Corpus& corpus : corpora)
    streams.push_back({open_tokens(corpus.text.train_path, corpus.shards.train_paths, tokenizer,
                                   cache_dir, files),
                       corpus.weight});
  return streams;
}

data::TokenStream open_validation(const std::vector<Corpus>& corpora,
                                  const data::Tokenizer& tokenizer, const std::string& cache_dir,
                                  FileSystem& files) {
  std::vector<data::TokenStream> parts;
  for (const Corpus& corpus : corpora)
    parts.push_back(open_tokens(corpus.text.valid_path, corpus.shards.valid_paths, tokenizer,
                                cache_dir, files));
  return data::TokenStream::joined(std::move(parts));
}

// One pass over the tokens in order, of which a process sees its rows of each batch.
std::function<std::optional<Batch>()> batches_of(const data::TokenStream& tokens,
                                                 const DataConfig& config, int64_t limit,
                                                 const TrainingShare& share) {
  const data::SequentialBatches batches(tokens, config.batch_size * share.n_ranks,
                                        config.max_length);
  const int64_t n = limit < 0 ? batches.n_batches() : std::min(limit, batches.n_batches());
  const bool with_reset = config.document_reset;
  const int64_t B = config.batch_size, first = share.rank * B;
  return [batches, n, with_reset, B, first, next = int64_t{0}]() mutable -> std::optional<Batch> {
    while (next < n) {
      const data::TokenBatch all = batches.batch(next++);
      const int64_t rows = std::min(B, all.tokens.size(0) - first);
      if (rows <= 0) continue;  // of a last batch that is smaller
      const auto own = [&](const Tensor& t) {
        return t.strided_view({rows, t.size(1)}, {t.stride(0), 1}, first * t.stride(0));
      };
      return Batch{own(all.tokens), with_reset ? own(all.reset).clone() : Tensor{}};
    }
    return std::nullopt;
  };
}

}  // namespace

std::function<std::optional<Batch>()> validation_batches(const DataConfig& config,
                                                         const data::Tokenizer& tokenizer,
                                                         int64_t limit,
                                                         const std::string& cache_dir,
                                                         FileSystem& files) {
  return batches_of(
      open_validation(open_corpora(config, cache_dir, files), tokenizer, cache_dir, files), config,
      limit, {});
}

// What a run's data are made of, before the order of samples.
struct TrainingData::Streams {
  data::Tokenizer tokenizer;
  std::vector<data::WeightedStream> train;
  data::TokenStream valid;

  Streams(const DataConfig& config, const std::string& cache_dir, FileSystem& files)
      : Streams(config, open_corpora(config, cache_dir, files), cache_dir, files) {}
  Streams(const DataConfig& config, const std::vector<Corpus>& corpora,
          const std::string& cache_dir, FileSystem& files)
      : tokenizer(open_tokenizer(config, corpora, cache_dir, files)),
        train(open_training(corpora, tokenizer, cache_dir, files)),
        valid(open_validation(corpora, tokenizer, cache_dir, files)) {}
};

TrainingData::TrainingData(const DataConfig& config, int64_t n_accumulated, uint64_t seed,
                           const std::string& cache_dir, FileSystem& files,
                           const TrainingShare& share)
    : TrainingData(config, n_accumulated, seed, Streams(config, cache_dir, files), share) {}

TrainingData::TrainingData(const DataConfig& config, int64_t n_accumulated, uint64_t seed,
                           Streams streams, const TrainingShare& share)
    : config_(config),
      share_(share),
      n_accumulated_(n_accumulated),
      tokenizer_(std::move(streams.tokenizer)),
      valid_(std::move(streams.valid)),
      sampler_(streams.train, config.batch_size * n_accumulated * share.n_ranks, config.max_length,
               seed) {
  // More would repeat sequences within a step; it is a slip, and would fill the memory.
  std::string per_step =
      n_accumulated == 1 ? "" : detail::concat(" x ", n_accumulated, " accumulated");
  if (share.n_ranks > 1) per_step += detail::concat(" x ", share.n_ranks, " processes");
  require<ConfigError>(batch_of_all() * n_accumulated <= sampler_.n_windows(),
                       "data.batch_size: larger than the training text, got ", config.batch_size,
                       per_step, " sequences, expected at most ", sampler_.n_windows(),
                       " a step (the sequences of ", config.max_length,
                       " tokens in it; the product",
                       " of data.batch_size and trainer.accumulate_grad_batches counts)");
  if (!config.stateful) return;
  const bool is_limited = share.overfit > 0 || share.batches >= 0;
  lanes_.emplace(
      std::move(streams.train), config.batch_size * n_accumulated * share.n_ranks,
      config.max_length, seed,
      data::LaneLimits{
          .steps_per_epoch = is_limited ? std::max<int64_t>(1, n_batches() / n_accumulated) : 0,
          .one_epoch = share.overfit > 0});
}

int64_t TrainingData::n_batches() const {
  const int64_t all = sampler_.n_windows() / batch_of_all();
  if (share_.overfit > 0) return std::min(all, share_.overfit);
  return share_.batches < 0 ? all : std::min(all, share_.batches);
}

int64_t TrainingData::first_sequence(int64_t step, int64_t micro) const {
  const int64_t index = step * n_accumulated_ + micro, own = share_.rank * config_.batch_size;
  if (share_.overfit > 0) return index % n_batches() * batch_of_all() + own;
  if (share_.batches < 0) return index * batch_of_all() + own;
  // An epoch's order is its own; of each the first batches are seen, whole steps of them.
  const int64_t per_epoch = std::max<int64_t>(1, n_batches() / n_accumulated_) * n_accumulated_;
  return index / per_epoch * sampler_.n_windows() + index % per_epoch * batch_of_all() + own;
}

Batch TrainingData::batch(int64_t step, int64_t micro) const {
  if (lanes_) {
    const int64_t B = config_.batch_size;
    data::LaneBatch lanes = lanes_->lanes(step, micro * batch_of_all() + share_.rank * B, B);
    return {lanes.batch.tokens, config_.document_reset ? lanes.batch.reset : Tensor{}, lanes.fresh};
  }
  data::TokenBatch batch = sampler_.sequences(first_sequence(step, micro), config_.batch_size);
  return {batch.tokens, config_.document_reset ? batch.reset : Tensor{}};
}

std::function<std::optional<Batch>()> TrainingData::validation(int64_t limit) const {
  return batches_of(valid_, config_, limit, share_);
}

}  // namespace xlstm::train
