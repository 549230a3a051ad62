// xlstm inspect
#include <cstdio>
#include <iostream>
#include <memory>

#include "core/checkpoint.h"
#include "core/comm/hang_report.h"
#include "core/device.h"
#include "core/safetensors.h"
#include "data/bpe_tokenizer.h"
#include "data/token_file.h"
#include "tools/commands.h"
#include "tools/train/run_folder.h"

namespace xlstm::cli {
namespace {

void print_tensors(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  for (const auto& [key, value] : file.metadata())
    std::cout << "# " << key << ": " << value << "\n";
  int64_t elements = 0, bytes = 0;
  for (const SafetensorsFile::TensorInfo& tensor : file.tensors()) {
    std::cout << tensor.dtype_name << " " << to_string(tensor.shape) << " " << tensor.name << "\n";
    elements += element_count(tensor.shape);
    bytes += tensor.end - tensor.begin;
  }
  std::cout << file.tensors().size() << " tensors, " << elements << " elements, " << bytes
            << " bytes\n";
}

void print_checkpoint(const std::string& path) {
  const Checkpoint checkpoint = Checkpoint::open(path);
  std::cout << "checkpoint " << path << ", step " << checkpoint.step() << "\n";
  if (checkpoint.has("train_state.json"))
    std::cout << checkpoint.read_text("train_state.json") << "\n";
  if (checkpoint.has("config.json")) std::cout << checkpoint.read_text("config.json") << "\n";
  print_tensors(join_path(path, "model.safetensors"));
}

void print_tokenizer(const std::string& path) {
  const data::Tokenizer tokenizer = data::Tokenizer::load(path);
  std::cout << "byte-level BPE, " << tokenizer.n_vocab() << " tokens, "
            << tokenizer.definition().merges.size() << " merges, "
            << tokenizer.definition().added.size() << " added tokens\n";
}

void print_tokens(const std::string& path) {
  const data::TokenStream tokens = data::TokenStream::open(path);
  const data::TokenFileInfo& info = tokens.info();
  std::cout << "token file: " << info.n_tokens << " tokens of " << info.element_bytes << " bytes, "
            << info.n_documents << " documents, vocabulary " << info.n_vocab;
  if (info.shard.number > 0)
    std::cout << ", shard " << info.shard.number << (info.shard.total > 0 ? ", the last" : "")
              << ", begins at token " << info.shard.first_token;
  std::cout << "\n";
}

int verify(const std::string& path) {
  const std::vector<std::string> damage = verify_checkpoint(path);
  for (const std::string& line : damage) std::cout << line << "\n";
  std::cout << path << ": " << (damage.empty() ? "every file agrees with the manifest" : "damaged")
            << "\n";
  return damage.empty() ? 0 : 7;
}

int show(const std::string& path) {
  const FileSystem& files = real_file_system();
  require<FileError>(files.exists(path), "inspect: no such file or folder, got ", path);
  if (files.is_dir(path)) {
    const bool is_run = files.exists(join_path(path, "manifest.json")) ||
                        files.exists(join_path(path, "checkpoints"));
    if (files.exists(join_path(path, "vocab.json")) ||
        (!is_run && files.exists(join_path(path, "tokenizer.json")))) {
      print_tokenizer(path);
    } else {
      print_checkpoint(train::resolve_checkpoint(path, "", "", files));
    }
  } else if (path.ends_with(".json")) {
    print_tokenizer(path);
  } else if (path.ends_with(".safetensors")) {
    print_tensors(path);
  } else {
    print_tokens(path);
  }
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<std::vector<std::string>>();
  CLI::App* command =
      app.add_subcommand("inspect", "what is in a checkpoint, weights, token or tokenizer file");
  command->footer(
      "inspect verify FOLDER compares a checkpoint with its manifest; inspect hang FOLDER reads "
      "what "
      "the ranks of a job that hung have left.");
  command->add_option("path", *arguments, "a file or folder; or: verify FOLDER, hang FOLDER")
      ->required()
      ->expected(1, 2);
  command->callback([&action, arguments] {
    action = [arguments] {
      if (arguments->size() == 1) return show(arguments->front());
      if (arguments->front() == "hang") {
        std::cout << comm::hang_report(arguments->back());
        return 0;
      }
      require<ConfigError>(arguments->front() == "verify", "inspect: got ", arguments->front(), " ",
                           arguments->back(), ", expected PATH or: verify FOLDER, hang FOLDER");
      return verify(arguments->back());
    };
  });
}

}  // namespace xlstm::cli
