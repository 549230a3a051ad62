#include "data/token_file.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/log.h"
#include "data/content_hash.h"
#include "data/token_file_format.h"

namespace xlstm::data {

TokenStream::TokenStream(const std::vector<int64_t>& tokens, int64_t n_vocab, int64_t end_of_text) {
  auto memory = std::make_shared<std::vector<std::byte>>(tokens.size() * 4);
  info_.element_bytes = 4;
  info_.n_tokens = static_cast<int64_t>(tokens.size());
  info_.n_vocab = n_vocab;
  info_.end_of_text = end_of_text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    require<ConfigError>(tokens[i] >= 0 && tokens[i] < n_vocab && n_vocab <= INT32_MAX,
                         "tokens: got id ", tokens[i], " at place ", i, ", expected 0 to ",
                         n_vocab - 1);
    const uint32_t id = static_cast<uint32_t>(tokens[i]);
    std::memcpy(memory->data() + 4 * i, &id, 4);
    info_.n_documents += tokens[i] == end_of_text;
  }
  info_.data_hash = content_hash(*memory);
  tokens_ = memory->data();
  memory_ = std::move(memory);
}

TokenStream TokenStream::open(const std::string& path) {
  TokenStream stream;
  stream.name_ = path;
  stream.file_ = std::make_shared<MappedFile>(path);
  stream.info_ = parse_token_file(stream.file_->bytes(), path);
  stream.tokens_ = stream.file_->bytes().data() + kTokenFileBlock;
  return stream;
}

// The tokens from `offset` to the end of the file.
TokenStream TokenStream::open_bare(const std::string& path, std::shared_ptr<const MappedFile> file,
                                   int64_t offset, TokenFileInfo info) {
  TokenStream stream;
  stream.name_ = path;
  stream.file_ = std::move(file);
  check_token_info(info, path);
  const auto bytes = stream.file_->bytes().subspan(static_cast<size_t>(offset));
  const int64_t size = static_cast<int64_t>(bytes.size());
  require<FormatError>(size % info.element_bytes == 0, path, ": got ", size,
                       " bytes, expected a multiple of ", info.element_bytes);
  info.n_tokens = size / info.element_bytes;
  stream.info_ = info;
  stream.tokens_ = bytes.data();
  const TokenWalk walk = walk_tokens(bytes, info);
  stream.info_.n_documents = walk.n_documents;
  stream.info_.data_hash = walk.data_hash;
  return stream;
}

TokenStream TokenStream::open_raw(const std::string& path, int64_t element_bytes, int64_t n_vocab,
                                  int64_t end_of_text) {
  return open_bare(
      path, std::make_shared<MappedFile>(path), 0,
      {.element_bytes = element_bytes, .n_vocab = n_vocab, .end_of_text = end_of_text});
}

TokenStream TokenStream::open_any(const std::string& path, int64_t n_vocab, int64_t end_of_text) {
  constexpr int32_t kLlmcNarrow = 20240520, kLlmcWide = 20240801;
  constexpr int64_t kLlmcHeader = 256 * 4;
  auto file = std::make_shared<MappedFile>(path);
  const std::span<const std::byte> bytes = file->bytes();
  const auto size = static_cast<int64_t>(bytes.size());
  if (begins_as_token_file(bytes)) {
    TokenStream stream = open(path);
    require<FormatError>(stream.n_vocab() == n_vocab && stream.end_of_text() == end_of_text, path,
                         ": made with another tokenizer, got a vocabulary of ", stream.n_vocab(),
                         " and end of text ", stream.end_of_text(), ", expected ", n_vocab, " and ",
                         end_of_text);
    return stream;
  }
  TokenFileInfo info{
      .element_bytes = element_bytes_for(n_vocab), .n_vocab = n_vocab, .end_of_text = end_of_text};
  int32_t header[3] = {};
  if (size >= kLlmcHeader) std::memcpy(header, bytes.data(), sizeof header);
  if (header[0] != kLlmcNarrow && header[0] != kLlmcWide)
    return open_bare(path, std::move(file), 0, info);
  info.element_bytes = header[0] == kLlmcNarrow ? 2 : 4;
  const int32_t version = header[0] == kLlmcNarrow ? 1 : 7;
  require<FormatError>(header[1] == version, path, ": a shard of llm.c, got version ", header[1],
                       ", expected ", version);
  require<FormatError>(size - kLlmcHeader == header[2] * info.element_bytes, path,
                       ": a shard of llm.c, got ", size - kLlmcHeader,
                       " bytes of tokens, expected ", header[2], " tokens of ", info.element_bytes,
                       " bytes");
  return open_bare(path, std::move(file), kLlmcHeader, info);
}

TokenStream TokenStream::open_shards(const std::vector<std::string>& paths,
                                     const Tokenizer& tokenizer) {
  std::vector<TokenStream> parts;
  for (const std::string& path : paths)
    parts.push_back(open_any(path, tokenizer.n_vocab(), tokenizer.end_of_text()));
  check_shards(parts);
  for (const TokenStream& part : parts) {
    const uint64_t made_by = part.info_.tokenizer_hash;
    if (made_by == 0)
      continue;  // bare tokens, which were read for their hash when they were opened
    part.verify();
    if (made_by != tokenizer.fingerprint())
      log_warning(part.name_,
                  ": was not made with this tokenizer but with one of the same size "
                  "(if their files differ in more than form, the ids mean other texts)");
  }
  return joined(std::move(parts));
}

