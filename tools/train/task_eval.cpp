#include "tools/train/task_eval.h"

#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "core/error.h"
#include "core/ops/embedding.h"
#include "core/ops/view.h"
#include "tools/train/generation.h"
#include "tools/train/json_lines.h"
#include "tools/train/text_state.h"

namespace xlstm::train {
namespace {

constexpr std::string_view kWhiteSpace = " \t\n\v\f\r";

TaskItem item_of(const JsonField& line) {
  TaskItem item;
  if (line.has("question") == line.has("context"))
    line.fail(line.has("question")
                  ? "got both \"question\" and \"context\", expected one of them"
                  : "got neither \"question\" nor \"context\", expected one of them");
  item.context = line.at(line.has("question") ? "question" : "context").as_string();
  for (const JsonField& choice : line.at("choices").as_array()) {
    item.choices.push_back(choice.as_string());
    if (item.choices.back().empty()) choice.fail("got \"\", expected a text");
  }
  if (item.choices.size() < 2)
    line.at("choices").fail("got " + std::to_string(item.choices.size()) +
                            " of them, expected at least 2");
  item.label = line.at("label").as_int(0, static_cast<int64_t>(item.choices.size()) - 1);
  return item;
}

int64_t largest(const std::vector<double>& x) {
  return std::max_element(x.begin(), x.end()) - x.begin();
}

// Of each choice the sum of its tokens' log-likelihoods after the context.
std::vector<double> log_likelihoods(const layers::LanguageModel& model, const TokenIds& context,
                                    const std::vector<TokenIds>& choices) {
  const ReadTexts read = read_texts(model, {}, {&context});
  const auto n = static_cast<int64_t>(choices.size());
  size_t longest = 0;
  for (const TokenIds& choice : choices) longest = std::max(longest, choice.size());
  // Shorter ones are followed by any token: nothing that counts comes after it.
  std::vector<int64_t> inputs, targets;
  for (const TokenIds& choice : choices)
    for (size_t t = 0; t < longest; ++t) {
      if (t + 1 < longest) inputs.push_back(t < choice.size() ? choice[t] : 0);
      targets.push_back(t < choice.size() ? choice[t] : -1);
    }
  const auto length = static_cast<int64_t>(longest);
  const Tensor same = Tensor::zeros({n}, DType::i64, model.device());
  Tensor hidden = ops::reshape(ops::embedding(same, read.hidden), {n, 1, model.width()});
  if (length > 1) {
    const Tensor tokens = Tensor::from(inputs, {n, length - 1}).to(model.device());
    hidden =
        ops::concat({hidden, model.forward_hidden(tokens, read.state.select_rows(same)).hidden}, 1);
  }
  const Tensor wanted = Tensor::from(targets, {n, length}).to(model.device());
  std::vector<double> sums;
  for (int64_t row = 0; row < n; ++row) {
    const double mean = model
                            .loss(ops::contiguous(ops::slice(hidden, 0, row, row + 1)),
                                  ops::contiguous(ops::slice(wanted, 0, row, row + 1)))
                            .item();
    require<NonFiniteError>(std::isfinite(mean), "eval: the loss of choice ", row, " is ", mean,
                            ", expected a finite number (did training diverge?)");
    sums.push_back(-mean * static_cast<double>(choices[static_cast<size_t>(row)].size()));
  }
  return sums;
}

double standard_error(int64_t n_right, int64_t n) {
  if (n < 2) return 0;
  const double p = static_cast<double>(n_right) / static_cast<double>(n);
  return std::sqrt(p * (1 - p) / static_cast<double>(n - 1));
}

}  // namespace

std::vector<TaskItem> parse_tasks(std::string_view text, const std::string& path) {
  std::vector<TaskItem> items;
  for (const JsonLine& line : parse_json_lines(text, path)) items.push_back(item_of(line.field()));
  require<ConfigError>(!items.empty(), "eval: ", path,
                       " has no item, expected a JSON object on each line");
  return items;
}

TokenPair encode_pair(const data::Tokenizer& tokenizer, const std::string& context,
                      const std::string& choice) {
  const size_t last = context.find_last_not_of(kWhiteSpace);
  const std::string before = context.substr(0, last == std::string::npos ? 0 : last + 1);
  const std::string after = context.substr(before.size()) + choice;
  TokenPair pair{tokenizer.encode(before), tokenizer.encode(before + after)};
  const auto n = static_cast<std::ptrdiff_t>(pair.context.size());
  // A token over the border would make the context another one for each choice.
  if (n < std::ssize(pair.choice) &&
      std::equal(pair.context.begin(), pair.context.end(), pair.choice.begin()))
    pair.choice.erase(pair.choice.begin(), pair.choice.begin() + n);
  else
    pair.choice = tokenizer.encode(after);
  return pair;
}

ItemScore score_item(const layers::LanguageModel& model, const data::Tokenizer& tokenizer,
                     const TaskItem& item, const TaskOptions& options) {
  const autograd::NoGrad no_grad;
  TokenIds context;
  std::vector<TokenIds> choices;
  for (const std::string& choice : item.choices) {
    TokenPair pair = encode_pair(tokenizer, item.context, options.delimiter + choice);
    context = std::move(pair.context);
    choices.push_back(std::move(pair.choice));
  }
  context = beginning(tokenizer, std::move(context), options.start_with_end_of_text);
  ItemScore score{log_likelihoods(model, context, choices), 0, 0};
  std::vector<double> per_byte;
  for (size_t i = 0; i < choices.size(); ++i)
    per_byte.push_back(score.log_likelihoods[i] / static_cast<double>(item.choices[i].size()));
  score.prediction = largest(score.log_likelihoods);
  score.prediction_norm = largest(per_byte);
  return score;
}

void TaskScore::add(const TaskItem& item, const ItemScore& score) {
  ++n;
  n_right += score.prediction == item.label ? 1 : 0;
  n_right_norm += score.prediction_norm == item.label ? 1 : 0;
}

Json TaskScore::to_json() const {
  const double count = static_cast<double>(std::max(n, int64_t{1}));
  Json json = Json::object();
  json.set("n_items", n);
  json.set("acc", static_cast<double>(n_right) / count);
  json.set("acc_stderr", standard_error(n_right, n));
  json.set("acc_norm", static_cast<double>(n_right_norm) / count);
  json.set("acc_norm_stderr", standard_error(n_right_norm, n));
  return json;
}

}  // namespace xlstm::train
