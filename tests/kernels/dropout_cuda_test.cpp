#include <cmath>

#include "kernels/dropout/dropout.h"
#include "tests/cuda_device.h"

namespace xlstm::test {
namespace {

constexpr xlstm_dtype kTypes[] = {XLSTM_F32, XLSTM_BF16, XLSTM_F16};

TEST_CASE("dropout on CUDA keeps exactly what the CPU keeps") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (const int64_t n : some<int64_t>({31, 4097, 1, 3, 4, 5, 8, 1024, 100003}, 3))
      for (const int64_t shift : {0, 1})
        for (const double p : {0.0, 0.1, 0.5, 0.95}) {
          INFO(name_of(dtype) << " n " << n << " shift " << shift << " p " << p);
          std::vector<double> x = rounded(normal(n + shift, 1), dtype);
          for (double& v : x) v = v == 0 ? 1 : v;
          std::vector<double> want(x.size());
          const uint64_t offset = (uint64_t{1} << 32) - 7;  // the counter crosses 32 bits
          xlstm_dropout_args args{XLSTM_F64, n,   x.data() + shift, want.data() + shift,
                                  p,         777, offset,           nullptr};
          REQUIRE(xlstm_dropout_cpu(&args, {}) == XLSTM_OK);

          const DeviceArray device_x(x, dtype), y(n + shift, dtype);
          args.dtype = dtype;
          args.x = static_cast<char*>(device_x.get()) + shift * size_of(dtype);
          args.y = static_cast<char*>(y.get()) + shift * size_of(dtype);
          REQUIRE(xlstm_dropout_cuda(&args, {}) == XLSTM_OK);
          std::vector<double> got = y.values();
          if (shift == 1) CHECK(std::isnan(got[0]));
          for (size_t i = 0; i < static_cast<size_t>(shift); ++i) got[i] = want[i];
          int64_t different = 0;
          for (size_t i = 0; i < got.size(); ++i) different += (got[i] == 0) != (want[i] == 0);
          CHECK(different == 0);
          const double tolerance = dtype == XLSTM_F32 ? 1e-6 : dtype == XLSTM_BF16 ? 4e-3 : 1e-3;
          CHECK(max_error(got, want) <= tolerance);
          const auto bits = y.raw<uint16_t>();
          for (int i = 1; i < n_repeats(); ++i) {
            y.poison();
            REQUIRE(xlstm_dropout_cuda(&args, {}) == XLSTM_OK);
          }
          CHECK(y.raw<uint16_t>() == bits);
          args.y = const_cast<void*>(args.x);
          REQUIRE(xlstm_dropout_cuda(&args, {}) == XLSTM_OK);
          if (shift == 0) CHECK(device_x.raw<uint16_t>() == bits);
        }
}

TEST_CASE("dropout on CUDA has the same bits every time") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (const int64_t n : {31, 4097, 40000}) {
      INFO(name_of(dtype) << " n " << n);
      const DeviceArray x(normal(n, 1), dtype);
      DeviceArray y(n, dtype);
      const xlstm_dropout_args args{dtype, n, x, y, 0.3, 777, 5, nullptr};
      CHECK(same_bits_again([&] { REQUIRE(xlstm_dropout_cuda(&args, {}) == XLSTM_OK); }, {&y}));
    }
}

TEST_CASE("dropout on CUDA: a dropped NaN is 0, bad arguments have their status") {
  if (!has_cuda_device()) return;
  const DeviceArray x(std::vector<double>(64, NAN), XLSTM_F32), y(64, XLSTM_F32);
  xlstm_dropout_args args{XLSTM_F32, 64, x, y, 0.5, 1, 0, nullptr};
  REQUIRE(xlstm_dropout_cuda(&args, {}) == XLSTM_OK);
  int64_t zeros = 0;
  for (const double v : y.values()) zeros += v == 0;
  CHECK(zeros > 10);
  CHECK(zeros < 54);
  args.p = 1;
  CHECK(xlstm_dropout_cuda(&args, {}) == XLSTM_BAD_VALUE);
  args.p = 0.5;
  args.dtype = XLSTM_F64;
  CHECK(xlstm_dropout_cuda(&args, {}) == XLSTM_BAD_DTYPE);
  args.dtype = XLSTM_F32;
  args.y = nullptr;
  CHECK(xlstm_dropout_cuda(&args, {}) == XLSTM_NULL_POINTER);
  args.n = 0;
  CHECK(xlstm_dropout_cuda(&args, {}) == XLSTM_OK);
  args.n = -1;
  CHECK(xlstm_dropout_cuda(&args, {}) == XLSTM_BAD_SIZE);
}

TEST_CASE("time of dropout on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  const int64_t n = int64_t{65536} * 2048;
  for (const xlstm_dtype dtype : kTypes) {
    const DeviceArray x = DeviceArray::bytes(n * size_of(dtype)),
                      y = DeviceArray::bytes(n * size_of(dtype));
    const xlstm_dropout_args args{dtype, n, x, y, 0.1, 1, 0, nullptr};
    const double ms = median_ms([&] { xlstm_dropout_cuda(&args, {}); });
    const double rate = static_cast<double>(2 * n * size_of(dtype)) / ms * 1e-6;
    std::printf("dropout %-5s 65536x2048 %8.4f ms %7.0f GB/s %5.1f %%\n", name_of(dtype), ms, rate,
                rate / 42.60);
  }
}

}  // namespace
}  // namespace xlstm::test
