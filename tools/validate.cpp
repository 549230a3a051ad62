// xlstm validate
#include <cstdio>
#include <memory>

#include "core/error.h"
#include "tools/commands.h"
#include "tools/train/config_io.h"
#include "tools/train/model_file.h"
#include "tools/train/run_folder.h"
#include "tools/train/saved_model.h"
#include "tools/train/training_data.h"

namespace xlstm::cli {
namespace {

struct Arguments {
  std::vector<std::string> configs;
  std::string ckpt_path, tokens, logits_out, grads_out;
};

// Loss and perplexity on the validation text.
int run_on_text(const train::SavedModel& saved) {
  const train::RunConfig& config = saved.config;
  const train::TrainingData data(config.data, config.trainer.accumulate_grad_batches,
                                 static_cast<uint64_t>(config.seed_everything),
                                 train::cache_dir_of(config), real_file_system());
  const train::Evaluation result =
      train::evaluate(*saved.model, data.validation(config.trainer.limit_val_batches));
  std::printf("{\"loss\": %.6f, \"perplexity\": %.4f, \"n_tokens\": %lld}\n", result.loss,
              result.perplexity, static_cast<long long>(result.n_tokens));
  return 0;
}

int run(const Arguments& arguments, const CLI::App& command) {
  require<ConfigError>(arguments.tokens.empty() == arguments.logits_out.empty(),
                       "validate: --tokens and --logits_out belong together");
  require<ConfigError>(arguments.grads_out.empty() || !arguments.tokens.empty(),
                       "validate: --grads_out needs --tokens and --logits_out");
  const train::SavedModel saved =
      train::load_saved_model({.ckpt_path = arguments.ckpt_path,
                               .configs = arguments.configs,
                               .overrides = parse_overrides(command.remaining()),
                               .exact_gradients = !arguments.grads_out.empty()});
  if (arguments.tokens.empty()) return run_on_text(saved);
  train::write_reference_outputs(*saved.model, saved.layout, arguments.tokens, arguments.logits_out,
                                 arguments.grads_out);
  return 0;
}

}  // namespace

void add_validate(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("validate", "loss and perplexity of a trained model");
  command->allow_extras();
  command->add_option("--config,-c", arguments->configs,
                      "YAML or JSON; not needed for our own checkpoints");
  command
      ->add_option("--ckpt_path", arguments->ckpt_path,
                   "a checkpoint folder, a run folder, a .safetensors file, last or best")
      ->default_str("last");
  command->add_option("--tokens", arguments->tokens,
                      "run on the tensor `tokens` int64 [B, T+1] of this .safetensors file");
  command->add_option("--logits_out", arguments->logits_out,
                      "write `logits` [B, T, n_vocab] and `loss` here");
  command->add_option("--grads_out", arguments->grads_out,
                      "write the gradients of the mean cross-entropy here, by official names");
  command->callback([&action, arguments, command] {
    if (arguments->ckpt_path.empty()) arguments->ckpt_path = "last";
    action = [arguments, command] { return run(*arguments, *command); };
  });
}

}  // namespace xlstm::cli
