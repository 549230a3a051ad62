#include "kernels/activation/activation.h"
#include "kernels/common/map.cuh"

namespace xlstm::kernels {
namespace {

// act(x) and act'(x).
struct ValueAndSlope {
  float value, slope;
};

template <class T>
struct Silu {
  static __device__ ValueAndSlope at(float x) {
    const float s = Math<T>::sigmoid(x);
    return {x * s, s * (1.0f + x * (1.0f - s))};
  }
};

template <class T>
struct Gelu {
  static __device__ ValueAndSlope at(float x) {
    const float below = 0.5f * erfcf(-0.70710678118654752440f * x);
    // For infinite x the density is 0, but infinity times 0 is not; far out both are the same.
    const float c = fabsf(x) > 40.0f ? copysignf(40.0f, x) : x;
    return {x * below, below + c * (0.39894228040143267794f * Math<T>::exp(-0.5f * c * c))};
  }
};

template <class T>
struct Relu {
  static __device__ ValueAndSlope at(float x) {
    return {x < 0.0f ? 0.0f : x, x > 0.0f ? 1.0f : 0.0f};
  }
};

template <class T>
struct ReluSquared {
  static __device__ ValueAndSlope at(float x) {
    const float r = x < 0.0f ? 0.0f : x;
    return {r * r, 2.0f * r};
  }
};

template <class T>
struct Sigmoid {
  static __device__ ValueAndSlope at(float x) {
    const float s = Math<T>::sigmoid(x);
    return {s, s * (1.0f - s)};
  }
};

template <class T>
struct Selu {
  static __device__ ValueAndSlope at(float x) {
    constexpr float kScale = 1.0507009873554804934f, kAlpha = 1.6732632423543772848f;
    const float negative = kScale * kAlpha * expm1f(x);
    return {x > 0.0f ? kScale * x : negative, x > 0.0f ? kScale : negative + kScale * kAlpha};
  }
};

// The choice is made once per pack: a branch that all threads take alike.
template <class T, class F>
__device__ void with_activation(xlstm_activation activation, const F& f) {
  switch (activation) {
    case XLSTM_SILU:
      return f(Silu<T>{});
    case XLSTM_GELU:
      return f(Gelu<T>{});
    case XLSTM_RELU:
      return f(Relu<T>{});
    case XLSTM_RELU_SQUARED:
      return f(ReluSquared<T>{});
    case XLSTM_SIGMOID:
      return f(Sigmoid<T>{});
    case XLSTM_SELU:
      return f(Selu<T>{});
  }
}

// in: x, and up of a gate; out: y.
template <class T, bool kGated>
struct ActivationFwd {
  static constexpr int kIn = kGated ? 2 : 1, kOut = 1;
  xlstm_activation activation;

  template <int N>
  __device__ void operator()(const float (&in)[kIn][N], float (&out)[1][N]) const {
    with_activation<T>(activation, [&](auto act) {
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const float value = act.at(in[0][j]).value;
        out[0][j] = kGated ? value * in[kIn - 1][j] : value;
      }
    });
  }
};

// in: x, dy, and up of a gate; out: dx, and dup of a gate.
template <class T, bool kGated>
struct ActivationBwd {
  static constexpr int kIn = kGated ? 3 : 2, kOut = kGated ? 2 : 1;
  xlstm_activation activation;

  template <int N>
  __device__ void operator()(const float (&in)[kIn][N], float (&out)[kOut][N]) const {
    with_activation<T>(activation, [&](auto act) {
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const ValueAndSlope v = act.at(in[0][j]);
        out[0][j] = (kGated ? in[1][j] * in[kIn - 1][j] : in[1][j]) * v.slope;
        if constexpr (kGated) out[1][j] = in[1][j] * v.value;
      }
    });
  }
};

template <int N>
NdLoop<N> loop_of(int64_t rows, int64_t cols, const int64_t (&row_strides)[N]) {
  NdLoop<N> loop;
  loop.n_dims = 2;
  loop.sizes[0] = rows;
  loop.sizes[1] = cols;
  for (int a = 0; a < N; ++a) {
    loop.strides[a][0] = row_strides[a];
    loop.strides[a][1] = 1;
  }
  return loop;
}

template <class T>
xlstm_status fwd(const xlstm_activation_fwd_args& g, const xlstm_exec& exec) {
  const T *x = static_cast<const T*>(g.x), *up = static_cast<const T*>(g.up);
  T* y = static_cast<T*>(g.y);
  if (up == nullptr)
    return map<T>(loop_of<2>(g.rows, g.cols, {g.x_row_stride, g.y_row_stride}), {{x}, {y}, {}},
                  ActivationFwd<T, false>{g.activation}, exec);
  return map<T>(loop_of<3>(g.rows, g.cols, {g.x_row_stride, g.up_row_stride, g.y_row_stride}),
                {{x, up}, {y}, {}}, ActivationFwd<T, true>{g.activation}, exec);
}

template <class T>
xlstm_status bwd(const xlstm_activation_bwd_args& g, const xlstm_exec& exec) {
  const T *x = static_cast<const T*>(g.x), *dy = static_cast<const T*>(g.dy),
          *up = static_cast<const T*>(g.up);
  T *dx = static_cast<T*>(g.dx), *dup = static_cast<T*>(g.dup);
  if (up == nullptr)
    return map<T>(loop_of<3>(g.rows, g.cols, {g.x_row_stride, g.dy_row_stride, g.dx_row_stride}),
                  {{x, dy}, {dx}, {}}, ActivationBwd<T, false>{g.activation}, exec);
  return map<T>(loop_of<5>(g.rows, g.cols,
                           {g.x_row_stride, g.dy_row_stride, g.up_row_stride, g.dx_row_stride,
                            g.dup_row_stride}),
                {{x, dy, up}, {dx, dup}, {}}, ActivationBwd<T, true>{g.activation}, exec);
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

xlstm_status xlstm_activation_fwd_cuda(const xlstm_activation_fwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_activation_fwd_check, [&](auto element) {
    return fwd<typename decltype(element)::type>(*args, exec);
  });
}

xlstm_status xlstm_activation_bwd_cuda(const xlstm_activation_bwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_activation_bwd_check, [&](auto element) {
    return bwd<typename decltype(element)::type>(*args, exec);
  });
}
