#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/common/entry.h"
#include "kernels/common/vec_math.h"
#include "kernels/cross_entropy/cross_entropy.h"

namespace {

using namespace xlstm::kernels;

constexpr int64_t kPiece = 1024;  // logits handled while they are in the nearest cache
constexpr int64_t kLanes = 32;    // independent partial results

template <class Args>
bool targets_ok(const Args& a) {
  for (int64_t row = 0; row < a.rows; ++row) {
    const int64_t target = a.targets[row];
    if (target != a.ignore_index && (target < 0 || target >= a.n_vocab)) return false;
  }
  return true;
}

// The capped logits of a piece: x itself, or computed into `buffer`.
template <class T>
const T* capped_piece(const T* x, int64_t n, T cap, T* buffer) {
  if (cap == T(0)) return x;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) buffer[i] = vec::softcap(x[i], cap);
  return buffer;
}

template <class T>
T largest(const T* z, int64_t n) {
  constexpr T kLowest = -std::numeric_limits<T>::infinity();
  T lanes[kLanes];
  std::fill_n(lanes, kLanes, kLowest);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t j = 0; j < kLanes; ++j) lanes[j] = z[i + j] > lanes[j] ? z[i + j] : lanes[j];
  for (; i < n; ++i) lanes[0] = z[i] > lanes[0] ? z[i] : lanes[0];
  return *std::max_element(lanes, lanes + kLanes);
}

// Sum of exp(z - shift) over a piece. Lanes hold at most kPiece / kLanes terms each, so float is
// enough inside them.
template <class T>
double sum_of_exponentials(const T* z, int64_t n, T shift) {
  T lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
#pragma omp simd
    for (int64_t j = 0; j < kLanes; ++j) lanes[j] += vec::exp(z[i + j] - shift);
  }
  for (; i < n; ++i) lanes[0] += vec::exp(z[i] - shift);
  double sum = 0;
  for (int64_t j = 0; j < kLanes; ++j) sum += static_cast<double>(lanes[j]);
  return sum;
}

// max z and sum exp(z - max z) of one row.
template <class T>
void reduce_row(const T* x, int64_t n_vocab, T cap, T* row_max, double* row_sum) {
  T buffer[kPiece];
  T max = -std::numeric_limits<T>::infinity();
  double sum = 0;
  for (int64_t start = 0; start < n_vocab; start += kPiece) {
    const int64_t n = std::min(kPiece, n_vocab - start);
    const T* z = capped_piece(x + start, n, cap, buffer);
    const T piece_max = largest(z, n);
    if (piece_max > max) {
      sum *= std::exp(static_cast<double>(max) - static_cast<double>(piece_max));
      max = piece_max;
    }
    // Before any finite logit the maximum is -inf; z - max is NaN then, for NaN logits rightly so.
    const T shift = max == -std::numeric_limits<T>::infinity() ? T(0) : max;
    sum += sum_of_exponentials(z, n, shift);
  }
  *row_max = max;
  *row_sum = sum;
}

template <class T>
void forward(const xlstm_cross_entropy_fwd_args& a, double* row_loss) {
  const T* logits = static_cast<const T*>(a.logits);
  T* row_max = static_cast<T*>(a.row_max);
  T* row_sum = static_cast<T*>(a.row_sum);
  const T cap = static_cast<T>(a.soft_cap);
#pragma omp parallel for schedule(static) if (a.rows * a.n_vocab > 16384)
  for (int64_t row = 0; row < a.rows; ++row) {
    if (a.targets[row] == a.ignore_index) {
      row_max[row] = T(0);
      row_sum[row] = T(1);
      row_loss[row] = 0;
      continue;
    }
    const T* x = logits + row * a.logits_stride_row;
    double sum = 0;
    reduce_row(x, a.n_vocab, cap, row_max + row, &sum);
    row_sum[row] = static_cast<T>(sum);
    const T target = vec::softcap(x[a.targets[row]], cap);
    row_loss[row] =
        std::log(sum) - (static_cast<double>(target) - static_cast<double>(row_max[row]));
  }
  double total = 0;
  int64_t counted = 0;
  for (int64_t row = 0; row < a.rows; ++row) {
    if (a.targets[row] == a.ignore_index) continue;
    total += row_loss[row];
    ++counted;
  }
  *a.n_targets = counted;
  *static_cast<T*>(a.loss) =
      counted == 0 ? T(0) : static_cast<T>(total / static_cast<double>(counted));
}

