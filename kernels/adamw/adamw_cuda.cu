#include "kernels/adamw/update_control.h"
#include "kernels/common/values.cuh"

namespace xlstm::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int V = 4;  // float32 parameters in 16 bytes
constexpr int64_t kMostSums = 1024;

// What an update needs of the scalars, found once a block.
struct Scalars {
  float step_size, root_scale, decay, grad_scale;
  bool skip;
};

template <class Args>
__device__ inline double lr_of(const Args& a) {
  return a.on_device.lr != nullptr ? static_cast<double>(*a.on_device.lr) : a.lr;
}
template <class Args>
__device__ inline float grad_scale_of(const Args& a) {
  return a.on_device.grad_scale != nullptr ? *a.on_device.grad_scale
                                           : static_cast<float>(a.grad_scale);
}

__device__ inline Scalars scalars(const xlstm_adamw_args& a) {
  const int64_t step = a.on_device.step != nullptr ? *a.on_device.step : a.step;
  const double t = static_cast<double>(step), lr = lr_of(a);
  // 1 - beta^t without cancellation for a beta next to 1.
  const double correction1 = a.beta1 > 0 ? -expm1(t * log(a.beta1)) : 1.0;
  const double correction2 = a.beta2 > 0 ? -expm1(t * log(a.beta2)) : 1.0;
  return {static_cast<float>(lr / correction1), static_cast<float>(1.0 / sqrt(correction2)),
          static_cast<float>(lr * a.weight_decay), grad_scale_of(a),
          a.on_device.skip != nullptr && *a.on_device.skip != 0};
}
__device__ inline Scalars scalars(const xlstm_sgd_args& a) {
  return {static_cast<float>(lr_of(a)), 1.0f, static_cast<float>(a.weight_decay), grad_scale_of(a),
          a.on_device.skip != nullptr && *a.on_device.skip != 0};
}

// One element each; the update's own arrays come as references into registers.
struct Adamw {
  using Args = xlstm_adamw_args;
  static constexpr int kMoments = 2;
  float beta1, rest1, beta2, rest2, eps;
  explicit Adamw(const Args& a)
      : beta1(static_cast<float>(a.beta1)),
        rest1(static_cast<float>(1.0 - a.beta1)),
        beta2(static_cast<float>(a.beta2)),
        rest2(static_cast<float>(1.0 - a.beta2)),
        eps(static_cast<float>(a.eps)) {}
  static __host__ __device__ float* moment(const Args& a, int which) {
    return static_cast<float*>(which == 0 ? a.moment1 : a.moment2);
  }
  __device__ void operator()(const Scalars& s, float grad, float& p, float& m, float& v) const {
    const float g = s.grad_scale * grad;
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * g * g;
    p = p - s.decay * p - s.step_size * m / (sqrtf(v) * s.root_scale + eps);
  }
};

template <bool kMomentum>
struct Sgd {
  using Args = xlstm_sgd_args;
  static constexpr int kMoments = kMomentum ? 1 : 0;
  float momentum, own, carried;
  explicit Sgd(const Args& a)
      : momentum(static_cast<float>(a.momentum)),
        own(a.nesterov ? 1.0f : 0.0f),
        carried(a.nesterov ? momentum : 1.0f) {}
  static __host__ __device__ float* moment(const Args& a, int) {
    return static_cast<float*>(a.velocity);
  }
  __device__ void operator()(const Scalars& s, float grad, float& p, float& u, float&) const {
    const float g = s.grad_scale * grad + s.decay * p;
    if (kMomentum) {
      u = momentum * u + g;
      p -= s.step_size * (own * g + carried * u);
    } else {
      p -= s.step_size * g;
    }
  }
};

template <int N>
__device__ inline void store_copy(void* copy, xlstm_dtype dtype, int64_t i, const float (&p)[N]) {
  if (dtype == XLSTM_BF16) {
    store_values<N>(static_cast<bf16*>(copy) + i, p);
  } else if (dtype == XLSTM_F16) {
    store_values<N>(static_cast<f16*>(copy) + i, p);
  } else {
    store_values<N>(static_cast<float*>(copy) + i, p);
  }
}

