#include "kernels/common/map.cuh"
#include "kernels/elementwise/elementwise.h"

namespace xlstm::kernels {
namespace {

// The function is chosen once per pack: a branch that all threads take alike.
#define XLSTM_EACH(expression)                      \
  {                                                 \
    _Pragma("unroll") for (int j = 0; j < N; ++j) { \
      expression;                                   \
    }                                               \
    return;                                         \
  }

template <class T>
struct UnaryFwd {
  static constexpr int kIn = 1, kOut = 1;
  xlstm_unary_op op;
  float p, inverse_p;

  template <int N>
  __device__ void operator()(const float (&in)[1][N], float (&out)[1][N]) const {
    const auto& x = in[0];
    auto& y = out[0];
    switch (op) {
      case XLSTM_UNARY_SCALE:
        XLSTM_EACH(y[j] = p * x[j])
      case XLSTM_UNARY_ADD:
        XLSTM_EACH(y[j] = x[j] + p)
      case XLSTM_UNARY_EXP:
        XLSTM_EACH(y[j] = Math<T>::exp(x[j]))
      case XLSTM_UNARY_LOG:
        XLSTM_EACH(y[j] = logf(x[j]))
      case XLSTM_UNARY_SQRT:
        XLSTM_EACH(y[j] = sqrtf(x[j]))
      case XLSTM_UNARY_SQUARE:
        XLSTM_EACH(y[j] = x[j] * x[j])
      case XLSTM_UNARY_ABS:
        XLSTM_EACH(y[j] = fabsf(x[j]))
      case XLSTM_UNARY_TANH:
        XLSTM_EACH(y[j] = Math<T>::tanh(x[j]))
      case XLSTM_UNARY_SIGMOID:
        XLSTM_EACH(y[j] = Math<T>::sigmoid(x[j]))
      case XLSTM_UNARY_LOG_SIGMOID:
        XLSTM_EACH(y[j] = log_sigmoid(x[j]))
      case XLSTM_UNARY_SOFTCAP:
        XLSTM_EACH(y[j] = p * Math<T>::tanh(x[j] * inverse_p))
    }
  }
};

// in: x or y, dy.
template <class T>
struct UnaryBwd {
  static constexpr int kIn = 2, kOut = 1;
  xlstm_unary_op op;
  float inverse_p;

  template <int N>
  __device__ void operator()(const float (&in)[2][N], float (&out)[1][N]) const {
    const auto &s = in[0], &d = in[1];
    auto& dx = out[0];
    switch (op) {
      case XLSTM_UNARY_SCALE:
      case XLSTM_UNARY_ADD:
        XLSTM_EACH(dx[j] = 0)  // run as UnaryFwd
      case XLSTM_UNARY_EXP:
        XLSTM_EACH(dx[j] = s[j] * d[j])
      case XLSTM_UNARY_LOG:
        XLSTM_EACH(dx[j] = d[j] / s[j])
      case XLSTM_UNARY_SQRT:
        XLSTM_EACH(dx[j] = 0.5f * d[j] / s[j])
      case XLSTM_UNARY_SQUARE:
        XLSTM_EACH(dx[j] = 2.0f * s[j] * d[j])
      case XLSTM_UNARY_ABS:
        XLSTM_EACH(dx[j] = s[j] > 0 ? d[j] : s[j] < 0 ? -d[j] : 0.0f * d[j])
      case XLSTM_UNARY_TANH:
        XLSTM_EACH(dx[j] = 4.0f * Math<T>::sigmoid_slope(2.0f * s[j]) * d[j])
      case XLSTM_UNARY_SIGMOID:
        XLSTM_EACH(dx[j] = Math<T>::sigmoid_slope(s[j]) * d[j])
      case XLSTM_UNARY_LOG_SIGMOID:
        XLSTM_EACH(dx[j] = Math<T>::sigmoid(-s[j]) * d[j])
      case XLSTM_UNARY_SOFTCAP:
        XLSTM_EACH(dx[j] = 4.0f * Math<T>::sigmoid_slope(2.0f * s[j] * inverse_p) * d[j])
    }
  }
};

// The maximum is written so that NaN on either side comes out.
__device__ inline bool takes_a(float a, float b) {
  return a >= b || a != a;
}

struct BinaryFwd {
  static constexpr int kIn = 2, kOut = 1;
  xlstm_binary_op op;

  template <int N>
  __device__ void operator()(const float (&in)[2][N], float (&out)[1][N]) const {
    const auto &a = in[0], &b = in[1];
    auto& y = out[0];
    switch (op) {
      case XLSTM_BINARY_ADD:
        XLSTM_EACH(y[j] = a[j] + b[j])
      case XLSTM_BINARY_SUB:
        XLSTM_EACH(y[j] = a[j] - b[j])
      case XLSTM_BINARY_MUL:
        XLSTM_EACH(y[j] = a[j] * b[j])
      case XLSTM_BINARY_DIV:
        XLSTM_EACH(y[j] = a[j] / b[j])
      case XLSTM_BINARY_MAXIMUM:
        XLSTM_EACH(y[j] = takes_a(a[j], b[j]) ? a[j] : b[j])
    }
  }
};

// in: dy, a, b; out: da, db. Without MUL and DIV for one output, which are binary functions of dy
// and one argument; an output that is not wanted is null.
struct BinaryBwd {
  static constexpr int kIn = 3, kOut = 2;
  xlstm_binary_op op;

