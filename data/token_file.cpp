#include "data/token_file.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/checked_size.h"
#include "core/error.h"
#include "data/content_hash.h"

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
  uint64_t reserved[3];  // 0
  uint64_t hash;         // of the header and of the bytes before it
};
constexpr int64_t kBlock = 64;
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

void check_info(const TokenFileInfo& info, const std::string& path) {
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

TokenFileInfo parse(std::span<const std::byte> bytes, const std::string& path) {
  const int64_t size = static_cast<int64_t>(bytes.size());
  require<FormatError>(size >= 2 * kBlock, path, ": got a file of ", size,
                       " bytes, expected a token file of at least ", 2 * kBlock);
  Header header;
  Trailer trailer;
  std::memcpy(&header, bytes.data(), kBlock);
  std::memcpy(&trailer, bytes.data() + size - kBlock, kBlock);
  require<FormatError>(std::memcmp(header.magic, kHeaderMagic, 8) == 0, path,
                       ": is not a token file (its first bytes are wrong)");
  require<FormatError>(header.version == kVersion, path, ": got format version ", header.version,
                       ", expected ", kVersion);
  require<FormatError>(header.hash == hash_of(header) && header.reserved == 0, path,
                       ": the header is damaged");
  require<FormatError>(
      std::memcmp(trailer.magic, kTrailerMagic, 8) == 0 && trailer.hash == hash_of(header, trailer),
      path, ": the end of the file is missing or damaged (was it copied completely?)");
  const TokenFileInfo info{header.element_bytes, trailer.n_tokens,   trailer.n_documents,
                           header.n_vocab,       header.end_of_text, header.tokenizer_hash,
                           header.source_hash,   trailer.data_hash};
  check_info(info, path);
  const int64_t room = size - 2 * kBlock;
  require<FormatError>(room % info.element_bytes == 0 && room / info.element_bytes == info.n_tokens,
                       path, ": got ", room, " bytes of tokens, expected ", info.n_tokens,
                       " tokens of ", info.element_bytes, " bytes");
  return info;
}

// Packs tokens, hashes them and writes them.
class TokenWriter {
 public:
  TokenWriter(WriteFile& file, TokenFileInfo& info, TokenFormat format)
      : file_(file), info_(info), format_(format) {
    std::memcpy(header_.magic, kHeaderMagic, 8);
    header_.version = kVersion;
    header_.element_bytes = static_cast<uint32_t>(info.element_bytes);
    header_.n_vocab = info.n_vocab;
    header_.end_of_text = info.end_of_text;
    header_.tokenizer_hash = info.tokenizer_hash;
    header_.source_hash = info.source_hash;
    header_.hash = hash_of(header_);
    if (format_ == TokenFormat::checked) file_.write(std::as_bytes(std::span(&header_, 1)));
  }

  void add(std::span<const int32_t> ids) {
    info_.n_tokens += static_cast<int64_t>(ids.size());
    info_.n_documents += std::count(ids.begin(), ids.end(), info_.end_of_text);
    if (info_.element_bytes == 4) return put(std::as_bytes(ids));
    narrow_.resize(ids.size());
    std::transform(ids.begin(), ids.end(), narrow_.begin(),
                   [](int32_t id) { return static_cast<uint16_t>(id); });
    put(std::as_bytes(std::span(narrow_)));
  }

  void finish() {
    info_.data_hash = hash_.value();
    if (format_ == TokenFormat::raw) return;
    Trailer trailer{};
    std::memcpy(trailer.magic, kTrailerMagic, 8);
    trailer.n_tokens = info_.n_tokens;
    trailer.n_documents = info_.n_documents;
    trailer.data_hash = info_.data_hash;
    trailer.hash = hash_of(header_, trailer);
    file_.write(std::as_bytes(std::span(&trailer, 1)));
  }

 private:
  void put(std::span<const std::byte> bytes) {
    hash_.add(bytes);
    file_.write(bytes);
  }

  WriteFile& file_;
  TokenFileInfo& info_;
  TokenFormat format_;
  Header header_{};
  ContentHash hash_;
  std::vector<uint16_t> narrow_;
};

int64_t element_bytes_for(int64_t n_vocab) {
  return n_vocab <= 65536 ? 2 : 4;
}

std::string hex(uint64_t value) {
  std::ostringstream out;
  out << std::hex << value;
  return std::string(16 - std::min<size_t>(16, out.str().size()), '0') + out.str();
}

}  // namespace

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
  stream.info_ = parse(stream.file_->bytes(), path);
  stream.tokens_ = stream.file_->bytes().data() + kBlock;
  return stream;
}

// The tokens from `offset` to the end of the file.
TokenStream TokenStream::open_bare(const std::string& path, std::shared_ptr<const MappedFile> file,
                                   int64_t offset, TokenFileInfo info) {
  TokenStream stream;
  stream.name_ = path;
  stream.file_ = std::move(file);
  check_info(info, path);
  const auto bytes = stream.file_->bytes().subspan(static_cast<size_t>(offset));
  const int64_t size = static_cast<int64_t>(bytes.size());
  require<FormatError>(size % info.element_bytes == 0, path, ": got ", size,
                       " bytes, expected a multiple of ", info.element_bytes);
  info.n_tokens = size / info.element_bytes;
  stream.info_ = info;
  stream.tokens_ = bytes.data();
  for (int64_t i = 0; i < info.n_tokens; ++i)
    stream.info_.n_documents += stream.token_at(i) == info.end_of_text;
  stream.info_.data_hash = content_hash(bytes);
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
  if (size >= 8 && std::memcmp(bytes.data(), kHeaderMagic, 8) == 0) {
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
  int64_t n_documents = 0;
  for (int64_t i = 0; i < size(); ++i) {
    const int64_t token = token_at(i);
    require<FormatError>(token < info_.n_vocab, name_, ": token ", i, " is damaged, got ", token,
                         ", expected less than ", info_.n_vocab);
    n_documents += token == info_.end_of_text;
  }
  require<FormatError>(n_documents == info_.n_documents, name_, ": got ", n_documents,
                       " documents, expected ", info_.n_documents);
  const size_t n_bytes = static_cast<size_t>(size() * info_.element_bytes);
  require<FormatError>(content_hash({tokens_, n_bytes}) == info_.data_hash, name_,
                       ": the tokens are damaged (their hash is not that in the file)");
}

TokenFileInfo write_token_file(const std::string& text_path, const Tokenizer& tokenizer,
                               const std::string& path, TokenFormat format, FileSystem& files) {
  TokenFileInfo info;
  info.n_vocab = tokenizer.n_vocab();
  info.element_bytes = element_bytes_for(info.n_vocab);
  info.end_of_text = tokenizer.end_of_text();
  info.tokenizer_hash = tokenizer.fingerprint();
  info.source_hash = hash_file(text_path, files);
  files.write_atomically(path, [&](WriteFile& file) {
    TokenWriter writer(file, info, format);
    const auto sink = [&writer](std::span<const int32_t> ids) { writer.add(ids); };
    tokenize_text(text_path, tokenizer, sink, files);
    writer.finish();
  });
  return info;
}

TokenStream cached_tokens(const std::string& text_path, const Tokenizer& tokenizer,
                          const std::string& cache_dir, FileSystem& files) {
  const uint64_t source_hash = hash_file(text_path, files);
  const std::string path =
      join_path(cache_dir, hex(source_hash) + "-" + hex(tokenizer.fingerprint()) + ".tokens");
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
