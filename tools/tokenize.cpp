// xlstm tokenize
#include <iostream>
#include <memory>
#include <optional>
#include <span>

#include "core/error.h"
#include "data/bpe_tokenizer.h"
#include "data/token_file.h"
#include "tools/commands.h"

namespace xlstm::cli {
namespace {

struct Arguments {
  std::string tokenizer, input, output, format = "shard";
  std::optional<int64_t> shard_tokens;
};

template <class Id>
void write_ids(const std::string& path, const std::vector<int32_t>& tokens) {
  std::vector<Id> ids(tokens.begin(), tokens.end());  // this machine is little-endian
  real_file_system().write_atomically(
      path, [&ids](WriteFile& file) { file.write(std::as_bytes(std::span(ids))); });
}

// The text's tokens and nothing else: decoding them gives the file back, byte for byte.
int write_raw(const Arguments& arguments, const data::Tokenizer& tokenizer) {
  const std::string text = real_file_system().read_file(arguments.input, int64_t{1} << 34);
  const std::vector<int32_t> tokens = tokenizer.encode(text, true);
  const bool narrow = tokenizer.n_vocab() <= 65536;
  if (narrow) {
    write_ids<uint16_t>(arguments.output, tokens);
  } else {
    write_ids<uint32_t>(arguments.output, tokens);
  }
  std::cout << arguments.output << ": " << tokens.size() << " tokens of " << (narrow ? 2 : 4)
            << " bytes\n";
  return 0;
}

int write_shards(const Arguments& arguments, const data::Tokenizer& tokenizer) {
  const data::TokenShardsWritten written = data::write_token_shards(
      arguments.input, tokenizer, arguments.output, *arguments.shard_tokens);
  std::cout << written.paths.front();
  if (written.paths.size() > 1) std::cout << " to " << written.paths.back();
  std::cout << ": " << written.n_tokens << " tokens of " << written.element_bytes << " bytes, "
            << written.n_documents << " documents, " << written.paths.size()
            << (written.paths.size() == 1 ? " shard\n" : " shards\n");
  return 0;
}

int run(const Arguments& arguments) {
  require<ConfigError>(arguments.format == "shard" || arguments.format == "raw",
                       "tokenize: --format must be shard or raw, got ", arguments.format);
  require<ConfigError>(
      arguments.format == "shard" || !arguments.shard_tokens,
      "tokenize: --shard_tokens: got it with --format raw, expected it with --format "
      "shard (bare tokens cannot tell whether one is missing)");
  real_file_system().make_dirs(FileSystem::parent_dir(arguments.output));
  const data::Tokenizer tokenizer = data::Tokenizer::load(arguments.tokenizer);
  if (arguments.format == "raw") return write_raw(arguments, tokenizer);
  if (arguments.shard_tokens) return write_shards(arguments, tokenizer);
  const data::TokenFileInfo info =
      data::write_token_file(arguments.input, tokenizer, arguments.output);
  std::cout << arguments.output << ": " << info.n_tokens << " tokens of " << info.element_bytes
            << " bytes, " << info.n_documents << " documents\n";
  return 0;
}

}  // namespace

void add_tokenize(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("tokenize", "turn a text file into a token file");
  command
      ->add_option("--tokenizer", arguments->tokenizer,
                   "a folder with tokenizer.json, or with vocab.json and merges.txt")
      ->required();
  command->add_option("--input", arguments->input, "text; documents end at <|endoftext|>")
      ->required();
  command
      ->add_option("--output", arguments->output,
                   "the file to write; with --shard_tokens, how files begin")
      ->required();
  command
      ->add_option("--format", arguments->format,
                   "shard: with a checked header; raw: bare little-endian uint16, or uint32 "
                   "where the vocabulary needs it")
      ->capture_default_str();
  command->add_option("--shard_tokens", arguments->shard_tokens,
                      "tokens of a shard: several files, OUTPUT_000001.tokens and so on");
  command->callback([&action, arguments] { action = [arguments] { return run(*arguments); }; });
}

}  // namespace xlstm::cli
