#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/adamw/update_control.h"
#include "kernels/common/entry.h"

namespace {

using namespace xlstm::kernels;

constexpr int64_t kParallelFrom = 32768;  // elements below which threads cost more than they bring
constexpr int64_t kSumBlock = 16384;      // elements of one partial sum of squares
constexpr int64_t kLanes = 32;            // independent sums inside a block
constexpr int64_t kUpdateBlock = 4096;    // elements of one update loop

// f(begin, end) over fixed ranges: whether an element is handled by a vector loop or by its scalar
// rest must not depend on the number of threads.
template <class F>
void for_blocks(int64_t n, F f) {
  const int64_t n_blocks = n / kUpdateBlock + (n % kUpdateBlock != 0 ? 1 : 0);
#pragma omp parallel for schedule(static) if (n >= kParallelFrom)
  for (int64_t block = 0; block < n_blocks; ++block)
    f(block * kUpdateBlock, std::min(n, (block + 1) * kUpdateBlock));
}

template <class T>
void adamw(const xlstm_adamw_args& a) {
  T* p = static_cast<T*>(a.parameter);
  const T* grad = static_cast<const T*>(a.grad);
  T* m = static_cast<T*>(a.moment1);
  T* v = static_cast<T*>(a.moment2);
  const double t = static_cast<double>(a.step);
  const T beta1 = static_cast<T>(a.beta1), rest1 = static_cast<T>(1.0 - a.beta1);
  const T beta2 = static_cast<T>(a.beta2), rest2 = static_cast<T>(1.0 - a.beta2);
  // 1 - beta^t without cancellation for a beta next to 1.
  const double correction1 = a.beta1 > 0 ? -std::expm1(t * std::log(a.beta1)) : 1.0;
  const double correction2 = a.beta2 > 0 ? -std::expm1(t * std::log(a.beta2)) : 1.0;
  const T step_size = static_cast<T>(a.lr / correction1);
  const T root_scale = static_cast<T>(1.0 / std::sqrt(correction2));
  const T eps = static_cast<T>(a.eps), decay = static_cast<T>(a.lr * a.weight_decay);
  const T grad_scale = static_cast<T>(a.grad_scale);
  for_blocks(a.n, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const T g = grad_scale * grad[i];
      const T m1 = beta1 * m[i] + rest1 * g;
      const T v1 = beta2 * v[i] + rest2 * g * g;
      m[i] = m1;
      v[i] = v1;
      // p - decay * p rather than (1 - decay) * p: 1 - decay would be rounded in float.
      p[i] = p[i] - decay * p[i] - step_size * m1 / (std::sqrt(v1) * root_scale + eps);
    }
  });
}

template <class T>
void sgd(const xlstm_sgd_args& a) {
  T* p = static_cast<T*>(a.parameter);
  const T* grad = static_cast<const T*>(a.grad);
  T* u = static_cast<T*>(a.velocity);
  const T lr = static_cast<T>(a.lr), decay = static_cast<T>(a.weight_decay);
  const T grad_scale = static_cast<T>(a.grad_scale), momentum = static_cast<T>(a.momentum);
  if (a.momentum == 0) {
    for_blocks(a.n, [=](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) p[i] -= lr * (grad_scale * grad[i] + decay * p[i]);
    });
    return;
  }
  // The step along g + momentum u or along u.
  const T own = a.nesterov ? T(1) : T(0), carried = a.nesterov ? momentum : T(1);
  for_blocks(a.n, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const T g = grad_scale * grad[i] + decay * p[i];
      const T u1 = momentum * u[i] + g;
      u[i] = u1;
      p[i] -= lr * (own * g + carried * u1);
    }
  });
}

template <class T>
double block_sum(const T* x, int64_t n) {
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t j = 0; j < kLanes; ++j) {
      const double value = static_cast<double>(x[i + j]);
      lanes[j] += value * value;
    }
  for (int64_t j = 0; i < n; ++i, ++j) {
    const double value = static_cast<double>(x[i]);
    lanes[j] += value * value;
  }
  double sum = 0;
  for (int64_t j = 0; j < kLanes; ++j) sum += lanes[j];
  return sum;
}

int64_t sum_blocks(int64_t n) {
  return n / kSumBlock + (n % kSumBlock != 0 ? 1 : 0);
}

template <class T>
double sum_of_squares(const xlstm_sum_of_squares_args& a, double* partial) {
  const T* x = static_cast<const T*>(a.x);
  const int64_t n_blocks = sum_blocks(a.n);
#pragma omp parallel for schedule(static) if (a.n >= kParallelFrom)
  for (int64_t block = 0; block < n_blocks; ++block)
    partial[block] = block_sum(x + block * kSumBlock, std::min(kSumBlock, a.n - block * kSumBlock));
  double sum = 0;
  for (int64_t block = 0; block < n_blocks; ++block) sum += partial[block];
  return sum;
}

template <class T>
void clip(const xlstm_clip_args& a) {
  T* x = static_cast<T*>(a.x);
  const T limit = static_cast<T>(a.limit);
  for_blocks(a.n, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const T value = x[i];
      const T low = value < -limit ? -limit : value;
      x[i] = low > limit ? limit : low;
    }
  });
}

// What only CUDA offers.
template <class Args>
xlstm_status refuse_device_only(const Args& a) {
  if (a.grad_dtype != a.dtype) return XLSTM_BAD_DTYPE;
  const xlstm_update_scalars& d = a.on_device;
  const bool given = d.lr != nullptr || d.grad_scale != nullptr || d.step != nullptr ||
                     d.skip != nullptr || a.weights_copy != nullptr;
  return given ? XLSTM_BAD_VALUE : XLSTM_OK;
}

}  // namespace

xlstm_status xlstm_adamw_cpu(const xlstm_adamw_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_adamw_check, [&]<class T>(Element<T>) {
    const xlstm_status status = refuse_device_only(*args);
    if (status == XLSTM_OK) adamw<T>(*args);
    return status;
  });
}

xlstm_status xlstm_sgd_cpu(const xlstm_sgd_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_sgd_check, [&]<class T>(Element<T>) {
    const xlstm_status status = refuse_device_only(*args);
    if (status == XLSTM_OK) sgd<T>(*args);
    return status;
  });
}

int64_t xlstm_sum_of_squares_workspace_cpu(const xlstm_sum_of_squares_args* args) {
  return Cpu::workspace(args, xlstm_sum_of_squares_check,
                        [&](auto) { return sum_blocks(args->n) * int64_t{sizeof(double)}; });
}

xlstm_status xlstm_sum_of_squares_cpu(const xlstm_sum_of_squares_args* args, xlstm_exec exec) {
  return Cpu::run(args, xlstm_sum_of_squares_check, exec, xlstm_sum_of_squares_workspace_cpu,
                  [&]<class T>(Element<T>) {
                    *args->sum = sum_of_squares<T>(*args, static_cast<double*>(exec.workspace));
                  });
}

xlstm_status xlstm_clip_cpu(const xlstm_clip_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_clip_check, [&]<class T>(Element<T>) { clip<T>(*args); });
}

xlstm_status xlstm_update_control_cpu(const xlstm_update_control_args* args, xlstm_exec) {
  const xlstm_status status = xlstm_update_control_check(args);
  if (status == XLSTM_OK) decide_update(*args);
  return status;
}
