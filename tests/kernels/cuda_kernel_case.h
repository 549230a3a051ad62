// What tests of CUDA kernels with weights share: pairs of element types, tolerances, matrices whose
// rows lie apart, calls with exactly the workspace that was asked for.
#pragma once

#include "tests/cuda_device.h"

namespace xlstm::test {

struct Types {
  xlstm_dtype dtype, weights;
};
inline std::vector<Types> all_types() {
  return {{XLSTM_F32, XLSTM_F32},
          {XLSTM_BF16, XLSTM_BF16},
          {XLSTM_BF16, XLSTM_F32},
          {XLSTM_F16, XLSTM_F16},
          {XLSTM_F16, XLSTM_F32}};
}
inline std::string to_string(const Types& types) {
  return std::string(name_of(types.dtype)) + " with weights " + name_of(types.weights);
}

// Relative to the size of the result. Half types: a few roundings of the result's own type.
inline double forward_tolerance(xlstm_dtype dtype) {
  return dtype == XLSTM_F32 ? 1e-5 : dtype == XLSTM_BF16 ? 4e-3 : 1e-3;
}
inline double gradient_tolerance(xlstm_dtype dtype) {
  return dtype == XLSTM_F32 ? 1e-5 : dtype == XLSTM_BF16 ? 8e-3 : 2e-3;
}

// Where a matrix lies in memory: elements before it, and elements after each row.
struct Placement {
  int64_t before = 0, after_row = 0;
};

// A [rows, columns] matrix on the device. What surrounds it is NaN and must stay so.
class Matrix {
 public:
  Matrix(int64_t rows, int64_t columns, xlstm_dtype dtype, Placement place = {})
      : Matrix(std::vector<double>(static_cast<size_t>(rows * columns), NAN), rows, columns, dtype,
               place) {}
  Matrix(const std::vector<double>& values, int64_t rows, int64_t columns, xlstm_dtype dtype,
         Placement place = {})
      : rows_(rows),
        columns_(columns),
        before_(place.before),
        stride_(columns + place.after_row),
        dtype_(dtype) {
    std::vector<double> memory(static_cast<size_t>(before_ + rows * stride_), NAN);
    for (int64_t i = 0; i < rows * columns; ++i)
      memory[static_cast<size_t>(at(i))] = values[static_cast<size_t>(i)];
    memory_ = DeviceArray(memory, dtype);
  }

  void* get() const { return static_cast<char*>(memory_.get()) + before_ * size_of(dtype_); }
  int64_t stride() const { return stride_; }
  std::vector<double> values() const {
    const std::vector<double> memory = memory_.values();
    std::vector<double> out;
    for (int64_t i = 0; i < rows_ * columns_; ++i)
      out.push_back(memory[static_cast<size_t>(at(i))]);
    return out;
  }
  bool surroundings_intact() const {
    std::vector<double> memory = memory_.values();
    for (int64_t i = 0; i < rows_ * columns_; ++i) memory[static_cast<size_t>(at(i))] = NAN;
    return std::all_of(memory.begin(), memory.end(), [](double x) { return std::isnan(x); });
  }
  DeviceArray* memory() { return &memory_; }

 private:
  int64_t at(int64_t i) const { return before_ + i / columns_ * stride_ + i % columns_; }
  DeviceArray memory_;
  int64_t rows_, columns_, before_, stride_;
  xlstm_dtype dtype_;
};

// Calls a CUDA kernel with poisoned workspace of just the size it asks for, and waits.
template <class Args>
xlstm_status run_on_device(xlstm_status (*kernel)(const Args*, xlstm_exec),
                           int64_t (*query)(const Args*), const Args& args) {
  const int64_t bytes = query == nullptr ? 0 : query(&args);
  const DeviceArray workspace = DeviceArray::bytes(bytes);
  const xlstm_status status =
      kernel(&args, {nullptr, bytes > 0 ? workspace.get() : nullptr, bytes, nullptr});
  check_cuda(cudaDeviceSynchronize(), "kernel");
  return status;
}
template <class Args>
xlstm_status run_on_device(xlstm_status (*kernel)(const Args*, xlstm_exec), const Args& args) {
  return run_on_device<Args>(kernel, nullptr, args);
}
// The same on the CPU.
template <class Args>
xlstm_status run_on_host(xlstm_status (*kernel)(const Args*, xlstm_exec),
                         int64_t (*query)(const Args*), const Args& args) {
  const int64_t bytes = query == nullptr ? 0 : query(&args);
  struct alignas(64) Line {
    char bytes[64];
  };
  std::vector<Line> workspace(static_cast<size_t>(bytes) / sizeof(Line) + 1);
  return kernel(&args, {nullptr, workspace.data(), bytes, nullptr});
}

inline void print_time(const char* what, double ms, double bytes) {
  const double rate = bytes / ms * 1e-6;
  std::printf("%-58s %9.4f ms %7.0f GB/s %5.1f %% of 4260\n", what, ms, rate, rate / 42.6);
}

}  // namespace xlstm::test
