#include "data/bpe_tokenizer.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/excerpt.h"
#include "data/byte_alphabet.h"
#include "data/nfc.h"

namespace xlstm::data {
namespace {

constexpr size_t kCachedBytes = 15;               // longer pretokens are rare
constexpr size_t kWorthACache = size_t{1} << 14;  // bytes of text

bool never_in_utf8(int byte) {
  return byte == 0xC0 || byte == 0xC1 || byte >= 0xF5;
}

template <class Word>
uint64_t load(const char* bytes) {
  Word word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// The 1 to kCachedBytes bytes and their number, as two words. The loads overlap, so that none is of
// a length that is only known when it happens.
std::pair<uint64_t, uint64_t> cache_key(std::string_view bytes) {
  const size_t n = bytes.size();
  const char* first = bytes.data();
  const char* end = first + n;
  uint64_t low = 0, high = uint64_t{n} << 56;
  if (n > 8) {
    low = load<uint64_t>(first);
    high |= load<uint64_t>(end - 8) >> (8 * (16 - n));
  } else if (n == 8) {
    low = load<uint64_t>(first);
  } else if (n >= 4) {
    low = load<uint32_t>(first) | load<uint32_t>(end - 4) << (8 * (n - 4));
  } else {
    low = load<uint8_t>(first) | load<uint8_t>(first + n / 2) << (8 * (n / 2)) |
          load<uint8_t>(end - 1) << (8 * (n - 1));
  }
  return {low, high};
}

}  // namespace

PretokenCache::PretokenCache() : slots_(kSlots) {}

Tokenizer::Tokenizer(TokenizerDefinition definition, const std::string& source)
    : definition_(std::move(definition)), pretokenizer_(definition_.pretokenizer, source) {
  check_vocab(source);
  make_merger(source);
  check_added(source);
  make_searches();
  for (const std::vector<int32_t>* ids : {&definition_.frame.before, &definition_.frame.after})
    for (const int32_t id : *ids)
      require<FormatError>(id >= 0 && id < n_vocab(), source, ": post_processor adds token ", id,
                           ", expected 0 to ", n_vocab() - 1);
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
    const auto bytes = text_to_bytes(vocab[id]);
    bytes_.push_back(bytes.value_or(vocab[id]));
    if (bytes && definition_.ignore_merges) whole_tokens_.emplace(*bytes, static_cast<int32_t>(id));
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

void Tokenizer::make_searches() {
  std::vector<const AddedToken*> tokens[2];
  std::vector<std::string> texts[2];
  std::string storage;
  for (const bool special : {true, false})
    for (const AddedToken& token : definition_.added) {
      if (token.special != special) continue;
      const bool normalize = token.normalized && definition_.nfc;
      tokens[token.normalized].push_back(&token);
      texts[token.normalized].emplace_back(normalize ? to_nfc(token.content, storage)
                                                     : std::string_view(token.content));
    }
  raw_search_ = AddedTokenSearch(tokens[0], texts[0]);
  normalized_search_ = AddedTokenSearch(tokens[1], texts[1]);
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool allow_special) const {
  std::vector<int32_t> ids;
  if (text.size() >= kWorthACache) {
    PretokenCache cache;
    encode(text, allow_special, ids, cache);
  } else {
    encode_text(text, allow_special, ids, nullptr);
  }
  return ids;
}

void Tokenizer::encode(std::string_view text, bool allow_special, std::vector<int32_t>& ids,
                       PretokenCache& cache) const {
  if (cache.owner_ != fingerprint_) {
    std::fill(cache.slots_.begin(), cache.slots_.end(), PretokenCache::Slot{});
    cache.owner_ = fingerprint_;
  }
  encode_text(text, allow_special, ids, &cache);
}

void Tokenizer::encode_text(std::string_view text, bool allow_special, std::vector<int32_t>& ids,
                            PretokenCache* cache) const {
  const auto on_token = [&ids](int32_t id) { ids.push_back(id); };
  const auto on_piece = [&](std::string_view piece) { encode_plain(piece, ids, cache); };
  const auto on_raw_piece = [&](std::string_view piece) {
    std::string storage;
    if (definition_.nfc) piece = to_nfc(piece, storage);
    normalized_search_.split(piece, allow_special, on_piece, on_token);
  };
  raw_search_.split(text, allow_special, on_raw_piece, on_token);
}

void Tokenizer::encode_plain(std::string_view piece, std::vector<int32_t>& ids,
                             PretokenCache* cache) const {
  pretokenizer_.cut(piece,
                    [&](std::string_view pretoken) { encode_pretoken(pretoken, ids, cache); });
}

void Tokenizer::append_tokens(std::string_view pretoken, std::vector<int32_t>& ids) const {
  if (!unknown_bytes_.empty()) {
    const size_t at = pretoken.find_first_of(unknown_bytes_);
    require<FormatError>(at == pretoken.npos,
                         "tokenizer: the text is not UTF-8, and this vocabulary "
                         "has no token for byte ",
                         at == pretoken.npos ? 0 : pretoken[at] & 0xFF);
  }
  if (definition_.ignore_merges) {
    const auto found = whole_tokens_.find(std::string(pretoken));
    if (found != whole_tokens_.end()) return ids.push_back(found->second);
  }
  merger_.append(pretoken, ids);
}

inline void Tokenizer::encode_pretoken(std::string_view pretoken, std::vector<int32_t>& ids,
                                       PretokenCache* cache) const {
  if (!cache || pretoken.size() > kCachedBytes) return append_tokens(pretoken, ids);
  const auto [low, high] = cache_key(pretoken);
  const uint64_t hash = (low ^ high * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
  PretokenCache::Slot& slot = cache->slots_[hash >> 50];
  static_assert(PretokenCache::kSlots == size_t{1} << (64 - 50));
  if (slot.low != low || slot.high != high) {
    const size_t before = ids.size();
    append_tokens(pretoken, ids);
    const size_t n = ids.size() - before;
    if (n > PretokenCache::kMaxIds) return;
    slot.low = low;
    slot.high = high;
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

std::vector<int32_t> Tokenizer::framed(std::span<const int32_t> ids) const {
  std::vector<int32_t> all = definition_.frame.before;
  all.insert(all.end(), ids.begin(), ids.end());
  all.insert(all.end(), definition_.frame.after.begin(), definition_.frame.after.end());
  return all;
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
