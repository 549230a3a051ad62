#include <cmath>

#include "kernels/common/entry.h"
#include "kernels/common/nd_loop.h"
#include "kernels/common/vec_math.h"
#include "kernels/elementwise/elementwise.h"

namespace xlstm::kernels {
namespace {

template <int N>
NdLoop<N> loop_of(int32_t n_dims, const int64_t* sizes, const int64_t* const (&strides)[N]) {
  NdLoop<N> loop;
  loop.n_dims = n_dims;
  for (int d = 0; d < n_dims; ++d) {
    loop.sizes[d] = sizes[d];
    for (int a = 0; a < N; ++a) loop.strides[a][d] = strides[a][d];
  }
  return loop;
}

// The run's stride as a constant where it is 0 or 1, which is what lets the compiler vectorise.
template <class F>
void with_stride(int64_t stride, const F& f) {
  if (stride == 1) return f(std::integral_constant<int64_t, 1>{});
  if (stride == 0) return f(std::integral_constant<int64_t, 0>{});
  f(stride);
}

template <class T, class F>
void map(const NdLoop<1>& loop, const T* x, T* y, const F& f) {
  for_all_runs(loop, [&](const int64_t* at, int64_t first, int64_t length, const int64_t* step) {
    with_stride(step[0], [&](auto sx) {
      const T* px = x + at[0];
      T* py = y + first;
#pragma omp simd
      for (int64_t i = 0; i < length; ++i) py[i] = f(px[i * sx]);
    });
  });
}

template <class T, class F>
void map(const NdLoop<2>& loop, const T* a, const T* b, T* y, const F& f) {
  for_all_runs(loop, [&](const int64_t* at, int64_t first, int64_t length, const int64_t* step) {
    with_stride(step[0], [&](auto sa) {
      with_stride(step[1], [&](auto sb) {
        const T *pa = a + at[0], *pb = b + at[1];
        T* py = y + first;
#pragma omp simd
        for (int64_t i = 0; i < length; ++i) py[i] = f(pa[i * sa], pb[i * sb]);
      });
    });
  });
}

// Three inputs: only the dense case is worth code of its own.
template <class T, class F>
void map(const NdLoop<3>& loop, const T* a, const T* b, const T* c, T* y, const F& f) {
  for_all_runs(loop, [&](const int64_t* at, int64_t first, int64_t length, const int64_t* step) {
    const T *pa = a + at[0], *pb = b + at[1], *pc = c + at[2];
    T* py = y + first;
    if (step[0] == 1 && step[1] == 1 && step[2] == 1) {
#pragma omp simd
      for (int64_t i = 0; i < length; ++i) py[i] = f(pa[i], pb[i], pc[i]);
    } else {
      for (int64_t i = 0; i < length; ++i)
        py[i] = f(pa[i * step[0]], pb[i * step[1]], pc[i * step[2]]);
    }
  });
}

template <class T>
void unary_fwd(const xlstm_unary_fwd_args& g) {
  const int64_t* const strides[] = {g.x_strides};
  const NdLoop<1> loop = loop_of(g.n_dims, g.sizes, strides);
  const T* x = static_cast<const T*>(g.x);
  T* y = static_cast<T*>(g.y);
  const T p = static_cast<T>(g.parameter);
  switch (g.op) {
    case XLSTM_UNARY_SCALE:
      return map(loop, x, y, [p](T v) { return p * v; });
    case XLSTM_UNARY_ADD:
      return map(loop, x, y, [p](T v) { return v + p; });
    case XLSTM_UNARY_EXP:
      return map(loop, x, y, [](T v) { return vec::exp(v); });
    case XLSTM_UNARY_LOG:
      return map(loop, x, y, [](T v) { return vec::log(v); });
    case XLSTM_UNARY_SQRT:
      return map(loop, x, y, [](T v) { return std::sqrt(v); });
    case XLSTM_UNARY_SQUARE:
      return map(loop, x, y, [](T v) { return v * v; });
    case XLSTM_UNARY_ABS:
      return map(loop, x, y, [](T v) { return std::fabs(v); });
    case XLSTM_UNARY_TANH:
      return map(loop, x, y, [](T v) { return vec::tanh(v); });
    case XLSTM_UNARY_SIGMOID:
      return map(loop, x, y, [](T v) { return vec::sigmoid(v); });
    case XLSTM_UNARY_LOG_SIGMOID:
      return map(loop, x, y, [](T v) { return vec::log_sigmoid(v); });
    case XLSTM_UNARY_SOFTCAP:
      return map(loop, x, y, [p](T v) { return p * vec::tanh(v / p); });
  }
}

template <class T>
void unary_bwd(const xlstm_unary_bwd_args& g) {
  const T *s = static_cast<const T*>(g.saved), *dy = static_cast<const T*>(g.dy);
  T* dx = static_cast<T*>(g.dx);
  const T p = static_cast<T>(g.parameter);
  if (g.op == XLSTM_UNARY_SCALE || g.op == XLSTM_UNARY_ADD) {
    const int64_t* const strides[] = {g.dy_strides};
    const T factor = g.op == XLSTM_UNARY_SCALE ? p : T(1);
    return map(loop_of(g.n_dims, g.sizes, strides), dy, dx, [factor](T d) { return factor * d; });
  }
  const int64_t* const strides[] = {g.saved_strides, g.dy_strides};
  const NdLoop<2> loop = loop_of(g.n_dims, g.sizes, strides);
  switch (g.op) {
    case XLSTM_UNARY_SCALE:
    case XLSTM_UNARY_ADD:
      return;
    case XLSTM_UNARY_EXP:
      return map(loop, s, dy, dx, [](T y, T d) { return y * d; });
    case XLSTM_UNARY_LOG:
      return map(loop, s, dy, dx, [](T x, T d) { return d / x; });
    case XLSTM_UNARY_SQRT:
      return map(loop, s, dy, dx, [](T y, T d) { return T(0.5) * d / y; });
    case XLSTM_UNARY_SQUARE:
      return map(loop, s, dy, dx, [](T x, T d) { return T(2) * x * d; });
    case XLSTM_UNARY_ABS:
      return map(loop, s, dy, dx,
                 [](T x, T d) { return x > T(0) ? d : (x < T(0) ? -d : T(0) * d); });
    case XLSTM_UNARY_TANH:
      return map(loop, s, dy, dx, [](T x, T d) { return T(4) * vec::sigmoid_slope(T(2) * x) * d; });
    case XLSTM_UNARY_SIGMOID:
      return map(loop, s, dy, dx, [](T x, T d) { return vec::sigmoid_slope(x) * d; });
    case XLSTM_UNARY_LOG_SIGMOID:
      return map(loop, s, dy, dx, [](T x, T d) { return vec::sigmoid(-x) * d; });
    case XLSTM_UNARY_SOFTCAP:
      return map(loop, s, dy, dx,
                 [p](T x, T d) { return T(4) * vec::sigmoid_slope(T(2) * x / p) * d; });
  }
}

template <class T>
void binary_fwd(const xlstm_binary_fwd_args& g) {
  const int64_t* const strides[] = {g.a_strides, g.b_strides};
  const NdLoop<2> loop = loop_of(g.n_dims, g.sizes, strides);
  const T *a = static_cast<const T*>(g.a), *b = static_cast<const T*>(g.b);
  T* y = static_cast<T*>(g.y);
  switch (g.op) {
    case XLSTM_BINARY_ADD:
      return map(loop, a, b, y, [](T u, T v) { return u + v; });
    case XLSTM_BINARY_SUB:
      return map(loop, a, b, y, [](T u, T v) { return u - v; });
    case XLSTM_BINARY_MUL:
      return map(loop, a, b, y, [](T u, T v) { return u * v; });
    case XLSTM_BINARY_DIV:
      return map(loop, a, b, y, [](T u, T v) { return u / v; });
    case XLSTM_BINARY_MAXIMUM:  // written so that NaN on either side comes out
      return map(loop, a, b, y, [](T u, T v) { return u >= v || u != u ? u : v; });
  }
}

template <class T>
void binary_bwd(const xlstm_binary_bwd_args& g) {
  const T *a = static_cast<const T*>(g.a), *b = static_cast<const T*>(g.b);
  const T* dy = static_cast<const T*>(g.dy);
  T *da = static_cast<T*>(g.da), *db = static_cast<T*>(g.db);
  const int64_t *const with_a[] = {g.dy_strides, g.a_strides},
                       *const with_b[] = {g.dy_strides, g.b_strides},
                       *const with_both[] = {g.dy_strides, g.a_strides, g.b_strides};
  const NdLoop<2> loop_a = loop_of(g.n_dims, g.sizes, with_a);
  const NdLoop<2> loop_b = loop_of(g.n_dims, g.sizes, with_b);
  const NdLoop<3> loop = loop_of(g.n_dims, g.sizes, with_both);
  switch (g.op) {
    case XLSTM_BINARY_ADD:
    case XLSTM_BINARY_SUB:
      return;
    case XLSTM_BINARY_MUL:
      if (da != nullptr) map(loop_b, dy, b, da, [](T d, T v) { return d * v; });
      if (db != nullptr) map(loop_a, dy, a, db, [](T d, T u) { return d * u; });
      return;
    case XLSTM_BINARY_DIV:
      if (da != nullptr) map(loop_b, dy, b, da, [](T d, T v) { return d / v; });
      if (db != nullptr) map(loop, dy, a, b, db, [](T d, T u, T v) { return -d * (u / v) / v; });
      return;
    case XLSTM_BINARY_MAXIMUM:
      if (da != nullptr)
        map(loop, dy, a, b, da, [](T d, T u, T v) { return u >= v || u != u ? d : T(0); });
      if (db != nullptr)
        map(loop, dy, a, b, db, [](T d, T u, T v) { return u >= v || u != u ? T(0) : d; });
      return;
  }
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

xlstm_status xlstm_unary_fwd_cpu(const xlstm_unary_fwd_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_unary_fwd_check, [&]<class T>(Element<T>) { unary_fwd<T>(*args); });
}

xlstm_status xlstm_unary_bwd_cpu(const xlstm_unary_bwd_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_unary_bwd_check, [&]<class T>(Element<T>) { unary_bwd<T>(*args); });
}

xlstm_status xlstm_binary_fwd_cpu(const xlstm_binary_fwd_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_binary_fwd_check, [&]<class T>(Element<T>) { binary_fwd<T>(*args); });
}

xlstm_status xlstm_binary_bwd_cpu(const xlstm_binary_bwd_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_binary_bwd_check, [&]<class T>(Element<T>) { binary_bwd<T>(*args); });
}
