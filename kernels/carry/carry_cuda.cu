#include "kernels/carry/carry.h"
#include "kernels/common/values.cuh"

namespace xlstm::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostColumnBlocks = 1024, kMostRowBlocks = 32768;

// Blocks along columns and rows, a number that depends on the shape alone.
dim3 grid_of(int64_t rows, int64_t columns, int per_thread) {
  return {grid_for(columns, int64_t{kThreads} * per_thread, kMostColumnBlocks),
          grid_for(rows, 1, kMostRowBlocks)};
}

// N elements an access, which divide the columns.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    store_kernel(const T* from, T* to, int64_t rows, int64_t columns, uint8_t* usable) {
  const int64_t step = int64_t{gridDim.x} * (kThreads * N);
  const int64_t first = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * N;
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    bool finite = true;
    for (int64_t c = first; c < columns; c += step) {
      const Raw<T, N> raw = load_raw<N>(from + row * columns + c);
#pragma unroll
      for (int j = 0; j < N; ++j) finite = finite && isfinite(raw[j]);
      store_raw<N>(to + row * columns + c, raw);
    }
    if (!finite) usable[row] = 0;
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    restart_kernel(T* x, int64_t rows, int64_t columns, const uint8_t* fresh, const uint8_t* usable,
                   float start) {
  const int64_t step = int64_t{gridDim.x} * (kThreads * N);
  const int64_t first = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * N;
  float values[N];
#pragma unroll
  for (int j = 0; j < N; ++j) values[j] = start;
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    if (fresh[row] == 0 && usable[row] != 0) continue;
    for (int64_t c = first; c < columns; c += step) store_values<N>(x + row * columns + c, values);
  }
}

template <class T>
xlstm_status store(const xlstm_carry_store_args& a, const xlstm_exec& exec) {
  if (a.rows == 0 || a.columns == 0) return XLSTM_OK;
  const auto launch = [&](auto width) {
    constexpr int N = decltype(width)::value;
    store_kernel<T, N><<<grid_of(a.rows, a.columns, N), kThreads, 0, stream_of(exec)>>>(
        static_cast<const T*>(a.from), static_cast<T*>(a.to), a.rows, a.columns, a.usable);
  };
  if (is_packed<T>(a.from, a.columns) && is_packed<T>(a.to))
    launch(std::integral_constant<int, kPack<T>>{});
  else
    launch(std::integral_constant<int, 1>{});
  return launched();
}

template <class T>
xlstm_status restart(const xlstm_carry_restart_args& a, const xlstm_exec& exec) {
  if (a.rows == 0 || a.columns == 0) return XLSTM_OK;
  const auto launch = [&](auto width) {
    constexpr int N = decltype(width)::value;
    restart_kernel<T, N><<<grid_of(a.rows, a.columns, N), kThreads, 0, stream_of(exec)>>>(
        static_cast<T*>(a.x), a.rows, a.columns, a.fresh, a.usable, static_cast<float>(a.start));
  };
  if (is_packed<T>(a.x, a.columns))
    launch(std::integral_constant<int, kPack<T>>{});
  else
    launch(std::integral_constant<int, 1>{});
  return launched();
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

xlstm_status xlstm_carry_store_cuda(const xlstm_carry_store_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_carry_store_check, [&](auto element) {
    return store<typename decltype(element)::type>(*args, exec);
  });
}

xlstm_status xlstm_carry_restart_cuda(const xlstm_carry_restart_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_carry_restart_check, [&](auto element) {
    return restart<typename decltype(element)::type>(*args, exec);
  });
}
