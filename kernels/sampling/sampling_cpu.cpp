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

// The maximum, or NaN if the row has a NaN, a +inf, or nothing but -inf.
template <class T>
T checked_max(const T* x, int64_t n) {
  T max = -std::numeric_limits<T>::infinity();
  bool bad = false;
#pragma omp simd reduction(max : max) reduction(| : bad)
  for (int64_t v = 0; v < n; ++v) {
    bad = bad | !(x[v] <= std::numeric_limits<T>::max());
    max = x[v] > max ? x[v] : max;
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
int64_t sample_all(const T* x, int64_t n, const Weights<T>& weight, double u) {
  return choose<T>(n, u, [=](int64_t start, int64_t count, T* weights) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) weights[i] = weight(x[start + i]);
  });
}

// Keeps the k best in a heap whose front is the worst of them.
template <class T>
void keep_best(const T* x, int64_t n, int64_t k, Candidate<T>* heap) {
  for (int64_t v = 0; v < k; ++v) heap[v] = {x[v], v};
  std::make_heap(heap, heap + k, better<T>);
  for (int64_t v = k; v < n; ++v) {
    // Ids ascend, so a later equal logit is never better.
    if (!(x[v] > heap[0].logit)) continue;
    std::pop_heap(heap, heap + k, better<T>);
    heap[k - 1] = {x[v], v};
    std::push_heap(heap, heap + k, better<T>);
  }
}

template <class T>
double total_weight(const Candidate<T>* candidates, int64_t k, const Weights<T>& weight) {
  double total = 0;
  for (int64_t i = 0; i < k; ++i) total += static_cast<double>(weight(candidates[i].logit));
  return total;
}

// body(v, weight) for all ids in order.
template <class T, class Body>
void for_weights(const T* x, int64_t n, const Weights<T>& weight, const Body& body) {
  T weights[kPiece];
  for (int64_t start = 0; start < n; start += kPiece) {
    const int64_t count = std::min(kPiece, n - start);
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) weights[i] = weight(x[start + i]);
    for (int64_t i = 0; i < count; ++i) body(start + i, static_cast<double>(weights[i]));
  }
}

// The candidates of the whole row that may be among the fewest with `share` of the weights, and
// their number; in *total the sum of all. What weighs so little that n of it are less than what may
// be missing is not among them (half of that, for rounding), and is most of a row.
template <class T>
int64_t keep_likely(const T* x, int64_t n, double share, const Weights<T>& weight,
                    Candidate<T>* candidates, double* total) {
  double sum = 0;
  for_weights(x, n, weight, [&](int64_t, double w) { sum += w; });
  const double least = 0.5 * (1 - share) * sum / static_cast<double>(n);
  int64_t k = 0;
  for_weights(x, n, weight, [&](int64_t v, double w) {
    if (w >= least) candidates[k++] = {x[v], v};
  });
  *total = sum;
  return k;
}

