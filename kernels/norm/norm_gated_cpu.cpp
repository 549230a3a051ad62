#include "kernels/common/entry.h"
#include "kernels/common/vec_math.h"
#include "kernels/norm/norm_cpu.h"
#include "kernels/norm/norm_gated.h"

namespace {

using namespace xlstm::kernels;

// The parts of one group of one row; what is null is not there or not wanted.
template <class T>
const T* part(const void* p, int64_t offset) {
  return p == nullptr ? nullptr : static_cast<const T*>(p) + offset;
}
template <class T>
T* part(void* p, int64_t offset) {
  return p == nullptr ? nullptr : static_cast<T*>(p) + offset;
}

// shift of u = xhat * scale + shift.
template <class T>
inline T shift_at(const T* bias, const T* skip_weight, const T* skip, int64_t i) {
  return skip != nullptr ? skip_weight[i] * skip[i] : bias != nullptr ? bias[i] : T(0);
}

template <class T>
void forward_group(const xlstm_norm_gated_fwd_args& a, int64_t row, int64_t group) {
  const int64_t n = a.width, at = group * n;
  const T* x = part<T>(a.x, row * a.x_stride_row + at);
  const T* gate = part<T>(a.gate, row * a.gate_stride_row + at);
  const T* skip = part<T>(a.skip, row * a.skip_stride_row + at);
  const T *weight = part<T>(a.weight, at), *bias = part<T>(a.bias, at);
  const T* skip_weight = part<T>(a.skip_weight, at);
  T* y = part<T>(a.y, row * a.y_stride_row + at);
  const auto [mean, mean_rest, r] = group_statistics(a, x, row * a.groups + group);
  const T one = a.one_plus ? T(1) : T(0);
  const bool silu = a.activation == XLSTM_SILU;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const T u =
        (x[i] - mean - mean_rest) * r * (one + weight[i]) + shift_at(bias, skip_weight, skip, i);
    y[i] = vec::sigmoid(gate[i]) * (silu ? gate[i] : T(1)) * u;
  }
}

template <class T>
void forward(const xlstm_norm_gated_fwd_args& a) {
  const Blocks blocks = blocks_of(a.rows);
#pragma omp parallel for schedule(static) if (a.rows * a.groups * a.width > 4096)
  for (int64_t block = 0; block < blocks.count; ++block) {
    const int64_t end = std::min(a.rows, (block + 1) * blocks.rows_each);
    for (int64_t row = block * blocks.rows_each; row < end; ++row)
      for (int64_t group = 0; group < a.groups; ++group) forward_group<T>(a, row, group);
  }
}

// One group of one row. du: memory for a group; dweight and dshift, what the group adds to the sums
// of its block, dshift to that of dbias or dskip_weight.
template <class T>
void backward_gated_group(const xlstm_norm_gated_bwd_args& a, int64_t row, int64_t group, T* du,
                          double* dweight, double* dshift) {
  const int64_t n = a.width, at = group * n, statistic = row * a.groups + group;
  const T* x = part<T>(a.x, row * a.x_stride_row + at);
  const T* gate = part<T>(a.gate, row * a.gate_stride_row + at);
  const T* skip = part<T>(a.skip, row * a.skip_stride_row + at);
  const T* dy = part<T>(a.dy, row * a.dy_stride_row + at);
  const T *weight = part<T>(a.weight, at), *bias = part<T>(a.bias, at);
  const T* skip_weight = part<T>(a.skip_weight, at);
  T* dx = part<T>(a.dx, row * a.dx_stride_row + at);
  T* dgate = part<T>(a.dgate, row * a.dgate_stride_row + at);
  T* dskip = part<T>(a.dskip, row * a.dskip_stride_row + at);
  const T mean = a.subtract_mean ? static_cast<const T*>(a.mean)[statistic] : T(0);
  const T r = static_cast<const T*>(a.rstd)[statistic], one = a.one_plus ? T(1) : T(0);
  const bool silu = a.activation == XLSTM_SILU;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const T s = vec::sigmoid(gate[i]), m = silu ? gate[i] : T(1);
    const T slope = s * (m * (T(1) - s) + (silu ? T(1) : T(0)));
    const T u = (x[i] - mean) * r * (one + weight[i]) + shift_at(bias, skip_weight, skip, i);
    const T d = dy[i];
    du[i] = d * (s * m);
    if (dgate != nullptr) dgate[i] = d * u * slope;
  }
  if (skip != nullptr && dshift != nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) dshift[i] += static_cast<double>(du[i] * skip[i]);
  }
  if (dskip != nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) dskip[i] = du[i] * skip_weight[i];
  }
  backward_group<T>(a, x, weight, du, nullptr, dx, dweight, skip == nullptr ? dshift : nullptr,
                    statistic);
  if (a.x_dx == nullptr) return;
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(dx[i]);
  static_cast<T*>(a.x_dx)[statistic] = static_cast<T>(sum);
}

