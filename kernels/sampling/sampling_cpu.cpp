#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/common/entry.h"
#include "kernels/common/philox.h"
#include "kernels/common/vec_math.h"
#include "kernels/sampling/sampling.h"

namespace {

using namespace xlstm::kernels;

constexpr int64_t kPiece = 256;  // weights computed at a time

template <class T>
struct Candidate {
  T logit;
  int64_t id;
};

// The better candidate has the larger logit, or the smaller id among equals.
template <class T>
bool better(const Candidate<T>& a, const Candidate<T>& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// The logits of a row, those of seen tokens with the penalty.
template <class T>
struct Row {
  const T* x;
  const uint8_t* seen;  // may be null
  T penalty;

  T operator[](int64_t v) const {
    if (seen == nullptr || seen[v] == 0) return x[v];
    return x[v] > T(0) ? x[v] / penalty : x[v] * penalty;
  }
};

template <class T>
Row<T> row_of(const xlstm_sampling_args& a, int64_t row) {
  const bool has_penalty = a.seen != nullptr && a.repetition_penalty != 1;
  return {static_cast<const T*>(a.logits) + row * a.logits_stride_row,
          has_penalty ? a.seen + row * a.seen_stride_row : nullptr,
          static_cast<T>(a.repetition_penalty)};
}

// The maximum, or NaN if the row has a NaN, a +inf, or nothing but -inf.
template <class T>
T checked_max(const Row<T>& x, int64_t n) {
  T max = -std::numeric_limits<T>::infinity();
  bool bad = false;
#pragma omp simd reduction(max : max) reduction(| : bad)
  for (int64_t v = 0; v < n; ++v) {
    const T value = x[v];
    bad = bad | !(value <= std::numeric_limits<T>::max());
    max = value > max ? value : max;
  }
  return bad || max == -std::numeric_limits<T>::infinity() ? std::numeric_limits<T>::quiet_NaN()
                                                           : max;
}

// 1 / temperature, kept finite so that the largest logit's exponent is 0 and not NaN.
template <class T>
T inverse_temperature(double temperature) {
  return static_cast<T>(
      std::min(1.0 / temperature, static_cast<double>(std::numeric_limits<T>::max())));
}

double uniform_for_row(const xlstm_sampling_args& a, int64_t row) {
  const int64_t stream = a.streams == nullptr ? row : a.streams[row];
  const uint64_t base = a.position_base == nullptr ? 0 : *a.position_base;
  const Philox4 r = philox(a.seed, base + a.position, static_cast<uint64_t>(stream));
  const uint64_t bits = (uint64_t{r.x[0]} << 32 | r.x[1]) >> 11;
  return static_cast<double>(bits) * 0x1.0p-53;
}

// The first of n entries whose cumulative weight exceeds u * total. fill(start, count, out) gives
// the weights of a piece, the same numbers each time. Rounding can leave u * total just above the
// last sum; the last entry with a weight is chosen then.
template <class T, class Fill>
int64_t choose(int64_t n, double u, Fill fill) {
  T weights[kPiece];
  double total = 0;
  for (int64_t start = 0; start < n; start += kPiece) {
    const int64_t count = std::min(kPiece, n - start);
    fill(start, count, weights);
    for (int64_t i = 0; i < count; ++i) total += static_cast<double>(weights[i]);
  }
  const double threshold = u * total;
  double cumulative = 0;
  int64_t last = 0;
  for (int64_t start = 0; start < n; start += kPiece) {
    const int64_t count = std::min(kPiece, n - start);
    fill(start, count, weights);
    for (int64_t i = 0; i < count; ++i) {
      if (weights[i] > T(0)) last = start + i;
      cumulative += static_cast<double>(weights[i]);
      if (cumulative > threshold) return start + i;
    }
  }
  return last;
}

// Weights of logits, relative to that of the largest.
template <class T>
struct Weights {
  T max, inverse, min;  // those below min are 0, but never the largest

  T operator()(T logit) const {
    const T w = vec::exp((logit - max) * inverse);
    return w >= min || logit == max ? w : T(0);
  }
};

template <class T>
int64_t sample_all(const Row<T>& x, int64_t n, const Weights<T>& weight, double u) {
  return choose<T>(n, u, [=](int64_t start, int64_t count, T* weights) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) weights[i] = weight(x[start + i]);
  });
}

// Keeps the k best in a heap whose front is the worst of them.
template <class T>
void keep_best(const Row<T>& x, int64_t n, int64_t k, Candidate<T>* heap) {
  for (int64_t v = 0; v < k; ++v) heap[v] = {x[v], v};
  if (k == n) return;
  std::make_heap(heap, heap + k, better<T>);
  for (int64_t v = k; v < n; ++v) {
    // Ids ascend, so a later equal logit is never better.
    const T logit = x[v];
    if (!(logit > heap[0].logit)) continue;
    std::pop_heap(heap, heap + k, better<T>);
    heap[k - 1] = {logit, v};
    std::push_heap(heap, heap + k, better<T>);
  }
}

