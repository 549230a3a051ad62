#include <algorithm>

#include "kernels/common/blas_cpu.h"
#include "kernels/common/entry.h"
#include "kernels/headwise_linear/headwise_linear.h"
#include "kernels/headwise_linear/small_blocks.h"

namespace xlstm::kernels {
namespace {

constexpr int64_t kRows = 128;  // rows of a task that only maps

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

template <class T>
bool has_small_blocks(int64_t I, int64_t O) {
  return I == O && (I == 2 || I == 4 || I == 8) && kLanes<T> % I == 0;
}

// Sums over rows are taken over these blocks, one after the other; a function of the shape alone.
// Products prefer long blocks, and have other tasks in their heads.
struct SumBlocks {
  int64_t rows, count;
  SumBlocks(int64_t N, int64_t H, bool small_blocks) {
    const int64_t shortest = small_blocks ? 64 : 256;
    const int64_t most = small_blocks ? 64 : std::max<int64_t>(1, 32 / std::max<int64_t>(H, 1));
    rows = std::max(shortest, ceil_div(ceil_div(N, most), 8) * 8);
    count = ceil_div(N, rows);
  }
};

bool is_little_work(int64_t N, int64_t H, int64_t I, int64_t O) {
  return N * H * (I * O + I + O) < 64 * 1024;
}

// Calls f<G>() for the block size.
template <class F>
void with_block_size(int64_t G, F f) {
  if (G == 2) return f.template operator()<2>();
  if (G == 4) return f.template operator()<4>();
  return f.template operator()<8>();
}

template <class T>
int64_t permuted_size(int64_t H, int64_t G) {
  return G * whole_lanes<T>(H * G);
}

template <class T>
void forward_small(const xlstm_headwise_linear_fwd_args& a, T* w) {
  small_blocks::permute(static_cast<const T*>(a.W), a.H, a.I, false, w);
  with_block_size(a.I, [&]<int G>() {
#pragma omp parallel for schedule(static) if (!is_little_work(a.N, a.H, a.I, a.O))
    for (int64_t r = 0; r < a.N; r += kRows)
      small_blocks::map_rows<G, T>(std::min(kRows, a.N - r), a.H * a.I,
                                   static_cast<const T*>(a.x) + r * a.x_stride_n, a.x_stride_n, w,
                                   static_cast<const T*>(a.bias),
                                   static_cast<T*>(a.y) + r * a.y_stride_n, a.y_stride_n);
  });
}

template <class T>
void forward_products(const xlstm_headwise_linear_fwd_args& a) {
  const int64_t tasks = ceil_div(a.N, kRows) * a.H;
  const T* bias = static_cast<const T*>(a.bias);
#pragma omp parallel for schedule(static) if (!is_little_work(a.N, a.H, a.I, a.O))
  for (int64_t task = 0; task < tasks; ++task) {
    const int64_t h = task % a.H, r0 = task / a.H * kRows, rows = std::min(kRows, a.N - r0);
    T* y = static_cast<T*>(a.y) + r0 * a.y_stride_n + h * a.O;
    if (bias != nullptr)
      for (int64_t r = 0; r < rows; ++r) std::copy_n(bias + h * a.O, a.O, y + r * a.y_stride_n);
    gemm_serial(Trans::no, Trans::yes, rows, a.O, a.I, T(1),
                static_cast<const T*>(a.x) + r0 * a.x_stride_n + h * a.I, a.x_stride_n,
                static_cast<const T*>(a.W) + h * a.O * a.I, a.I, bias != nullptr ? T(1) : T(0), y,
                a.y_stride_n);
  }
}

// The workspace of the backward: small blocks: permuted weights, then [count][G + 1][P]; products:
// [count][H][O (I + 1)], dW and dbias of a block of rows.
template <class T>
struct BackwardPlan {
  bool small;
  SumBlocks blocks;
  int64_t weights, per_block;
  explicit BackwardPlan(const xlstm_headwise_linear_bwd_args& a)
      : small(has_small_blocks<T>(a.I, a.O)), blocks(a.N, a.H, small) {
    weights = small ? permuted_size<T>(a.H, a.I) : 0;
    per_block = small ? (a.I + 1) * whole_lanes<T>(a.H * a.I) : a.H * a.O * (a.I + 1);
    if (a.dW == nullptr && a.dbias == nullptr) per_block = 0;
    if (a.dx == nullptr) weights = 0;
  }
  int64_t total() const { return weights + blocks.count * per_block; }
};

template <class T>
void backward_small(const xlstm_headwise_linear_bwd_args& a, const BackwardPlan<T>& plan, T* w) {
  constexpr int64_t kTogether = 8;  // rows of dy and x stay in the cache for both of their uses
  const int64_t C = a.H * a.I, P = whole_lanes<T>(C);
  if (plan.weights > 0) small_blocks::permute(static_cast<const T*>(a.W), a.H, a.I, true, w);
  T* sums = w + plan.weights;
  with_block_size(a.I, [&]<int G>() {
#pragma omp parallel for schedule(static) if (!is_little_work(a.N, a.H, a.I, a.O))
    for (int64_t block = 0; block < plan.blocks.count; ++block) {
      T* sum = sums + block * plan.per_block;
      std::fill_n(sum, plan.per_block, T(0));
      const int64_t end = std::min(a.N, (block + 1) * plan.blocks.rows);
      for (int64_t r = block * plan.blocks.rows; r < end; r += kTogether) {
        const int64_t rows = std::min(kTogether, end - r);
        const T* dy = static_cast<const T*>(a.dy) + r * a.dy_stride_n;
        if (plan.per_block > 0)
          small_blocks::sum_rows<G, T>(
              rows, C, a.dW != nullptr ? static_cast<const T*>(a.x) + r * a.x_stride_n : nullptr,
              a.x_stride_n, dy, a.dy_stride_n, sum);
        if (a.dx != nullptr)
          small_blocks::map_rows<G, T>(rows, C, dy, a.dy_stride_n, w, nullptr,
                                       static_cast<T*>(a.dx) + r * a.dx_stride_n, a.dx_stride_n);
      }
    }
  });
  T* dW = static_cast<T*>(a.dW);
  T* dbias = static_cast<T*>(a.dbias);
#pragma omp parallel for schedule(static) if (C * (a.I + 1) * plan.blocks.count > 64 * 1024)
  for (int64_t l = 0; l < C; ++l) {
    for (int64_t i = 0; i <= a.I; ++i) {
      T* to = i < a.I ? (dW == nullptr ? nullptr : dW + l * a.I + i)
                      : (dbias == nullptr ? nullptr : dbias + l);
      if (to == nullptr) continue;
      T total = T(0);
      for (int64_t block = 0; block < plan.blocks.count; ++block)
        total += sums[block * plan.per_block + i * P + l];
      *to = total;
    }
  }
}

// dW and dbias of one head over one block of rows.
template <class T>
void sum_products(const xlstm_headwise_linear_bwd_args& a, int64_t h, int64_t r0, int64_t rows,
                  T* dW, T* dbias) {
  const T* dy = static_cast<const T*>(a.dy) + r0 * a.dy_stride_n + h * a.O;
  if (a.dW != nullptr)
    gemm_serial(Trans::yes, Trans::no, a.O, a.I, rows, T(1), dy, a.dy_stride_n,
                static_cast<const T*>(a.x) + r0 * a.x_stride_n + h * a.I, a.x_stride_n, T(0), dW,
                a.I);
  if (a.dbias == nullptr) return;
  std::fill_n(dbias, a.O, T(0));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t o = 0; o < a.O; ++o) dbias[o] += dy[r * a.dy_stride_n + o];
}

template <class T>
void backward_products(const xlstm_headwise_linear_bwd_args& a, const BackwardPlan<T>& plan,
                       T* sums) {
  const int64_t block_tasks = ceil_div(a.N, kRows) * a.H;
  const int64_t per_head = a.O * (a.I + 1);
  T* dW = static_cast<T*>(a.dW);
  T* dbias = static_cast<T*>(a.dbias);
#pragma omp parallel if (!is_little_work(a.N, a.H, a.I, a.O))
  {
    if (a.dx != nullptr) {
#pragma omp for schedule(static) nowait
      for (int64_t task = 0; task < block_tasks; ++task) {
        const int64_t h = task % a.H, r0 = task / a.H * kRows;
        gemm_serial(Trans::no, Trans::no, std::min(kRows, a.N - r0), a.I, a.O, T(1),
                    static_cast<const T*>(a.dy) + r0 * a.dy_stride_n + h * a.O, a.dy_stride_n,
                    static_cast<const T*>(a.W) + h * a.O * a.I, a.I, T(0),
                    static_cast<T*>(a.dx) + r0 * a.dx_stride_n + h * a.I, a.dx_stride_n);
      }
    }
    if (plan.per_block > 0) {
#pragma omp for schedule(dynamic, 1)
      for (int64_t task = 0; task < plan.blocks.count * a.H; ++task) {
        const int64_t h = task % a.H, r0 = task / a.H * plan.blocks.rows;
        T* to = sums + task * per_head;
        sum_products(a, h, r0, std::min(plan.blocks.rows, a.N - r0), to, to + a.O * a.I);
      }
#pragma omp for schedule(static)
      for (int64_t row = 0; row < a.H * a.O; ++row) {
        const int64_t h = row / a.O, o = row % a.O;
        if (dW != nullptr) std::fill_n(dW + row * a.I, a.I, T(0));
        if (dbias != nullptr) dbias[row] = T(0);
        for (int64_t block = 0; block < plan.blocks.count; ++block) {
          const T* from = sums + (block * a.H + h) * per_head;
          if (dW != nullptr)
            for (int64_t i = 0; i < a.I; ++i) dW[row * a.I + i] += from[o * a.I + i];
          if (dbias != nullptr) dbias[row] += from[a.O * a.I + o];
        }
      }
    }
  }
}

// The stride of a single row says nothing; BLAS wants one that fits all the same.
template <class T>
void forward(xlstm_headwise_linear_fwd_args a, void* workspace) {
  if (a.N <= 1) a.x_stride_n = a.H * a.I, a.y_stride_n = a.H * a.O;
  if (has_small_blocks<T>(a.I, a.O)) {
    forward_small(a, static_cast<T*>(workspace));
  } else {
    forward_products<T>(a);
  }
}

template <class T>
void backward(xlstm_headwise_linear_bwd_args a, void* workspace) {
  if (a.N <= 1) a.x_stride_n = a.dx_stride_n = a.H * a.I, a.dy_stride_n = a.H * a.O;
  const BackwardPlan<T> plan(a);
  if (plan.small) {
    backward_small(a, plan, static_cast<T*>(workspace));
  } else {
    backward_products(a, plan, static_cast<T*>(workspace));
  }
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

int64_t xlstm_headwise_linear_fwd_workspace_cpu(const xlstm_headwise_linear_fwd_args* args) {
  return Cpu::workspace(args, xlstm_headwise_linear_fwd_check, [&]<class T>(Element<T>) {
    const bool small = has_small_blocks<T>(args->I, args->O);
    return small ? permuted_size<T>(args->H, args->I) * int64_t{sizeof(T)} : 0;
  });
}

int64_t xlstm_headwise_linear_bwd_workspace_cpu(const xlstm_headwise_linear_bwd_args* args) {
  return Cpu::workspace(args, xlstm_headwise_linear_bwd_check, [&]<class T>(Element<T>) {
    return BackwardPlan<T>(*args).total() * int64_t{sizeof(T)};
  });
}

xlstm_status xlstm_headwise_linear_fwd_cpu(const xlstm_headwise_linear_fwd_args* args,
                                           xlstm_exec exec) {
  return Cpu::run(args, xlstm_headwise_linear_fwd_check, exec,
                  xlstm_headwise_linear_fwd_workspace_cpu,
                  [&]<class T>(Element<T>) { forward<T>(*args, exec.workspace); });
}

xlstm_status xlstm_headwise_linear_bwd_cpu(const xlstm_headwise_linear_bwd_args* args,
                                           xlstm_exec exec) {
  return Cpu::run(args, xlstm_headwise_linear_bwd_check, exec,
                  xlstm_headwise_linear_bwd_workspace_cpu,
                  [&]<class T>(Element<T>) { backward<T>(*args, exec.workspace); });
}
