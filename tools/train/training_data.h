// From a data configuration to batches: corpus, tokenizer, token files, order of samples.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "data/batch_sampler.h"
#include "data/bpe_tokenizer.h"
#include "data/lane_sampler.h"
#include "tools/train/config.h"
#include "tools/train/evaluation.h"

namespace xlstm::train {

// What part of the training text a process sees.
struct TrainingShare {
  int64_t batches = -1;       // of an epoch, which then ends; -1: all
  int64_t overfit = 0;        // > 0: the first so many batches again and again, in one order
  int rank = 0, n_ranks = 1;  // which of the processes that share the sequences of a step
};

class TrainingData {
 public:
  // Of all sources: generates the bundled corpus, trains a tokenizer and tokenises, each unless
  // `cache_dir` holds the result already. One step takes batch_size * n_accumulated sequences of
  // each rank.
  // FileError, FormatError, ConfigError.
  TrainingData(const DataConfig& config, int64_t n_accumulated, uint64_t seed,
               const std::string& cache_dir, FileSystem& files, const TrainingShare& share = {});

  const data::Tokenizer& tokenizer() const { return tokenizer_; }
  int64_t n_sequences() const { return sampler_.n_windows(); }
  int64_t n_batches() const;  // of an epoch, whole ones, each of all ranks
  int64_t n_train_tokens() const { return sampler_.n_tokens(); }
  int64_t n_valid_tokens() const { return valid_.size(); }
  const data::TokenStream& train_tokens(int64_t source = 0) const {
    return sampler_.stream(source);
  }
  const data::TokenStream& valid_tokens() const { return valid_; }
  // Changes whenever the tokens would.
  uint64_t fingerprint() const { return sampler_.identity().fingerprint; }

  // Part number `micro` (0 .. n_accumulated - 1) of step `step`: a pure function. A step's
  // sequences are numbered by part, rank and row, so however many ranks there are, equal products
  // of batch_size, n_accumulated and ranks see the same ones. With data.stateful these numbers are
  // lanes of data/lane_sampler.h.
  Batch batch(int64_t step, int64_t micro) const;
  // One pass over the validation tokens in order, of at most `limit` batches (-1: all) of every
  // rank; this rank's rows.
  std::function<std::optional<Batch>()> validation(int64_t limit) const;

 private:
  struct Streams;
  TrainingData(const DataConfig& config, int64_t n_accumulated, uint64_t seed, Streams streams,
               const TrainingShare& share);
  // The number in the whole run of the first sequence of a batch.
  int64_t first_sequence(int64_t step, int64_t micro) const;
  int64_t batch_of_all() const { return config_.batch_size * share_.n_ranks; }

  DataConfig config_;
  TrainingShare share_;
  int64_t n_accumulated_;
  data::Tokenizer tokenizer_;
  data::TokenStream valid_;
  data::BatchSampler sampler_;
  std::optional<data::LaneSampler> lanes_;  // in its place with data.stateful
};

// The validation batches of a configuration alone, in the tokens of `tokenizer` and not of the one
// that the configuration names. Errors as above.
std::function<std::optional<Batch>()> validation_batches(const DataConfig& config,
                                                         const data::Tokenizer& tokenizer,
                                                         int64_t limit,
                                                         const std::string& cache_dir,
                                                         FileSystem& files);

}  // namespace xlstm::train