// Moves the fewest best candidates whose weights reach `wanted` to the end, and returns where they
// begin.
template <class T>
int64_t keep_share(Candidate<T>* candidates, int64_t k, double wanted, const Weights<T>& weight) {
  double sum = 0;
  const auto worse = [](const Candidate<T>& a, const Candidate<T>& b) { return better(b, a); };
  std::make_heap(candidates, candidates + k, worse);  // the best is in front
  int64_t begin = k;
  do {
    std::pop_heap(candidates, candidates + begin, worse);
    --begin;
    sum += static_cast<double>(weight(candidates[begin].logit));
  } while (begin > 0 && !(sum >= wanted));
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

bool has_penalty(const xlstm_sampling_args& a) {
  return a.seen != nullptr && a.repetition_penalty != 1;
}

// The workspace: the logits after the penalty, if there is one, and candidates.
template <class T>
struct Work {
  T* logits;
  Candidate<T>* candidates;

  static int64_t logits_bytes(const xlstm_sampling_args& a) {
    const int64_t bytes = has_penalty(a) ? a.rows * valid_ids(a) * int64_t{sizeof(T)} : 0;
    return (bytes + 63) / 64 * 64;
  }
  static int64_t bytes(const xlstm_sampling_args& a) {
    return logits_bytes(a) + a.rows * n_candidates(a) * int64_t{sizeof(Candidate<T>)};
  }
  Work(const xlstm_sampling_args& a, void* workspace)
      : logits(static_cast<T*>(workspace)),
        candidates(
            reinterpret_cast<Candidate<T>*>(static_cast<char*>(workspace) + logits_bytes(a))) {}
};

template <class T>
const T* logits_of(const xlstm_sampling_args& a, int64_t row, const Work<T>& work) {
  if (has_penalty(a)) return work.logits + row * valid_ids(a);
  return static_cast<const T*>(a.logits) + row * a.logits_stride_row;
}

template <class T>
void penalize(const xlstm_sampling_args& a, int64_t row, T* out) {
  const T* x = static_cast<const T*>(a.logits) + row * a.logits_stride_row;
  const uint8_t* seen = a.seen + row * a.seen_stride_row;
  const T penalty = static_cast<T>(a.repetition_penalty);
  const int64_t n = valid_ids(a);
  for (int64_t v = 0; v < n; ++v) {
    const T after = x[v] > T(0) ? x[v] / penalty : x[v] * penalty;
    out[v] = seen[v] != 0 ? after : x[v];
  }
}

// Whether every row can be sampled from. Writes the logits after the penalty.
template <class T>
bool rows_ok(const xlstm_sampling_args& a, const Work<T>& work) {
  const int64_t n = valid_ids(a);
  int64_t bad = 0;
#pragma omp parallel for schedule(static) reduction(+ : bad) if (a.rows > 1 && a.rows * n > 65536)
  for (int64_t row = 0; row < a.rows; ++row) {
    if (has_penalty(a)) penalize(a, row, work.logits + row * n);
    bad += std::isnan(checked_max(logits_of(a, row, work), n)) ? 1 : 0;
  }
  return bad == 0;
}

template <class T>
int64_t sample_row(const xlstm_sampling_args& a, int64_t row, const T* x,
                   Candidate<T>* candidates) {
  const int64_t n = valid_ids(a);
  const T max = checked_max(x, n);
  if (a.temperature == 0) return std::find(x, x + n, max) - x;
  const Weights<T> all{max, inverse_temperature<T>(a.temperature), T(0)};
  const Weights<T> likely{max, all.inverse, static_cast<T>(a.min_p)};
  const double u = uniform_for_row(a, row);
  int64_t k = n_candidates(a);
  if (k == 0) return sample_all(x, n, likely, u);
  double total = 0;
  if (k < n) {
    keep_best(x, n, k, candidates);
    if (a.top_p < 1) total = total_weight(candidates, k, all);
  } else {
    k = keep_likely(x, n, a.top_p, all, candidates, &total);
  }
  const int64_t begin = a.top_p < 1 ? keep_share(candidates, k, a.top_p * total, all) : 0;
  return sample_candidates(candidates + begin, k - begin, likely, u);
}

template <class T>
void sample_rows(const xlstm_sampling_args& a, const Work<T>& work) {
  const int64_t n = valid_ids(a), k = n_candidates(a);
#pragma omp parallel for schedule(static) if (a.rows > 1 && a.rows * n > 16384)
  for (int64_t row = 0; row < a.rows; ++row) {
    const int64_t token = sample_row(a, row, logits_of(a, row, work), work.candidates + row * k);
    a.tokens[row] = token;
    if (a.seen != nullptr) a.seen[row * a.seen_stride_row + token] = 1;
  }
}

template <class T>
xlstm_status run(const xlstm_sampling_args& a, void* workspace) {
  const Work<T> work(a, workspace);
  if (!rows_ok<T>(a, work)) return XLSTM_BAD_VALUE;
  sample_rows<T>(a, work);
  return XLSTM_OK;
}

}  // namespace

int64_t xlstm_sampling_workspace_cpu(const xlstm_sampling_args* args) {
  return Cpu::workspace(args, xlstm_sampling_check,
                        [&]<class T>(Element<T>) { return Work<T>::bytes(*args); });
}

xlstm_status xlstm_sampling_cpu(const xlstm_sampling_args* args, xlstm_exec exec) {
  return Cpu::run(args, xlstm_sampling_check, exec, xlstm_sampling_workspace_cpu,
                  [&]<class T>(Element<T>) { return run<T>(*args, exec.workspace); });
}