template <class T>
void backward_row(const xlstm_cross_entropy_bwd_args& a, const T* x, int64_t target, T max, T sum,
                  double dloss, T* dx) {
  const T cap = static_cast<T>(a.soft_cap);
  const T scale = static_cast<T>(dloss / static_cast<double>(a.n_targets));
  const T factor = static_cast<T>(static_cast<double>(scale) / static_cast<double>(sum));
  const T x_target = x[target];
  if (cap == T(0)) {
#pragma omp simd
    for (int64_t v = 0; v < a.n_vocab; ++v) dx[v] = vec::exp(x[v] - max) * factor;
    dx[target] -= scale;
    return;
  }
  const T inverse_cap = T(1) / cap;
#pragma omp simd
  for (int64_t v = 0; v < a.n_vocab; ++v) {
    const T z = vec::softcap(x[v], cap), ratio = z * inverse_cap;
    dx[v] = vec::exp(z - max) * factor * (T(1) - ratio * ratio);
  }
  const T ratio = vec::softcap(x_target, cap) * inverse_cap;
  dx[target] -= scale * (T(1) - ratio * ratio);
}

template <class T>
void backward(const xlstm_cross_entropy_bwd_args& a) {
  const T* logits = static_cast<const T*>(a.logits);
  const T* row_max = static_cast<const T*>(a.row_max);
  const T* row_sum = static_cast<const T*>(a.row_sum);
  T* dlogits = static_cast<T*>(a.dlogits);
  const double dloss = static_cast<double>(*static_cast<const T*>(a.dloss));
#pragma omp parallel for schedule(static) if (a.rows * a.n_vocab > 16384)
  for (int64_t row = 0; row < a.rows; ++row) {
    T* dx = dlogits + row * a.dlogits_stride_row;
    if (a.targets[row] == a.ignore_index) {
      std::fill_n(dx, a.n_vocab, T(0));
    } else {
      backward_row(a, logits + row * a.logits_stride_row, a.targets[row], row_max[row],
                   row_sum[row], dloss, dx);
    }
  }
}

}  // namespace

int64_t xlstm_cross_entropy_fwd_workspace_cpu(const xlstm_cross_entropy_fwd_args* args) {
  return Cpu::workspace(args, xlstm_cross_entropy_fwd_check,
                        [&](auto) { return args->rows * int64_t{sizeof(double)}; });
}

xlstm_status xlstm_cross_entropy_fwd_cpu(const xlstm_cross_entropy_fwd_args* args,
                                         xlstm_exec exec) {
  return Cpu::run(args, xlstm_cross_entropy_fwd_check, exec, xlstm_cross_entropy_fwd_workspace_cpu,
                  [&]<class T>(Element<T>) {
                    if (!targets_ok(*args)) return XLSTM_BAD_VALUE;
                    forward<T>(*args, static_cast<double*>(exec.workspace));
                    return XLSTM_OK;
                  });
}

xlstm_status xlstm_cross_entropy_bwd_cpu(const xlstm_cross_entropy_bwd_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_cross_entropy_bwd_check, [&]<class T>(Element<T>) {
    if (args->dlogits_dtype != args->dtype) return XLSTM_BAD_DTYPE;
    if (args->n_targets_device != nullptr) return XLSTM_BAD_VALUE;
    if (!targets_ok(*args)) return XLSTM_BAD_VALUE;
    if (args->rows > 0) backward<T>(*args);
    return XLSTM_OK;
  });
}
