#include <algorithm>
#include <cmath>

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/common/entry.h"
#include "kernels/common/lanes.h"
#include "kernels/common/vec_math.h"

namespace xlstm::kernels {
namespace {

constexpr int64_t kSteps = 64;      // time steps of a task
constexpr int64_t kChannels = 128;  // channels of a task: its rows stay in the cache

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// The inputs of one row of the batch as a tap sees them: the sequence, the state before it, and
// zeros where a document border hides what lies before. Forward and backward share it.
template <class T>
class Inputs {
 public:
  template <class Args>
  Inputs(const Args& a, int64_t b, const T* zeros)
      : x_(static_cast<const T*>(a.x) + b * a.x_stride_b),
        stride_(a.x_stride_t),
        state_(static_cast<const T*>(a.state_init)),
        C_(a.C),
        before_(a.KS - 1),
        reset_(a.reset == nullptr ? nullptr : a.reset + b * a.T),
        zeros_(zeros) {
    if (state_ != nullptr) state_ += b * before_ * C_;
  }

  // Number of taps at t that stay in t's document: tap d (0 = current token) is seen if d is below.
  int64_t visible(int64_t t) const {
    if (reset_ != nullptr)
      for (int64_t d = 0; d <= std::min(t, before_); ++d)
        if (reset_[t - d] != 0) return d + 1;
    return before_ + 1;
  }

  // The input at time s, -KS < s < T, which may lie in the initial state.
  const T* at(int64_t s) const {
    if (s >= 0) return x_ + s * stride_;
    return state_ != nullptr ? state_ + (before_ + s) * C_ : zeros_;
  }

  const T* zeros() const { return zeros_; }

 private:
  const T* x_;
  int64_t stride_;
  const T* state_;
  int64_t C_, before_;
  const uint8_t* reset_;
  const T* zeros_;
};

// out = bias + sum_d w[d] row[d] over n channels, d = 0 the current token. w [KS, C] by taps.
template <class T, int64_t KS>
void convolve_fixed(const T* const* row, const T* w, int64_t C, const T* bias, T* out, int64_t n) {
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) {
    T sum = bias[c];
    for (int64_t d = 0; d < KS; ++d) sum += w[d * C + c] * row[d][c];
    out[c] = sum;
  }
}

// Any KS: taps are taken from `row_of(d)`.
template <class T, class RowOf>
void convolve(int64_t KS, RowOf row_of, const T* w, int64_t C, const T* bias, T* out, int64_t n) {
  if (KS <= 4) {
    const T* rows[4];
    for (int64_t d = 0; d < KS; ++d) rows[d] = row_of(d);
    switch (KS) {
      case 1:
        return convolve_fixed<T, 1>(rows, w, C, bias, out, n);
      case 2:
        return convolve_fixed<T, 2>(rows, w, C, bias, out, n);
      case 3:
        return convolve_fixed<T, 3>(rows, w, C, bias, out, n);
      default:
        return convolve_fixed<T, 4>(rows, w, C, bias, out, n);
    }
  }
  for (int64_t c = 0; c < n; ++c) out[c] = bias[c];
  for (int64_t d = 0; d < KS; ++d) {
    const T* row = row_of(d);
    const T* tap = w + d * C;
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) out[c] += tap[c] * row[c];
  }
}

template <class T>
T sigmoid(T x) {
  const T e = vec::exp_of_nonpositive(-std::fabs(x)), r = T(1) / (T(1) + e);
  return x >= T(0) ? r : e * r;
}

template <class T>
void apply_silu(T* y, int64_t n) {
  for (int64_t c = 0; c < n; ++c) y[c] *= sigmoid(y[c]);
}

// d(pre) = d(y) * silu'(pre), silu'(p) = s (1 + p (1 - s)), s = sigmoid(p); pre is overwritten.
template <class T>
void silu_gradient(T* pre, const T* dy, int64_t n) {
  for (int64_t c = 0; c < n; ++c) {
    const T s = sigmoid(pre[c]);
    pre[c] = dy[c] * (s * (T(1) + pre[c] * (T(1) - s)));
  }
}

// Weights with the taps outermost, the current token first, so that channels are dense; the bias,
// zeros if there is none; a row of zeros.
template <class T>
struct Prepared {
  T *w, *bias, *zeros;
  static int64_t size(int64_t C, int64_t KS) { return (KS + 2) * C; }
};

template <class T, class Args>
Prepared<T> prepare(const Args& a, T* memory) {
  const Prepared<T> p{memory, memory + a.KS * a.C, memory + (a.KS + 1) * a.C};
  const T* weight = static_cast<const T*>(a.weight);
  const T* bias = static_cast<const T*>(a.bias);
  for (int64_t c = 0; c < a.C; ++c) {
    for (int64_t d = 0; d < a.KS; ++d) p.w[d * a.C + c] = weight[c * a.KS + a.KS - 1 - d];
    p.bias[c] = bias == nullptr ? T(0) : bias[c];
    p.zeros[c] = T(0);
  }
  return p;
}

