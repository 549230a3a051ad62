// xlstm generate
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/json.h"
#include "tools/commands.h"
#include "tools/train/generation.h"
#include "tools/train/saved_model.h"

namespace xlstm::cli {
namespace {

struct Arguments {
  std::vector<std::string> configs, prompts;
  std::string ckpt_path = "last", tokenizer, prompt_file;
  std::optional<int64_t> max_new_tokens, top_k, seed;
  std::optional<double> temperature;
  bool jsonl = false;
};

// Several rows come at once, but a page is read from the top: row 0 is shown as it comes, and each
// further row from when all rows before it have ended.
class PageWriter {
 public:
  explicit PageWriter(const std::vector<std::string>& prompts) : texts_(prompts) { show(); }
  void add(int64_t row, const std::string& text) { texts_[static_cast<size_t>(row)] += text; }
  void step(const train::GenerationStream& stream) {
    show();
    while (current_ < texts_.size() &&
           stream.row_end(static_cast<int64_t>(current_)) != train::RowEnd::running) {
      std::cout << "\n";
      if (++current_ < texts_.size()) std::cout << "\n";
      shown_ = 0;
      show();
    }
    std::cout << std::flush;
  }

 private:
  void show() {
    if (current_ >= texts_.size()) return;
    std::cout << std::string_view(texts_[current_]).substr(shown_);
    shown_ = texts_[current_].size();
  }
  std::vector<std::string> texts_;
  size_t current_ = 0, shown_ = 0;
};

void write_jsonl(const std::map<int64_t, std::string>& texts,
                 const train::GenerationStream& stream) {
  for (const auto& [row, text] : texts) {
    Json line = Json::object();
    line.set("row", row);
    line.set("text", text);
    if (stream.row_end(row) != train::RowEnd::running)
      line.set("end", stream.row_end(row) == train::RowEnd::length ? "length" : "end_of_text");
    std::cout << to_text(line) << "\n";
  }
  std::cout << std::flush;
}

// What the options alone can tell, before a model is read.
void check_arguments(const Arguments& arguments) {
  require<ConfigError>(arguments.max_new_tokens.value_or(1) >= 1,
                       "generate: --max_new_tokens: got ", arguments.max_new_tokens.value_or(1),
                       ", expected at least 1");
  require<ConfigError>(arguments.seed.value_or(0) >= 0, "generate: --seed: got ",
                       arguments.seed.value_or(0), ", expected 0 or more");
}

int run(const Arguments& arguments, const CLI::App& command) {
  check_arguments(arguments);
  const train::SavedModel saved =
      train::load_saved_model({.ckpt_path = arguments.ckpt_path,
                               .configs = arguments.configs,
                               .overrides = parse_overrides(command.remaining())});
  const data::Tokenizer tokenizer = train::load_tokenizer_of(saved, arguments.tokenizer);
  train::GenerationOptions options = saved.config.sample.options;
  options.max_new_tokens = arguments.max_new_tokens.value_or(options.max_new_tokens);
  options.top_k = arguments.top_k.value_or(options.top_k);
  options.temperature = arguments.temperature.value_or(options.temperature);
  if (arguments.seed) options.seed = static_cast<uint64_t>(*arguments.seed);
  options.cuda_graph = saved.config.trainer.cuda_graph;
  std::vector<std::string> prompts = arguments.prompts;
  if (!arguments.prompt_file.empty())
    prompts.push_back(real_file_system().read_file(arguments.prompt_file));
  if (prompts.empty()) prompts = saved.config.sample.prompts;

  train::GenerationStream stream(*saved.model, tokenizer, prompts, options);
  if (arguments.jsonl) {
    while (!stream.done()) write_jsonl(stream.next(), stream);
    return 0;
  }
  PageWriter page(prompts);
  page.step(stream);
  while (!stream.done()) {
    for (const auto& [row, text] : stream.next()) page.add(row, text);
    page.step(stream);
  }
  return 0;
}

}  // namespace

void add_generate(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("generate", "let a trained model write");
  command->allow_extras();
  command->add_option("--ckpt_path", arguments->ckpt_path,
                      "a checkpoint folder, a run folder, a .safetensors file, or last");
  command->add_option("--config,-c", arguments->configs,
                      "YAML or JSON; not needed for our own checkpoints");
  command->add_option("--tokenizer", arguments->tokenizer,
                      "folder or tokenizer.json; default: the checkpoint's");
  command
      ->add_option("--prompt,-p", arguments->prompts, "the beginning; several give several texts")
      ->allow_extra_args(false);
  command->add_option("--prompt_file", arguments->prompt_file, "a file that holds one more prompt");
  command->add_option("--max_new_tokens,-n", arguments->max_new_tokens, "tokens per text at most");
  command->add_option("--temperature,-t", arguments->temperature, "0: always the likeliest token");
  command->add_option("--top_k,-k", arguments->top_k, "choose among the k likeliest; 0: among all");
  command->add_option("--seed,-s", arguments->seed, "the same seed gives the same text");
  command->add_flag("--jsonl", arguments->jsonl, "one JSON object per row and step");
  command->callback([&action, arguments, command] {
    action = [arguments, command] { return run(*arguments, *command); };
  });
}

}  // namespace xlstm::cli
