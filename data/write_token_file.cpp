#include <algorithm>

#include "core/error.h"
#include "core/hex.h"
#include "data/content_hash.h"
#include "data/text_tokens.h"
#include "data/token_file.h"
#include "data/token_file_format.h"

namespace xlstm::data {
namespace {

constexpr int64_t kMaxShards = 999999;

TokenFileInfo info_for(const std::string& text_path, const Tokenizer& tokenizer,
                       const FileSystem& files) {
  TokenFileInfo info;
  info.n_vocab = tokenizer.n_vocab();
  info.element_bytes = element_bytes_for(info.n_vocab);
  info.end_of_text = tokenizer.end_of_text();
  info.tokenizer_hash = tokenizer.fingerprint();
  info.source_hash = hash_file(text_path, files);
  return info;
}

std::string shard_name(const std::string& prefix, int64_t number) {
  const std::string digits = std::to_string(number);
  return prefix + "_" + std::string(6 - digits.size(), '0') + digits + ".tokens";
}

bool is_shard_name(std::string_view name, std::string_view base) {
  constexpr std::string_view kEnd = ".tokens";
  if (name.size() != base.size() + 7 + kEnd.size() || !name.starts_with(base) ||
      name[base.size()] != '_' || !name.ends_with(kEnd))
    return false;
  const std::string_view digits = name.substr(base.size() + 1, 6);
  return digits.find_first_not_of("0123456789") == digits.npos;
}

// Older shards beside new ones would be taken for shards of the same text.
void require_no_shards(const std::string& prefix, const FileSystem& files) {
  const std::string folder = FileSystem::parent_dir(prefix);
  const std::string base = prefix.substr(prefix.find_last_of('/') + 1);
  for (const std::string& name : files.list(folder))
    require<ConfigError>(!is_shard_name(name, base), "tokenize: there are shards already, got ",
                         join_path(folder, name), ", expected no ", base,
                         "_*.tokens (remove them, or choose another --output)");
}

}  // namespace

TokenFileInfo write_token_file(const std::string& text_path, const Tokenizer& tokenizer,
                               const std::string& path, TokenFormat format, FileSystem& files) {
  TokenFileInfo info = info_for(text_path, tokenizer, files);
  TextTokens tokens(text_path, tokenizer, files);
  files.write_atomically(path, [&](WriteFile& file) {
    TokenWriter writer(file, info, format);
    while (!tokens.at_end()) writer.add(tokens.next(INT64_MAX));
    writer.finish();
  });
  return info;
}

TokenShardsWritten write_token_shards(const std::string& text_path, const Tokenizer& tokenizer,
                                      const std::string& prefix, int64_t shard_tokens,
                                      FileSystem& files) {
  require<ConfigError>(shard_tokens >= 1, "tokenize: tokens of a shard: got ", shard_tokens,
                       ", expected at least 1");
  const TokenFileInfo common = info_for(text_path, tokenizer, files);
  TextTokens tokens(text_path, tokenizer, files);
  files.make_dirs(FileSystem::parent_dir(prefix));
  require_no_shards(prefix, files);
  TokenShardsWritten written;
  written.element_bytes = common.element_bytes;
  while (!tokens.at_end()) {
    TokenFileInfo info = common;
    info.shard.number = static_cast<int64_t>(written.paths.size()) + 1;
    info.shard.first_token = written.n_tokens;
    require<ConfigError>(info.shard.number <= kMaxShards, "tokenize: got more than ", kMaxShards,
                         " shards, expected fewer (with more tokens in each)");
    written.paths.push_back(shard_name(prefix, info.shard.number));
    files.write_atomically(written.paths.back(), [&](WriteFile& file) {
      TokenWriter writer(file, info, TokenFormat::checked);
      while (info.n_tokens < shard_tokens && !tokens.at_end())
        writer.add(tokens.next(shard_tokens - info.n_tokens));
      if (tokens.at_end()) info.shard.total = info.shard.number;
      writer.finish();
    });
    written.n_tokens += info.n_tokens;
    written.n_documents += info.n_documents;
  }
  return written;
}

TokenStream cached_tokens(const std::string& text_path, const Tokenizer& tokenizer,
                          const std::string& cache_dir, FileSystem& files) {
  const uint64_t source_hash = hash_file(text_path, files);
  const std::string path =
      join_path(cache_dir, to_hex(source_hash) + "-" + to_hex(tokenizer.fingerprint()) + ".tokens");
  if (files.exists(path)) {
    try {
      TokenStream stream = TokenStream::open(path);
      stream.verify();
      if (stream.info().source_hash == source_hash &&
          stream.info().tokenizer_hash == tokenizer.fingerprint())
        return stream;
    } catch (const FormatError&) {
      // Damaged: made anew below.
    }
  }
  files.make_dirs(cache_dir);
  write_token_file(text_path, tokenizer, path, TokenFormat::checked, files);
  return TokenStream::open(path);
}

uint64_t hash_file(const std::string& path, const FileSystem& files) {
  const std::unique_ptr<ReadFile> file = files.open(path);
  ContentHash hash;
  std::vector<std::byte> block(size_t{1} << 20);
  for (int64_t offset = 0; offset < file->size();) {
    const int64_t n = std::min(static_cast<int64_t>(block.size()), file->size() - offset);
    const std::span<std::byte> part = std::span(block).first(static_cast<size_t>(n));
    file->read_at(offset, part);
    hash.add(part);
    offset += n;
  }
  return hash.value();
}

}  // namespace xlstm::data
