#include <algorithm>

#include "kernels/common/entry.h"
#include "kernels/sum_parts/sum_parts.h"

namespace {

using namespace xlstm::kernels;

constexpr int64_t kSlice = 16384;  // elements whose squares are added at a time

template <class T>
double add_slice(const xlstm_sum_parts_args& a, int64_t begin, int64_t end) {
  const T* parts = static_cast<const T*>(a.parts);
  T* sum = static_cast<T*>(a.sum);
  double squares = 0;
  for (int64_t i = begin; i < end; ++i) {
    double total = 0;
    for (int64_t r = 0; r < a.n_parts; ++r) total += static_cast<double>(parts[r * a.n + i]);
    sum[i] = static_cast<T>(total);
    const auto rounded = static_cast<double>(sum[i]);
    squares += rounded * rounded;
  }
  return squares;
}

// Slices are added in their order: the number of threads changes no bit.
template <class T>
void add(const xlstm_sum_parts_args& a) {
  double squares = 0;
#pragma omp parallel for schedule(static) ordered if (a.n > kSlice)
  for (int64_t begin = 0; begin < a.n; begin += kSlice) {
    const double of_slice = add_slice<T>(a, begin, std::min(a.n, begin + kSlice));
#pragma omp ordered
    squares += of_slice;
  }
  if (a.squares != nullptr) *a.squares = squares;
}

}  // namespace

int64_t xlstm_sum_parts_workspace_cpu(const xlstm_sum_parts_args*) {
  return 0;
}

xlstm_status xlstm_sum_parts_cpu(const xlstm_sum_parts_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_sum_parts_check, [&]<class T>(Element<T>) { add<T>(*args); });
}
