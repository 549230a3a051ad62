#include "tools/train/generation.h"

#include <cmath>
#include <set>

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

TEST_CASE("samples of a prompt fork what was read once, and more of them change none") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  for (int i = 0; i < 5; ++i) trainer.step();
  GenerationOptions options{.max_new_tokens = 12, .temperature = 0.9, .seed = 5};
  const std::vector<std::string> prompts = {"Once upon a time there was a little", "The", "A dog"};
  const Texts one = generate(trainer, prompts, options);
  options.n_samples = 3;
  GenerationStream stream(trainer.model(), trainer.tokenizer(), prompts, options);
  REQUIRE(stream.n_rows() == 9);
  const Texts three = run_all(stream, 9);
  for (size_t prompt = 0; prompt < 3; ++prompt) {
    // The first sample is the text that comes without others.
    CHECK(three.text[3 * prompt] == one.text[prompt]);
    CHECK(three.text[3 * prompt] != three.text[3 * prompt + 1]);
    CHECK(three.text[3 * prompt + 1] != three.text[3 * prompt + 2]);
  }
  // Prompts in parts write the same.
  options.first_prompt = 1;
  GenerationStream part(trainer.model(), trainer.tokenizer(), {prompts[1], prompts[2]}, options);
  CHECK(run_all(part, 6).text ==
        std::vector<std::string>(three.text.begin() + 3, three.text.end()));
}

TEST_CASE("stop strings end a row, and are not shown") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  for (int i = 0; i < 5; ++i) trainer.step();
  GenerationOptions options{
      .max_new_tokens = 60, .temperature = 0.9, .seed = 5, .stop_at_end_of_text = false};
  const std::vector<std::string> prompts = {"Once upon a time", "The"};
  const Texts free = generate(trainer, prompts, options);
  REQUIRE(free.text[0].size() > 30);
  // Stretches of the text itself, most of them over borders of tokens.
  for (size_t begin = 3; begin < 20; begin += 4) {
    const std::string stop = free.text[0].substr(begin, 5);
    if (data::lossy_utf8(stop) != stop) continue;
    options.stop = {"never in it", stop};
    const Texts texts = generate(trainer, prompts, options);
    CHECK(texts.end[0] == RowEnd::stop);
    CHECK(texts.text[0] == free.text[0].substr(0, free.text[0].find(stop)));
    if (free.text[1].find(stop) == std::string::npos) {
      CHECK(texts.text[1] == free.text[1]);
      CHECK(texts.end[1] == RowEnd::length);
    }
  }
  CHECK(name_of(RowEnd::stop) == std::string("stop"));
}

TEST_CASE("a repetition penalty counts the prompt and the text") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  for (int i = 0; i < 5; ++i) trainer.step();
  GenerationOptions options{.max_new_tokens = 25,
                            .temperature = 0,
                            .repetition_penalty = 1000,
                            .stop_at_end_of_text = false};
  GenerationStream stream(trainer.model(), trainer.tokenizer(), {"Once upon", "The cat"}, options);
  while (!stream.done()) stream.next();
  for (int64_t row = 0; row < 2; ++row) {
    // Greedy, and by the definition: the largest logit after the penalty.
    std::vector<int64_t> ids = {trainer.tokenizer().end_of_text()};
    for (const int32_t id : trainer.tokenizer().encode(row == 0 ? "Once upon" : "The cat"))
      ids.push_back(id);
    const size_t n_prompt = ids.size();
    for (const int32_t id : stream.tokens(row)) ids.push_back(id);
    const Tensor logits =
        trainer.model().forward(Tensor::from(ids, {1, static_cast<int64_t>(ids.size())})).logits;
    const auto n_vocab = static_cast<size_t>(logits.size(2));
    for (size_t t = n_prompt; t < ids.size(); ++t) {
      const float* x = logits.data<float>() + (t - 1) * n_vocab;
      std::vector<float> after(x, x + n_vocab);
      const std::set<int64_t> seen(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(t));
      for (const int64_t id : seen) {
        float& logit = after[static_cast<size_t>(id)];
        logit = logit > 0 ? logit / 1000 : logit * 1000;
      }
      CHECK(std::max_element(after.begin(), after.end()) - after.begin() == ids[t]);
    }
  }
  // Rows that end early leave the others what they saw.
  options.temperature = 2;
  options.repetition_penalty = 1.5;
  options.stop_at_end_of_text = true;
  options.max_new_tokens = 150;
  const std::vector<std::string> many(12, "The");
  const Texts together = generate(trainer, many, options);
  CHECK(std::count(together.end.begin(), together.end.end(), RowEnd::end_of_text) > 0);
  for (const int64_t row : {0, 5, 11}) {
    GenerationOptions alone = options;
    alone.first_prompt = row;
    CHECK(generate(trainer, {"The"}, alone).text[0] == together.text[static_cast<size_t>(row)]);
  }
}

