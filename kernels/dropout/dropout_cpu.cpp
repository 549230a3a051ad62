#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/common/entry.h"
#include "kernels/common/philox.h"
#include "kernels/dropout/dropout.h"

namespace {

using namespace xlstm::kernels;

constexpr int64_t kCounters = 256;  // Philox blocks drawn at a time

// The words of kCounters Philox blocks from `counter` on, in order of elements.
void draw_words(const xlstm_dropout_args& a, int64_t counter, uint32_t* words) {
  const uint64_t offset = a.offset + (a.offset_base != nullptr ? *a.offset_base : 0);
#pragma omp simd
  for (int64_t j = 0; j < kCounters; ++j) {
    const Philox4 r = philox(a.seed, offset + static_cast<uint64_t>(counter + j), 0);
    words[4 * j] = r.x[0];
    words[4 * j + 1] = r.x[1];
    words[4 * j + 2] = r.x[2];
    words[4 * j + 3] = r.x[3];
  }
}

template <class T>
void apply(const xlstm_dropout_args& a) {
  const T* x = static_cast<const T*>(a.x);
  T* y = static_cast<T*>(a.y);
  const T scale = static_cast<T>(1.0 / (1.0 - a.p));
  // uniform >= p as integers: exact for every p, and the same for float and double elements.
  const uint32_t threshold = static_cast<uint32_t>(std::ceil(a.p * 16777216.0));
  const int64_t piece = 4 * kCounters;
  const int64_t n_pieces = (a.n + piece - 1) / piece;
#pragma omp parallel for schedule(static) if (a.n > 16384)
  for (int64_t k = 0; k < n_pieces; ++k) {
    uint32_t words[4 * kCounters];
    draw_words(a, k * kCounters, words);
    const int64_t start = k * piece, count = std::min(a.n - start, piece);
    const T* from = x + start;
    T* to = y + start;
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      const T kept = from[i] * scale;
      to[i] = (words[i] >> 8) >= threshold ? kept : T(0);
    }
  }
}

}  // namespace

xlstm_status xlstm_dropout_cpu(const xlstm_dropout_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_dropout_check, [&]<class T>(Element<T>) { apply<T>(*args); });
}