  template <int N>
  __device__ void operator()(const float (&in)[3][N], float (&out)[2][N]) const {
    const auto &d = in[0], &a = in[1], &b = in[2];
    auto &da = out[0], &db = out[1];
    switch (op) {
      case XLSTM_BINARY_ADD:
      case XLSTM_BINARY_SUB:
        XLSTM_EACH(da[j] = db[j] = 0)  // refused by the check
      case XLSTM_BINARY_MUL:
        XLSTM_EACH(da[j] = d[j] * b[j]; db[j] = d[j] * a[j])
      case XLSTM_BINARY_DIV:
        XLSTM_EACH(da[j] = d[j] / b[j]; db[j] = -d[j] * (a[j] / b[j]) / b[j])
      case XLSTM_BINARY_MAXIMUM:
        XLSTM_EACH(const bool first = takes_a(a[j], b[j]); da[j] = first ? d[j] : 0.0f;
                   db[j] = first ? 0.0f : d[j])
    }
  }
};
#undef XLSTM_EACH

// A loop over the inputs, given by their strides, and kOut dense outputs.
template <int kIn, int kOut>
NdLoop<kIn + kOut> loop_of(int32_t n_dims, const int64_t* sizes,
                           const int64_t* const (&strides)[kIn]) {
  NdLoop<kIn + kOut> loop;
  loop.n_dims = n_dims;
  int64_t dense = 1;
  for (int d = n_dims - 1; d >= 0; --d) {
    loop.sizes[d] = sizes[d];
    for (int a = 0; a < kIn; ++a) loop.strides[a][d] = strides[a][d];
    for (int b = 0; b < kOut; ++b) loop.strides[kIn + b][d] = dense;
    dense *= sizes[d];
  }
  return loop;
}

template <class T>
xlstm_status unary_fwd(const xlstm_unary_fwd_args& g, const xlstm_exec& exec) {
  const UnaryFwd<T> f{g.op, static_cast<float>(g.parameter), static_cast<float>(1.0 / g.parameter)};
  return map<T>(loop_of<1, 1>(g.n_dims, g.sizes, {g.x_strides}),
                {{static_cast<const T*>(g.x)}, {static_cast<T*>(g.y)}, {}}, f, exec);
}

template <class T>
xlstm_status unary_bwd(const xlstm_unary_bwd_args& g, const xlstm_exec& exec) {
  const T* dy = static_cast<const T*>(g.dy);
  T* dx = static_cast<T*>(g.dx);
  if (xlstm_unary_bwd_reads(g.op) == XLSTM_SAVED_NOTHING) {
    const float factor = g.op == XLSTM_UNARY_SCALE ? static_cast<float>(g.parameter) : 1.0f;
    return map<T>(loop_of<1, 1>(g.n_dims, g.sizes, {g.dy_strides}), {{dy}, {dx}, {}},
                  UnaryFwd<T>{XLSTM_UNARY_SCALE, factor, 0.0f}, exec);
  }
  return map<T>(loop_of<2, 1>(g.n_dims, g.sizes, {g.saved_strides, g.dy_strides}),
                {{static_cast<const T*>(g.saved), dy}, {dx}, {}},
                UnaryBwd<T>{g.op, static_cast<float>(1.0 / g.parameter)}, exec);
}

template <class T>
xlstm_status binary_fwd(const xlstm_binary_fwd_args& g, const xlstm_exec& exec) {
  return map<T>(
      loop_of<2, 1>(g.n_dims, g.sizes, {g.a_strides, g.b_strides}),
      {{static_cast<const T*>(g.a), static_cast<const T*>(g.b)}, {static_cast<T*>(g.y)}, {}},
      BinaryFwd{g.op}, exec);
}

template <class T>
xlstm_status binary_bwd(const xlstm_binary_bwd_args& g, const xlstm_exec& exec) {
  if (g.da == nullptr && g.db == nullptr) return XLSTM_OK;
  const T *dy = static_cast<const T*>(g.dy), *a = static_cast<const T*>(g.a),
          *b = static_cast<const T*>(g.b);
  T *da = static_cast<T*>(g.da), *db = static_cast<T*>(g.db);
  // One gradient that needs one argument: dy * b or dy / b, or dy * a.
  if (db == nullptr && g.op != XLSTM_BINARY_MAXIMUM)
    return map<T>(loop_of<2, 1>(g.n_dims, g.sizes, {g.dy_strides, g.b_strides}),
                  {{dy, b}, {da}, {}}, BinaryFwd{g.op}, exec);
  if (da == nullptr && g.op == XLSTM_BINARY_MUL)
    return map<T>(loop_of<2, 1>(g.n_dims, g.sizes, {g.dy_strides, g.a_strides}),
                  {{dy, a}, {db}, {}}, BinaryFwd{g.op}, exec);
  return map<T>(loop_of<3, 2>(g.n_dims, g.sizes, {g.dy_strides, g.a_strides, g.b_strides}),
                {{dy, a, b}, {da, db}, {}}, BinaryBwd{g.op}, exec);
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

xlstm_status xlstm_unary_fwd_cuda(const xlstm_unary_fwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_unary_fwd_check, [&](auto element) {
    return unary_fwd<typename decltype(element)::type>(*args, exec);
  });
}

xlstm_status xlstm_unary_bwd_cuda(const xlstm_unary_bwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_unary_bwd_check, [&](auto element) {
    return unary_bwd<typename decltype(element)::type>(*args, exec);
  });
}

xlstm_status xlstm_binary_fwd_cuda(const xlstm_binary_fwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_binary_fwd_check, [&](auto element) {
    return binary_fwd<typename decltype(element)::type>(*args, exec);
  });
}

xlstm_status xlstm_binary_bwd_cuda(const xlstm_binary_bwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_binary_bwd_check, [&](auto element) {
    return binary_bwd<typename decltype(element)::type>(*args, exec);
  });
}
