// The whole way: stories, tokenizer, training, generation. The model must predict the validation
// text better than a smoothed 4-gram model that has counted the same training tokens.
#include <cctype>
#include <set>
#include <sstream>

#include "data/ngram_baseline.h"
#include "data/utf8.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"
#include "tests/test_data.h"
#include "tools/train/config_io.h"
#include "tools/train/generation.h"
#include "tools/train/saved_model.h"
#include "tools/train/trainer.h"
#include "tools/train/training_data.h"

namespace xlstm::train {
namespace {

using Overrides = std::vector<std::pair<std::string, std::string>>;

RunConfig demo_config(const TemporaryDir& dir, Overrides overrides) {
  overrides.emplace_back("trainer.default_root_dir", dir.path());
  overrides.emplace_back("trainer.limit_val_batches", "-1");
  return load_run_config({testing::data_path("tools/configs/demo.yaml")}, overrides);
}

TrainingData data_of(const RunConfig& config) {
  return TrainingData(config.data, config.trainer.accumulate_grad_batches,
                      static_cast<uint64_t>(config.seed_everything), cache_dir_of(config),
                      real_file_system());
}

// Trains, and compares both on the same validation tokens.
double check_beats_ngram(Trainer& trainer, const TrainingData& data) {
  trainer.fit();
  const Evaluation model = trainer.validate();
  // Batches hold whole sequences, so up to one sequence at the end is not read; the n-gram model is
  // asked for exactly the tokens that the language model was asked for.
  std::vector<int64_t> tokens(static_cast<size_t>(model.n_tokens) + 1);
  REQUIRE(data.n_valid_tokens() - model.n_tokens <= trainer.config().data.max_length);
  data.valid_tokens().read(0, tokens);
  const data::TokenStream same(tokens, data.valid_tokens().n_vocab(),
                               data.valid_tokens().end_of_text());
  const double ngram = data::NgramBaseline(data.train_tokens()).mean_nll(same);
  std::printf("validation loss: model %.4f, 4-gram %.4f nats per token (%lld tokens)\n", model.loss,
              ngram, static_cast<long long>(model.n_tokens));
  CHECK(model.loss < ngram);
  return model.loss;
}

std::set<std::string> words_of(const std::string& text) {
  std::set<std::string> words;
  std::string word;
  for (const char c : text + " ") {
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      word += c;
    } else if (!word.empty()) {
      words.insert(word);
      word.clear();
    }
  }
  return words;
}

std::string tell(const Trainer& trainer, const layers::LanguageModel& model,
                 const data::Tokenizer& tokenizer, uint64_t seed) {
  GenerationOptions options = trainer.config().sample.options;
  options.seed = seed;
  options.max_new_tokens = 150;
  std::string text = "One morning";
  GenerationStream stream(model, tokenizer, {text}, options);
  while (!stream.done())
    for (const auto& [row, piece] : stream.next()) text += piece;
  return text;
}

TEST_CASE("two thirds of the demo beat the 4-gram model and tell stories") {
  TemporaryDir dir;
  std::ostringstream out;
  const RunConfig config =
      demo_config(dir, {{"trainer.max_steps", "400"}, {"trainer.val_check_interval", "400"}});
  Trainer trainer(config, {.out = &out});
  const TrainingData data = data_of(config);
  check_beats_ngram(trainer, data);

  std::vector<int64_t> ids(static_cast<size_t>(data.n_train_tokens()));
  data.train_tokens().read(0, ids);
  const std::vector<int32_t> narrow(ids.begin(), ids.end());
  const std::set<std::string> known = words_of(trainer.tokenizer().decode(narrow));
  const std::string story = tell(trainer, trainer.model(), trainer.tokenizer(), 7);
  std::printf("%s\n", story.c_str());
  CHECK(tell(trainer, trainer.model(), trainer.tokenizer(), 7) == story);
  CHECK(tell(trainer, trainer.model(), trainer.tokenizer(), 8) != story);
  CHECK(parse_json(
            "\"" +
                [&] {
                  std::string escaped;
                  for (const char c : story)
                    escaped += c == '"'    ? "\\\""
                               : c == '\n' ? "\\n"
                               : c == '\\' ? "\\\\"
                                           : std::string(1, c);
                  return escaped;
                }() +
                "\"",
            "story")
            .as_string() == story);  // the JSON reader refuses invalid UTF-8
  const std::set<std::string> told = words_of(story);
  int64_t n_known = 0;
  for (const std::string& word : told) n_known += known.count(word) > 0 ? 1 : 0;
  CHECK(told.size() >= 15);
  CHECK(static_cast<double>(n_known) >= 0.9 * static_cast<double>(told.size()));
}

// test_e2e_stories_beat_ngram "[.demo]": the demo itself, whole.
TEST_CASE("the demo beats the 4-gram model", "[.demo]") {
  TemporaryDir dir;
  const RunConfig config = demo_config(dir, {});
  Trainer trainer(config);
  check_beats_ngram(trainer, data_of(config));
}

}  // namespace
}  // namespace xlstm::train
