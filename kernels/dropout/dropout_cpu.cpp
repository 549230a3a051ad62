#include <algorithm>
#include <cstdint>

#include "kernels/common/philox.h"
#include "kernels/dropout/dropout.h"

namespace {

using namespace xlstm::kernels;

constexpr int64_t kCounters = 256;  // Philox blocks drawn at a time

// scale or 0 for 4 * kCounters elements from element 4 * counter on. Word k of every block lies
// together, so that the blocks are computed side by side.
void draw_words(const xlstm_dropout_args& a, int64_t counter, uint32_t (*words)[kCounters]) {
#pragma omp simd
  for (int64_t j = 0; j < kCounters; ++j) {
    const Philox4 r = philox(a.seed, a.offset + static_cast<uint64_t>(counter + j), 0);
    words[0][j] = r.x[0];
    words[1][j] = r.x[1];
    words[2][j] = r.x[2];
    words[3][j] = r.x[3];
  }
}

template <class T>
void apply(const xlstm_dropout_args& a) {
  const T* x = static_cast<const T*>(a.x);
  T* y = static_cast<T*>(a.y);
  const T scale = static_cast<T>(1.0 / (1.0 - a.p));
  const int64_t piece = 4 * kCounters;
  const int64_t n_pieces = (a.n + piece - 1) / piece;
#pragma omp parallel for schedule(static) if (a.n > 16384)
  for (int64_t k = 0; k < n_pieces; ++k) {
    uint32_t words[4][kCounters];
    draw_words(a, k * kCounters, words);
    const int64_t start = k * piece, end = std::min(a.n, start + piece);
    for (int64_t i = start; i < end; ++i) {
      const int64_t at = i - start;
      // p in double: a float threshold would round p just below 1 up to "drop everything".
      const bool keep = static_cast<double>(uniform_24(words[at & 3][at >> 2])) >= a.p;
      y[i] = keep ? x[i] * scale : T(0);
    }
  }
}

}  // namespace

xlstm_status xlstm_dropout_cpu(const xlstm_dropout_args* args, xlstm_exec) {
  const xlstm_status status = xlstm_dropout_check(args);
  if (status != XLSTM_OK) return status;
  args->dtype == XLSTM_F32 ? apply<float>(*args) : apply<double>(*args);
  return XLSTM_OK;
}
