// The bias of a linear map on CUDA, which the matrix product adds itself, against float64 on the
// CPU on the same rounded inputs.
#include <cmath>
#include <cstring>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/matmul.h"
#include "tests/cuda_device.h"

namespace xlstm {
namespace {

constexpr Device kCuda{DeviceType::cuda, 0};

struct LinearCase {
  const char* label;
  int64_t M, K, N;
};

// More rows than the kernel of a decoding step takes; sizes that fill words of 16 bytes or do not.
constexpr LinearCase kCases[] = {{"fills tiles", 256, 128, 384}, {"gates", 512, 256, 8},
                                 {"odd sizes", 77, 33, 51},      {"one output", 40, 64, 1},
                                 {"one input", 40, 1, 64},       {"no inputs", 40, 0, 24},
                                 {"one by one", 33, 1, 1},       {"long sum", 64, 8192, 64}};

Tensor in(DType dtype, Device device, const Tensor& x) {
  Tensor y = Tensor::empty(x.shape(), dtype);
  y.copy_from(x);
  return y.to(device);
}

// The same at an address that words of 16 bytes do not begin at.
Tensor misaligned(const Tensor& bias) {
  const Tensor memory = Tensor::zeros({bias.size(0) + 1}, bias.dtype(), bias.device());
  Tensor view = memory.strided_view(bias.shape(), {1}, 1);
  view.copy_from(bias);
  return view;
}

// Largest difference relative to the largest value.
double error_of(const Tensor& got, const Tensor& want) {
  const std::vector<double> a = got.to_vector<double>(), b = want.to_vector<double>();
  double worst = 0, largest = 1e-30;
  for (size_t i = 0; i < a.size(); ++i) {
    worst = std::isfinite(a[i]) ? std::max(worst, std::abs(a[i] - b[i])) : INFINITY;
    largest = std::max(largest, std::abs(b[i]));
  }
  return worst / largest;
}

TEST_CASE("linear maps on CUDA add their bias, of every type and at every address") {
  if (!test::has_cuda_device()) return;
  for (const LinearCase& c : kCases) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      for (const DType bias_dtype : {DType::f32, dtype}) {
        Generator generator{7, 0};
        const auto random = [&](const Shape& shape, DType type, double std) {
          return in(type, kCpu, random_tensor(shape, DType::f64, generator, 0, std));
        };
        const Tensor x = random({c.M, c.K}, dtype, 1);
        const Tensor weight =
            random({c.N, c.K}, dtype, 1 / std::sqrt(static_cast<double>(c.K) + 1));
        const Tensor bias = random({c.N}, bias_dtype, 1);
        const Tensor want = ops::linear(in(DType::f64, kCpu, x), in(DType::f64, kCpu, weight),
                                        in(DType::f64, kCpu, bias));
        for (const bool aligned : {true, false}) {
          INFO(c.label << ", " << name_of(dtype) << ", bias " << name_of(bias_dtype)
                       << (aligned ? "" : ", misaligned"));
          const Tensor on_device = bias.to(kCuda);
          const auto run = [&](auto op) {
            return op(x.to(kCuda), weight.to(kCuda), aligned ? on_device : misaligned(on_device));
          };
          const Tensor y = run(ops::linear), wide = run(ops::linear_wide);
          CHECK(y.dtype() == dtype);
          CHECK(error_of(y, want) < (dtype == DType::f32    ? 1e-5
                                     : dtype == DType::bf16 ? 8e-3
                                                            : 1e-3));
          CHECK(wide.dtype() == DType::f32);
          CHECK(error_of(wide, want) < 1e-5);
          CHECK(run(ops::linear).to_vector<float>() == y.to_vector<float>());
        }
      }
    }
  }
}

// What is remembered of a problem must not hold the bias it was first asked with.
TEST_CASE("linear maps of one shape on CUDA add the bias that they are given") {
  if (!test::has_cuda_device()) return;
  const Tensor x = Tensor::zeros({64, 32}, DType::bf16, kCuda);
  const Tensor weight = Tensor::zeros({48, 32}, DType::bf16, kCuda);
  for (const double value : {1.0, -2.0, 3.5}) {
    const Tensor bias = Tensor::full({48}, value, DType::bf16, kCuda);
    for (const double got : ops::linear(x, weight, bias).to_vector<double>()) CHECK(got == value);
  }
  for (const double got : ops::linear(x, weight).to_vector<double>()) CHECK(got == 0);
}

TEST_CASE("time of a linear map with and without a bias on CUDA", "[.bench]") {
  if (!test::has_cuda_device()) return;
  const int64_t M = 32768, K = 2048;
  for (const int64_t N : {int64_t{2048}, int64_t{5504}, int64_t{16}}) {
    const Tensor x = Tensor::zeros({M, K}, DType::bf16, kCuda);
    const Tensor weight = Tensor::zeros({N, K}, DType::bf16, kCuda);
    const Tensor bias = Tensor::zeros({N}, DType::bf16, kCuda);
    for (const bool with : {false, true}) {
      // Ops have a stream of their own, which the events on the default one do not wait for.
      const double ms = test::median_ms([&] {
        test::check_cuda(cudaDeviceSynchronize(), "wait");
        ops::linear(x, weight, with ? bias : Tensor{});
        test::check_cuda(cudaDeviceSynchronize(), "wait");
      });
      std::printf("linear %ld x %ld to %ld bf16%s %9.4f ms %7.1f TFLOP/s\n", static_cast<long>(M),
                  static_cast<long>(K), static_cast<long>(N), with ? ", bias" : "      ", ms,
                  2e-9 * static_cast<double>(M * K * N) / ms);
    }
  }
}

}  // namespace
}  // namespace xlstm
