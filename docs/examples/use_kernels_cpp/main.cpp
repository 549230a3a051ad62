// The sLSTM kernels from C++, on a GPU if there is one, else on the CPU: forward, backward, and the
// gradient of all inputs compared with a difference quotient.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <stdexcept>
#include <vector>
#ifdef USE_CUDA
#include <cuda_runtime_api.h>
#endif

#include "kernels/slstm/slstm.h"

namespace {

constexpr int64_t B = 3, T = 20, H = 2, D = 16;  // batch rows, time steps, heads, units of a head
constexpr int64_t kWx = B * T * 4 * H * D, kR = H * D * 4 * D, kBias = H * 4 * D,
                  kH = B * T * H * D;

bool gpu_here() {
#ifdef USE_CUDA
  int n = 0;
  return cudaGetDeviceCount(&n) == cudaSuccess && n > 0;
#else
  return false;
#endif
}
const bool on_gpu = gpu_here();

void check(xlstm_status status) {
  if (status != XLSTM_OK) throw std::runtime_error(xlstm_status_string(status));
}

// Zeroed memory where the kernels run.
class Memory {
 public:
  explicit Memory(int64_t bytes) : bytes_((static_cast<size_t>(bytes) + 64) / 64 * 64) {
#ifdef USE_CUDA
    if (on_gpu) {
      if (cudaMalloc(&data_, bytes_) != cudaSuccess || cudaMemset(data_, 0, bytes_) != cudaSuccess)
        throw std::runtime_error("no device memory");
      return;
    }
#endif
    data_ = std::aligned_alloc(64, bytes_);
    if (data_ == nullptr) throw std::bad_alloc();
    std::memset(data_, 0, bytes_);
  }
  explicit Memory(const std::vector<float>& values)
      : Memory(static_cast<int64_t>(values.size() * sizeof(float))) {
    copy(data_, values.data(), values.size() * sizeof(float));
  }
  Memory(const Memory&) = delete;
  ~Memory() {
#ifdef USE_CUDA
    if (on_gpu) {
      cudaFree(data_);
      return;
    }
#endif
    std::free(data_);
  }

  void* get() const {
    return data_;
  }
  std::vector<float> floats(int64_t n) const {
    std::vector<float> values(static_cast<size_t>(n));
    copy(values.data(), data_, values.size() * sizeof(float));
    return values;
  }

 private:
  static void copy(void* to, const void* from, size_t bytes) {
#ifdef USE_CUDA
    if (on_gpu) {
      if (cudaMemcpy(to, from, bytes, cudaMemcpyDefault) != cudaSuccess)
        throw std::runtime_error("copy failed");
      return;
    }
#endif
    std::memcpy(to, from, bytes);
  }