// Workspace: for every block two rows of D sums, then for every block a group of du.
template <class T>
void backward(const xlstm_norm_gated_bwd_args& a, double* partial) {
  const int64_t D = a.groups * a.width;
  const Blocks blocks = a.rows == 0 ? Blocks{0, 1} : blocks_of(a.rows);
  T* const dus = reinterpret_cast<T*>(partial + 2 * blocks.count * D);
  const bool want_shift = a.dbias != nullptr || a.dskip_weight != nullptr;
#pragma omp parallel for schedule(static) if (a.rows * D > 4096)
  for (int64_t block = 0; block < blocks.count; ++block) {
    double* dweight = a.dweight == nullptr ? nullptr : partial + 2 * block * D;
    double* dshift = want_shift ? partial + (2 * block + 1) * D : nullptr;
    if (dweight != nullptr) std::fill_n(dweight, D, 0.0);
    if (dshift != nullptr) std::fill_n(dshift, D, 0.0);
    const int64_t end = std::min(a.rows, (block + 1) * blocks.rows_each);
    for (int64_t row = block * blocks.rows_each; row < end; ++row)
      for (int64_t group = 0; group < a.groups; ++group)
        backward_gated_group<T>(a, row, group, dus + block * a.width,
                                part<double>(dweight, group * a.width),
                                part<double>(dshift, group * a.width));
  }
  if (a.dweight != nullptr) combine_blocks(partial, blocks.count, D, 0, static_cast<T*>(a.dweight));
  if (a.dbias != nullptr) combine_blocks(partial, blocks.count, D, 1, static_cast<T*>(a.dbias));
  if (a.dskip_weight != nullptr)
    combine_blocks(partial, blocks.count, D, 1, static_cast<T*>(a.dskip_weight));
}

}  // namespace

xlstm_status xlstm_norm_gated_fwd_cpu(const xlstm_norm_gated_fwd_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_norm_gated_fwd_check, [&]<class T>(Element<T>) {
    if (args->rows > 0 && args->groups > 0 && args->width > 0) forward<T>(*args);
  });
}

int64_t xlstm_norm_gated_bwd_workspace_cpu(const xlstm_norm_gated_bwd_args* args) {
  return Cpu::workspace(args, xlstm_norm_gated_bwd_check, [&]<class T>(Element<T>) {
    const int64_t D = args->groups * args->width;
    const int64_t a_block = 2 * D * int64_t{sizeof(double)} + args->width * int64_t{sizeof(T)};
    return args->rows == 0 ? int64_t{0} : blocks_of(args->rows).count * a_block;
  });
}

xlstm_status xlstm_norm_gated_bwd_cpu(const xlstm_norm_gated_bwd_args* args, xlstm_exec exec) {
  return Cpu::run(args, xlstm_norm_gated_bwd_check, exec, xlstm_norm_gated_bwd_workspace_cpu,
                  [&]<class T>(Element<T>) {
                    if (args->groups > 0 && args->width > 0)
                      backward<T>(*args, static_cast<double*>(exec.workspace));
                  });
}
