// Errors of the CUDA runtime as exceptions: what they say, and that they are said once.
#include <cuda_runtime_api.h>

#include <string>

#include "core/cuda/check.h"
#include "core/cuda/runtime.h"
#include "core/ops/elementwise.h"
#include "core/ops/kernel_call.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

constexpr Device kCuda{DeviceType::cuda, 0};

struct NoArgs {};

// A kernel whose launch the runtime refuses: no device function is behind this address.
cudaError_t refusal = cudaSuccess;
xlstm_status refused_launch(const NoArgs*, xlstm_exec exec) {
  static int nothing = 0;
  void* arguments[1] = {nullptr};
  refusal = cudaLaunchKernel(static_cast<const void*>(&nothing), dim3(1), dim3(1), arguments, 0,
                             static_cast<cudaStream_t>(exec.stream));
  return refusal == cudaSuccess ? XLSTM_OK : XLSTM_DEVICE_ERROR;
}

template <class Call>
std::string text_of_error(Call call) {
  try {
    call();
  } catch (const CudaError& error) {
    return error.what();
  }
  return "no CudaError";
}

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Needs no device: whatever there is, this one is not.
TEST_CASE("a failed call of the runtime names the call, the error and the op, and is not pending") {
  const Tensor x = Tensor::zeros({2, 3});
  const OpScope scope("scale", {x});
  const std::string text =
      text_of_error([] { cuda::check(cudaSetDevice(12345), "cudaSetDevice"); });
  INFO(text);
  CHECK(text.find("cudaSetDevice: cudaError") == 0);
  CHECK(says(text, "(on cuda"));
  CHECK(says(text, "in scale of float32[2, 3])"));
  // Without a driver this question is an error of its own.
  if (cuda_device_count() > 0) CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("a launch that is refused names op, shapes, device and error, and the next one works") {
  if (cuda_device_count() == 0) {
    WARN("skipped: no CUDA device here");
    return;
  }
  const Tensor x = Tensor::full({2, 3}, 3, DType::f32, kCuda);
  const std::string text = text_of_error([&] {
    const OpScope scope("my_op", {x});
    ops::run_kernel(ops::Kernel<NoArgs>{nullptr, refused_launch}, NoArgs{}, kCuda, "my_op");
  });
  INFO(text);
  REQUIRE(refusal != cudaSuccess);
  CHECK(text.find("my_op: the device reported an error: cudaError") == 0);
  CHECK(says(text, cudaGetErrorName(refusal)));
  CHECK(says(text, cudaGetErrorString(refusal)));
  CHECK(says(text, "(on cuda:0, in my_op of float32[2, 3])"));
  CHECK_FALSE(says(text, "XLSTM_CUDA_SYNC"));  // the cause is known
  CHECK(cudaPeekAtLastError() == cudaSuccess);
  CHECK(ops::scale(x, 2).to_vector<float>() == std::vector<float>(6, 6.0f));
}

TEST_CASE("an error that somebody else left behind is reported by the next op, once") {
  if (cuda_device_count() == 0) {
    WARN("skipped: no CUDA device here");
    return;
  }
  const Tensor x = Tensor::full({4}, 3, DType::f32, kCuda);
  REQUIRE(cudaSetDevice(12345) != cudaSuccess);
  const std::string text = text_of_error([&] { ops::scale(x, 2); });
  INFO(text);
  CHECK(text.find("scale: the device reported an error: cudaErrorInvalidDevice") == 0);
  CHECK(says(text, "(on cuda:0, in scale of float32[4])"));
  CHECK(ops::scale(x, 2).to_vector<float>() == std::vector<float>(4, 6.0f));
}

}  // namespace
}  // namespace xlstm
