// xlstm eval
#include <cmath>
#include <iostream>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/json.h"
#include "tools/model_arguments.h"
#include "tools/train/prompt_source.h"
#include "tools/train/task_eval.h"
#include "tools/train/text_eval.h"

namespace xlstm::cli {
namespace {

struct Arguments : ModelArguments {
  std::string text, tasks, jsonl_out;
  std::optional<std::string> delimiter;
  std::optional<int64_t> context, stride;
  bool carry_state = false, allow_special = false;
};

void only_with(const char* what, bool is_there, bool given, const char* option) {
  require<ConfigError>(is_there || !given, "eval: ", option, ": got it without ", what,
                       ", expected it with ", what, " alone");
}

// What the options alone can tell, before a model is read.
void check_arguments(const Arguments& a) {
  const bool has_text = !a.text.empty(), has_tasks = !a.tasks.empty();
  require<ConfigError>(has_text != has_tasks, "eval: got ",
                       has_text ? "both --text and --tasks" : "neither --text nor --tasks",
                       ", expected one of them");
  only_with("--text", has_text, a.context.has_value(), "--context");
  only_with("--text", has_text, a.stride.has_value(), "--stride");
  only_with("--text", has_text, a.carry_state, "--carry_state");
  only_with("--text", has_text, a.allow_special, "--allow_special");
  only_with("--tasks", has_tasks, a.delimiter.has_value(), "--delimiter");
  only_with("--tasks", has_tasks, !a.jsonl_out.empty(), "--jsonl_out");
  require<ConfigError>(a.context.value_or(1) >= 1, "eval: --context: got ", a.context.value_or(1),
                       ", expected at least 1");
  require<ConfigError>(a.stride.value_or(1) >= 1, "eval: --stride: got ", a.stride.value_or(1),
                       ", expected at least 1");
}

// JSON has no infinity: the mean over few words can be too large.
Json finite(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Json score_text(const Arguments& arguments, const train::SavedModel& saved,
                const data::Tokenizer& tokenizer) {
  const train::TextEvalOptions options{
      .context = arguments.context.value_or(saved.config.data.max_length),
      .stride = arguments.stride.value_or(0),
      .carry_state = arguments.carry_state,
      .start_with_end_of_text = saved.config.sample.options.start_with_end_of_text,
      .allow_special = arguments.allow_special};
  options.validate();
  const train::TextScore score = train::score_text(
      *saved.model, tokenizer, train::read_whole(arguments.text, std::cin), options);
  Json json = Json::object();
  json.set("nll", score.nll);
  json.set("token_perplexity", finite(score.token_perplexity()));
  // Without a word there is no mean over words.
  json.set("word_perplexity", score.n_words == 0 ? Json() : finite(score.word_perplexity()));
  json.set("byte_perplexity", finite(score.byte_perplexity()));
  json.set("bits_per_byte", score.bits_per_byte());
  json.set("n_tokens", score.n_tokens);
  json.set("n_words", score.n_words);
  json.set("n_bytes", score.n_bytes);
  json.set("context", options.context);
  if (!options.carry_state) json.set("stride", arguments.stride.value_or(options.context));
  json.set("carry_state", options.carry_state);
  return json;
}

Json json_of(int64_t number, const train::TaskItem& item, const train::ItemScore& score) {
  Json json = Json::object();
  json.set("item", number);
  json.set("label", item.label);
  json.set("prediction", score.prediction);
  json.set("prediction_norm", score.prediction_norm);
  Json log_likelihoods = Json::array(), n_bytes = Json::array();
  for (const double value : score.log_likelihoods) log_likelihoods.push_back(value);
  for (const std::string& choice : item.choices)
    n_bytes.push_back(static_cast<int64_t>(choice.size()));
  json.set("log_likelihoods", log_likelihoods);
  json.set("n_bytes", n_bytes);
  return json;
}

Json score_tasks(const Arguments& arguments, const std::vector<train::TaskItem>& items,
                 const train::SavedModel& saved, const data::Tokenizer& tokenizer) {
  const train::TaskOptions options{
      .delimiter = arguments.delimiter.value_or(" "),
      .start_with_end_of_text = saved.config.sample.options.start_with_end_of_text};
  train::TaskScore total;
  std::string lines;
  for (size_t i = 0; i < items.size(); ++i) {
    const train::ItemScore score = train::score_item(*saved.model, tokenizer, items[i], options);
    total.add(items[i], score);
    lines += to_text(json_of(static_cast<int64_t>(i), items[i], score)) + "\n";
  }
  if (!arguments.jsonl_out.empty()) real_file_system().write_file(arguments.jsonl_out, lines);
  return total.to_json();
}

int run(const Arguments& arguments, const CLI::App& command) {
  check_arguments(arguments);
  // A line that cannot be read is said before a large model is.
  std::vector<train::TaskItem> items;
  if (!arguments.tasks.empty())
    items = train::parse_tasks(train::read_whole(arguments.tasks, std::cin), arguments.tasks);
  const train::SavedModel saved = load_model(arguments, command);
  const data::Tokenizer tokenizer = train::load_tokenizer_of(saved, arguments.tokenizer);
  const Json result = arguments.tasks.empty() ? score_text(arguments, saved, tokenizer)
                                              : score_tasks(arguments, items, saved, tokenizer);
  std::cout << to_text(result) << "\n";
  return 0;
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "eval", "perplexity of a trained model on a text, or its answers to questions with choices");
  command->allow_extras();
  add_model_options(*command, *arguments);
  command->add_option("--text", arguments->text, "the text to score; -: standard input");
  command->add_option("--context", arguments->context,
                      "tokens read at once; default: data.max_length of the training");
  command->add_option("--stride", arguments->stride,
                      "new tokens in each window after the first; default: the context");
  command->add_flag("--carry_state", arguments->carry_state,
                    "read the text once from the first to the last token");
  command->add_flag("--allow_special", arguments->allow_special,
                    "<|endoftext|> in the text is the token between documents");
  command->add_option("--tasks", arguments->tasks,
                      ".jsonl with \"question\" or \"context\", \"choices\" and \"label\"; -: "
                      "standard input");
  command->add_option("--delimiter", arguments->delimiter,
                      "between context and choice; default: a space");
  command->add_option("--jsonl_out", arguments->jsonl_out, "write what each item got to this file");
  command->callback([&action, arguments, command] {
    action = [arguments, command] { return run(*arguments, *command); };
  });
}

}  // namespace xlstm::cli
