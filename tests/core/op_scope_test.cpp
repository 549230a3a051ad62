// What errors say: the op, the device, the tensors that it was called with.
#include "core/op_scope.h"

#include <string>

#include "core/autograd.h"
#include "core/ops/elementwise.h"
#include "core/ops/mlstm.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

constexpr Device kCuda{DeviceType::cuda, 0};

template <class E>
std::string text_of(xlstm_status status, const char* op, Device device) {
  try {
    check_status(status, op, device);
  } catch (const E& error) {
    return error.what();
  }
  return "no such error";
}

TEST_CASE("an error names the op in progress, its tensors and the device") {
  const Tensor a = Tensor::zeros({2, 3}), absent, c = Tensor::zeros({}, DType::i64);
  CHECK(OpScope::where(kCpu) == " (on cpu)");
  {
    const OpScope outer("outer", {a, absent, c});
    CHECK(OpScope::where(kCuda) == " (on cuda:0, in outer of float32[2, 3], none, int64[])");
    CHECK(std::string(MemoryOwner::current().op) == "outer");
    {
      const OpScope inner("inner", {a}, true);
      CHECK(OpScope::where(kCpu) == " (on cpu, in inner backward, gradients float32[2, 3])");
      CHECK(MemoryOwner::current().backward);
    }
    const OpScope nothing("nothing", {});
    CHECK(OpScope::where(kCpu) == " (on cpu, in nothing)");
  }
  CHECK(OpScope::where(kCpu) == " (on cpu)");
  OpScope many("many", {});
  const Tensors tensors(20, Tensor::zeros({1}, DType::u8));
  many.add(tensors);
  const std::string text = OpScope::where(kCpu);
  CHECK(text.find("in many of uint8[1], uint8[1], ") != std::string::npos);
  CHECK(text.find("uint8[1], ...)") != std::string::npos);
}

TEST_CASE("an op that was refused leaves no trace") {
  const Tensor a = Tensor::zeros({2});
  Tensor b = Tensor::zeros({3});
  CHECK_THROWS_AS(ops::add(a, b), ShapeError);
  b.impl()->storage->device = kCuda;  // only claims to be there
  CHECK_THROWS_AS(OpScope("op", {a, b}), DeviceError);
  b.impl()->storage->device = kCpu;
  CHECK(OpScope::where(kCpu) == " (on cpu)");
  CHECK(MemoryOwner::current().op == nullptr);
}

TEST_CASE("the status of a kernel becomes an error of its class and text") {
  const Tensor a = Tensor::zeros({2, 3});
  check_status(XLSTM_OK, "mul", kCpu);
  CHECK(text_of<ShapeError>(XLSTM_BAD_SIZE, "mul", kCpu) ==
        "mul: a size is negative or too large, or sizes do not fit each other (on cpu)");
  const OpScope scope("mul", {a, a});
  CHECK(text_of<ShapeError>(XLSTM_BAD_DTYPE, "mul", kCpu) ==
        "mul: the element type is not supported by this backend (on cpu, in mul of float32[2, 3], "
        "float32[2, 3])");
  CHECK(text_of<DeviceError>(XLSTM_NOT_COMPILED, "mul", kCuda).find("not part of the build") !=
        std::string::npos);
  // Between the two stands the text of the CUDA runtime, if it has one.
  const std::string text = text_of<CudaError>(XLSTM_DEVICE_ERROR, "mul", kCuda);
  INFO(text);
  CHECK(text.find("mul: the device reported an error") == 0);
  CHECK(text.find(" (on cuda:0, in mul of float32[2, 3], float32[2, 3])") != std::string::npos);
}

TEST_CASE("the backward pass names its op and the gradients that came in") {
  Tensor x = Tensor::zeros({2, 3});
  x.set_requires_grad(true);
  const Tensor y = x.detach();
  autograd::record("double", {x}, {y}, [](const Tensors& grads) {
    check_status(XLSTM_BAD_VALUE, "double", grads[0].device());
    return grads;
  });
  std::string text;
  try {
    autograd::backward(y, Tensor::zeros({2, 3}));
  } catch (const ShapeError& error) {
    text = error.what();
  }
  CHECK(text ==
        "double: a scalar or flag is outside its range (on cpu, in double backward, gradients "
        "float32[2, 3])");
}

TEST_CASE("sizes that no kernel takes are refused by name") {
  // One number, repeated: no memory is needed to ask.
  const Tensor one = Tensor::zeros({1});
  const auto repeated = [&](const Shape& shape) {
    return one.strided_view(shape, Shape(shape.size(), 0));
  };
  const int64_t huge = int64_t{1} << 31;
  const auto refused = [](auto call) {
    std::string text = "no error";
    try {
      call();
    } catch (const ShapeError& error) {
      text = error.what();
    }
    INFO(text);
    CHECK(text.find("mlstm") == 0);
    CHECK(text.find("got ") != std::string::npos);
    CHECK(text.find("2147483648") != std::string::npos);
    CHECK(text.find("expected ") != std::string::npos);
  };
  const auto sequence = [&](int64_t T, int64_t K, int64_t V) {
    const Tensor q = repeated({1, T, 1, K}), v = repeated({1, T, 1, V}), gate = repeated({1, T, 1});
    refused([&] { ops::mlstm(q, q, v, gate, gate, {}, {}); });
  };
  sequence(1, huge, 2);
  sequence(1, 2, huge);
  sequence(huge, 2, 2);
  const Tensor q = repeated({1, 1, huge}), v = repeated({1, 1, 2}), gate = repeated({1, 1});
  ops::MlstmState state;
  refused([&] { ops::mlstm_step(q, q, v, gate, gate, state); });
  CHECK_FALSE(state.C.defined());
}

}  // namespace
}  // namespace xlstm
