#include "data/bpe_trainer.h"

#include <algorithm>
#include <queue>

#include "core/error.h"
#include "core/excerpt.h"
#include "data/byte_alphabet.h"

namespace xlstm::data {
namespace {

using Pair = std::pair<int32_t, int32_t>;

struct PairHash {
  size_t operator()(const Pair& pair) const {
    uint64_t key =
        uint64_t{static_cast<uint32_t>(pair.first)} << 32 | static_cast<uint32_t>(pair.second);
    key *= 0x9E3779B97F4A7C15u;
    return key ^ key >> 32;
  }
};

struct Word {
  std::vector<int32_t> ids;
  int64_t count;
};

// A pair that may be merged in some words. The count may be out of date; it only ever falls.
struct Candidate {
  int64_t count;
  Pair pair;
  std::vector<int32_t> words;
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

// The state of one training: the words as they are now, the pair counts, and a heap of candidates
// with lazily refreshed counts.
class Merging {
 public:
  Merging(std::vector<std::string>& vocab, std::vector<Word> words)
      : vocab_(vocab), words_(std::move(words)) {
    for (size_t id = 0; id < vocab_.size(); ++id)
      id_of_.emplace(vocab_[id], static_cast<int32_t>(id));
    for (size_t w = 0; w < words_.size(); ++w) {
      const std::vector<int32_t>& ids = words_[w].ids;
      for (size_t i = 0; i + 1 < ids.size(); ++i)
        change({ids[i], ids[i + 1]}, words_[w].count, static_cast<int32_t>(w));
    }
    push_touched();
  }

  std::vector<Pair> run(int64_t n_vocab, int64_t min_frequency) {
    std::vector<Pair> merges;
    while (static_cast<int64_t>(vocab_.size()) < n_vocab && !heap_.empty()) {
      Candidate best = pop();
      const int64_t count = counts_.at(best.pair);
      if (best.count != count) {
        best.count = count;
        push(std::move(best));
        continue;
      }
      if (count < 1 || count < min_frequency) break;
      const int32_t joined = token_for(best.pair);
      merges.push_back(best.pair);
      for (const int32_t w : best.words) merge_in(w, best.pair, joined);
      push_touched();
    }
    return merges;
  }

 private:
  // Two different pairs can make the same text; it keeps the id it got first.
  int32_t token_for(const Pair& pair) {
    const std::string text =
        vocab_[static_cast<size_t>(pair.first)] + vocab_[static_cast<size_t>(pair.second)];
    const auto [entry, is_new] = id_of_.emplace(text, static_cast<int32_t>(vocab_.size()));
    if (is_new) vocab_.push_back(text);
    return entry->second;
  }

  // From left to right. Each merge takes one from the pairs with its old neighbours and gives one
  // to those with its new neighbours, so a repeated symbol (a a a) counts as it does in the
  // trainer we are to equal.
  void merge_in(int32_t w, const Pair& pair, int32_t joined) {
    std::vector<int32_t>& ids = words_[static_cast<size_t>(w)].ids;
    const int64_t count = words_[static_cast<size_t>(w)].count;
    size_t to = 0;
    for (size_t from = 0; from < ids.size(); ++from, ++to) {
      const bool here =
          from + 1 < ids.size() && ids[from] == pair.first && ids[from + 1] == pair.second;
      if (!here) {
        ids[to] = ids[from];
        continue;
      }
      if (to > 0) {
        change({ids[to - 1], pair.first}, -count, w);
        change({ids[to - 1], joined}, count, w);
      }
      ++from;
      if (from + 1 < ids.size()) {
        change({pair.second, ids[from + 1]}, -count, w);
        change({joined, ids[from + 1]}, count, w);
      }
      ids[to] = joined;
    }
    ids.resize(to);
  }

  void change(const Pair& pair, int64_t by, int32_t w) {
    counts_[pair] += by;
    if (by <= 0) return;
    std::vector<int32_t>& words = touched_[pair];
    if (words.empty() || words.back() != w) words.push_back(w);
  }

  void push_touched() {
    for (auto& [pair, words] : touched_)
      if (const int64_t count = counts_.at(pair); count > 0) push({count, pair, std::move(words)});
    touched_.clear();
  }

  void push(Candidate candidate) {
    heap_.push_back(std::move(candidate));
    std::push_heap(heap_.begin(), heap_.end());
  }

  Candidate pop() {
    std::pop_heap(heap_.begin(), heap_.end());
    Candidate best = std::move(heap_.back());
    heap_.pop_back();
    return best;
  }

  std::vector<std::string>& vocab_;
  std::vector<Word> words_;
  std::unordered_map<std::string, int32_t> id_of_;
  std::unordered_map<Pair, int64_t, PairHash> counts_;
  std::unordered_map<Pair, std::vector<int32_t>, PairHash> touched_;  // words that gained the pair
  std::vector<Candidate> heap_;
};

}  // namespace

BpeTrainer::BpeTrainer(BpeTrainerConfig config) : config_(std::move(config)) {
  std::vector<std::string> specials = config_.special_tokens;
  const int64_t smallest = 256 + static_cast<int64_t>(specials.size());
  require<ConfigError>(config_.n_vocab >= smallest && config_.n_vocab <= int64_t{1} << 24,
                       "BPE trainer: vocabulary size is wrong, got ", config_.n_vocab,
                       ", expected ", smallest, " (bytes and special tokens) to ", 1 << 24);
  std::sort(specials.begin(), specials.end());
  for (size_t i = 0; i < specials.size(); ++i) {
    const auto bytes = text_to_bytes(specials[i]);
    const bool good = !specials[i].empty() && (!bytes || bytes->size() > 1) &&
                      (i == 0 || specials[i - 1] != specials[i]);
    require<ConfigError>(good,
                         "BPE trainer: special tokens must differ and have more than one "
                         "character, got ",
                         excerpt(specials[i]));
  }
}

void BpeTrainer::add_text(std::string_view text) {
  std::string key;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = scanner_.end_of(text, begin);
    key.assign(text, begin, end - begin);
    ++counts_[key];
    begin = end;
  }
}

Tokenizer BpeTrainer::train() const {
  TokenizerDefinition definition;
  for (const std::string& text : config_.special_tokens) {
    definition.added.push_back({text, static_cast<int32_t>(definition.vocab.size())});
    definition.vocab.push_back(text);
  }
  std::vector<int> bytes(256);
  for (int byte = 0; byte < 256; ++byte) bytes[static_cast<size_t>(byte)] = byte;
  std::sort(bytes.begin(), bytes.end(), [](int a, int b) {
    return byte_to_code(static_cast<uint8_t>(a)) < byte_to_code(static_cast<uint8_t>(b));
  });
  int32_t id_of_byte[256];
  for (const int byte : bytes) {
    const char c = static_cast<char>(byte);
    id_of_byte[byte] = static_cast<int32_t>(definition.vocab.size());
    definition.vocab.push_back(bytes_to_text({&c, 1}));
  }
  std::vector<Word> words;
  words.reserve(counts_.size());
  for (const auto& [text, count] : counts_) {
    Word word{{}, count};
    for (const char c : text) word.ids.push_back(id_of_byte[static_cast<uint8_t>(c)]);
    words.push_back(std::move(word));
  }
  definition.merges =
      Merging(definition.vocab, std::move(words)).run(config_.n_vocab, config_.min_frequency);
  return Tokenizer(std::move(definition), "trained tokenizer");
}

}  // namespace xlstm::data
