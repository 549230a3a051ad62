#include "kernels/activation/activation.h"
#include "kernels/activation/activation_functions.h"
#include "kernels/common/entry.h"
#include "kernels/common/nd_loop.h"

namespace xlstm::kernels {
namespace {

template <class T>
void fwd(const xlstm_activation_fwd_args& g) {
  const T *x = static_cast<const T*>(g.x), *up = static_cast<const T*>(g.up);
  T* y = static_cast<T*>(g.y);
  NdLoop<3> loop;
  loop.n_dims = 2;
  const int64_t row_strides[] = {g.x_row_stride, up != nullptr ? g.up_row_stride : g.x_row_stride,
                                 g.y_row_stride};
  loop.sizes[0] = g.rows;
  loop.sizes[1] = g.cols;
  for (int a = 0; a < 3; ++a) {
    loop.strides[a][0] = row_strides[a];
    loop.strides[a][1] = 1;
  }
  with_activation<T>(g.activation, [&](auto act) {
    using Act = decltype(act);
    for_all_runs(loop, [=](const int64_t* at, int64_t, int64_t n, const int64_t*) {
      const T* px = x + at[0];
      T* py = y + at[2];
      if (up == nullptr) {
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) py[i] = Act::value(px[i]);
      } else {
        const T* pu = up + at[1];
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) py[i] = Act::value(px[i]) * pu[i];
      }
    });
  });
}

template <class T>
void bwd(const xlstm_activation_bwd_args& g) {
  const T *x = static_cast<const T*>(g.x), *up = static_cast<const T*>(g.up);
  const T* dy = static_cast<const T*>(g.dy);
  T *dx = static_cast<T*>(g.dx), *dup = static_cast<T*>(g.dup);
  NdLoop<5> loop;
  loop.n_dims = 2;
  loop.sizes[0] = g.rows;
  loop.sizes[1] = g.cols;
  const int64_t row_strides[] = {g.x_row_stride, g.dy_row_stride, g.dx_row_stride,
                                 up != nullptr ? g.up_row_stride : g.x_row_stride,
                                 up != nullptr ? g.dup_row_stride : g.x_row_stride};
  for (int a = 0; a < 5; ++a) {
    loop.strides[a][0] = row_strides[a];
    loop.strides[a][1] = 1;
  }
  with_activation<T>(g.activation, [&](auto act) {
    using Act = decltype(act);
    for_all_runs(loop, [=](const int64_t* at, int64_t, int64_t n, const int64_t*) {
      const T *px = x + at[0], *pd = dy + at[1];
      T* pdx = dx + at[2];
      if (up == nullptr) {
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) pdx[i] = pd[i] * Act::both(px[i]).slope;
      } else {
        const T* pu = up + at[3];
        T* pdup = dup + at[4];
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) {
          const ValueAndSlope<T> v = Act::both(px[i]);
          const T d = pd[i];
          pdx[i] = d * pu[i] * v.slope;
          pdup[i] = d * v.value;
        }
      }
    });
  });
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

xlstm_status xlstm_activation_fwd_cpu(const xlstm_activation_fwd_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_activation_fwd_check, [&]<class T>(Element<T>) { fwd<T>(*args); });
}

xlstm_status xlstm_activation_bwd_cpu(const xlstm_activation_bwd_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_activation_bwd_check, [&]<class T>(Element<T>) { bwd<T>(*args); });
}
