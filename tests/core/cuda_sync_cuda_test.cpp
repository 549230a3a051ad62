// XLSTM_CUDA_SYNC=1: an error that comes up while a kernel runs is reported by the op that launched
// it. A program of its own: the last case ends the CUDA context.
#include <cstdlib>
#include <string>

#include "core/cuda/graph.h"
#include "core/cuda/runtime.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

constexpr Device kCuda{DeviceType::cuda, 0};
// Before anybody asks.
const bool is_set = ::setenv("XLSTM_CUDA_SYNC", "1", 1) == 0;

TEST_CASE("with XLSTM_CUDA_SYNC=1 calls wait, and graphs can be recorded all the same") {
  REQUIRE(is_set);
  CHECK(cuda::waits_after_each_call());
  if (cuda_device_count() == 0) {
    WARN("skipped: no CUDA device here");
    return;
  }
  const Tensor x = Tensor::full({4, 4}, 3, DType::f32, kCuda);
  Tensor y = Tensor::zeros({4, 4}, DType::f32, kCuda);
  const auto work = [&] {
    const Tensor product = ops::matmul(x, x);
    y.copy_from(ops::scale(product, 2));
  };
  work();  // what is made once
  cuda::Graph graph(kCuda, work);
  y.fill(0);
  graph.launch();
  CHECK(y.to_vector<float>() == std::vector<float>(16, 72.0f));
}

// Last: no call of this process reaches the device afterwards.
TEST_CASE("with XLSTM_CUDA_SYNC=1 an illegal access is reported by its op") {
  if (cuda_device_count() == 0) {
    WARN("skipped: no CUDA device here");
    return;
  }
  const Tensor x = Tensor::full({4}, 3, DType::f32, kCuda);
  x.impl()->offset = int64_t{1} << 38;  // a tebibyte on, where no memory is
  std::string text = "no CudaError";
  try {
    ops::scale(x, 2);
  } catch (const CudaError& error) {
    text = error.what();
  }
  x.impl()->offset = 0;
  INFO(text);
  CHECK(text.find("scale: the device reported an error: cudaErrorIllegalAddress") == 0);
  CHECK(text.find("(on cuda:0, in scale of float32[4])") != std::string::npos);
  CHECK(text.find("XLSTM_CUDA_SYNC") == std::string::npos);  // nothing is left to find out
}

}  // namespace
}  // namespace xlstm