// How B x T x C is cut; a function of the shape alone.
struct Blocks {
  int64_t steps, channels, tasks;  // blocks along T and C; tasks = B * steps * channels
  Blocks(int64_t B, int64_t T, int64_t C)
      : steps(ceil_div(T, kSteps)), channels(ceil_div(C, kChannels)), tasks(B * steps * channels) {}
};

struct Task {
  int64_t b, block, t0, t1, c0, n;
  Task(const Blocks& blocks, int64_t index, int64_t T, int64_t C)
      : b(index / (blocks.steps * blocks.channels)),
        block(index / blocks.channels % blocks.steps),
        t0(block * kSteps),
        t1(std::min(T, t0 + kSteps)),
        c0(index % blocks.channels * kChannels),
        n(std::min(kChannels, C - c0)) {}
};

bool is_small(int64_t B, int64_t T, int64_t C) {
  return B * T * C < 16 * 1024;
}

template <class T>
void pre_activation(const Inputs<T>& in, int64_t t, int64_t KS, const Prepared<T>& p, int64_t C,
                    int64_t c0, T* out, int64_t n) {
  const int64_t visible = in.visible(t);
  const auto row_of = [&](int64_t d) { return (d < visible ? in.at(t - d) : in.zeros()) + c0; };
  convolve<T>(KS, row_of, p.w + c0, C, p.bias + c0, out, n);
}

template <class T>
void forward(const xlstm_causal_conv1d_fwd_args& a, void* workspace) {
  const Prepared<T> p = prepare(a, static_cast<T*>(workspace));
  const Blocks blocks(a.B, a.T, a.C);
#pragma omp parallel if (!is_small(a.B, a.T, a.C))
  {
#pragma omp for schedule(static)
    for (int64_t index = 0; index < blocks.tasks; ++index) {
      const Task task(blocks, index, a.T, a.C);
      const Inputs<T> in(a, task.b, p.zeros);
      for (int64_t t = task.t0; t < task.t1; ++t) {
        T* y = static_cast<T*>(a.y) + task.b * a.y_stride_b + t * a.y_stride_t + task.c0;
        pre_activation(in, t, a.KS, p, a.C, task.c0, y, task.n);
        if (a.silu) apply_silu(y, task.n);
      }
    }
    if (a.state_final != nullptr) {
#pragma omp for schedule(static)
      for (int64_t b = 0; b < a.B; ++b) {
        const Inputs<T> in(a, b, p.zeros);
        // A step after the last would see `visible` inputs, itself not counted.
        const int64_t kept = a.T > 0 ? in.visible(a.T - 1) : a.KS;
        for (int64_t d = 0; d < a.KS - 1; ++d) {
          const T* from = d < kept ? in.at(a.T - 1 - d) : in.zeros();
          std::copy_n(from, a.C,
                      static_cast<T*>(a.state_final) + (b * (a.KS - 1) + a.KS - 2 - d) * a.C);
        }
      }
    }
  }
}

// One block of steps and channels, backwards. It owns dx of its steps; the first block of a row
// owns dstate_init too. Steps of the next block whose taps reach back are computed here again.
template <class T>
class BackwardTask {
 public:
  BackwardTask(const xlstm_causal_conv1d_bwd_args& a, const Prepared<T>& p, const Task& task,
               T* sums)
      : a_(a), p_(p), k_(task), in_(a, task.b, p.zeros), sums_(sums) {}

  void run() {
    start_from_final_state();
    std::fill_n(sums_, (a_.KS + 1) * k_.n, T(0));
    if (a_.dy == nullptr) return;
    const int64_t end = std::min(a_.T, k_.t1 + a_.KS - 1);
    if (is_plain(end)) return run_plain(end);
    T row[kChannels];
    for (int64_t t = k_.t0; t < end; ++t) {
      const T* dy = dy_at(t);
      const T* dpre = dy;
      if (a_.silu) {
        pre_activation(in_, t, a_.KS, p_, a_.C, k_.c0, row, k_.n);
        silu_gradient(row, dy, k_.n);
        dpre = row;
      }
      spread(t, dpre);
    }
  }

 private:
  // Where the gradient of the input at time s goes, or null if it is not this task's or not wanted.
  T* gradient_at(int64_t s) const {
    if (s >= 0) {
      if (a_.dx == nullptr || s < k_.t0 || s >= k_.t1) return nullptr;
      return static_cast<T*>(a_.dx) + k_.b * a_.dx_stride_b + s * a_.dx_stride_t + k_.c0;
    }
    if (a_.dstate_init == nullptr || k_.t0 > 0) return nullptr;
    return static_cast<T*>(a_.dstate_init) + (k_.b * (a_.KS - 1) + a_.KS - 1 + s) * a_.C + k_.c0;
  }