// That shards of one text follow on each other to the last.
void TokenStream::check_shards(const std::vector<TokenStream>& parts) {
  const TokenFileInfo none;
  const TokenFileInfo* before = &none;  // a shard that another one must follow
  std::string name_before;
  for (const TokenStream& part : parts) {
    const TokenFileInfo& info = part.info_;
    const ShardPlace& shard = info.shard;
    const bool goes_on = before->shard.number > 0;
    require<FormatError>(!goes_on || shard.number == before->shard.number + 1, part.name_, ": got ",
                         shard.number == 0 ? "a file that is no shard" : "shard ",
                         shard.number == 0 ? "" : std::to_string(shard.number), " after ",
                         name_before, ", expected shard ", before->shard.number + 1,
                         " of that text (is a file missing?)");
    require<FormatError>(goes_on || shard.number <= 1, part.name_, ": got shard ", shard.number,
                         " of a text, expected shard 1 before it (is a file missing, or of another "
                         "tokenization of the text?)");
    require<FormatError>(
        !goes_on || (info.source_hash == before->source_hash &&
                     info.tokenizer_hash == before->tokenizer_hash &&
                     shard.first_token == before->shard.first_token + before->n_tokens),
        part.name_, ": got a shard that does not go on from ", name_before,
        ", expected one of the same text, tokenizer and --shard_tokens");
    before = shard.number > 0 && shard.total == 0 ? &info : &none;
    name_before = part.name_;
  }
  require<FormatError>(before->shard.number == 0, name_before, ": got shard ", before->shard.number,
                       " as the last one, expected shard ", before->shard.number + 1,
                       " after it (is a file missing, or was xlstm tokenize interrupted?)");
}

TokenStream TokenStream::joined(std::vector<TokenStream> parts) {
  require<ConfigError>(!parts.empty(), "tokens: got no stream to join, expected at least one");
  if (parts.size() == 1) return std::move(parts.front());
  TokenStream all;
  ContentHash hash;
  all.name_ = parts.front().name_ + " and others";
  all.info_ = parts.front().info_;
  all.info_.n_tokens = all.info_.n_documents = 0;
  for (const TokenStream& part : parts) {
    require<ConfigError>(part.n_vocab() == all.n_vocab() && part.end_of_text() == all.end_of_text(),
                         part.name_, ": of another tokenizer than ", parts.front().name_, ", got ",
                         part.n_vocab(), " tokens and end of text ", part.end_of_text(),
                         ", expected ", all.n_vocab(), " and ", all.end_of_text());
    all.starts_.push_back(all.info_.n_tokens);
    all.info_.element_bytes = std::max(all.info_.element_bytes, part.info_.element_bytes);
    all.info_.n_tokens += part.info_.n_tokens;
    all.info_.n_documents += part.info_.n_documents;
    hash.add(static_cast<int64_t>(part.fingerprint()));
  }
  all.info_.data_hash = hash.value();
  all.parts_ = std::move(parts);
  return all;
}

inline int64_t TokenStream::token_at(int64_t i) const {
  if (info_.element_bytes == 2) {
    uint16_t token;
    std::memcpy(&token, tokens_ + 2 * i, 2);
    return token;
  }
  uint32_t token;
  std::memcpy(&token, tokens_ + 4 * i, 4);
  return token;
}

uint64_t TokenStream::fingerprint() const {
  ContentHash hash;
  for (const int64_t value : {info_.element_bytes, info_.n_tokens, info_.n_vocab, info_.end_of_text,
                              static_cast<int64_t>(info_.data_hash)})
    hash.add(value);
  return hash.value();
}

void TokenStream::read(int64_t first, std::span<int64_t> out) const {
  const int64_t n = static_cast<int64_t>(out.size());
  require<ShapeError>(first >= 0 && n <= size() && first <= size() - n, name_, ": got tokens ",
                      first, " to ", first, " + ", n, ", expected at most ", size());
  if (!parts_.empty()) {
    auto part = static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), first) -
                                    starts_.begin() - 1);
    for (int64_t done = 0; done < n; ++part) {
      const int64_t at = first + done - starts_[part];
      const int64_t here = std::min(n - done, parts_[part].size() - at);
      parts_[part].read(at, out.subspan(static_cast<size_t>(done), static_cast<size_t>(here)));
      done += here;
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const int64_t token = token_at(first + i);
    require<FormatError>(token < info_.n_vocab, name_, ": token ", first + i, " is damaged, got ",
                         token, ", expected less than ", info_.n_vocab);
    out[static_cast<size_t>(i)] = token;
  }
}

void TokenStream::verify() const {
  for (const TokenStream& part : parts_) part.verify();
  if (!parts_.empty()) return;
  if (file_) file_->check_unchanged();
  const auto n_bytes = static_cast<size_t>(size() * info_.element_bytes);
  const TokenWalk walk = walk_tokens({tokens_, n_bytes}, info_);
  require<FormatError>(walk.first_bad < 0, name_, ": token ", walk.first_bad, " is damaged, got ",
                       walk.first_bad < 0 ? 0 : token_at(walk.first_bad), ", expected less than ",
                       info_.n_vocab);
  require<FormatError>(walk.n_documents == info_.n_documents, name_, ": got ", walk.n_documents,
                       " documents, expected ", info_.n_documents);
  require<FormatError>(walk.data_hash == info_.data_hash, name_,
                       ": the tokens are damaged (their hash is not that in the file)");
}

}  // namespace xlstm::data
