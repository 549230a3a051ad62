#include <algorithm>

#include "kernels/carry/carry.h"
#include "kernels/common/entry.h"

namespace {

using namespace xlstm::kernels;

constexpr int64_t kFewElements = 16384;  // not worth a second thread

template <class T>
void store(const xlstm_carry_store_args& a) {
#pragma omp parallel for schedule(static) if (a.rows * a.columns > kFewElements)
  for (int64_t r = 0; r < a.rows; ++r) {
    const T* from = static_cast<const T*>(a.from) + r * a.columns;
    T* to = static_cast<T*>(a.to) + r * a.columns;
    int bad = 0;
    for (int64_t c = 0; c < a.columns; ++c) {
      bad |= from[c] - from[c] != 0;  // NaN of NaN and of infinity
      to[c] = from[c];
    }
    if (bad != 0) a.usable[r] = 0;
  }
}

template <class T>
void restart(const xlstm_carry_restart_args& a) {
#pragma omp parallel for schedule(static) if (a.rows * a.columns > kFewElements)
  for (int64_t r = 0; r < a.rows; ++r) {
    if (a.fresh[r] == 0 && a.usable[r] != 0) continue;
    std::fill_n(static_cast<T*>(a.x) + r * a.columns, a.columns, static_cast<T>(a.start));
  }
}

}  // namespace

xlstm_status xlstm_carry_store_cpu(const xlstm_carry_store_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_carry_store_check, [&]<class T>(Element<T>) { store<T>(*args); });
}

xlstm_status xlstm_carry_restart_cpu(const xlstm_carry_restart_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_carry_restart_check, [&]<class T>(Element<T>) { restart<T>(*args); });
}
