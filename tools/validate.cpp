// xlstm validate
#include <cstdio>
#include <memory>

#include "core/error.h"
#include "tools/model_arguments.h"
#include "tools/train/config_io.h"
#include "tools/train/model_file.h"
#include "tools/train/run_folder.h"
#include "tools/train/text_state.h"
#include "tools/train/training_data.h"

namespace xlstm::cli {
namespace {

struct Arguments : ModelArguments {
  std::string tokens, logits_out, grads_out;
};

// Loss and perplexity on the validation text, in the tokens that the model knows: those of
// data.tokenizer may have become others since, or be made from another text.
int run_on_text(const train::SavedModel& saved, const std::string& tokenizer_path) {
  const train::RunConfig& config = saved.config;
  const data::Tokenizer tokenizer = train::load_tokenizer_of(saved, tokenizer_path);
  train::require_tokens_fit(*saved.model, tokenizer, "validate");
  const train::Evaluation result = train::evaluate(
      *saved.model,
      train::validation_batches(config.data, tokenizer, config.trainer.limit_val_batches,
                                train::cache_dir_of(config), real_file_system()));
  std::printf("{\"loss\": %.6f, \"perplexity\": %.4f, \"n_tokens\": %lld}\n", result.loss,
              result.perplexity, static_cast<long long>(result.n_tokens));
  return 0;
}

int run(const Arguments& arguments, const CLI::App& command) {
  require<ConfigError>(arguments.tokens.empty() == arguments.logits_out.empty(),
                       "validate: --tokens and --logits_out belong together");
  require<ConfigError>(arguments.grads_out.empty() || !arguments.tokens.empty(),
                       "validate: --grads_out needs --tokens and --logits_out");
  const train::Overrides overrides = parse_overrides(command.remaining());
  for (const auto& [key, value] : overrides)
    require<ConfigError>(key != "data.tokenizer", "validate: got --data.tokenizer ", value,
                         ", expected --tokenizer PATH (a checkpoint brings its own)");
  const train::SavedModel saved =
      train::load_saved_model({.ckpt_path = arguments.ckpt_path,
                               .configs = arguments.configs,
                               .overrides = overrides,
                               .exact_gradients = !arguments.grads_out.empty()});
  if (arguments.tokens.empty()) return run_on_text(saved, arguments.tokenizer);
  train::write_reference_outputs(*saved.model, saved.layout, arguments.tokens, arguments.logits_out,
                                 arguments.grads_out);
  return 0;
}

}  // namespace

void add_validate(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("validate", "loss and perplexity of a trained model");
  command->allow_extras();
  add_model_options(*command, *arguments);
  command->add_option("--tokens", arguments->tokens,
                      "run on the tensor `tokens` int64 [B, T+1] of this .safetensors file");
  command->add_option("--logits_out", arguments->logits_out,
                      "write `logits` [B, T, n_vocab] and `loss` here");
  command->add_option("--grads_out", arguments->grads_out,
                      "write the gradients of the mean cross-entropy here, by official names");
  command->callback([&action, arguments, command] {
    action = [arguments, command] { return run(*arguments, *command); };
  });
}

}  // namespace xlstm::cli
