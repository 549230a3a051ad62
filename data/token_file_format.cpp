#include "data/token_file_format.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/error.h"

namespace xlstm::data {
namespace {

static_assert(std::endian::native == std::endian::little, "token files are read in place");

constexpr char kHeaderMagic[8] = {'x', 'l', 's', 't', 'm', 't', 'o', 'k'};
constexpr char kTrailerMagic[8] = {'x', 'l', 's', 't', 'm', 'e', 'n', 'd'};
constexpr uint32_t kVersion = 1;

// What is known before the first token.
struct Header {
  char magic[8];
  uint32_t version;
  uint32_t element_bytes;
  int64_t n_vocab;
  int64_t end_of_text;
  uint64_t tokenizer_hash;
  uint64_t source_hash;
  uint64_t reserved;  // 0
  uint64_t hash;      // of the bytes before it
};
// What is known after the last; a file that was cut has none.
struct Trailer {
  char magic[8];
  int64_t n_tokens;
  int64_t n_documents;
  uint64_t data_hash;
  int64_t shard;        // of one text in several files: 1, 2, ...; else 0
  int64_t n_shards;     // in the last of them, else 0
  int64_t first_token;  // tokens in the shards before
  uint64_t hash;        // of the header and of the bytes before it
};
constexpr int64_t kBlock = kTokenFileBlock;
static_assert(sizeof(Header) == kBlock && sizeof(Trailer) == kBlock);

template <class Block>
std::span<const std::byte> before_hash(const Block& block) {
  return std::as_bytes(std::span(&block, 1)).first(kBlock - 8);
}

uint64_t hash_of(const Header& header) {
  return content_hash(before_hash(header));
}

uint64_t hash_of(const Header& header, const Trailer& trailer) {
  ContentHash hash;
  hash.add(std::as_bytes(std::span(&header, 1)));
  hash.add(before_hash(trailer));
  return hash.value();
}

// Tokens that are hashed and looked at while they are in a cache.
constexpr size_t kWalkBytes = size_t{1} << 16;

template <class Id>
void walk_block(std::span<const std::byte> bytes, int64_t begin, const TokenFileInfo& info,
                TokenWalk& walk) {
  const int64_t n = static_cast<int64_t>(bytes.size() / sizeof(Id));
  Id largest = 0;
  const auto at = [&bytes](int64_t i) {
    Id id;
    std::memcpy(&id, bytes.data() + i * static_cast<int64_t>(sizeof(Id)), sizeof(Id));
    return id;
  };
  for (int64_t i = 0; i < n; ++i) {
    const Id id = at(i);
    largest = std::max(largest, id);
    walk.n_documents += id == static_cast<Id>(info.end_of_text) ? 1 : 0;
  }
  if (largest < info.n_vocab || walk.first_bad >= 0) return;
  for (int64_t i = 0; walk.first_bad < 0; ++i)
    if (at(i) >= info.n_vocab) walk.first_bad = begin + i;
}

}  // namespace

int64_t element_bytes_for(int64_t n_vocab) {
  return n_vocab <= 65536 ? 2 : 4;
}

bool begins_as_token_file(std::span<const std::byte> bytes) {
  return bytes.size() >= 8 && std::memcmp(bytes.data(), kHeaderMagic, 8) == 0;
}

void check_token_info(const TokenFileInfo& info, const std::string& path) {
  const auto need = [&path](bool good, const char* field, int64_t got, const char* expected) {
    require<FormatError>(good, path, ": ", field, ": got ", got, ", expected ", expected);
  };
  need(info.element_bytes == 2 || info.element_bytes == 4, "bytes per token", info.element_bytes,
       "2 or 4");
  need(info.n_vocab > 0 && info.n_vocab <= INT32_MAX, "vocabulary size", info.n_vocab,
       "1 to 2^31 - 1");
  need(info.element_bytes == 4 || info.n_vocab <= 65536, "vocabulary size", info.n_vocab,
       "at most 65536 for tokens of 2 bytes");
  need(info.end_of_text >= 0 && info.end_of_text < info.n_vocab, "end-of-text token",
       info.end_of_text, "an id of the vocabulary");
  need(info.n_tokens >= 0, "number of tokens", info.n_tokens, "at least 0");
  need(info.n_documents >= 0 && info.n_documents <= info.n_tokens, "number of documents",
       info.n_documents, "at most the number of tokens");
}

TokenFileInfo parse_token_file(std::span<const std::byte> bytes, const std::string& path) {
  const int64_t size = static_cast<int64_t>(bytes.size());
  require<FormatError>(size >= 2 * kBlock, path, ": got a file of ", size,
                       " bytes, expected a token file of at least ", 2 * kBlock);
  Header header;
  Trailer trailer;
  std::memcpy(&header, bytes.data(), kBlock);
  std::memcpy(&trailer, bytes.data() + size - kBlock, kBlock);
  require<FormatError>(begins_as_token_file(bytes), path,
                       ": is not a token file (its first bytes are wrong)");
  require<FormatError>(header.version == kVersion, path, ": got format version ", header.version,
                       ", expected ", kVersion);
  require<FormatError>(header.hash == hash_of(header) && header.reserved == 0, path,
                       ": the header is damaged");
  require<FormatError>(
      std::memcmp(trailer.magic, kTrailerMagic, 8) == 0 && trailer.hash == hash_of(header, trailer),
      path, ": the end of the file is missing or damaged (was it copied completely?)");
  const TokenFileInfo info{header.element_bytes,
                           trailer.n_tokens,
                           trailer.n_documents,
                           header.n_vocab,
                           header.end_of_text,
                           header.tokenizer_hash,
                           header.source_hash,
                           trailer.data_hash,
                           {trailer.shard, trailer.n_shards, trailer.first_token}};
  check_token_info(info, path);
  const int64_t room = size - 2 * kBlock;
  require<FormatError>(room % info.element_bytes == 0 && room / info.element_bytes == info.n_tokens,
                       path, ": got ", room, " bytes of tokens, expected ", info.n_tokens,
                       " tokens of ", info.element_bytes, " bytes");
  return info;
}

TokenWalk walk_tokens(std::span<const std::byte> tokens, const TokenFileInfo& info) {
  TokenWalk walk;
  ContentHash hash;
  for (size_t at = 0; at < tokens.size(); at += kWalkBytes) {
    const auto block = tokens.subspan(at, std::min(kWalkBytes, tokens.size() - at));
    const int64_t begin = static_cast<int64_t>(at) / info.element_bytes;
    hash.add(block);
    if (info.element_bytes == 2) {
      walk_block<uint16_t>(block, begin, info, walk);
    } else {
      walk_block<uint32_t>(block, begin, info, walk);
    }
  }
  walk.data_hash = hash.value();
  return walk;
}

TokenWriter::TokenWriter(WriteFile& file, TokenFileInfo& info, TokenFormat format)
    : file_(file), info_(info), format_(format) {
  if (format_ == TokenFormat::raw) return;
  Header header{};
  std::memcpy(header.magic, kHeaderMagic, 8);
  header.version = kVersion;
  header.element_bytes = static_cast<uint32_t>(info.element_bytes);
  header.n_vocab = info.n_vocab;
  header.end_of_text = info.end_of_text;
  header.tokenizer_hash = info.tokenizer_hash;
  header.source_hash = info.source_hash;
  header.hash = hash_of(header);
  const auto bytes = std::as_bytes(std::span(&header, 1));
  header_.assign(bytes.begin(), bytes.end());
  file_.write(header_);
}

void TokenWriter::add(std::span<const int32_t> ids) {
  info_.n_tokens += static_cast<int64_t>(ids.size());
  info_.n_documents += std::count(ids.begin(), ids.end(), info_.end_of_text);
  if (info_.element_bytes == 4) return put(std::as_bytes(ids));
  narrow_.resize(ids.size());
  std::transform(ids.begin(), ids.end(), narrow_.begin(),
                 [](int32_t id) { return static_cast<uint16_t>(id); });
  put(std::as_bytes(std::span(narrow_)));
}

void TokenWriter::finish() {
  info_.data_hash = hash_.value();
  if (format_ == TokenFormat::raw) return;
  Header header;
  std::memcpy(&header, header_.data(), kBlock);
  Trailer trailer{};
  std::memcpy(trailer.magic, kTrailerMagic, 8);
  trailer.n_tokens = info_.n_tokens;
  trailer.n_documents = info_.n_documents;
  trailer.data_hash = info_.data_hash;
  trailer.shard = info_.shard.number;
  trailer.n_shards = info_.shard.total;
  trailer.first_token = info_.shard.first_token;
  trailer.hash = hash_of(header, trailer);
  file_.write(std::as_bytes(std::span(&trailer, 1)));
}

void TokenWriter::put(std::span<const std::byte> bytes) {
  hash_.add(bytes);
  file_.write(bytes);
}

}  // namespace xlstm::data
