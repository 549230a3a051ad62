// xlstm generate
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/json.h"
#include "tools/model_arguments.h"
#include "tools/train/conversation.h"
#include "tools/train/generation.h"
#include "tools/train/prompt_source.h"
#include "tools/train/state_file.h"

namespace xlstm::cli {
namespace {

struct Arguments : ModelArguments {
  std::vector<std::string> prompts, stop;
  std::string prompt_file, prompts_file, save_state, load_state;
  std::optional<int64_t> max_new_tokens, top_k, seed;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  int64_t n_samples = 1, batch_size = 64;
  bool jsonl = false, interactive = false;
};

// Several rows come at once, but a page is read from the top: row 0 is shown as it comes, and each
// further row from when all rows before it have ended.
class PageWriter {
 public:
  PageWriter(const std::vector<std::string>& prompts, int64_t n_samples, bool is_first)
      : is_first_(is_first) {
    for (const std::string& prompt : prompts) texts_.insert(texts_.end(), n_samples, prompt);
  }
  void add(int64_t row, const std::string& text) { texts_[static_cast<size_t>(row)] += text; }
  void step(const train::GenerationStream& stream) {
    show();
    while (current_ < texts_.size() &&
           stream.row_end(static_cast<int64_t>(current_)) != train::RowEnd::running) {
      std::cout << "\n";
      ++current_;
      shown_ = 0;
      has_begun_ = false;
      show();
    }
    std::cout << std::flush;
  }

