#include <cmath>

#include "kernels/reduce/reduce.h"
#include "tests/kernels/cuda_kernel_case.h"

namespace xlstm::test {
namespace {

constexpr xlstm_dtype kTypes[] = {XLSTM_F32, XLSTM_BF16, XLSTM_F16};

// One rounding of the result is 2^-9 of it in bfloat16 and 2^-11 in float16.
double tolerance(xlstm_dtype dtype) {
  return dtype == XLSTM_F32 ? 1e-5 : dtype == XLSTM_BF16 ? 4e-3 : 1e-3;
}

struct Shape {
  int64_t outer, n, inner;
};
// Rows and columns, short and long, packed and not, one and many slices, groups of several sizes.
const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = some<Shape>(
      {{1, 100003, 1}, {37, 65, 1},   {3, 5000, 1},   {4099, 3, 1},  {1, 3000, 128}, {4, 257, 96},
       {7, 33, 51},    {2, 17, 2048}, {1, 20000, 8},  {1, 1, 1},     {1, 7, 1},      {5, 1, 3},
       {3, 0, 2},      {0, 4, 4},     {1, 131072, 1}, {1000, 64, 1}, {2, 3, 4},      {1, 5000, 4},
       {1, 4096, 300}, {300, 5, 77},  {1, 1, 5000}},
      9);
  return all;
}

std::vector<double> input(const Shape& s, xlstm_dtype dtype, uint64_t seed) {
  return rounded(normal(s.outer * s.n * s.inner, seed, 1, 0.25), dtype);
}

// Sums cancel, so float32 errors count against the sum of the absolute values.
TEST_CASE("sums on CUDA are those of the CPU in float64") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (const Shape& s : shapes())
      for (const int64_t shift : {0, 1}) {
        INFO(name_of(dtype) << " " << s.outer << "x" << s.n << "x" << s.inner << " shift "
                            << shift);
        std::vector<double> x = input(s, dtype, 1);
        x.insert(x.begin(), static_cast<size_t>(shift), 0.0);
        const int64_t cells = s.outer * s.inner;
        std::vector<double> want(static_cast<size_t>(cells));
        xlstm_sum_fwd_args args{};
        args.dtype = XLSTM_F64;
        args.outer = s.outer;
        args.n = s.n;
        args.inner = s.inner;
        args.factor = 1 / static_cast<double>(std::max<int64_t>(1, s.n));
        args.x = x.data() + shift;
        args.y = want.data();
        REQUIRE(run_on_host(xlstm_sum_fwd_cpu, xlstm_sum_fwd_workspace_cpu, args) == XLSTM_OK);

        const DeviceArray device_x(x, dtype), y(cells, dtype);
        args.dtype = dtype;
        args.x = static_cast<char*>(device_x.get()) + shift * size_of(dtype);
        args.y = y;
        const int64_t bytes = xlstm_sum_fwd_workspace_cuda(&args);
        const DeviceArray workspace = DeviceArray::bytes(bytes);
        const xlstm_exec exec{nullptr, workspace, bytes, nullptr};
        if (bytes > 0) {
          const xlstm_exec less{nullptr, workspace, bytes - 1, nullptr};
          CHECK(xlstm_sum_fwd_cuda(&args, less) == XLSTM_WORKSPACE_TOO_SMALL);
        }
        REQUIRE(xlstm_sum_fwd_cuda(&args, exec) == XLSTM_OK);
        const std::vector<double> got = y.values();
        double worst = 0, largest = 0.25;  // the mean of |x| is about 0.8
        for (size_t i = 0; i < want.size(); ++i) {
          worst = std::isfinite(got[i]) ? std::max(worst, std::abs(got[i] - want[i])) : INFINITY;
          largest = std::max(largest, std::abs(want[i]));
        }
        CHECK(worst <= tolerance(dtype) * largest);
        const auto bits = y.raw<uint16_t>();
        for (int i = 1; i < n_repeats(); ++i) {
          y.poison();
          REQUIRE(xlstm_sum_fwd_cuda(&args, exec) == XLSTM_OK);
        }
        CHECK(y.raw<uint16_t>() == bits);
      }
}

