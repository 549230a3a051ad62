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

template <class T>
int64_t sample_all(const T* x, int64_t n, T max, T inverse, double u) {
  return choose<T>(n, u, [=](int64_t start, int64_t count, T* weights) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) weights[i] = vec::exp((x[start + i] - max) * inverse);
  });
}

// Keeps the k best in a heap whose front is the worst of them, then chooses in order of ids.
template <class T>
int64_t sample_top(const T* x, int64_t n, int64_t k, T max, T inverse, double u,
                   Candidate<T>* heap) {
  for (int64_t v = 0; v < k; ++v) heap[v] = {x[v], v};
  std::make_heap(heap, heap + k, better<T>);
  for (int64_t v = k; v < n; ++v) {
    // Ids ascend, so a later equal logit is never better.
    if (!(x[v] > heap[0].logit)) continue;
    std::pop_heap(heap, heap + k, better<T>);
    heap[k - 1] = {x[v], v};
    std::push_heap(heap, heap + k, better<T>);
  }
  std::sort(heap, heap + k,
            [](const Candidate<T>& a, const Candidate<T>& b) { return a.id < b.id; });
  const int64_t chosen = choose<T>(k, u, [=](int64_t start, int64_t count, T* weights) {
    for (int64_t i = 0; i < count; ++i)
      weights[i] = vec::exp((heap[start + i].logit - max) * inverse);
  });
  return heap[chosen].id;
}

int64_t valid_ids(const xlstm_sampling_args& a) {
  return a.n_valid == 0 ? a.n_vocab : a.n_valid;
}

// Entries of a row's heap; 0 if there is none to keep.
int64_t heap_entries(const xlstm_sampling_args& a) {
  return a.temperature == 0 || a.top_k == 0 || a.top_k >= valid_ids(a) ? 0 : a.top_k;
}

template <class T>
bool rows_ok(const xlstm_sampling_args& a) {
  const T* logits = static_cast<const T*>(a.logits);
  const int64_t n = valid_ids(a);
  int64_t bad = 0;
#pragma omp parallel for schedule(static) reduction(+ : bad) if (a.rows > 1 && a.rows * n > 65536)
  for (int64_t row = 0; row < a.rows; ++row)
    bad += std::isnan(checked_max(logits + row * a.logits_stride_row, n)) ? 1 : 0;
  return bad == 0;
}

template <class T>
void sample_rows(const xlstm_sampling_args& a, void* workspace) {
  const T* logits = static_cast<const T*>(a.logits);
  const int64_t n = valid_ids(a), k = heap_entries(a);
  const T inverse = a.temperature == 0 ? T(0) : inverse_temperature<T>(a.temperature);
  Candidate<T>* heaps = static_cast<Candidate<T>*>(workspace);
#pragma omp parallel for schedule(static) if (a.rows > 1 && a.rows * n > 16384)
  for (int64_t row = 0; row < a.rows; ++row) {
    const T* x = logits + row * a.logits_stride_row;
    const T max = checked_max(x, n);
    if (a.temperature == 0) {
      a.tokens[row] = std::find(x, x + n, max) - x;
      continue;
    }
    const double u = uniform_for_row(a, row);
    a.tokens[row] = k == 0 ? sample_all(x, n, max, inverse, u)
                           : sample_top(x, n, k, max, inverse, u, heaps + row * k);
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
    return args->rows * heap_entries(*args) * int64_t{sizeof(Candidate<T>)};
  });
}

xlstm_status xlstm_sampling_cpu(const xlstm_sampling_args* args, xlstm_exec exec) {
  return Cpu::run(args, xlstm_sampling_check, exec, xlstm_sampling_workspace_cpu,
                  [&]<class T>(Element<T>) { return run<T>(*args, exec.workspace); });
}
