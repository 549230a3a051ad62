#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "tests/oracles/oracles.h"
#include "tests/oracles/philox_oracle.h"

namespace xlstm::oracles {
namespace {

// The first ids of a sorted list with at least `share` of the probability of the whole list.
void keep_share(std::vector<int64_t>& ids, const double* x, double temperature, double share) {
  double total = 0, sum = 0;
  for (const int64_t v : ids) total += std::exp((x[v] - x[ids[0]]) / temperature);
  size_t n = 0;
  while (n < ids.size() && (n == 0 || sum < share * total))
    sum += std::exp((x[ids[n++]] - x[ids[0]]) / temperature);
  ids.resize(n);
}

int64_t sample_row(const double* x, int64_t n, const OpAttributes& a, int64_t stream) {
  const double temperature = a.get("temperature", 1);
  // Ids from best to worst; equal logits keep the order of ids.
  std::vector<int64_t> ids(static_cast<size_t>(n));
  std::iota(ids.begin(), ids.end(), int64_t{0});
  std::stable_sort(ids.begin(), ids.end(), [&](int64_t i, int64_t j) { return x[i] > x[j]; });
  const int64_t best = ids[0];
  if (temperature == 0) return best;
  const int64_t top_k = a.get_int("top_k");
  if (top_k > 0 && top_k < n) ids.resize(static_cast<size_t>(top_k));
  if (a.get("top_p", 1) < 1) keep_share(ids, x, temperature, a.get("top_p", 1));
  std::erase_if(
      ids, [&](int64_t v) { return std::exp((x[v] - x[best]) / temperature) < a.get("min_p"); });
  std::sort(ids.begin(), ids.end());
  const auto words =
      philox_words(static_cast<uint64_t>(a.get_int("seed")),
                   static_cast<uint64_t>(a.get_int("position")), static_cast<uint64_t>(stream));
  // 53 bits: all of the first word, the upper 21 of the second.
  const double u = (words[0] * 2097152.0 + words[1] / 2048) / 9007199254740992.0;
  double total = 0, cumulative = 0;
  for (const int64_t v : ids) total += std::exp((x[v] - x[best]) / temperature);
  for (const int64_t v : ids) {
    cumulative += std::exp((x[v] - x[best]) / temperature);
    if (cumulative > u * total) return v;
  }
  return ids.back();
}

Tensors sample(const Tensors& in, const OpAttributes& a) {
  const int64_t B = in[0].size(0), n_vocab = in[0].size(1);
  const int64_t n = a.get_int("n_valid") == 0 ? n_vocab : a.get_int("n_valid");
  const Tensor tokens = Tensor::empty({B}, DType::i64);
  const double penalty = a.get("repetition_penalty", 1);
  Tensors out = {tokens};
  if (in[2].defined()) out.push_back(in[2].clone());
  for (int64_t b = 0; b < B; ++b) {
    std::vector<double> x(in[0].data<double>() + b * n_vocab,
                          in[0].data<double>() + (b + 1) * n_vocab);
    uint8_t* seen = in[2].defined() ? out[1].data<uint8_t>() + b * n_vocab : nullptr;
    for (size_t v = 0; v < x.size() && seen != nullptr; ++v)
      if (seen[v] != 0) x[v] = x[v] < 0 ? x[v] * penalty : x[v] / penalty;
    const int64_t token =
        sample_row(x.data(), n, a, in[1].defined() ? in[1].data<int64_t>()[b] : b);
    tokens.data<int64_t>()[b] = token;
    if (seen != nullptr) seen[token] = 1;
  }
  return out;
}

}  // namespace

OracleRows sampling_oracles() {
  return {{"sample", sample}};
}

}  // namespace xlstm::oracles
