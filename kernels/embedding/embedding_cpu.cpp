#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/common/entry.h"
#include "kernels/embedding/embedding.h"

namespace {

using namespace xlstm::kernels;

// Columns summed at a time: their double sums stay in registers or the nearest cache.
constexpr int64_t kColumns = 64;

bool tokens_ok(const int64_t* tokens, int64_t n_tokens, int64_t n_vocab) {
  bool ok = true;
  for (int64_t t = 0; t < n_tokens; ++t) ok = ok && tokens[t] >= 0 && tokens[t] < n_vocab;
  return ok;
}

template <class T>
void gather(const xlstm_embedding_fwd_args& a) {
  const T* weight = static_cast<const T*>(a.weight);
  T* y = static_cast<T*>(a.y);
#pragma omp parallel for schedule(static) if (a.n_tokens * a.D > 65536)
  for (int64_t t = 0; t < a.n_tokens; ++t)
    std::memcpy(y + t * a.y_stride_row, weight + a.tokens[t] * a.weight_stride_row,
                static_cast<size_t>(a.D) * sizeof(T));
}

// first[w] .. first[w + 1] are the places in `order` of the positions of token w, ascending.
void sort_positions(const xlstm_embedding_bwd_args& a, int64_t* first, int64_t* order) {
  std::fill_n(first, a.n_vocab + 1, int64_t{0});
  for (int64_t t = 0; t < a.n_tokens; ++t) ++first[a.tokens[t] + 1];
  for (int64_t w = 0; w < a.n_vocab; ++w) first[w + 1] += first[w];
  for (int64_t t = 0; t < a.n_tokens; ++t) order[first[a.tokens[t]]++] = t;
  // Each start has moved to the next token's start: shift back.
  for (int64_t w = a.n_vocab; w > 0; --w) first[w] = first[w - 1];
  first[0] = 0;
}

template <class T>
void sum_row(const xlstm_embedding_bwd_args& a, const int64_t* begin, const int64_t* end, T* out) {
  if (begin == end) {
    std::memset(out, 0, static_cast<size_t>(a.D) * sizeof(T));
    return;
  }
  const T* dy = static_cast<const T*>(a.dy);
  if (end - begin == 1) {
    std::memcpy(out, dy + *begin * a.dy_stride_row, static_cast<size_t>(a.D) * sizeof(T));
    return;
  }
  for (int64_t column = 0; column < a.D; column += kColumns) {
    const int64_t n = std::min(kColumns, a.D - column);
    double sums[kColumns] = {};
    for (const int64_t* t = begin; t != end; ++t) {
      const T* from = dy + *t * a.dy_stride_row + column;
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) sums[i] += static_cast<double>(from[i]);
    }
    for (int64_t i = 0; i < n; ++i) out[column + i] = static_cast<T>(sums[i]);
  }
}

template <class T>
void scatter(const xlstm_embedding_bwd_args& a, const int64_t* first, const int64_t* order) {
  T* dweight = static_cast<T*>(a.dweight);
  // Frequent tokens make uneven rows, so threads take rows as they come; each row has one writer.
#pragma omp parallel for schedule(dynamic, 64) if (a.n_vocab * a.D > 65536)
  for (int64_t w = 0; w < a.n_vocab; ++w)
    sum_row<T>(a, order + first[w], order + first[w + 1], dweight + w * a.D);
}

}  // namespace

xlstm_status xlstm_embedding_fwd_cpu(const xlstm_embedding_fwd_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_embedding_fwd_check, [&]<class T>(Element<T>) {
    if (!tokens_ok(args->tokens, args->n_tokens, args->n_vocab)) return XLSTM_BAD_VALUE;
    if (args->n_tokens > 0 && args->D > 0) gather<T>(*args);
    return XLSTM_OK;
  });
}

int64_t xlstm_embedding_bwd_workspace_cpu(const xlstm_embedding_bwd_args* args) {
  return Cpu::workspace(args, xlstm_embedding_bwd_check, [&](auto) {
    if (args->n_vocab == 0 || args->D == 0) return int64_t{0};
    return (args->n_vocab + 1 + args->n_tokens) * int64_t{sizeof(int64_t)};
  });
}

xlstm_status xlstm_embedding_bwd_cpu(const xlstm_embedding_bwd_args* args, xlstm_exec exec) {
  return Cpu::run(args, xlstm_embedding_bwd_check, exec, xlstm_embedding_bwd_workspace_cpu,
                  [&]<class T>(Element<T>) {
                    if (!tokens_ok(args->tokens, args->n_tokens, args->n_vocab))
                      return XLSTM_BAD_VALUE;
                    if (args->n_vocab == 0 || args->D == 0) return XLSTM_OK;
                    int64_t* first = static_cast<int64_t*>(exec.workspace);
                    int64_t* order = first + args->n_vocab + 1;
                    sort_positions(*args, first, order);
                    scatter<T>(*args, first, order);
                    return XLSTM_OK;
                  });
}
