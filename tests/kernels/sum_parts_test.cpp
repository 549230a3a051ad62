#include "kernels/sum_parts/sum_parts.h"

#include <cmath>

#include "core/ops/kernel_call.h"
#include "tests/devices.h"

namespace xlstm {
namespace {

double value_at(int64_t part, int64_t i) {
  return std::sin(0.37 * static_cast<double>(i) + 1.7 * static_cast<double>(part)) *
         std::exp2(static_cast<double>(i % 9));
}

struct Sums {
  Tensor sum, squares, arrived;
};

// In place: the sum goes to row `into` of the parts; -1: to memory of its own, at an odd element.
Sums add(const Tensor& parts, int64_t into, bool with_squares = true) {
  const Device device = parts.device();
  const int64_t n = parts.size(1);
  Sums s;
  s.sum = into >= 0 ? parts.strided_view({n}, {1}, into * n)
                    : Tensor::zeros({n + 1}, parts.dtype(), device).strided_view({n}, {1}, 1);
  s.squares = Tensor::full({1}, -1, DType::f64, kCpu).to(device);
  s.arrived = Tensor::zeros({1}, DType::i64, device);
  xlstm_sum_parts_args args{};
  args.dtype = kernel_dtype(parts.dtype());
  args.n_parts = parts.size(0);
  args.n = n;
  args.parts = parts.raw();
  args.sum = s.sum.raw();
  if (with_squares) {
    args.squares = s.squares.data<double>();
    args.arrived = static_cast<uint32_t*>(s.arrived.raw());
  }
  ops::run_kernel(ops::Kernel{xlstm_sum_parts_cpu, xlstm_sum_parts_cuda,
                              xlstm_sum_parts_workspace_cpu, xlstm_sum_parts_workspace_cuda},
                  args, device, "sum of parts");
  return s;
}

TEST_CASE("parts are added in their order and rounded once, and so are the squares of the sums") {
  test::for_each_device([](Device device) {
    const std::vector<DType> types = device == kCpu
                                         ? std::vector{DType::f32, DType::f64}
                                         : std::vector{DType::f32, DType::bf16, DType::f16};
    for (const DType dtype : types)
      for (const int64_t n_parts : {1, 2, 3, 8})
        for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{37}, int64_t{4096},
                                int64_t{200'000}, int64_t{1} << 23}) {
          if (n > 1'000'000 && n_parts > 2) continue;
          CAPTURE(name_of(dtype), n_parts, n);
          const Tensor parts = Tensor::empty({n_parts, n}, DType::f64);
          for (int64_t r = 0; r < n_parts; ++r)
            for (int64_t i = 0; i < n; ++i) parts.data<double>()[r * n + i] = value_at(r, i);
          const Tensor rounded = Tensor::empty({n_parts, n}, dtype);
          Tensor(rounded).copy_from(parts);
          const Tensor there = rounded.to(device).clone();
          const std::vector<double> x = rounded.to_vector<double>();
          const Sums sums = add(there, -1);
          const std::vector<double> got = sums.sum.to(kCpu).to_vector<double>();
          // What rounding the sum once may cost; on CUDA sums are taken in float32.
          const double unit = dtype == DType::f64    ? 0x1p-53
                              : dtype == DType::bf16 ? 0x1p-8
                              : dtype == DType::f16  ? 0x1p-11
                                                     : 0x1p-24;
          long double squares = 0;  // of many like numbers, whose roundings add up
          for (int64_t i = 0; i < n; ++i) {
            double want = 0, size = 0;
            for (int64_t r = 0; r < n_parts; ++r) {
              want += x[static_cast<size_t>(r * n + i)];
              size += std::abs(x[static_cast<size_t>(r * n + i)]);
            }
            const double y = got[static_cast<size_t>(i)];
            REQUIRE(std::abs(y - want) <= unit * std::abs(want) +
                                              0x1p-24 * static_cast<double>(n_parts) * size +
                                              0x1p-25);
            squares += static_cast<long double>(y) * y;
          }
          CHECK(sums.squares.to(kCpu).item() ==
                Approx(static_cast<double>(squares)).epsilon(1e-12));
          CHECK(sums.arrived.to(kCpu).to_vector<int64_t>() == std::vector<int64_t>{0});
          // The same bits again, without squares, and in place.
          const auto bits = [](const Tensor& t) { return t.to(kCpu).to_vector<double>(); };
          for (int repeat = 0; repeat < 3; ++repeat) {
            const Sums again = add(there, -1);
            REQUIRE(bits(again.sum) == got);
            REQUIRE(bits(again.squares) == bits(sums.squares));
          }
          CHECK(bits(add(there, -1, false).sum) == got);
          CHECK(bits(add(there, n_parts - 1).sum) == got);
        }
  });
}

TEST_CASE("what is not finite stays so in the squares") {
  test::for_each_device([](Device device) {
    for (const float bad : {INFINITY, -INFINITY, NAN}) {
      std::vector<float> values(2 * 5000, 1);
      values[7777] = bad;
      const Sums sums = add(Tensor::from(values, {2, 5000}).to(device), -1);
      CHECK_FALSE(std::isfinite(sums.squares.to(kCpu).item()));
    }
  });
}

TEST_CASE("a place for squares comes with a counter") {
  float x[4] = {1, 2, 3, 4}, y[2] = {};
  double squares = 0;
  uint32_t arrived = 0;
  xlstm_sum_parts_args args{XLSTM_F32, 2, 2, x, y, &squares, nullptr};
  CHECK(xlstm_sum_parts_cpu(&args, {}) == XLSTM_NULL_POINTER);
  args.arrived = &arrived;
  CHECK(xlstm_sum_parts_cpu(&args, {}) == XLSTM_OK);
  CHECK((y[0] == 4 && y[1] == 6 && squares == 52));
  args.n_parts = 0;
  CHECK(xlstm_sum_parts_cpu(&args, {}) == XLSTM_BAD_SIZE);
}

}  // namespace
}  // namespace xlstm