 private:
  void show() {
    if (current_ >= texts_.size()) return;
    // A blank line stands between texts.
    if (!has_begun_ && !(is_first_ && current_ == 0)) std::cout << "\n";
    has_begun_ = true;
    std::cout << std::string_view(texts_[current_]).substr(shown_);
    shown_ = texts_[current_].size();
  }
  std::vector<std::string> texts_;
  bool is_first_, has_begun_ = false;
  size_t current_ = 0, shown_ = 0;
};

void write_jsonl(const std::map<int64_t, std::string>& texts, const train::GenerationStream& stream,
                 const train::GenerationOptions& options) {
  for (const auto& [row, text] : texts) {
    const int64_t prompt = options.first_prompt + row / options.n_samples;
    const int64_t sample = row % options.n_samples;
    Json line = Json::object();
    line.set("row", prompt * options.n_samples + sample);
    line.set("prompt", prompt);
    line.set("sample", sample);
    line.set("text", text);
    if (stream.row_end(row) != train::RowEnd::running)
      line.set("end", train::name_of(stream.row_end(row)));
    std::cout << to_text(line) << "\n";
  }
  std::cout << std::flush;
}

void refuse_with_interactive(bool given, const char* option) {
  require<ConfigError>(!given, "generate: --interactive and ", option,
                       " do not go together, expected one of them");
}

// What the options alone can tell, before a model is read.
void check_arguments(const Arguments& a) {
  const int64_t least = a.save_state.empty() ? 1 : 0;
  require<ConfigError>(a.max_new_tokens.value_or(1) >= least, "generate: --max_new_tokens: got ",
                       a.max_new_tokens.value_or(1), ", expected at least ", least);
  require<ConfigError>(a.seed.value_or(0) >= 0, "generate: --seed: got ", a.seed.value_or(0),
                       ", expected 0 or more");
  require<ConfigError>(a.n_samples >= 1 && a.n_samples <= 1000000, "generate: --n: got ",
                       a.n_samples, ", expected 1 to 1000000");
  require<ConfigError>(a.batch_size >= 1 && a.batch_size <= 1000000, "generate: --batch_size: got ",
                       a.batch_size, ", expected 1 to 1000000");
  require<ConfigError>(a.prompt_file != "-" || a.prompts_file != "-",
                       "generate: --prompt_file and --prompts_file: got - for both, expected at "
                       "most one of them to read standard input");
  if (!a.interactive) return;
  refuse_with_interactive(a.jsonl, "--jsonl");
  refuse_with_interactive(!a.prompts.empty(), "--prompt");
  refuse_with_interactive(!a.prompt_file.empty(), "--prompt_file");
  refuse_with_interactive(!a.prompts_file.empty(), "--prompts_file");
  refuse_with_interactive(a.n_samples != 1, "--n");
  refuse_with_interactive(!a.save_state.empty(), "--save_state (there is /save)");
}

train::GenerationOptions options_of(const Arguments& arguments, const train::RunConfig& config) {
  train::GenerationOptions options = config.sample.options;
  options.max_new_tokens = arguments.max_new_tokens.value_or(options.max_new_tokens);
  options.top_k = arguments.top_k.value_or(options.top_k);
  options.top_p = arguments.top_p.value_or(options.top_p);
  options.min_p = arguments.min_p.value_or(options.min_p);
  options.repetition_penalty = arguments.repetition_penalty.value_or(options.repetition_penalty);
  options.temperature = arguments.temperature.value_or(options.temperature);
  if (!arguments.stop.empty()) options.stop = arguments.stop;
  if (arguments.seed) options.seed = static_cast<uint64_t>(*arguments.seed);
  options.n_samples = arguments.n_samples;
  options.cuda_graph = config.trainer.cuda_graph;
  options.validate();
  return options;
}

// Those given; without any, what the state goes on with by itself, or the configuration's.
std::vector<std::string> prompts_of(const Arguments& arguments, const train::RunConfig& config) {
  std::vector<std::string> prompts = arguments.prompts;
  if (!arguments.prompt_file.empty())
    prompts.push_back(train::read_whole(arguments.prompt_file, std::cin));
  if (!arguments.prompts_file.empty())
    for (std::string& prompt : train::read_prompts_file(arguments.prompts_file, std::cin))
      prompts.push_back(std::move(prompt));
  if (!prompts.empty()) return prompts;
  return arguments.load_state.empty() ? config.sample.prompts : std::vector<std::string>{""};
}

std::vector<std::string> part_of(const std::vector<std::string>& all, size_t begin, size_t end) {
  return {all.begin() + static_cast<std::ptrdiff_t>(begin),
          all.begin() + static_cast<std::ptrdiff_t>(end)};
}

// Prompts in parts that fit the batch, one after the other. `shown`: what stands before each text
// on a page.
void write_texts(const layers::LanguageModel& model, const data::Tokenizer& tokenizer,
                 const std::vector<std::string>& prompts, const std::vector<std::string>& shown,
                 train::GenerationOptions options, const train::TextState& start,
                 const Arguments& arguments) {
  const auto at_once =
      static_cast<size_t>(std::max(arguments.batch_size / options.n_samples, int64_t{1}));
  for (size_t begin = 0; begin < prompts.size(); begin += at_once) {
    const size_t end = std::min(begin + at_once, prompts.size());
    options.first_prompt = static_cast<int64_t>(begin);
    PageWriter page(part_of(shown, begin, end), arguments.n_samples, begin == 0);
    train::GenerationStream stream(model, tokenizer, part_of(prompts, begin, end), options, start);
    if (!arguments.jsonl) page.step(stream);
    while (!stream.done()) {
      const std::map<int64_t, std::string> texts = stream.next();
      if (arguments.jsonl) {
        write_jsonl(texts, stream, options);
        continue;
      }
      for (const auto& [row, text] : texts) page.add(row, text);
      page.step(stream);
    }
  }
}

int converse(const train::SavedModel& saved, const data::Tokenizer& tokenizer,
             const train::GenerationOptions& options, train::TextState start) {
  const bool is_terminal = ::isatty(STDIN_FILENO) != 0;
  train::Conversation conversation(
      *saved.model, tokenizer,
      {.generation = options, .shows_prompt = is_terminal, .stops_at_error = !is_terminal},
      std::move(start));
  conversation.run(std::cin, std::cout, std::cerr);
  return 0;
}

int run(const Arguments& arguments, const CLI::App& command) {
  check_arguments(arguments);
  const train::SavedModel saved = load_model(arguments, command);
  const data::Tokenizer tokenizer = train::load_tokenizer_of(saved, arguments.tokenizer);
  const train::GenerationOptions options = options_of(arguments, saved.config);
  train::TextState start;
  const bool has_files = !arguments.load_state.empty() || !arguments.save_state.empty();
  const auto owner =
      has_files ? train::StateOwner::of(*saved.model, tokenizer) : train::StateOwner{};
  if (!arguments.load_state.empty())
    start = train::load_text_state(arguments.load_state, *saved.model, owner);
  if (arguments.interactive) return converse(saved, tokenizer, options, std::move(start));

  const std::vector<std::string> prompts = prompts_of(arguments, saved.config);
  std::vector<std::string> to_read = prompts;
  if (!arguments.save_state.empty()) {
    require<ConfigError>(prompts.size() == 1, "generate: --save_state: got ", prompts.size(),
                         " prompts, expected one, whose state is saved");
    start = train::read_on(*saved.model, start,
                           train::prompt_tokens(tokenizer, prompts[0], !start.empty(), options));
    train::save_text_state(arguments.save_state, start, owner);
    if (options.max_new_tokens == 0) return 0;
    to_read = {""};
  }
  write_texts(*saved.model, tokenizer, to_read, prompts, options, start, arguments);
  return 0;
}

}  // namespace

void add_generate(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("generate", "let a trained model write");
  command->allow_extras();
  add_model_options(*command, *arguments);
  command
      ->add_option("--prompt,-p", arguments->prompts, "the beginning; several give several texts")
      ->allow_extra_args(false);
  command->add_option("--prompt_file", arguments->prompt_file,
                      "a file that holds one more prompt; -: standard input");
  command->add_option("--prompts_file", arguments->prompts_file,
                      "a prompt on each line, or .jsonl with \"prompt\"; -: standard input");
  command->add_option("--max_new_tokens,-n", arguments->max_new_tokens, "tokens per text at most");
  command->add_option("--temperature,-t", arguments->temperature, "0: always the likeliest token");
  command->add_option("--top_k,-k", arguments->top_k, "choose among the k likeliest; 0: among all");
  command->add_option("--top_p", arguments->top_p,
                      "choose among the fewest likeliest with this probability; 1: among all");
  command->add_option("--min_p", arguments->min_p,
                      "leave out what is less likely, beside the likeliest; 0: nothing");
  command->add_option("--repetition_penalty", arguments->repetition_penalty,
                      "weakens tokens that occurred, if above 1; 1: none");
  command->add_option("--stop", arguments->stop, "a string that ends a text; several may be given")
      ->allow_extra_args(false);
  command->add_option("--seed,-s", arguments->seed, "the same seed gives the same text");
  command->add_option("--n", arguments->n_samples, "texts for each prompt, which is read once");
  command->add_option("--batch_size", arguments->batch_size,
                      "texts at once; changes the speed and not the texts");
  command->add_option("--save_state", arguments->save_state,
                      "write the state after the prompt to this file");
  command->add_option("--load_state", arguments->load_state,
                      "go on from a state that --save_state or /save wrote");
  command->add_flag("--interactive,-i", arguments->interactive,
                    "read lines, and go on after each (/reset, /save FILE, /load FILE, /quit)");
  command->add_flag("--jsonl", arguments->jsonl, "one JSON object per row and step");
  command->callback([&action, arguments, command] {
    action = [arguments, command] { return run(*arguments, *command); };
  });
}

}  // namespace xlstm::cli
