// The head's loss on CUDA in bfloat16 and float16, beside weights of float32 and of its own type,
// against the same op in float64 on the CPU on the same rounded inputs.
#include <cmath>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/linear_cross_entropy.h"
#include "tests/cuda_device.h"

namespace xlstm {
namespace {

constexpr Device kCuda{DeviceType::cuda, 0};

struct Result {
  Tensor loss, dhidden, dweight;
};

// Gradients of factor * loss.
Result run(const Tensor& hidden, const Tensor& weight, const Tensor& targets, double factor,
           const ops::LinearCrossEntropyOptions& options) {
  Tensor x = hidden.detach(), w = weight.detach();
  x.set_requires_grad(true);
  w.set_requires_grad(true);
  const Tensor loss = ops::linear_cross_entropy(x, w, targets, options);
  autograd::backward(loss, Tensor::full({}, factor, loss.dtype(), loss.device()));
  return {loss.detach(), x.grad(), w.grad()};
}

Tensor in(DType dtype, Device device, const Tensor& x) {
  Tensor y = Tensor::empty(x.shape(), dtype);
  y.copy_from(x);
  return y.to(device);
}

// Frobenius norm of the difference over that of `want`.
double error_of(const Tensor& got, const Tensor& want) {
  const std::vector<double> a = got.to_vector<double>(), b = want.to_vector<double>();
  double difference = 0, size = 1e-30;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(difference / size);
}

TEST_CASE("the head's loss in short types on CUDA against float64 on the CPU") {
  if (!test::has_cuda_device()) return;
  const int64_t rows = 300, D = 64, n_vocab = 1000;
  Generator generator{5, 0};
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < rows; ++i) ids.push_back(i % 7 == 3 ? -1 : i * 7919 % n_vocab);
  const Tensor targets = Tensor::from(ids, {3, 100});
  for (const DType dtype : {DType::bf16, DType::f16}) {
    for (const DType weight_dtype : {DType::f32, dtype}) {
      for (const double cap : {0.0, 15.0}) {
        for (const int64_t chunk : {0, 128, 77}) {
          INFO(name_of(dtype) << ", weight " << name_of(weight_dtype) << ", cap " << cap
                              << ", chunk " << chunk);
          const ops::LinearCrossEntropyOptions options{cap, -1, chunk};
          // Values that the short type holds.
          const Tensor x = in(dtype, kCpu, random_tensor({3, 100, D}, DType::f32, generator));
          const Tensor w =
              in(dtype, kCpu, random_tensor({n_vocab, D}, DType::f32, generator, 0, 0.2));
          const double factor = 512;  // a loss scale, which keeps float16 gradients normal
          const Result want =
              run(in(DType::f64, kCpu, x), in(DType::f64, kCpu, w), targets, factor, options);
          const auto on_cuda = [&] {
            return run(x.to(kCuda), in(weight_dtype, kCuda, w), targets.to(kCuda), factor, options);
          };
          const Result got = on_cuda(), again = on_cuda();
          CHECK(got.loss.item() == Approx(want.loss.item()).epsilon(1e-5));
          CHECK(got.dhidden.dtype() == dtype);
          CHECK(got.dweight.dtype() == weight_dtype);
          const double tolerance = dtype == DType::bf16 ? 8e-3 : 2e-3;
          CHECK(error_of(got.dhidden, want.dhidden) < tolerance);
          CHECK(error_of(got.dweight, want.dweight) < tolerance);
          CHECK(got.loss.item() == again.loss.item());
          CHECK(got.dhidden.to_vector<double>() == again.dhidden.to_vector<double>());
          CHECK(got.dweight.to_vector<double>() == again.dweight.to_vector<double>());
        }
      }
    }
  }
}

}  // namespace
}  // namespace xlstm
