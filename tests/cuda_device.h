// What tests of CUDA kernels share: arrays on the device, rounding to an element type, errors,
// times. Built only with the CUDA backend; without a device every case says that it was skipped.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/common/types.h"
#include "tests/catch.h"
#include "tests/skip.h"

namespace xlstm::test {

inline void check_cuda(cudaError_t error, const char* what) {
  if (error != cudaSuccess)
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

// Of the first device: 90 for 9.0.
inline int compute_capability() {
  int major = 0, minor = 0;
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "major");
  check_cuda(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0), "minor");
  return 10 * major + minor;
}

// For a case to go home if not: that it was skipped is said here.
inline bool has_cuda_device() {
  int n = 0;
  if (cudaGetDeviceCount(&n) == cudaSuccess && n > 0) return true;
  skipped("no CUDA device here");
  return false;
}

inline int64_t size_of(xlstm_dtype dtype) {
  return dtype == XLSTM_F64 ? 8 : dtype == XLSTM_F32 ? 4 : 2;
}
inline const char* name_of(xlstm_dtype dtype) {
  return dtype == XLSTM_F64    ? "f64"
         : dtype == XLSTM_F32  ? "f32"
         : dtype == XLSTM_BF16 ? "bf16"
                               : "f16";
}

// The values as the element type holds them.
inline std::vector<double> rounded(const std::vector<double>& x, xlstm_dtype dtype) {
  std::vector<double> out(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const float f = static_cast<float>(x[i]);
    out[i] = dtype == XLSTM_F64    ? x[i]
             : dtype == XLSTM_F32  ? static_cast<double>(f)
             : dtype == XLSTM_BF16 ? static_cast<double>(__bfloat162float(__float2bfloat16_rn(f)))
                                   : static_cast<double>(__half2float(__float2half_rn(f)));
  }
  return out;
}

inline std::vector<double> normal(int64_t n, uint64_t seed, double std = 1, double mean = 0) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> draw(mean, std);
  std::vector<double> x(static_cast<size_t>(n));
  for (double& v : x) v = draw(engine);
  return x;
}