TEST_CASE("a stream goes on exactly where another one ended") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  for (int i = 0; i < 5; ++i) trainer.step();
  for (const double penalty : {1.0, 1.3}) {
    GenerationOptions options{.max_new_tokens = 20,
                              .temperature = 0.9,
                              .repetition_penalty = penalty,
                              .seed = 5,
                              .stop_at_end_of_text = false};
    GenerationStream whole(trainer.model(), trainer.tokenizer(), {"Once upon a time"}, options);
    while (!whole.done()) whole.next();
    options.max_new_tokens = 8;
    GenerationStream first(trainer.model(), trainer.tokenizer(), {"Once upon a time"}, options);
    while (!first.done()) first.next();
    const TextState state = first.finish();
    CHECK(state.n_drawn == 8);
    CHECK(state.n_read == 1 + std::ssize(trainer.tokenizer().encode("Once upon a time")) + 8);
    options.max_new_tokens = 12;
    GenerationStream second(trainer.model(), trainer.tokenizer(), {""}, options, state);
    while (!second.done()) second.next();
    TokenIds both = first.tokens(0);
    both.insert(both.end(), second.tokens(0).begin(), second.tokens(0).end());
    CHECK(both == whole.tokens(0));
  }
}

TEST_CASE("a state to go on from is of one row with a token at least") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  GenerationStream two(trainer.model(), trainer.tokenizer(), {"a", "b"}, {.max_new_tokens = 2});
  CHECK_THROWS_AS(two.finish(), ConfigError);
  GenerationStream none(trainer.model(), trainer.tokenizer(), {"a"}, {.max_new_tokens = 0});
  CHECK_THROWS_AS(none.finish(), ConfigError);
}

TEST_CASE("what makes no sense is refused") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  CHECK_THROWS_AS(generate(trainer, {}, {}), ConfigError);
  CHECK_THROWS_AS(generate(trainer, {"a"}, {.temperature = -1}), ConfigError);
  CHECK_THROWS_AS(generate(trainer, {"a"}, {.top_k = -1}), ConfigError);
  CHECK_THROWS_AS(generate(trainer, {"a"}, {.max_new_tokens = -1}), ConfigError);
  for (const double share : {-0.1, 1.5, double{NAN}}) {
    CHECK_THROWS_AS(generate(trainer, {"a"}, {.top_p = share}), ConfigError);
    CHECK_THROWS_AS(generate(trainer, {"a"}, {.min_p = share}), ConfigError);
  }
  for (const double penalty : {0.0, -1.0, 1e4, double{NAN}})
    CHECK_THROWS_AS(generate(trainer, {"a"}, {.repetition_penalty = penalty}), ConfigError);
  CHECK_THROWS_AS(generate(trainer, {"a"}, {.stop = {"x", ""}}), ConfigError);
  CHECK_THROWS_AS(generate(trainer, {"a"}, {.n_samples = 0}), ConfigError);
}

}  // namespace
}  // namespace xlstm::train
