// Conversions on CUDA have the bits of those on the CPU, also where types have ends.
#include <cstring>

#include "tests/core/conversion_case.h"
#include "tests/cuda_device.h"

namespace xlstm {
namespace {

using test::has_cuda_device;
using testing::converted;

constexpr Device kCuda{DeviceType::cuda, 0};
constexpr DType kAll[] = {DType::f32, DType::f64, DType::bf16, DType::f16,
                          DType::i8,  DType::i16, DType::i32,  DType::i64,
                          DType::u8,  DType::u16, DType::u32,  DType::boolean};

bool same_bits(const Tensor& a, const Tensor& b) {
  return std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.numel() * size_of(a.dtype()))) == 0;
}

TEST_CASE("to booleans and integers, a GPU converts as the CPU does") {
  if (!has_cuda_device()) return;
  for (const DType from : kAll) {
    const Tensor x = testing::edges_in(from), on_gpu = x.to(kCuda);
    for (const DType to : kAll) {
      if (is_floating(to)) continue;  // NaN has many bits there
      CAPTURE(name_of(from), name_of(to));
      const Tensor want = converted(x, to);
      CHECK(same_bits(converted(on_gpu, to).to(kCpu), want));
      // Also where the kernel walks strides.
      const Shape half{x.numel() / 2};
      CHECK(same_bits(converted(on_gpu.strided_view(half, {2}, 1), to).to(kCpu),
                      converted(x.strided_view(half, {2}, 1), to)));
    }
  }
  Tensor filled = Tensor::full({3}, 0.5, DType::boolean, kCuda);
  CHECK(filled.to_vector<uint8_t>() == std::vector<uint8_t>{1, 1, 1});
}

}  // namespace
}  // namespace xlstm