  size_t bytes_;
  void* data_ = nullptr;
};

struct Inputs {
  std::vector<float> wx, R, bias;
};
struct Result {
  double loss;  // half the sum of h * h, so dh = h
  Inputs gradient;
};

Result run(const Inputs& inputs) {
  const Memory wx(inputs.wx), R(inputs.R), bias(inputs.bias), h(kH * 4);
  const Memory saved(on_gpu ? xlstm_slstm_saved_bytes_cuda(XLSTM_F32, B, T, H, D)
                            : xlstm_slstm_saved_bytes_cpu(XLSTM_F32, B, T, H, D));
  xlstm_slstm_fwd_args fwd = {};  // float32; null pointers: zero initial state, final one dropped
  fwd.B = B, fwd.T = T, fwd.H = H, fwd.D = D;
  fwd.wx = wx.get(), fwd.R = R.get(), fwd.bias = bias.get();
  fwd.wx_stride_b = T * 4 * H * D, fwd.wx_stride_t = 4 * H * D;
  fwd.wx_stride_g = H * D, fwd.wx_stride_h = D;
  fwd.h = h.get(), fwd.saved = saved.get();
  fwd.h_stride_b = T * H * D, fwd.h_stride_t = H * D, fwd.h_stride_h = D;
  {
    xlstm_exec exec = {};
    exec.workspace_bytes =
        on_gpu ? xlstm_slstm_fwd_workspace_cuda(&fwd) : xlstm_slstm_fwd_workspace_cpu(&fwd);
    const Memory workspace(exec.workspace_bytes);
    exec.workspace = workspace.get();
    check(on_gpu ? xlstm_slstm_fwd_cuda(&fwd, exec) : xlstm_slstm_fwd_cpu(&fwd, exec));
  }

  const Memory dwx(kWx * 4), dR(kR * 4), dbias(kBias * 4);
  xlstm_slstm_bwd_args bwd = {};
  bwd.B = B, bwd.T = T, bwd.H = H, bwd.D = D;
  bwd.R = fwd.R, bwd.h = fwd.h, bwd.saved = fwd.saved, bwd.dh = fwd.h;
  bwd.h_stride_b = bwd.dh_stride_b = fwd.h_stride_b;
  bwd.h_stride_t = bwd.dh_stride_t = fwd.h_stride_t;
  bwd.h_stride_h = bwd.dh_stride_h = fwd.h_stride_h;
  bwd.dwx = dwx.get(), bwd.dR = dR.get(), bwd.dbias = dbias.get();
  bwd.dwx_stride_b = fwd.wx_stride_b, bwd.dwx_stride_t = fwd.wx_stride_t;
  bwd.dwx_stride_g = fwd.wx_stride_g, bwd.dwx_stride_h = fwd.wx_stride_h;
  {
    xlstm_exec exec = {};
    exec.workspace_bytes =
        on_gpu ? xlstm_slstm_bwd_workspace_cuda(&bwd) : xlstm_slstm_bwd_workspace_cpu(&bwd);
    const Memory workspace(exec.workspace_bytes);
    exec.workspace = workspace.get();
    check(on_gpu ? xlstm_slstm_bwd_cuda(&bwd, exec) : xlstm_slstm_bwd_cpu(&bwd, exec));
  }

  Result result = {0, {dwx.floats(kWx), dR.floats(kR), dbias.floats(kBias)}};
  for (const float value : h.floats(kH)) result.loss += 0.5 * static_cast<double>(value) * value;
  return result;
}

std::vector<float> normal(int64_t n, float deviation, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> draw(0, deviation);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = draw(engine);
  return values;
}
double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}
std::vector<float> moved(const std::vector<float>& from, const std::vector<float>& to, float step) {
  std::vector<float> x = from;
  for (size_t i = 0; i < x.size(); ++i) x[i] += step * to[i];
  return x;
}

}  // namespace

int main() try {
  const Inputs x = {normal(kWx, 1, 1), normal(kR, 0.25f, 2), normal(kBias, 1, 3)};
  const Inputs direction = {normal(kWx, 1, 4), normal(kR, 0.25f, 5), normal(kBias, 1, 6)};
  const auto loss_at = [&](float step) {
    return run({moved(x.wx, direction.wx, step), moved(x.R, direction.R, step),
                moved(x.bias, direction.bias, step)})
        .loss;
  };
  const Result here = run(x);
  const double slope = dot(here.gradient.wx, direction.wx) + dot(here.gradient.R, direction.R) +
                       dot(here.gradient.bias, direction.bias);
  const float step = 2e-3f;
  const double quotient = (loss_at(step) - loss_at(-step)) / (2 * static_cast<double>(step));
  const double error = std::abs(slope - quotient) / std::abs(quotient);
  std::printf(
      "loss %.6f, slope along a direction: %.5f by the backward kernel, %.5f by differences\n",
      here.loss, slope, quotient);
  std::printf("ran on the %s\n", on_gpu ? "GPU" : "CPU");
  return error < 1e-2 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "use_kernels_cpp: %s\n", error.what());
  return 1;
}