template <class Update, class G, int N>
__device__ inline void update(const typename Update::Args& a, const Update& step, const Scalars& s,
                              int64_t i) {
  float grad[N], p[N], first[N] = {}, second[N] = {};
  float* parameter = static_cast<float*>(a.parameter);
  load_values<N>(static_cast<const G*>(a.grad) + i, grad);
  load_values<N>(parameter + i, p);
  if constexpr (Update::kMoments > 0) load_values<N>(Update::moment(a, 0) + i, first);
  if constexpr (Update::kMoments > 1) load_values<N>(Update::moment(a, 1) + i, second);
#pragma unroll
  for (int j = 0; j < N; ++j) step(s, grad[j], p[j], first[j], second[j]);
  store_values<N>(parameter + i, p);
  if constexpr (Update::kMoments > 0) store_values<N>(Update::moment(a, 0) + i, first);
  if constexpr (Update::kMoments > 1) store_values<N>(Update::moment(a, 1) + i, second);
  if (a.weights_copy != nullptr) store_copy(a.weights_copy, a.weights_copy_dtype, i, p);
}

// Elements below `packed`, a multiple of V, by 16 bytes; the others one by one.
template <class Update, class G>
__global__ void __launch_bounds__(kThreads)
    update_kernel(typename Update::Args a, Update step, int64_t packed) {
  __shared__ Scalars shared;
  if (threadIdx.x == 0) shared = scalars(a);
  __syncthreads();
  const Scalars s = shared;
  if (s.skip) return;
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t threads = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = thread * V; i < packed; i += threads * V) update<Update, G, V>(a, step, s, i);
  for (int64_t i = packed + thread; i < a.n; i += threads) update<Update, G, 1>(a, step, s, i);
}

template <class Update, class G>
void launch_update(const typename Update::Args& a, cudaStream_t stream) {
  const auto aligned = [](const void* p, int64_t bytes) {
    return reinterpret_cast<uintptr_t>(p) % static_cast<uintptr_t>(bytes) == 0;
  };
  bool packed = aligned(a.parameter, 16) && aligned(a.grad, V * int64_t{sizeof(G)}) &&
                aligned(a.weights_copy, a.weights_copy_dtype == XLSTM_F32 ? 16 : 8);
  for (int i = 0; i < Update::kMoments; ++i) packed = packed && aligned(Update::moment(a, i), 16);
  const int64_t whole = packed ? a.n / V * V : 0;
  update_kernel<Update, G>
      <<<grid_for(a.n, kThreads * V), kThreads, 0, stream>>>(a, Update(a), whole);
}

// The update for the gradient's element type.
template <class Update>
xlstm_status run_update(const typename Update::Args& a, cudaStream_t stream) {
  const auto computes_in = [](xlstm_dtype dtype) { return Cuda::computes_in(dtype); };
  if (a.dtype != XLSTM_F32 || !computes_in(a.grad_dtype) ||
      (a.weights_copy != nullptr && !computes_in(a.weights_copy_dtype)))
    return XLSTM_BAD_DTYPE;
  if (a.n == 0) return XLSTM_OK;
  if (a.grad_dtype == XLSTM_BF16) {
    launch_update<Update, bf16>(a, stream);
  } else if (a.grad_dtype == XLSTM_F16) {
    launch_update<Update, f16>(a, stream);
  } else {
    launch_update<Update, float>(a, stream);
  }
  return launched();
}

// ---- sum of squares, clip ----

template <class T>
__global__ void __launch_bounds__(kThreads)
    squares_kernel(const T* x, int64_t n, int64_t packed, double* partial) {
  constexpr int N = kPack<T>;
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t threads = static_cast<int64_t>(gridDim.x) * kThreads;
  double sum = 0;
#pragma unroll 4
  for (int64_t i = thread * N; i < packed; i += threads * N) {
    float values[N];
    load_values<N>(x + i, values);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const double value = static_cast<double>(values[j]);
      sum += value * value;
    }
  }
  for (int64_t i = packed + thread; i < n; i += threads) {
    const double value = static_cast<double>(to_float(x[i]));
    sum += value * value;
  }
  sum = block_total(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads)
    total_kernel(const double* partial, int64_t n, double* total) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) sum += partial[i];
  sum = block_total(sum);
  if (threadIdx.x == 0) *total = sum;
}

