#include "kernels/norm/norm_cpu.h"

#include "kernels/common/entry.h"
#include "kernels/norm/norm.h"

namespace {

using namespace xlstm::kernels;

template <class T>
void forward_group(const xlstm_norm_fwd_args& a, const T* x, const T* weight, const T* bias, T* y,
                   int64_t at) {
  const int64_t n = a.width;
  const auto [mean, mean_rest, r] = group_statistics(a, x, at);
  const T one = a.one_plus ? T(1) : T(0);
  if (bias != nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i)
      y[i] = (x[i] - mean - mean_rest) * r * (one + weight[i]) + bias[i];
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - mean - mean_rest) * r * (one + weight[i]);
  }
}

// sum = x + y of n elements; sum may be either.
template <class T>
void add(const T* x, const T* y, T* sum, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) sum[i] = x[i] + y[i];
}

template <class T>
void forward(const xlstm_norm_fwd_args& a) {
  const Blocks blocks = blocks_of(a.rows);
  const int64_t D = a.groups * a.width;
  const T* x = static_cast<const T*>(a.x);
  const T* residual = static_cast<const T*>(a.residual);
  T* sum = static_cast<T*>(a.sum);
  const T* weight = static_cast<const T*>(a.weight);
  const T* bias = static_cast<const T*>(a.bias);
  T* y = static_cast<T*>(a.y);
#pragma omp parallel for schedule(static) if (a.rows * D > 16384)
  for (int64_t block = 0; block < blocks.count; ++block) {
    const int64_t end = std::min(a.rows, (block + 1) * blocks.rows_each);
    for (int64_t row = block * blocks.rows_each; row < end; ++row) {
      const T* normalised = x + row * a.x_stride_row;
      if (residual != nullptr) {
        T* const to = sum + row * a.sum_stride_row;
        add(normalised, residual + row * a.residual_stride_row, to, D);
        normalised = to;
      }
      for (int64_t group = 0; group < a.groups; ++group) {
        const int64_t at = group * a.width;
        forward_group<T>(a, normalised + at, weight + at, bias == nullptr ? nullptr : bias + at,
                         y + row * a.y_stride_row + at, row * a.groups + group);
      }
    }
  }
}

// partial: [blocks, 2, D], the blocks' dweight and dbias.
template <class T>
void backward_blocks(const xlstm_norm_bwd_args& a, const Blocks& blocks, double* partial) {
  const int64_t D = a.groups * a.width;
  const T* x = static_cast<const T*>(a.x);
  const T* weight = static_cast<const T*>(a.weight);
  const T* dy = static_cast<const T*>(a.dy);
  const T* dsum = static_cast<const T*>(a.dsum);
  T* dx = static_cast<T*>(a.dx);
#pragma omp parallel for schedule(static) if (a.rows * D > 16384)
  for (int64_t block = 0; block < blocks.count; ++block) {
    double* dweight = a.dweight == nullptr ? nullptr : partial + 2 * block * D;
    double* dbias = a.dbias == nullptr ? nullptr : partial + (2 * block + 1) * D;
    if (dweight != nullptr) std::fill_n(dweight, D, 0.0);
    if (dbias != nullptr) std::fill_n(dbias, D, 0.0);
    const int64_t end = std::min(a.rows, (block + 1) * blocks.rows_each);
    for (int64_t row = block * blocks.rows_each; row < end; ++row) {
      for (int64_t group = 0; group < a.groups; ++group) {
        const int64_t at = group * a.width;
        backward_group<T>(a, x + row * a.x_stride_row + at, weight + at,
                          dy + row * a.dy_stride_row + at,
                          dsum == nullptr ? nullptr : dsum + row * a.dsum_stride_row + at,
                          dx == nullptr ? nullptr : dx + row * a.dx_stride_row + at,
                          dweight == nullptr ? nullptr : dweight + at,
                          dbias == nullptr ? nullptr : dbias + at, row * a.groups + group);
      }
    }
  }
}

template <class T>
void backward(const xlstm_norm_bwd_args& a, double* partial) {
  const int64_t D = a.groups * a.width;
  const Blocks blocks = a.rows == 0 ? Blocks{0, 1} : blocks_of(a.rows);
  backward_blocks<T>(a, blocks, partial);
  if (a.dweight != nullptr) combine_blocks(partial, blocks.count, D, 0, static_cast<T*>(a.dweight));
  if (a.dbias != nullptr) combine_blocks(partial, blocks.count, D, 1, static_cast<T*>(a.dbias));
}

}  // namespace

xlstm_status xlstm_norm_fwd_cpu(const xlstm_norm_fwd_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_norm_fwd_check, [&]<class T>(Element<T>) {
    if (args->rows > 0 && args->groups > 0 && args->width > 0) forward<T>(*args);
  });
}

int64_t xlstm_norm_bwd_workspace_cpu(const xlstm_norm_bwd_args* args) {
  return Cpu::workspace(args, xlstm_norm_bwd_check, [&](auto) {
    if (args->dweight == nullptr && args->dbias == nullptr) return int64_t{0};
    return blocks_of(args->rows).count * 2 * args->groups * args->width * int64_t{sizeof(double)};
  });
}

xlstm_status xlstm_norm_bwd_cpu(const xlstm_norm_bwd_args* args, xlstm_exec exec) {
  return Cpu::run(args, xlstm_norm_bwd_check, exec, xlstm_norm_bwd_workspace_cpu,
                  [&]<class T>(Element<T>) {
                    if (args->groups > 0 && args->width > 0)
                      backward<T>(*args, static_cast<double*>(exec.workspace));
                  });
}
