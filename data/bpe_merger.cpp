#include "data/bpe_merger.h"

#include <algorithm>
#include <bit>
#include <queue>

namespace xlstm::data {
namespace {

constexpr uint64_t kEmpty = ~uint64_t{0};
constexpr int32_t kNoRank = INT32_MAX;
constexpr size_t kShort = 64;

uint64_t pair_key(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

uint64_t mix(uint64_t key) {
  key *= 0x9E3779B97F4A7C15u;
  return key ^ key >> 29;
}

}  // namespace

BpeMerger::BpeMerger(const int32_t (&byte_ids)[256], const std::vector<Merge>& merges) {
  std::copy(std::begin(byte_ids), std::end(byte_ids), byte_ids_);
  const uint64_t n_slots = std::bit_ceil(2 * merges.size() + 2);
  slots_.assign(n_slots, {kEmpty, kNoRank, -1});
  mask_ = n_slots - 1;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    const uint64_t key = pair_key(merge.left, merge.right);
    uint64_t at = mix(key) & mask_;
    while (slots_[at].pair != kEmpty && slots_[at].pair != key) at = (at + 1) & mask_;
    slots_[at] = {key, static_cast<int32_t>(rank), merge.joined};
  }
}

inline const BpeMerger::Slot* BpeMerger::find(int32_t left, int32_t right) const {
  const uint64_t key = pair_key(left, right);
  for (uint64_t at = mix(key) & mask_;; at = (at + 1) & mask_) {
    if (slots_[at].pair == key) return &slots_[at];
    if (slots_[at].pair == kEmpty) return nullptr;
  }
}

void BpeMerger::append(std::string_view bytes, std::vector<int32_t>& ids) const {
  if (bytes.size() <= kShort) {
    append_short(bytes, ids);
  } else {
    append_long(bytes, ids);
  }
}

void BpeMerger::append_short(std::string_view bytes, std::vector<int32_t>& ids) const {
  int32_t id[kShort], rank[kShort], joined[kShort];  // rank[i] belongs to the pair (i, i + 1)
  size_t n = bytes.size();
  for (size_t i = 0; i < n; ++i) id[i] = byte_ids_[static_cast<uint8_t>(bytes[i])];
  const auto look_up = [&](size_t i) {
    const Slot* slot = find(id[i], id[i + 1]);
    rank[i] = slot ? slot->rank : kNoRank;
    joined[i] = slot ? slot->joined : -1;
  };
  for (size_t i = 0; i + 1 < n; ++i) look_up(i);
  while (n > 1) {
    const size_t best = static_cast<size_t>(std::min_element(rank, rank + n - 1) - rank);
    if (rank[best] == kNoRank) break;
    id[best] = joined[best];
    --n;
    for (size_t i = best + 1; i < n; ++i) id[i] = id[i + 1];
    for (size_t i = best + 1; i + 1 < n; ++i) {
      rank[i] = rank[i + 1];
      joined[i] = joined[i + 1];
    }
    if (best > 0) look_up(best - 1);
    if (best + 1 < n) look_up(best);
  }
  ids.insert(ids.end(), id, id + n);
}

// A linked list of symbols and a heap of candidate pairs; a candidate is stale when its left symbol
// is gone or the pair there now joins to something else.
void BpeMerger::append_long(std::string_view bytes, std::vector<int32_t>& ids) const {
  struct Symbol {
    int32_t id;
    int64_t previous, next;
  };
  struct Candidate {
    int32_t rank;
    int64_t at;
    int32_t joined;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const int64_t n = static_cast<int64_t>(bytes.size());
  std::vector<Symbol> symbols(bytes.size());
  for (int64_t i = 0; i < n; ++i)
    symbols[static_cast<size_t>(i)] = {
        byte_ids_[static_cast<uint8_t>(bytes[static_cast<size_t>(i)])], i - 1,
        i + 1 < n ? i + 1 : -1};
  const auto symbol = [&symbols](int64_t i) -> Symbol& { return symbols[static_cast<size_t>(i)]; };
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> heap;
  const auto consider = [&](int64_t at) {
    if (at < 0 || symbol(at).next < 0) return;
    if (const Slot* slot = find(symbol(at).id, symbol(symbol(at).next).id))
      heap.push({slot->rank, at, slot->joined});
  };
  for (int64_t i = 0; i + 1 < n; ++i) consider(i);
  while (!heap.empty()) {
    const Candidate best = heap.top();
    heap.pop();
    Symbol& left = symbol(best.at);
    if (left.id < 0 || left.next < 0) continue;
    const Slot* slot = find(left.id, symbol(left.next).id);
    if (!slot || slot->rank != best.rank) continue;
    Symbol& right = symbol(left.next);
    left.id = best.joined;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbol(left.next).previous = best.at;
    consider(left.previous);
    consider(best.at);
  }
  for (int64_t i = 0; i >= 0; i = symbol(i).next) ids.push_back(symbol(i).id);
}

}  // namespace xlstm::data