TEST_CASE("maxima on CUDA, their places and their gradients are exactly those of the CPU") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (const Shape& s : shapes()) {
      if (s.n == 0) continue;
      INFO(name_of(dtype) << " " << s.outer << "x" << s.n << "x" << s.inner);
      std::vector<double> x = input(s, dtype, 2);
      // Equal maxima, NaN and -inf here and there.
      for (double& v : x) v = std::round(v * 2) / 2;
      for (size_t i = 50; i < x.size(); i += 997) x[i] = NAN;
      if (s.outer > 1)
        for (int64_t i = 0; i < s.n * s.inner; ++i) x[static_cast<size_t>(i)] = -INFINITY;
      const size_t cells = static_cast<size_t>(s.outer * s.inner);
      std::vector<double> want(cells);
      std::vector<int64_t> want_index(cells);
      xlstm_max_fwd_args args{};
      args.dtype = XLSTM_F64;
      args.outer = s.outer;
      args.n = s.n;
      args.inner = s.inner;
      args.x = x.data();
      args.y = want.data();
      args.index = want_index.data();
      REQUIRE(xlstm_max_fwd_cpu(&args, {}) == XLSTM_OK);

      const DeviceArray device_x(x, dtype), y(s.outer * s.inner, dtype);
      const DeviceArray index = DeviceArray::bytes(s.outer * s.inner * 8);
      args.dtype = dtype;
      args.x = device_x;
      args.y = y;
      args.index = static_cast<int64_t*>(index.get());
      REQUIRE(xlstm_max_fwd_cuda(&args, {}) == XLSTM_OK);
      CHECK(index.raw<int64_t>() == want_index);
      const std::vector<double> got = y.values();
      int64_t different = 0;
      for (size_t i = 0; i < cells; ++i)
        different += !(got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i])));
      CHECK(different == 0);

      const std::vector<double> dy = rounded(normal(s.outer * s.inner, 3), dtype);
      std::vector<double> want_dx(x.size());
      xlstm_max_bwd_args bwd{};
      bwd.dtype = XLSTM_F64;
      bwd.outer = s.outer;
      bwd.n = s.n;
      bwd.inner = s.inner;
      bwd.index = want_index.data();
      bwd.dy = dy.data();
      bwd.dx = want_dx.data();
      REQUIRE(xlstm_max_bwd_cpu(&bwd, {}) == XLSTM_OK);
      const DeviceArray device_dy(dy, dtype), dx(static_cast<int64_t>(x.size()), dtype);
      bwd.dtype = dtype;
      bwd.index = static_cast<const int64_t*>(index.get());
      bwd.dy = device_dy;
      bwd.dx = dx;
      REQUIRE(xlstm_max_bwd_cuda(&bwd, {}) == XLSTM_OK);
      CHECK(dx.values() == want_dx);
    }
}

TEST_CASE("running sums on CUDA are those of the CPU in float64, both ways and in place") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (const Shape& s : shapes())
      for (const int32_t reverse : {0, 1}) {
        INFO(name_of(dtype) << " " << s.outer << "x" << s.n << "x" << s.inner << " " << reverse);
        // Within the range of float16.
        const std::vector<double> x =
            rounded(normal(s.outer * s.n * s.inner, 4, 0.25, 0.05), dtype);
        std::vector<double> want(x.size());
        xlstm_cumsum_fwd_args args{};
        args.dtype = XLSTM_F64;
        args.outer = s.outer;
        args.n = s.n;
        args.inner = s.inner;
        args.reverse = reverse;
        args.x = x.data();
        args.y = want.data();
        REQUIRE(xlstm_cumsum_fwd_cpu(&args, {}) == XLSTM_OK);

        const DeviceArray device_x(x, dtype), y(static_cast<int64_t>(x.size()), dtype);
        args.dtype = dtype;
        args.x = device_x;
        args.y = y;
        REQUIRE(xlstm_cumsum_fwd_cuda(&args, {}) == XLSTM_OK);
        CHECK(max_error(y.values(), want) <= tolerance(dtype));
        args.y = device_x;
        REQUIRE(xlstm_cumsum_fwd_cuda(&args, {}) == XLSTM_OK);
        CHECK(device_x.raw<uint16_t>() == y.raw<uint16_t>());
      }
}

TEST_CASE("reductions on CUDA have the same bits every time") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (const Shape& s : {Shape{1, 20011, 1}, {37, 65, 3}, {4, 257, 96}}) {
      INFO(name_of(dtype) << " " << s.outer << "x" << s.n << "x" << s.inner);
      const int64_t cells = s.outer * s.inner;
      const DeviceArray x(input(s, dtype, 1), dtype), dy(normal(cells, 2), dtype);
      DeviceArray y(cells, dtype), running(s.outer * s.n * s.inner, dtype),
          dx(s.outer * s.n * s.inner, dtype), index = DeviceArray::bytes(cells * 8);
      const xlstm_sum_fwd_args sum{dtype, s.outer, s.n, s.inner, 1.0, x, y};
      const int64_t bytes = xlstm_sum_fwd_workspace_cuda(&sum);
      const DeviceArray workspace = DeviceArray::bytes(bytes);
      const xlstm_exec exec{nullptr, workspace, bytes, nullptr};
      CHECK(same_bits_again([&] { REQUIRE(xlstm_sum_fwd_cuda(&sum, exec) == XLSTM_OK); }, {&y}));
      const xlstm_max_fwd_args max{
          dtype, s.outer, s.n, s.inner, x, y, static_cast<int64_t*>(index.get())};
      CHECK(same_bits_again([&] { REQUIRE(xlstm_max_fwd_cuda(&max, {}) == XLSTM_OK); },
                            {&y, &index}));
      xlstm_max_bwd_args back{};
      back.dtype = dtype;
      back.outer = s.outer;
      back.n = s.n;
      back.inner = s.inner;
      back.index = static_cast<const int64_t*>(index.get());
      back.dy = dy;
      back.dx = dx;
      CHECK(same_bits_again([&] { REQUIRE(xlstm_max_bwd_cuda(&back, {}) == XLSTM_OK); }, {&dx}));
      for (const int32_t reverse : {0, 1}) {
        const xlstm_cumsum_fwd_args scan{dtype, s.outer, s.n, s.inner, reverse, x, running};
        CHECK(same_bits_again([&] { REQUIRE(xlstm_cumsum_fwd_cuda(&scan, {}) == XLSTM_OK); },
                              {&running}));
      }
    }
}