// An array in device memory. New memory is filled with bytes of NaN, so unwritten results show.
class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(int64_t n, xlstm_dtype dtype) : n_(n), dtype_(dtype) { reserve(n * size_of(dtype)); }
  DeviceArray(const std::vector<double>& values, xlstm_dtype dtype)
      : DeviceArray(static_cast<int64_t>(values.size()), dtype) {
    std::vector<unsigned char> bytes(static_cast<size_t>(n_ * size_of(dtype)));
    for (size_t i = 0; i < values.size(); ++i) {
      const float f = static_cast<float>(values[i]);
      if (dtype == XLSTM_F64) reinterpret_cast<double*>(bytes.data())[i] = values[i];
      if (dtype == XLSTM_F32) reinterpret_cast<float*>(bytes.data())[i] = f;
      if (dtype == XLSTM_BF16)
        reinterpret_cast<__nv_bfloat16*>(bytes.data())[i] = __float2bfloat16_rn(f);
      if (dtype == XLSTM_F16) reinterpret_cast<__half*>(bytes.data())[i] = __float2half_rn(f);
    }
    upload(bytes.data(), bytes.size());
  }
  template <class T>
  static DeviceArray of(const std::vector<T>& values) {  // raw bytes: tokens, resets
    DeviceArray a;
    a.reserve(static_cast<int64_t>(values.size() * sizeof(T)));
    a.upload(values.data(), values.size() * sizeof(T));
    return a;
  }
  static DeviceArray bytes(int64_t n) {
    DeviceArray a;
    a.reserve(n);
    return a;
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(DeviceArray&& other) noexcept { *this = std::move(other); }
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(n_, other.n_);
    std::swap(dtype_, other.dtype_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  void* get() const { return data_; }
  operator void*() const { return data_; }
  int64_t n_bytes() const { return bytes_; }
  // Fills with NaN bytes again.
  void poison() const {
    check_cuda(cudaMemset(data_, 0xff, static_cast<size_t>(bytes_)), "memset");
  }
  template <class T>
  std::vector<T> raw() const {
    std::vector<T> out(static_cast<size_t>(bytes_) / sizeof(T));
    check_cuda(cudaMemcpy(out.data(), data_, out.size() * sizeof(T), cudaMemcpyDeviceToHost),
               "copy from device");
    return out;
  }
  std::vector<double> values() const {
    std::vector<double> out(static_cast<size_t>(n_));
    const std::vector<unsigned char> b = raw<unsigned char>();
    for (size_t i = 0; i < out.size(); ++i) {
      if (dtype_ == XLSTM_F64) out[i] = reinterpret_cast<const double*>(b.data())[i];
      if (dtype_ == XLSTM_F32)
        out[i] = static_cast<double>(reinterpret_cast<const float*>(b.data())[i]);
      if (dtype_ == XLSTM_BF16)
        out[i] = static_cast<double>(
            __bfloat162float(reinterpret_cast<const __nv_bfloat16*>(b.data())[i]));
      if (dtype_ == XLSTM_F16)
        out[i] = static_cast<double>(__half2float(reinterpret_cast<const __half*>(b.data())[i]));
    }
    return out;
  }

 private:
  void reserve(int64_t bytes) {
    bytes_ = bytes;
    check_cuda(cudaMalloc(&data_, static_cast<size_t>(std::max<int64_t>(bytes, 1))), "malloc");
    poison();
  }
  void upload(const void* from, size_t n) {
    check_cuda(cudaMemcpy(data_, from, n, cudaMemcpyHostToDevice), "copy to device");
  }

  void* data_ = nullptr;
  int64_t n_ = 0, bytes_ = 0;
  xlstm_dtype dtype_ = XLSTM_F32;
};

// ||got - want|| / ||want||, Frobenius; infinite if a value is not finite.
inline double relative_error(const std::vector<double>& got, const std::vector<double>& want) {
  if (got.size() != want.size()) return INFINITY;
  double difference = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if (!std::isfinite(got[i])) return INFINITY;
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::sqrt(difference / std::max(size, 1e-30));
}
// max |got - want| / max |want|.
inline double max_error(const std::vector<double>& got, const std::vector<double>& want) {
  if (got.size() != want.size()) return INFINITY;
  double difference = 0, size = 1e-30;
  for (size_t i = 0; i < got.size(); ++i) {
    if (!std::isfinite(got[i])) return INFINITY;
    difference = std::max(difference, std::abs(got[i] - want[i]));
    size = std::max(size, std::abs(want[i]));
  }
  return difference / size;
}

// Whether n_repeats() calls leave the same bytes in all of these arrays, which are poisoned in
// between.
inline bool same_bits_again(const std::function<void()>& call,
                            const std::vector<DeviceArray*>& results) {
  std::vector<std::vector<unsigned char>> first;
  for (int repeat = 0; repeat < n_repeats(); ++repeat) {
    for (const DeviceArray* result : results) result->poison();
    call();
    for (size_t i = 0; i < results.size(); ++i) {
      std::vector<unsigned char> bytes = results[i]->raw<unsigned char>();
      if (repeat > 0 && bytes != first[i]) return false;
      if (repeat > 0) continue;
      note_bits(bytes.data(), bytes.size());
      first.push_back(std::move(bytes));
    }
  }
  return true;
}

// All cases of a list, or only the first n where few are asked for: those should reach every
// kernel.
template <class T>
std::vector<T> some(std::vector<T> cases, size_t n) {
  if (small_run() && cases.size() > n)
    cases.erase(cases.begin() + static_cast<ptrdiff_t>(n), cases.end());
  return cases;
}

// ---- rows of a batch, outermost in memory ----

// The rows of `all` but one replaced by those of `others`.
inline std::vector<double> with_other_rows(std::vector<double> all,
                                           const std::vector<double>& others, int64_t n_rows,
                                           int64_t row) {
  const auto size = static_cast<int64_t>(all.size()) / n_rows;
  for (int64_t i = 0; i < static_cast<int64_t>(all.size()); ++i)
    if (i / size != row) all[static_cast<size_t>(i)] = others[static_cast<size_t>(i)];
  return all;
}
template <class T>
std::vector<T> row_of(const std::vector<T>& all, int64_t n_rows, int64_t row) {
  const auto size = static_cast<int64_t>(all.size()) / n_rows;
  return {all.begin() + row * size, all.begin() + (row + 1) * size};
}

// Median milliseconds of one call on the default stream, the L2 cache flushed before each.
inline double median_ms(const std::function<void()>& call, int repeats = 30) {
  DeviceArray flush = DeviceArray::bytes(256 << 20);
  cudaEvent_t begin, end;
  check_cuda(cudaEventCreate(&begin), "event");
  check_cuda(cudaEventCreate(&end), "event");
  std::vector<float> times;
  for (int i = 0; i < repeats + 5; ++i) {
    flush.poison();
    check_cuda(cudaEventRecord(begin), "record");
    call();
    check_cuda(cudaEventRecord(end), "record");
    check_cuda(cudaEventSynchronize(end), "synchronize");
    float ms = 0;
    check_cuda(cudaEventElapsedTime(&ms, begin, end), "elapsed");
    if (i >= 5) times.push_back(ms);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::sort(times.begin(), times.end());
  return static_cast<double>(times[times.size() / 2]);
}

}  // namespace xlstm::test
