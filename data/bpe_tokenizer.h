// Byte-level BPE as in GPT-2, equal to Hugging Face `tokenizers` in its ids (docs/tokenizer.md).
//
// Any bytes can be encoded and, where the tokenizer does not normalize, put no space in front and
// has no added tokens that take white space, decode(encode(bytes)) == bytes. (Only vocabularies
// without tokens for the 13 bytes that never occur in UTF-8 refuse text with such bytes, by a
// FormatError, as they do text on which a pattern of the user's own takes too long.) A
// Tokenizer does not change after it is made, so all its functions may be called from several
// threads.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/file_system.h"
#include "data/bpe_merger.h"
#include "data/tokenizer_definition.h"

namespace xlstm::data {

// The token that stands between documents.
inline constexpr std::string_view kEndOfText = "<|endoftext|>";

// The ids of pretokens met before: one per thread, kept as long as the texts are of one kind.
class PretokenCache {
 public:
  PretokenCache();

 private:
  friend class Tokenizer;
  static constexpr size_t kSlots = size_t{1} << 14;
  static constexpr int32_t kMaxIds = 7;
  struct Slot {
    uint64_t low = 0, high = 0;  // the bytes, and their number in the highest byte
    int32_t n_ids = 0;
    int32_t ids[kMaxIds] = {};
  };
  std::vector<Slot> slots_;
  uint64_t owner_ = 0;  // fingerprint of the tokenizer that filled it
};

class Tokenizer {
 public:
  // FormatError (beginning with `source`) if a byte of UTF-8 has no token, a merge makes an unknown
  // token, two tokens are equal, or the added tokens do not fit.
  explicit Tokenizer(TokenizerDefinition definition, const std::string& source = "tokenizer");

  // A file tokenizer.json, or a folder with tokenizer.json or with vocab.json and merges.txt.
  static Tokenizer load(const std::string& path, const FileSystem& files = real_file_system());
  // The content of tokenizer.json. Fields that are not implemented are FormatErrors by name.
  static Tokenizer from_json(std::string_view text, const std::string& source);
  // The contents of vocab.json and merges.txt. `<|endoftext|>` becomes special if it is there.
  static Tokenizer from_vocab_and_merges(std::string_view vocab_json, std::string_view merges_txt,
                                         const std::string& source);
  std::string to_json() const;
  void save(const std::string& path, FileSystem& files = real_file_system()) const;

  // The tokens of a text. Added tokens are found first, leftmost and longest; the special ones only
  // if `allow_special`, which must be off for text that strangers wrote. No tokens are put around
  // the text: `framed` does that.
  std::vector<int32_t> encode(std::string_view text, bool allow_special = false) const;
  // The same, appended to `ids`; many short texts go faster with one cache for all of them.
  void encode(std::string_view text, bool allow_special, std::vector<int32_t>& ids,
              PretokenCache& cache) const;

  // The tokens with those around them that the post-processor wants for one text, often a token for
  // its beginning.
  std::vector<int32_t> framed(std::span<const int32_t> ids) const;

  // The bytes of tokens, exactly; not always UTF-8. ConfigError for an id outside the vocabulary.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;
  // The bytes of one token.
  const std::string& bytes_of(int64_t id) const;
  bool is_special(int64_t id) const;

  int64_t n_vocab() const { return static_cast<int64_t>(bytes_.size()); }
  bool has_end_of_text() const { return end_of_text_ >= 0; }
  // ConfigError if the vocabulary has no `<|endoftext|>`.
  int64_t end_of_text() const;
  // Id of an added token or of a token's byte-level text, or -1.
  int64_t id_of(std::string_view text) const;
  // A hash of everything that can change an id.
  uint64_t fingerprint() const { return fingerprint_; }
  const TokenizerDefinition& definition() const { return definition_; }

 private:
  void check_vocab(const std::string& source);
  void make_merger(const std::string& source);
  void check_added(const std::string& source);
  void make_searches();
  void encode_text(std::string_view text, bool allow_special, std::vector<int32_t>& ids,
                   PretokenCache* cache) const;
  void encode_plain(std::string_view piece, std::vector<int32_t>& ids, PretokenCache* cache) const;
  void append_tokens(std::string_view pretoken, std::vector<int32_t>& ids) const;
  void encode_pretoken(std::string_view pretoken, std::vector<int32_t>& ids,
                       PretokenCache* cache) const;

  TokenizerDefinition definition_;
  std::unordered_map<std::string, int32_t> id_of_text_;
  std::vector<std::string> bytes_;
  std::vector<bool> special_;
  std::string unknown_bytes_;  // bytes without a token; only such as never occur in UTF-8
  BpeMerger merger_;
  Pretokenizer pretokenizer_;
  AddedTokenSearch raw_search_, normalized_search_;
  std::unordered_map<std::string, int32_t> whole_tokens_;  // by bytes; for ignore_merges alone
  int32_t end_of_text_ = -1;
  uint64_t fingerprint_ = 0;
};

}  // namespace xlstm::data
