#include "tools/train/generation.h"

#include "core/error.h"
#include "tests/catch.h"
#include "tests/tools/tiny_run.h"

namespace xlstm::train {
namespace {

// Texts and lengths of all rows after the stream has ended.
struct Texts {
  std::vector<std::string> text;
  std::vector<RowEnd> end;
};

Texts run_all(GenerationStream& stream, size_t n) {
  Texts out{std::vector<std::string>(n), {}};
  while (!stream.done())
    for (const auto& [row, text] : stream.next()) out.text[static_cast<size_t>(row)] += text;
  for (size_t i = 0; i < n; ++i) out.end.push_back(stream.row_end(static_cast<int64_t>(i)));
  return out;
}

Texts generate(Trainer& trainer, const std::vector<std::string>& prompts,
               const GenerationOptions& options) {
  GenerationStream stream(trainer.model(), trainer.tokenizer(), prompts, options);
  return run_all(stream, prompts.size());
}

TEST_CASE("generation is fixed by the seed, and rows know nothing of each other") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  for (int i = 0; i < 5; ++i) trainer.step();
  const GenerationOptions options{.max_new_tokens = 30, .temperature = 0.9, .top_k = 20, .seed = 5};
  // Some of the same length, which are read together.
  const std::vector<std::string> prompts = {
      "Once upon a time there was a little",   "The", "",
      "A dog and a cat went to the sea. They", "The", "Once upon a time there was a little"};
  const Texts together = generate(trainer, prompts, options);
  CHECK(generate(trainer, prompts, options).text == together.text);
  GenerationOptions other = options;
  other.seed = 6;
  CHECK(generate(trainer, prompts, other).text != together.text);
  // Row r alone, among other company: same number, same text.
  for (size_t r = 0; r < prompts.size(); ++r) {
    std::vector<std::string> company(prompts.size(), "Something quite different");
    company[r] = prompts[r];
    CHECK(generate(trainer, company, options).text[r] == together.text[r]);
  }
}

TEST_CASE("greedy generation equals the full forward pass over its own output") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  for (int i = 0; i < 5; ++i) trainer.step();
  GenerationStream stream(trainer.model(), trainer.tokenizer(), {"Once upon"},
                          {.max_new_tokens = 20, .temperature = 0, .stop_at_end_of_text = false});
  while (!stream.done()) stream.next();
  std::vector<int64_t> ids = {trainer.tokenizer().end_of_text()};
  for (const int32_t id : trainer.tokenizer().encode("Once upon")) ids.push_back(id);
  const size_t prompt_length = ids.size();
  for (const int32_t id : stream.tokens(0)) ids.push_back(id);
  const Tensor logits =
      trainer.model().forward(Tensor::from(ids, {1, static_cast<int64_t>(ids.size())})).logits;
  const int64_t n_vocab = trainer.tokenizer().n_vocab();
  for (size_t t = prompt_length; t < ids.size(); ++t) {
    const float* row = logits.data<float>() + (t - 1) * static_cast<size_t>(logits.size(2));
    CHECK(std::max_element(row, row + n_vocab) - row == ids[t]);
  }
}

TEST_CASE("rows end separately: at the end of text, or at the limit") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  // At a high temperature an untrained model soon draws the end of text.
  const Texts texts = generate(trainer, std::vector<std::string>(16, "The"),
                               {.max_new_tokens = 150, .temperature = 2, .seed = 1});
  CHECK(std::count(texts.end.begin(), texts.end.end(), RowEnd::end_of_text) > 0);
  CHECK(std::count(texts.end.begin(), texts.end.end(), RowEnd::length) > 0);
  for (const std::string& text : texts.text) CHECK(text.find("<|endoftext|>") == std::string::npos);
  CHECK(generate(trainer, {"The"}, {.max_new_tokens = 0}).text[0].empty());
}

TEST_CASE("padded rows of the vocabulary are never sampled") {
  TinyRun run;
  std::get<layers::XlstmModelConfig>(run.config.model).vocab_size = 2000;
  Trainer trainer(run.config, run.services());
  GenerationStream stream(trainer.model(), trainer.tokenizer(), {"The"},
                          {.max_new_tokens = 300, .temperature = 3, .stop_at_end_of_text = false});
  while (!stream.done()) stream.next();
  for (const int32_t id : stream.tokens(0)) CHECK(id < trainer.tokenizer().n_vocab());
}

TEST_CASE("logits that cannot be sampled from end generation with an error that says so") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  GenerationStream stream(trainer.model(), trainer.tokenizer(), {"Once", "The"},
                          {.max_new_tokens = 9, .stop_at_end_of_text = false});
  stream.next();
  for (Tensor& parameter : trainer.model().parameters()) parameter.fill(NAN);
  CHECK_THROWS_WITH(stream.next(), test::contains("sample: row 0 has the logit nan at id 0"));
}

TEST_CASE("what makes no sense is refused") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  CHECK_THROWS_AS(generate(trainer, {}, {}), ConfigError);
  CHECK_THROWS_AS(generate(trainer, {"a"}, {.temperature = -1}), ConfigError);
  CHECK_THROWS_AS(generate(trainer, {"a"}, {.top_k = -1}), ConfigError);
  CHECK_THROWS_AS(generate(trainer, {"a"}, {.max_new_tokens = -1}), ConfigError);
}

}  // namespace
}  // namespace xlstm::train
