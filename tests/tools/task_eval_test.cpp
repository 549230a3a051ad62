#include "tools/train/task_eval.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "tests/catch.h"
#include "tests/tools/tiny_run.h"

namespace xlstm::train {
namespace {

// The log-likelihood of the last tokens of `ids`, in double from one forward pass.
double log_likelihood(const layers::LanguageModel& model, const std::vector<int64_t>& ids,
                      size_t n_last) {
  const Tensor logits =
      model.forward(Tensor::from(ids, {1, static_cast<int64_t>(ids.size())})).logits;
  const std::vector<double> x = logits.to_vector<double>();
  const auto n_vocab = static_cast<size_t>(logits.size(2));
  double sum = 0;
  for (size_t t = ids.size() - n_last; t < ids.size(); ++t) {
    const double* row = x.data() + (t - 1) * n_vocab;
    const double max = *std::max_element(row, row + n_vocab);
    double total = 0;
    for (size_t v = 0; v < n_vocab; ++v) total += std::exp(row[v] - max);
    sum += row[ids[t]] - max - std::log(total);
  }
  return sum;
}

TEST_CASE("choices are scored as whole texts would be, one by one") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  for (int i = 0; i < 8; ++i) trainer.step();
  const data::Tokenizer& tokenizer = trainer.tokenizer();
  const std::vector<TaskItem> items = {
      {"Once upon a", {"time", "dog", "time there was a little bear who sang"}, 0},
      {"The cat sat. ", {"x", "y"}, 1},
      {"", {"Once", "zz"}, 0},
      {"A dog", {" and a cat", "!"}, 0}};
  TaskScore total;
  for (const TaskItem& item : items)
    for (const std::string delimiter : {" ", ""}) {
      INFO(item.context << "|" << delimiter);
      const ItemScore score =
          score_item(trainer.model(), tokenizer, item, {.delimiter = delimiter});
      REQUIRE(score.log_likelihoods.size() == item.choices.size());
      std::vector<double> per_byte;
      for (size_t i = 0; i < item.choices.size(); ++i) {
        const TokenPair pair = encode_pair(tokenizer, item.context, delimiter + item.choices[i]);
        std::vector<int64_t> ids{tokenizer.end_of_text()};
        ids.insert(ids.end(), pair.context.begin(), pair.context.end());
        ids.insert(ids.end(), pair.choice.begin(), pair.choice.end());
        const double want = log_likelihood(trainer.model(), ids, pair.choice.size());
        CHECK(score.log_likelihoods[i] == Approx(want).epsilon(1e-5));
        per_byte.push_back(want / static_cast<double>(item.choices[i].size()));
      }
      const auto& all = score.log_likelihoods;
      CHECK(score.prediction == std::max_element(all.begin(), all.end()) - all.begin());
      CHECK(score.prediction_norm ==
            std::max_element(per_byte.begin(), per_byte.end()) - per_byte.begin());
      total.add(item, score);
    }
  CHECK(total.n == 8);
  for (Tensor& parameter : trainer.model().parameters()) parameter.fill(NAN);
  CHECK_THROWS_AS(score_item(trainer.model(), tokenizer, items[0]), NonFiniteError);
}

TEST_CASE("context and choice together are the whole text") {
  TinyRun run;
  const Trainer trainer(run.config, run.services());
  const data::Tokenizer& tokenizer = trainer.tokenizer();
  for (const auto& [context, choice] : {std::pair<std::string, std::string>{"Once upon a", " time"},
                                        {"Once ", " time"},
                                        {"Once \n ", "time"},
                                        {"", " time"},
                                        {"  ", "x"},
                                        {"Onc", "e upon"},
                                        {"the", "re"}}) {
    INFO(context << "|" << choice);
    const TokenPair pair = encode_pair(tokenizer, context, choice);
    CHECK(tokenizer.decode(pair.context) + tokenizer.decode(pair.choice) == context + choice);
    CHECK_FALSE(pair.choice.empty());
    CHECK_FALSE(tokenizer.decode(pair.context).ends_with(' '));
  }
}

TEST_CASE("accuracies and their standard errors") {
  TaskScore score;
  const TaskItem item{"", {"a", "b"}, 1};
  for (const auto& [plain, norm] :
       {std::pair<int64_t, int64_t>{1, 1}, {1, 0}, {0, 0}, {1, 1}, {0, 0}})
    score.add(item, {{}, plain, norm});
  const Json json = score.to_json();
  CHECK(json.find("n_items")->as_int() == 5);
  CHECK(json.find("acc")->as_double() == Approx(0.6));
  CHECK(json.find("acc_norm")->as_double() == Approx(0.4));
  // The deviation of a sample over the root of its size.
  CHECK(json.find("acc_stderr")->as_double() == Approx(std::sqrt(0.3 / 5)));
  CHECK(json.find("acc_norm_stderr")->as_double() == Approx(std::sqrt(0.3 / 5)));
}

TEST_CASE("lines that are no task are refused with file, line, key and value") {
  const auto items = parse_tasks(
      "{\"question\": \"q\", \"choices\": [\"a\", \"b\"], \"label\": 1, \"id\": [7]}\n\n"
      "{\"context\": \"\", \"choices\": [\"a\", \"b\", \"c\"], \"label\": 0}\r\n",
      "t");
  REQUIRE(items.size() == 2);
  CHECK(items[0].context == "q");
  CHECK(items[0].label == 1);
  CHECK(items[1].choices == std::vector<std::string>{"a", "b", "c"});
  const std::string good = "{\"question\": \"q\", \"choices\": [\"a\", \"b\"], \"label\": 1}\n";
  const struct {
    std::string line;
    std::vector<std::string> words;
  } rows[] = {
      {"{\"choices\": [\"a\", \"b\"], \"label\": 1}", {"neither", "question", "context"}},
      {"{\"question\": \"q\", \"context\": \"c\", \"choices\": [\"a\", \"b\"], \"label\": 1}",
       {"both"}},
      {"{\"question\": 3, \"choices\": [\"a\", \"b\"], \"label\": 1}", {"question", "integer 3"}},
      {"{\"question\": \"q\", \"label\": 1}", {"choices"}},
      {"{\"question\": \"q\", \"choices\": \"ab\", \"label\": 1}", {"choices", "\"ab\""}},
      {"{\"question\": \"q\", \"choices\": [\"a\"], \"label\": 0}", {"choices", "got 1", "2"}},
      {"{\"question\": \"q\", \"choices\": [\"a\", 5], \"label\": 0}", {"choices[1]", "integer 5"}},
      {"{\"question\": \"q\", \"choices\": [\"a\", \"\"], \"label\": 0}", {"choices[1]", "\"\""}},
      {"{\"question\": \"q\", \"choices\": [\"a\", \"b\"]}", {"label"}},
      {"{\"question\": \"q\", \"choices\": [\"a\", \"b\"], \"label\": 2}", {"label", "2"}},
      {"{\"question\": \"q\", \"choices\": [\"a\", \"b\"], \"label\": -1}", {"label", "-1"}},
      {"{\"question\": \"q\", \"choices\": [\"a\", \"b\"], \"label\": \"b\"}", {"label", "\"b\""}},
      {"[1]", {"expected a JSON object"}},
      {"{\"question\"", {}}};
  for (const auto& row : rows) {
    INFO(row.line);
    std::string text = "accepted";
    try {
      parse_tasks(good + row.line + "\n" + good, "tasks.jsonl");
    } catch (const FormatError& error) {
      text = error.what();
    }
    CHECK_THAT(text, test::contains("tasks.jsonl:2"));
    for (const std::string& word : row.words) CHECK_THAT(text, test::contains(word));
  }
  CHECK_THROWS_AS(parse_tasks("\n", "t"), ConfigError);
}

}  // namespace
}  // namespace xlstm::train