  // Every gradient starts as what the final state passes back, mostly nothing.
  void start_from_final_state() {
    const int64_t kept = std::min(in_.visible(a_.T - 1), a_.KS - 1);
    for (int64_t s = k_.t0 > 0 ? k_.t0 : 1 - a_.KS; s < k_.t1; ++s) {
      T* to = gradient_at(s);
      if (to == nullptr) continue;
      const int64_t d = a_.T - 1 - s;
      if (a_.dstate_final != nullptr && d < kept) {
        std::copy_n(static_cast<const T*>(a_.dstate_final) +
                        (k_.b * (a_.KS - 1) + a_.KS - 2 - d) * a_.C + k_.c0,
                    k_.n, to);
      } else {
        std::fill_n(to, k_.n, T(0));
      }
    }
  }

  // Adds what step t gives to the inputs it saw, to the weights and to the bias.
  void spread(int64_t t, const T* dpre) {
    const int64_t visible = in_.visible(t);
    const bool own = t < k_.t1;  // else another task counts it in its sums
    for (int64_t d = 0; d < visible; ++d) {
      if (T* to = gradient_at(t - d)) {
        const T* w = p_.w + d * a_.C + k_.c0;
#pragma GCC ivdep
        for (int64_t c = 0; c < k_.n; ++c) to[c] += w[c] * dpre[c];
      }
      if (own && a_.dweight != nullptr) {
        const T* x = in_.at(t - d) + k_.c0;
        T* sum = sums_ + d * k_.n;
#pragma GCC ivdep
        for (int64_t c = 0; c < k_.n; ++c) sum[c] += x[c] * dpre[c];
      }
    }
    if (own && a_.dbias != nullptr) {
      T* sum = sums_ + a_.KS * k_.n;
#pragma GCC ivdep
      for (int64_t c = 0; c < k_.n; ++c) sum[c] += dpre[c];
    }
  }

  const T* dy_at(int64_t t) const {
    return static_cast<const T*>(a_.dy) + k_.b * a_.dy_stride_b + t * a_.dy_stride_t + k_.c0;
  }

  // The usual case, worth a faster way: four taps, whole registers of channels, no document border
  // in reach, and the gradient of x wanted.
  bool is_plain(int64_t end) const {
    if (a_.KS != 4 || a_.dx == nullptr || k_.n % kLanes<T> != 0) return false;
    if (a_.reset == nullptr) return true;
    const uint8_t* reset = a_.reset + k_.b * a_.T;
    return std::all_of(reset + std::max<int64_t>(0, k_.t0 - 3), reset + end,
                       [](uint8_t mark) { return mark == 0; });
  }

  void run_plain(int64_t end) {
    T dpre[(kSteps + 3) * kChannels];
    for (int64_t t = k_.t0; a_.silu && t < end; ++t) {
      T* row = dpre + (t - k_.t0) * kChannels;
      pre_activation(in_, t, 4, p_, a_.C, k_.c0, row, k_.n);
      silu_gradient(row, dy_at(t), k_.n);
    }
    for (int64_t c = 0; c < k_.n; c += kLanes<T>) {
      if (a_.silu) {
        run_register(c, end, dpre + c, kChannels);
      } else {
        run_register(c, end, dy_at(k_.t0) + c, a_.dy_stride_t);
      }
    }
  }

  // One register of channels over all steps, with the last three x and dpre, the weights and the
  // sums in registers. `dpre` starts at the task's first step.
  void run_register(int64_t c, int64_t end, const T* dpre, int64_t stride) {
    using V = Lanes<T>;
    V w[4], sum[5] = {}, x[4], g[4] = {};
    for (int64_t d = 0; d < 4; ++d) w[d] = load_lanes(p_.w + d * a_.C + k_.c0 + c);
    for (int64_t d = 1; d < 4; ++d) x[d] = load_lanes(in_.at(k_.t0 - d) + k_.c0 + c);
    // Step t completes the gradient of the input at t - 3; three more steps than there are.
    for (int64_t t = k_.t0; t < k_.t1 + 3; ++t) {
      g[0] = t < end ? load_lanes(dpre + (t - k_.t0) * stride) : V{};
      if (t < k_.t1) {
        x[0] = load_lanes(in_.at(t) + k_.c0 + c);
        for (int64_t d = 0; d < 4; ++d) sum[d] += x[d] * g[0];
        sum[4] += g[0];
        for (int64_t d = 3; d > 0; --d) x[d] = x[d - 1];
      }
      if (T* to = gradient_at(t - 3)) {
        // w[d] is the weight of the input d steps back, so step t - 3 + d used it.
        V total = load_lanes(to + c);
        for (int64_t d = 0; d < 4; ++d) total += w[d] * g[3 - d];
        store_lanes(to + c, total);
      }
      for (int64_t d = 3; d > 0; --d) g[d] = g[d - 1];
    }
    for (int64_t d = 0; d < 5; ++d) store_lanes(sums_ + d * k_.n + c, sum[d]);
  }

