// Applies the merges of byte-pair encoding to one pretoken: again and again the adjacent pair of
// the lowest rank is joined, the leftmost first (Sennrich et al. 2016, as in GPT-2).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace xlstm::data {

struct Merge {
  int32_t left, right;  // the pair
  int32_t joined;       // the token it becomes
};

class BpeMerger {
 public:
  BpeMerger() = default;
  // `byte_ids[b]` is the token of byte b. The rank of a merge is its place in `merges`; of equal
  // pairs the last counts.
  BpeMerger(const int32_t (&byte_ids)[256], const std::vector<Merge>& merges);

  // Appends the tokens of `bytes`. Time O(n^2) for short pretokens, O(n log n) for long ones.
  void append(std::string_view bytes, std::vector<int32_t>& ids) const;

 private:
  struct Slot {
    uint64_t pair;
    int32_t rank;
    int32_t joined;
  };
  const Slot* find(int32_t left, int32_t right) const;
  void append_short(std::string_view bytes, std::vector<int32_t>& ids) const;
  void append_long(std::string_view bytes, std::vector<int32_t>& ids) const;

  int32_t byte_ids_[256] = {};
  std::vector<Slot> slots_;  // open addressing, a power of two of them
  uint64_t mask_ = 0;
};

}  // namespace xlstm::data