int64_t sum_blocks(int64_t n) {
  return n == 0 ? 0 : grid_for(n, kThreads * 16, kMostSums);
}

template <class T>
void sum_of_squares(const xlstm_sum_of_squares_args& a, double* partial, cudaStream_t stream) {
  const int64_t blocks = sum_blocks(a.n);
  const int64_t packed = is_packed<T>(a.x) ? a.n / kPack<T> * kPack<T> : 0;
  if (a.n > 0)
    squares_kernel<T><<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(
        static_cast<const T*>(a.x), a.n, packed, partial);
  total_kernel<<<1, kThreads, 0, stream>>>(partial, blocks, a.sum);
}

template <class T, int N>
__device__ inline void clip_some(T* x, float limit) {
  float values[N];
  load_values<N>(x, values);
#pragma unroll
  for (int j = 0; j < N; ++j) {
    const float low = values[j] < -limit ? -limit : values[j];  // NaN stays NaN
    values[j] = low > limit ? limit : low;
  }
  store_values<N>(x, values);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    clip_kernel(T* x, int64_t n, int64_t packed, float limit) {
  constexpr int N = kPack<T>;
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t threads = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = thread * N; i < packed; i += threads * N) clip_some<T, N>(x + i, limit);
  for (int64_t i = packed + thread; i < n; i += threads) clip_some<T, 1>(x + i, limit);
}

template <class T>
void clip(const xlstm_clip_args& a, cudaStream_t stream) {
  const int64_t packed = is_packed<T>(a.x) ? a.n / kPack<T> * kPack<T> : 0;
  clip_kernel<T><<<grid_for(a.n, kThreads * kPack<T>), kThreads, 0, stream>>>(
      static_cast<T*>(a.x), a.n, packed, static_cast<float>(a.limit));
}

__global__ void control_kernel(xlstm_update_control_args a) {
  decide_update(a);
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

xlstm_status xlstm_adamw_cuda(const xlstm_adamw_args* args, xlstm_exec exec) {
  const xlstm_status status = xlstm_adamw_check(args);
  return status == XLSTM_OK ? run_update<Adamw>(*args, stream_of(exec)) : status;
}

xlstm_status xlstm_sgd_cuda(const xlstm_sgd_args* args, xlstm_exec exec) {
  const xlstm_status status = xlstm_sgd_check(args);
  if (status != XLSTM_OK) return status;
  return args->momentum == 0 ? run_update<Sgd<false>>(*args, stream_of(exec))
                             : run_update<Sgd<true>>(*args, stream_of(exec));
}

int64_t xlstm_sum_of_squares_workspace_cuda(const xlstm_sum_of_squares_args* args) {
  return Cuda::workspace(args, xlstm_sum_of_squares_check,
                         [&](auto) { return sum_blocks(args->n) * int64_t{sizeof(double)}; });
}

xlstm_status xlstm_sum_of_squares_cuda(const xlstm_sum_of_squares_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_sum_of_squares_check, exec, xlstm_sum_of_squares_workspace_cuda,
                   [&](auto element) {
                     sum_of_squares<typename decltype(element)::type>(
                         *args, static_cast<double*>(exec.workspace), stream_of(exec));
                     return launched();
                   });
}

xlstm_status xlstm_clip_cuda(const xlstm_clip_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_clip_check, [&](auto element) {
    if (args->n == 0) return XLSTM_OK;
    clip<typename decltype(element)::type>(*args, stream_of(exec));
    return launched();
  });
}

xlstm_status xlstm_update_control_cuda(const xlstm_update_control_args* args, xlstm_exec exec) {
  const xlstm_status status = xlstm_update_control_check(args);
  if (status != XLSTM_OK) return status;
  control_kernel<<<1, 1, 0, stream_of(exec)>>>(*args);
  return launched();
}
