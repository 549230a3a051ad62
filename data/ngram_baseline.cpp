#include "data/ngram_baseline.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace xlstm::data {
namespace {

constexpr int kBits = 16;

uint64_t lowest(uint64_t key, int64_t n) {
  return n == 4 ? key : key & ((uint64_t{1} << (kBits * n)) - 1);
}

// Walks along a stream; the key holds the last four tokens, the newest lowest.
class Walker {
 public:
  explicit Walker(const TokenStream& stream)
      : stream_(stream), end_of_text_(static_cast<uint64_t>(stream.end_of_text())) {
    forget();
  }

  template <class Visit>
  void walk(const Visit& visit) {
    std::vector<int64_t> block;
    for (int64_t first = 0; first < stream_.size(); first += kBlock) {
      block.resize(static_cast<size_t>(std::min(kBlock, stream_.size() - first)));
      stream_.read(first, block);
      for (size_t i = 0; i < block.size(); ++i) {
        key_ = key_ << kBits | static_cast<uint64_t>(block[i]);
        visit(first + static_cast<int64_t>(i), key_);
        if (static_cast<uint64_t>(block[i]) == end_of_text_) forget();
      }
    }
  }

 private:
  static constexpr int64_t kBlock = int64_t{1} << 16;
  void forget() { key_ = end_of_text_ * 0x0001000100010001u; }

  const TokenStream& stream_;
  uint64_t end_of_text_;
  uint64_t key_ = 0;
};

}  // namespace

NgramBaseline::NgramBaseline(const TokenStream& train, int64_t order)
    : n_vocab_(train.n_vocab()), end_of_text_(train.end_of_text()) {
  require<ConfigError>(order >= 1 && order <= kMaxOrder, "n-gram: order: got ", order,
                       ", expected 1 to ", kMaxOrder);
  require<ConfigError>(n_vocab_ <= 65536, "n-gram: vocabulary: got ", n_vocab_,
                       " tokens, expected at most 65536");
  require<ConfigError>(train.size() >= 2, "n-gram: got ", train.size(),
                       " tokens, expected at least 2");
  std::vector<uint64_t> grams;
  grams.reserve(static_cast<size_t>(train.size()));
  Walker(train).walk([&](int64_t, uint64_t key) { grams.push_back(lowest(key, order)); });
  orders_.resize(static_cast<size_t>(order));
  for (int64_t n = order; n >= 1; --n) {
    Order& longer = orders_[static_cast<size_t>(n - 1)];
    longer = count(std::move(grams));
    // Each different n-gram is one different token before the shorter one.
    grams.clear();
    for (const uint64_t key : longer.grams) grams.push_back(lowest(key, n - 1));
  }
}

NgramBaseline::Order NgramBaseline::count(std::vector<uint64_t> grams) {
  std::sort(grams.begin(), grams.end());
  Order order;
  for (const uint64_t key : grams) {
    if (order.grams.empty() || order.grams.back() != key) {
      order.grams.push_back(key);
      order.counts.push_back(0);
    }
    ++order.counts.back();
  }
  set_discounts(order);
  set_contexts(order);
  return order;
}

void NgramBaseline::set_discounts(Order& order) {
  double n[5] = {0, 0, 0, 0, 0};  // n-grams with this count
  for (const int64_t count : order.counts)
    if (count <= 4) ++n[count];
  const double y = n[1] > 0 ? n[1] / (n[1] + 2 * n[2]) : 0;
  for (int k = 1; k <= 3; ++k) {
    // Chen and Goodman, equation 26; one half where too few counts are there to estimate it.
    const double d = n[k] > 0 ? k - (k + 1) * y * n[k + 1] / n[k] : 0;
    order.discount[k] = d > 0 && d < k ? d : 0.5;
  }
}

void NgramBaseline::set_contexts(Order& order) {
  for (size_t i = 0; i < order.grams.size(); ++i) {
    const uint64_t key = order.grams[i] >> kBits;
    if (order.contexts.empty() || order.contexts.back().key != key)
      order.contexts.push_back({key, 0, 0});
    Order::Context& context = order.contexts.back();
    context.total += static_cast<double>(order.counts[i]);
    context.weight += order.discount[std::min<int64_t>(order.counts[i], 3)];
  }
  for (Order::Context& context : order.contexts) context.weight /= context.total;
}

double NgramBaseline::probability_of_key(uint64_t key) const {
  double p = 1.0 / static_cast<double>(n_vocab_);
  for (size_t n = 1; n <= orders_.size(); ++n) {
    const Order& order = orders_[n - 1];
    const uint64_t gram = lowest(key, static_cast<int64_t>(n));
    const auto context =
        std::lower_bound(order.contexts.begin(), order.contexts.end(), gram >> kBits,
                         [](const Order::Context& c, uint64_t wanted) { return c.key < wanted; });
    if (context == order.contexts.end() || context->key != gram >> kBits) break;  // nor any longer
    p *= context->weight;
    const auto found = std::lower_bound(order.grams.begin(), order.grams.end(), gram);
    if (found == order.grams.end() || *found != gram) continue;
    const int64_t count = order.counts[static_cast<size_t>(found - order.grams.begin())];
    p +=
        (static_cast<double>(count) - order.discount[std::min<int64_t>(count, 3)]) / context->total;
  }
  return p;
}

double NgramBaseline::probability(std::span<const int64_t> context, int64_t token) const {
  const auto check = [this](int64_t id) {
    require<ConfigError>(id >= 0 && id < n_vocab_, "n-gram: got token ", id, ", expected 0 to ",
                         n_vocab_ - 1);
    return static_cast<uint64_t>(id);
  };
  uint64_t key = check(token);
  bool ended = false;
  for (size_t back = 1; back < static_cast<size_t>(kMaxOrder); ++back) {
    const int64_t id =
        ended || back > context.size() ? end_of_text_ : context[context.size() - back];
    ended = ended || id == end_of_text_;
    key |= check(id) << (kBits * back);
  }
  return probability_of_key(key);
}

double NgramBaseline::mean_nll(const TokenStream& stream) const {
  require<ConfigError>(stream.n_vocab() == n_vocab_ && stream.end_of_text() == end_of_text_,
                       "n-gram: got a stream with ", stream.n_vocab(),
                       " tokens in its vocabulary, expected the ", n_vocab_, " of the training");
  require<ConfigError>(stream.size() >= 2, "n-gram: got ", stream.size(),
                       " tokens, expected at least 2");
  double sum = 0;
  Walker(stream).walk([&](int64_t place, uint64_t key) {
    if (place > 0) sum -= std::log(probability_of_key(key));
  });
  return sum / static_cast<double>(stream.size() - 1);
}

}  // namespace xlstm::data