  const xlstm_causal_conv1d_bwd_args& a_;
  const Prepared<T>& p_;
  const Task k_;
  const Inputs<T> in_;
  T* sums_;  // [KS + 1, n]: dweight by taps, then dbias
};

// dweight and dbias of one block of channels: the tasks' sums in their order.
template <class T>
void combine(const xlstm_causal_conv1d_bwd_args& a, const Blocks& blocks, const T* sums,
             int64_t per_task, int64_t channel_block) {
  const int64_t c0 = channel_block * kChannels, n = std::min(kChannels, a.C - c0);
  T total[kChannels];
  for (int64_t d = 0; d <= a.KS; ++d) {
    std::fill_n(total, n, T(0));
    for (int64_t i = channel_block; i < blocks.tasks; i += blocks.channels) {
      const T* from = sums + i * per_task + d * n;
      for (int64_t c = 0; c < n; ++c) total[c] += from[c];
    }
    T* dweight = static_cast<T*>(a.dweight);
    T* dbias = static_cast<T*>(a.dbias);
    if (d < a.KS && dweight != nullptr)
      for (int64_t c = 0; c < n; ++c) dweight[(c0 + c) * a.KS + a.KS - 1 - d] = total[c];
    if (d == a.KS && dbias != nullptr) std::copy_n(total, n, dbias + c0);
  }
}

// Elements for the sums of one task; its channels may be fewer.
int64_t sums_per_task(int64_t C, int64_t KS) {
  return (KS + 1) * std::min(C, kChannels);
}

template <class T>
void backward(const xlstm_causal_conv1d_bwd_args& a, void* workspace) {
  T* memory = static_cast<T*>(workspace);
  const Prepared<T> p = prepare(a, memory);
  T* sums = memory + Prepared<T>::size(a.C, a.KS);
  const Blocks blocks(a.B, a.T, a.C);
  const int64_t per_task = sums_per_task(a.C, a.KS);
  if (a.T == 0 && a.dstate_init != nullptr) {
    // The final state is the initial one.
    const int64_t n = a.B * (a.KS - 1) * a.C;
    T* to = static_cast<T*>(a.dstate_init);
    if (a.dstate_final != nullptr) {
      std::copy_n(static_cast<const T*>(a.dstate_final), n, to);
    } else {
      std::fill_n(to, n, T(0));
    }
  }
#pragma omp parallel if (!is_small(a.B, a.T, a.C))
  {
#pragma omp for schedule(static)
    for (int64_t index = 0; index < blocks.tasks; ++index)
      BackwardTask<T>(a, p, Task(blocks, index, a.T, a.C), sums + index * per_task).run();
#pragma omp for schedule(static)
    for (int64_t block = 0; block < blocks.channels; ++block)
      combine(a, blocks, sums, per_task, block);
  }
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

int64_t xlstm_causal_conv1d_fwd_workspace_cpu(const xlstm_causal_conv1d_fwd_args* args) {
  return Cpu::workspace(args, xlstm_causal_conv1d_fwd_check, [&]<class T>(Element<T>) {
    return Prepared<T>::size(args->C, args->KS) * int64_t{sizeof(T)};
  });
}

int64_t xlstm_causal_conv1d_bwd_workspace_cpu(const xlstm_causal_conv1d_bwd_args* args) {
  return Cpu::workspace(args, xlstm_causal_conv1d_bwd_check, [&]<class T>(Element<T>) {
    const int64_t sums = Blocks(args->B, args->T, args->C).tasks * sums_per_task(args->C, args->KS);
    return (Prepared<T>::size(args->C, args->KS) + sums) * int64_t{sizeof(T)};
  });
}

xlstm_status xlstm_causal_conv1d_fwd_cpu(const xlstm_causal_conv1d_fwd_args* args,
                                         xlstm_exec exec) {
  return Cpu::run(args, xlstm_causal_conv1d_fwd_check, exec, xlstm_causal_conv1d_fwd_workspace_cpu,
                  [&]<class T>(Element<T>) { forward<T>(*args, exec.workspace); });
}

xlstm_status xlstm_causal_conv1d_bwd_cpu(const xlstm_causal_conv1d_bwd_args* args,
                                         xlstm_exec exec) {
  return Cpu::run(args, xlstm_causal_conv1d_bwd_check, exec, xlstm_causal_conv1d_bwd_workspace_cpu,
                  [&]<class T>(Element<T>) { backward<T>(*args, exec.workspace); });
}