// Moves the fewest best candidates whose weights reach `share` of the sum to the end, and returns
// where they begin. All weights count: min_p comes later.
template <class T>
int64_t keep_share(Candidate<T>* candidates, int64_t k, double share, Weights<T> weight) {
  weight.min = T(0);
  double total = 0, sum = 0;
  for (int64_t i = 0; i < k; ++i) total += static_cast<double>(weight(candidates[i].logit));
  const auto worse = [](const Candidate<T>& a, const Candidate<T>& b) { return better(b, a); };
  std::make_heap(candidates, candidates + k, worse);  // the best is in front
  int64_t begin = k;
  do {
    std::pop_heap(candidates, candidates + begin, worse);
    --begin;
    sum += static_cast<double>(weight(candidates[begin].logit));
  } while (begin > 0 && !(sum >= share * total));
  return begin;
}

// Chooses among k candidates in order of ids.
template <class T>
int64_t sample_candidates(Candidate<T>* candidates, int64_t k, const Weights<T>& weight, double u) {
  std::sort(candidates, candidates + k,
            [](const Candidate<T>& a, const Candidate<T>& b) { return a.id < b.id; });
  const int64_t chosen = choose<T>(k, u, [=](int64_t start, int64_t count, T* weights) {
    for (int64_t i = 0; i < count; ++i) weights[i] = weight(candidates[start + i].logit);
  });
  return candidates[chosen].id;
}

int64_t valid_ids(const xlstm_sampling_args& a) {
  return a.n_valid == 0 ? a.n_vocab : a.n_valid;
}

// Candidates that a row keeps in memory; 0 if it draws among all.
int64_t n_candidates(const xlstm_sampling_args& a) {
  if (a.temperature == 0) return 0;
  const int64_t n = valid_ids(a);
  if (a.top_k > 0 && a.top_k < n) return a.top_k;
  return a.top_p < 1 ? n : 0;
}

template <class T>
bool rows_ok(const xlstm_sampling_args& a) {
  const int64_t n = valid_ids(a);
  int64_t bad = 0;
#pragma omp parallel for schedule(static) reduction(+ : bad) if (a.rows > 1 && a.rows * n > 65536)
  for (int64_t row = 0; row < a.rows; ++row)
    bad += std::isnan(checked_max(row_of<T>(a, row), n)) ? 1 : 0;
  return bad == 0;
}

template <class T>
int64_t sample_row(const xlstm_sampling_args& a, int64_t row, Candidate<T>* candidates) {
  const Row<T> x = row_of<T>(a, row);
  const int64_t n = valid_ids(a), k = n_candidates(a);
  const T max = checked_max(x, n);
  if (a.temperature == 0) {
    int64_t v = 0;
    while (x[v] != max) ++v;
    return v;
  }
  const Weights<T> weight{max, inverse_temperature<T>(a.temperature), static_cast<T>(a.min_p)};
  const double u = uniform_for_row(a, row);
  if (k == 0) return sample_all(x, n, weight, u);
  keep_best(x, n, k, candidates);
  const int64_t begin = a.top_p < 1 ? keep_share(candidates, k, a.top_p, weight) : 0;
  return sample_candidates(candidates + begin, k - begin, weight, u);
}

template <class T>
void sample_rows(const xlstm_sampling_args& a, void* workspace) {
  const int64_t n = valid_ids(a), k = n_candidates(a);
  Candidate<T>* candidates = static_cast<Candidate<T>*>(workspace);
#pragma omp parallel for schedule(static) if (a.rows > 1 && a.rows * n > 16384)
  for (int64_t row = 0; row < a.rows; ++row) {
    const int64_t token = sample_row(a, row, k == 0 ? nullptr : candidates + row * k);
    a.tokens[row] = token;
    if (a.seen != nullptr) a.seen[row * a.seen_stride_row + token] = 1;
  }
}

template <class T>
xlstm_status run(const xlstm_sampling_args& a, void* workspace) {
  if (!rows_ok<T>(a)) return XLSTM_BAD_VALUE;
  sample_rows<T>(a, workspace);
  return XLSTM_OK;
}

}  // namespace

int64_t xlstm_sampling_workspace_cpu(const xlstm_sampling_args* args) {
  return Cpu::workspace(args, xlstm_sampling_check, [&]<class T>(Element<T>) {
    return args->rows * n_candidates(*args) * int64_t{sizeof(Candidate<T>)};
  });
}

xlstm_status xlstm_sampling_cpu(const xlstm_sampling_args* args, xlstm_exec exec) {
  return Cpu::run(args, xlstm_sampling_check, exec, xlstm_sampling_workspace_cpu,
                  [&]<class T>(Element<T>) { return run<T>(*args, exec.workspace); });
}
