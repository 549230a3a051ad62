#include "data/bpe_tokenizer.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/excerpt.h"
#include "data/byte_alphabet.h"
#include "data/content_hash.h"

namespace xlstm::data {
namespace {

constexpr size_t kCachedBytes = 15;               // longer pretokens are rare
constexpr size_t kWorthACache = size_t{1} << 14;  // bytes of text

bool never_in_utf8(int byte) {
  return byte == 0xC0 || byte == 0xC1 || byte >= 0xF5;
}

uint64_t fingerprint_of(const TokenizerDefinition& definition) {
  ContentHash hash;
  hash.add(static_cast<int64_t>(definition.vocab.size()));
  for (const std::string& text : definition.vocab) hash.add(text);
  hash.add(static_cast<int64_t>(definition.merges.size()));
  for (const auto& [left, right] : definition.merges) {
    hash.add(int64_t{left});
    hash.add(int64_t{right});
  }
  for (const AddedToken& token : definition.added) {
    hash.add(token.content);
    hash.add(int64_t{token.id});
    hash.add(int64_t{token.special} * 2 + token.normalized);
  }
  hash.add(int64_t{definition.add_prefix_space} * 2 + definition.use_regex);
  return hash.value();
}

}  // namespace

PretokenCache::PretokenCache() : slots_(kSlots) {}

Tokenizer::Tokenizer(TokenizerDefinition definition, const std::string& source)
    : definition_(std::move(definition)) {
  check_vocab(source);
  make_merger(source);
  check_added(source);
  make_matchers();
  fingerprint_ = fingerprint_of(definition_);
}

void Tokenizer::check_vocab(const std::string& source) {
  const std::vector<std::string>& vocab = definition_.vocab;
  require<FormatError>(vocab.size() <= size_t{INT32_MAX} / 2, source, ": vocabulary of ",
                       vocab.size(), " tokens is too large");
  id_of_text_.reserve(vocab.size());
  for (size_t id = 0; id < vocab.size(); ++id) {
    require<FormatError>(!vocab[id].empty(), source, ": token ", id, " is empty");
    const bool is_new = id_of_text_.emplace(vocab[id], static_cast<int32_t>(id)).second;
    require<FormatError>(is_new, source, ": token ", excerpt(vocab[id]), " appears twice");
    // A text outside the byte-level alphabet can only be an added token; it means itself.
    bytes_.push_back(text_to_bytes(vocab[id]).value_or(vocab[id]));
  }
  special_.assign(bytes_.size(), false);
}

void Tokenizer::make_merger(const std::string& source) {
  int32_t byte_ids[256];
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    byte_ids[byte] = static_cast<int32_t>(id_of(bytes_to_text({&c, 1})));
    if (byte_ids[byte] >= 0) continue;
    require<FormatError>(never_in_utf8(byte), source, ": no token for byte ", byte,
                         ", expected one for every byte of UTF-8 (is this byte-level BPE?)");
    unknown_bytes_ += c;
  }
  std::vector<Merge> merges;
  merges.reserve(definition_.merges.size());
  const int64_t n = static_cast<int64_t>(definition_.vocab.size());
  for (const auto& [left, right] : definition_.merges) {
    require<FormatError>(left >= 0 && right >= 0 && left < n && right < n, source, ": merge ",
                         merges.size(), " has an id outside the vocabulary");
    const std::string joined = definition_.vocab[static_cast<size_t>(left)] +
                               definition_.vocab[static_cast<size_t>(right)];
    const int64_t id = id_of(joined);
    require<FormatError>(id >= 0, source, ": merge ", merges.size(), " makes ", excerpt(joined),
                         ", which is not in the vocabulary");
    merges.push_back({left, right, static_cast<int32_t>(id)});
  }
  merger_ = BpeMerger(byte_ids, merges);
}