TEST_CASE("reductions on CUDA refuse what they should") {
  if (!has_cuda_device()) return;
  const DeviceArray x(std::vector<double>(4, 1.0), XLSTM_F32), y(4, XLSTM_F32);
  xlstm_sum_fwd_args sum{XLSTM_F32, 1, 4, 1, 1.0, x, y};
  sum.n = -1;
  CHECK(xlstm_sum_fwd_cuda(&sum, {}) == XLSTM_BAD_SIZE);
  CHECK(xlstm_sum_fwd_workspace_cuda(&sum) == 0);
  sum.n = 4;
  sum.dtype = XLSTM_F64;
  CHECK(xlstm_sum_fwd_cuda(&sum, {}) == XLSTM_BAD_DTYPE);
  sum.dtype = XLSTM_F32;
  sum.x = nullptr;
  CHECK(xlstm_sum_fwd_cuda(&sum, {}) == XLSTM_NULL_POINTER);
  xlstm_max_fwd_args max{XLSTM_F32, 1, 0, 1, x, y, nullptr};
  CHECK(xlstm_max_fwd_cuda(&max, {}) == XLSTM_BAD_SIZE);
  max.n = 4;
  CHECK(xlstm_max_fwd_cuda(&max, {}) == XLSTM_NULL_POINTER);
  for (const uint32_t word : y.raw<uint32_t>()) CHECK(word == 0xffffffffu);  // nothing written
}

TEST_CASE("time of reductions on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  const int64_t rows = 65536, cols = 2048;
  const DeviceArray x = DeviceArray::bytes(4 * rows * cols),
                    y = DeviceArray::bytes(4 * rows * cols);
  const DeviceArray index = DeviceArray::bytes(8 * rows);
  check_cuda(cudaMemset(x, 0, static_cast<size_t>(4 * rows * cols)), "memset");
  const auto tell = [](const std::string& what, double ms, int64_t bytes) {
    const double rate = static_cast<double>(bytes) / ms * 1e-6;
    std::printf("%-32s %8.4f ms %7.0f GB/s %5.1f %%\n", what.c_str(), ms, rate, rate / 42.60);
  };
  for (const xlstm_dtype dtype : {XLSTM_BF16, XLSTM_F32}) {
    const int64_t bytes = rows * cols * size_of(dtype);
    const std::string type = name_of(dtype);
    for (const Shape& s : {Shape{1, rows, cols}, Shape{rows, cols, 1}, Shape{1, rows * cols, 1}}) {
      const xlstm_sum_fwd_args args{dtype, s.outer, s.n, s.inner, 1.0, x, y};
      const int64_t needed = xlstm_sum_fwd_workspace_cuda(&args);
      const DeviceArray workspace = DeviceArray::bytes(needed);
      const xlstm_exec exec{nullptr, workspace, needed, nullptr};
      tell("sum " + type + " " + std::to_string(s.outer) + "x" + std::to_string(s.n) + "x" +
               std::to_string(s.inner),
           median_ms([&] { xlstm_sum_fwd_cuda(&args, exec); }), bytes);
    }
    const xlstm_max_fwd_args max{dtype, rows, cols, 1, x, y, static_cast<int64_t*>(index.get())};
    tell("max of rows " + type, median_ms([&] { xlstm_max_fwd_cuda(&max, {}); }), bytes);
    const xlstm_cumsum_fwd_args down{dtype, 32, rows / 32, cols, 0, x, y};
    tell("cumsum of columns " + type, median_ms([&] { xlstm_cumsum_fwd_cuda(&down, {}); }),
         2 * bytes);
    const xlstm_cumsum_fwd_args along{dtype, rows, cols, 1, 0, x, y};
    tell("cumsum of rows " + type, median_ms([&] { xlstm_cumsum_fwd_cuda(&along, {}); }),
         2 * bytes);
  }
}

}  // namespace
}  // namespace xlstm::test