void Tokenizer::check_added(const std::string& source) {
  std::vector<AddedToken>& added = definition_.added;
  std::sort(added.begin(), added.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  for (size_t i = 0; i < added.size(); ++i) {
    const AddedToken& token = added[i];
    require<FormatError>(!token.content.empty(), source, ": added token ", token.id, " is empty");
    require<FormatError>(i == 0 || added[i - 1].id != token.id, source, ": added token id ",
                         token.id, " appears twice");
    const int64_t known = id_of(token.content);
    if (known >= 0) {
      require<FormatError>(known == token.id, source, ": added token ", excerpt(token.content),
                           " has id ", token.id, ", expected ", known, " as in the vocabulary");
    } else {
      require<FormatError>(token.id == n_vocab(), source, ": added token ", excerpt(token.content),
                           " has id ", token.id, ", expected ", n_vocab(),
                           " (new ids follow on the vocabulary without holes)");
      id_of_text_.emplace(token.content, token.id);
      bytes_.push_back(token.content);
      special_.push_back(false);
    }
    special_[static_cast<size_t>(token.id)] = token.special;
    if (token.content == kEndOfText) end_of_text_ = token.id;
  }
}

void Tokenizer::make_matchers() {
  const std::vector<AddedToken>& added = definition_.added;
  for (size_t i = 0; i < added.size(); ++i) {
    const auto first = static_cast<uint8_t>(added[i].content[0]);
    for (int allow_special = added[i].special ? 1 : 0; allow_special <= 1; ++allow_special) {
      Matcher& matcher = matchers_[allow_special][added[i].normalized ? 1 : 0];
      matcher.empty = false;
      matcher.by_first[first].push_back(static_cast<int32_t>(i));
    }
  }
  for (auto& levels : matchers_)
    for (Matcher& matcher : levels)
      for (std::vector<int32_t>& list : matcher.by_first)
        std::stable_sort(list.begin(), list.end(), [&added](int32_t a, int32_t b) {
          return added[static_cast<size_t>(a)].content.size() >
                 added[static_cast<size_t>(b)].content.size();
        });
}

const AddedToken* Tokenizer::match(const Matcher& matcher, std::string_view text, size_t at) const {
  for (const int32_t index : matcher.by_first[static_cast<uint8_t>(text[at])]) {
    const AddedToken& token = definition_.added[static_cast<size_t>(index)];
    if (text.substr(at).starts_with(token.content)) return &token;
  }
  return nullptr;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool allow_special) const {
  std::vector<int32_t> ids;
  if (text.size() >= kWorthACache) {
    PretokenCache cache;
    encode(text, allow_special, ids, cache);
  } else {
    encode_pieces(text, 0, allow_special, ids, nullptr);
  }
  return ids;
}

void Tokenizer::encode(std::string_view text, bool allow_special, std::vector<int32_t>& ids,
                       PretokenCache& cache) const {
  if (cache.owner_ != fingerprint_) {
    std::fill(cache.slots_.begin(), cache.slots_.end(), PretokenCache::Slot{});
    cache.owner_ = fingerprint_;
  }
  encode_pieces(text, 0, allow_special, ids, &cache);
}

void Tokenizer::encode_pieces(std::string_view text, int level, bool allow_special,
                              std::vector<int32_t>& ids, PretokenCache* cache) const {
  if (level == 2) return encode_plain(text, ids, cache);
  const Matcher& matcher = matchers_[allow_special ? 1 : 0][level];
  size_t begin = 0;
  for (size_t at = 0; !matcher.empty && at < text.size();) {
    const AddedToken* token = match(matcher, text, at);
    if (!token) {
      ++at;
      continue;
    }
    encode_pieces(text.substr(begin, at - begin), level + 1, allow_special, ids, cache);
    ids.push_back(token->id);
    at += token->content.size();
    begin = at;
  }
  encode_pieces(text.substr(begin), level + 1, allow_special, ids, cache);
}

void Tokenizer::encode_plain(std::string_view piece, std::vector<int32_t>& ids,
                             PretokenCache* cache) const {
  if (piece.empty()) return;
  if (!unknown_bytes_.empty()) {
    const size_t at = piece.find_first_of(unknown_bytes_);
    require<FormatError>(at == piece.npos,
                         "tokenizer: the text is not UTF-8, and this vocabulary "
                         "has no token for byte ",
                         at == piece.npos ? 0 : piece[at] & 0xFF);
  }
  std::string prefixed;
  if (definition_.add_prefix_space && piece[0] != ' ') {
    prefixed = " " + std::string(piece);
    piece = prefixed;
  }
  if (!definition_.use_regex) return merger_.append(piece, ids);
  for (size_t begin = 0; begin < piece.size();) {
    const size_t end = pretokenizer_.end_of(piece, begin);
    encode_pretoken(piece.substr(begin, end - begin), ids, cache);
    begin = end;
  }
}

inline void Tokenizer::encode_pretoken(std::string_view pretoken, std::vector<int32_t>& ids,
                                       PretokenCache* cache) const {
  if (!cache || pretoken.size() > kCachedBytes) return merger_.append(pretoken, ids);
  uint64_t key[2] = {0, 0};
  std::memcpy(key, pretoken.data(), pretoken.size());
  key[1] |= uint64_t{pretoken.size()} << 56;
  const uint64_t hash = (key[0] ^ key[1] * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
  PretokenCache::Slot& slot = cache->slots_[hash >> 50];
  static_assert(PretokenCache::kSlots == size_t{1} << (64 - 50));
  if (slot.low != key[0] || slot.high != key[1]) {
    const size_t before = ids.size();
    merger_.append(pretoken, ids);
    const size_t n = ids.size() - before;
    if (n > PretokenCache::kMaxIds) return;
    slot.low = key[0];
    slot.high = key[1];
    slot.n_ids = static_cast<int32_t>(n);
    std::copy_n(ids.end() - static_cast<int64_t>(n), n, slot.ids);
    return;
  }
  if (slot.n_ids == 1) {
    ids.push_back(slot.ids[0]);
  } else {
    ids.insert(ids.end(), slot.ids, slot.ids + slot.n_ids);
  }
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (const int32_t id : ids)
    if (const std::string& token = bytes_of(id); !(skip_special && is_special(id))) bytes += token;
  return bytes;
}

const std::string& Tokenizer::bytes_of(int64_t id) const {
  require<ConfigError>(id >= 0 && id < n_vocab(), "tokenizer: no such token, got id ", id,
                       ", expected 0 to ", n_vocab() - 1);
  return bytes_[static_cast<size_t>(id)];
}

bool Tokenizer::is_special(int64_t id) const {
  bytes_of(id);
  return special_[static_cast<size_t>(id)];
}

int64_t Tokenizer::end_of_text() const {
  require<ConfigError>(has_end_of_text(), "tokenizer: no added token ", kEndOfText,
                       " (documents cannot be told apart without it)");
  return end_of_text_;
}

int64_t Tokenizer::id_of(std::string_view text) const {
  const auto found = id_of_text_.find(std::string(text));
  return found == id_of_text_.end() ? -1 : found->second;
}

}  // namespace xlstm::data
