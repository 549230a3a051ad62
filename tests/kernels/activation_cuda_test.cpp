#include <cmath>

#include "kernels/activation/activation.h"
#include "tests/cuda_device.h"

namespace xlstm::test {
namespace {

constexpr xlstm_dtype kTypes[] = {XLSTM_F32, XLSTM_BF16, XLSTM_F16};
constexpr xlstm_activation kAll[] = {XLSTM_SILU,         XLSTM_GELU,    XLSTM_RELU,
                                     XLSTM_RELU_SQUARED, XLSTM_SIGMOID, XLSTM_SELU};

// One rounding of the result is 2^-9 of it in bfloat16 and 2^-11 in float16.
double tolerance(xlstm_dtype dtype, bool gradient = false) {
  const double one = dtype == XLSTM_F32 ? 1e-5 : dtype == XLSTM_BF16 ? 4e-3 : 1e-3;
  return gradient && dtype != XLSTM_F32 ? 2 * one : one;
}

// Row strides are cols + gap; `shift` moves every array off its 16-byte boundary.
struct Shape {
  int64_t rows, cols, gap, shift;
};
const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = some<Shape>({{1, 4099, 0, 0},
                                                     {129, 72, 8, 0},
                                                     {9, 128, 0, 1},
                                                     {9, 128, 3, 0},
                                                     {1, 1, 0, 0},
                                                     {3, 7, 0, 0},
                                                     {5, 64, 64, 0},
                                                     {17, 61, 61, 0},
                                                     {700, 512, 512, 0}},
                                                    4);
  return all;
}

int64_t extent(const Shape& s) {
  return s.shift + s.rows * (s.cols + s.gap);
}
void* at(const DeviceArray& a, const Shape& s, xlstm_dtype dtype) {
  return static_cast<char*>(a.get()) + s.shift * size_of(dtype);
}
// The elements of the matrix, without gaps.
std::vector<double> matrix(const std::vector<double>& x, const Shape& s) {
  std::vector<double> out;
  for (int64_t r = 0; r < s.rows; ++r)
    for (int64_t c = 0; c < s.cols; ++c)
      out.push_back(x[static_cast<size_t>(s.shift + r * (s.cols + s.gap) + c)]);
  return out;
}
// Gaps must stay as they were: NaN.
bool gaps_untouched(const std::vector<double>& x, const Shape& s) {
  for (int64_t r = 0; r < s.rows; ++r)
    for (int64_t c = s.cols; c < s.cols + s.gap; ++c)
      if (!std::isnan(x[static_cast<size_t>(s.shift + r * (s.cols + s.gap) + c)])) return false;
  return true;
}

TEST_CASE("activations on CUDA are those of the CPU in float64, gated or not") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (const xlstm_activation activation : kAll)
      for (const Shape& s : shapes())
        for (const bool gated : {false, true}) {
          INFO(name_of(dtype) << " activation " << activation << " " << s.rows << "x" << s.cols
                              << " gap " << s.gap << " shift " << s.shift << " gated " << gated);
          const std::vector<double> x = rounded(normal(extent(s), 1, 2), dtype);
          const std::vector<double> up = rounded(normal(extent(s), 2), dtype);
          std::vector<double> want(x.size());
          xlstm_activation_fwd_args args{};
          args.activation = activation;
          args.dtype = XLSTM_F64;
          args.rows = s.rows;
          args.cols = s.cols;
          args.x_row_stride = args.y_row_stride = s.cols + s.gap;
          args.up_row_stride = gated ? s.cols + s.gap : 0;
          args.x = x.data() + s.shift;
          args.up = gated ? up.data() + s.shift : nullptr;
          args.y = want.data() + s.shift;
          REQUIRE(xlstm_activation_fwd_cpu(&args, {}) == XLSTM_OK);

          const DeviceArray device_x(x, dtype), device_up(up, dtype), y(extent(s), dtype);
          args.dtype = dtype;
          args.x = at(device_x, s, dtype);
          args.up = gated ? at(device_up, s, dtype) : nullptr;
          args.y = at(y, s, dtype);
          REQUIRE(xlstm_activation_fwd_cuda(&args, {}) == XLSTM_OK);
          const std::vector<double> got = y.values();
          CHECK(max_error(matrix(got, s), matrix(want, s)) <= tolerance(dtype));
          CHECK(gaps_untouched(got, s));
          const auto bits = y.raw<uint16_t>();
          for (int i = 1; i < n_repeats(); ++i) {
            REQUIRE(xlstm_activation_fwd_cuda(&args, {}) == XLSTM_OK);
          }
          CHECK(y.raw<uint16_t>() == bits);
        }
}

TEST_CASE("activations on CUDA and their gradients have the same bits every time") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (const xlstm_activation activation : kAll)
      for (const Shape& s : {Shape{129, 72, 8, 0}, {37, 61, 0, 1}}) {
        INFO(name_of(dtype) << " activation " << activation << " " << s.rows << "x" << s.cols);
        const DeviceArray x(normal(extent(s), 1, 2), dtype), up(normal(extent(s), 2), dtype),
            dy(normal(extent(s), 3), dtype);
        DeviceArray y(extent(s), dtype), dx(extent(s), dtype), dup(extent(s), dtype);
        xlstm_activation_fwd_args fwd{};
        xlstm_activation_bwd_args bwd{};
        const auto common = [&](auto& args) {
          args.activation = activation;
          args.dtype = dtype;
          args.rows = s.rows;
          args.cols = s.cols;
          args.x = at(x, s, dtype);
          args.up = at(up, s, dtype);
          args.x_row_stride = args.up_row_stride = s.cols + s.gap;
        };
        common(fwd);
        common(bwd);
        fwd.y = at(y, s, dtype);
        bwd.dy = at(dy, s, dtype);
        bwd.dx = at(dx, s, dtype);
        bwd.dup = at(dup, s, dtype);
        fwd.y_row_stride = bwd.dy_row_stride = bwd.dx_row_stride = bwd.dup_row_stride =
            s.cols + s.gap;
        CHECK(same_bits_again([&] { REQUIRE(xlstm_activation_fwd_cuda(&fwd, {}) == XLSTM_OK); },
                              {&y}));
        CHECK(same_bits_again([&] { REQUIRE(xlstm_activation_bwd_cuda(&bwd, {}) == XLSTM_OK); },
                              {&dx, &dup}));
      }
}

TEST_CASE("gradients of activations on CUDA are those of the CPU in float64") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (const xlstm_activation activation : kAll)
      for (const Shape& s : shapes())
        for (const bool gated : {false, true}) {
          INFO(name_of(dtype) << " activation " << activation << " " << s.rows << "x" << s.cols
                              << " gap " << s.gap << " shift " << s.shift << " gated " << gated);
          const std::vector<double> x = rounded(normal(extent(s), 3, 2), dtype);
          const std::vector<double> up = rounded(normal(extent(s), 4), dtype);
          const std::vector<double> dy = rounded(normal(extent(s), 5), dtype);
          std::vector<double> want_x(x.size()), want_up(x.size());
          xlstm_activation_bwd_args args{};
          args.activation = activation;
          args.dtype = XLSTM_F64;
          args.rows = s.rows;
          args.cols = s.cols;
          args.x_row_stride = args.dy_row_stride = args.dx_row_stride = s.cols + s.gap;
          args.up_row_stride = args.dup_row_stride = gated ? s.cols + s.gap : 0;
          args.x = x.data() + s.shift;
          args.up = gated ? up.data() + s.shift : nullptr;
          args.dy = dy.data() + s.shift;
          args.dx = want_x.data() + s.shift;
          args.dup = gated ? want_up.data() + s.shift : nullptr;
          REQUIRE(xlstm_activation_bwd_cpu(&args, {}) == XLSTM_OK);

          const DeviceArray device_x(x, dtype), device_up(up, dtype), device_dy(dy, dtype);
          const DeviceArray dx(extent(s), dtype), dup(extent(s), dtype);
          args.dtype = dtype;
          args.x = at(device_x, s, dtype);
          args.up = gated ? at(device_up, s, dtype) : nullptr;
          args.dy = at(device_dy, s, dtype);
          args.dx = at(dx, s, dtype);
          args.dup = gated ? at(dup, s, dtype) : nullptr;
          REQUIRE(xlstm_activation_bwd_cuda(&args, {}) == XLSTM_OK);
          const std::vector<double> got = dx.values();
          CHECK(max_error(matrix(got, s), matrix(want_x, s)) <= tolerance(dtype, true));
          CHECK(gaps_untouched(got, s));
          if (gated)
            CHECK(max_error(matrix(dup.values(), s), matrix(want_up, s)) <= tolerance(dtype, true));
        }
}

TEST_CASE("activations on CUDA: extremes are finite, NaN stays, y may be x") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (const xlstm_activation activation : kAll) {
      if (dtype == XLSTM_F16 && activation == XLSTM_RELU_SQUARED) continue;  // overflows float16
      INFO(name_of(dtype) << " activation " << activation);
      const DeviceArray x(std::vector<double>{-1e4, 1e4, 0, NAN, -100, 100, -20, 20}, dtype);
      const DeviceArray ones(std::vector<double>(8, 1.0), dtype), dx(8, dtype);
      xlstm_activation_bwd_args bwd{};
      bwd.activation = activation;
      bwd.dtype = dtype;
      bwd.rows = 1;
      bwd.cols = 8;
      bwd.x = x;
      bwd.dy = ones;
      bwd.dx = dx;
      REQUIRE(xlstm_activation_bwd_cuda(&bwd, {}) == XLSTM_OK);
      xlstm_activation_fwd_args fwd{};
      fwd.activation = activation;
      fwd.dtype = dtype;
      fwd.rows = 1;
      fwd.cols = 8;
      fwd.x = fwd.y = x;
      REQUIRE(xlstm_activation_fwd_cuda(&fwd, {}) == XLSTM_OK);
      const std::vector<double> y = x.values(), d = dx.values();
      for (size_t i = 0; i < 8; ++i) {
        if (i != 3) {
          CHECK(std::isfinite(y[i]));
          CHECK(std::isfinite(d[i]));
        }
      }
      CHECK(std::isnan(y[3]));
      CHECK(std::abs(d[0]) <= 1e-30);
    }
}

TEST_CASE("activations on CUDA refuse what they should") {
  if (!has_cuda_device()) return;
  const DeviceArray x(std::vector<double>(4, 1.0), XLSTM_F32), y(4, XLSTM_F32);
  const auto status = [&](auto change) {
    xlstm_activation_fwd_args args{};
    args.rows = args.cols = args.x_row_stride = args.y_row_stride = 2;
    args.x = x;
    args.y = y;
    change(args);
    return xlstm_activation_fwd_cuda(&args, {});
  };
  CHECK(status([](auto& g) { g.rows = -1; }) == XLSTM_BAD_SIZE);
  CHECK(status([](auto& g) { g.y_row_stride = 1; }) == XLSTM_BAD_STRIDE);
  CHECK(status([](auto& g) { g.x = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(status([](auto& g) { g.dtype = XLSTM_F64; }) == XLSTM_BAD_DTYPE);
  CHECK(status([](auto& g) { g.activation = static_cast<xlstm_activation>(7); }) ==
        XLSTM_BAD_VALUE);
  CHECK(status([](auto& g) { g.rows = 0; }) == XLSTM_OK);
  for (const uint32_t word : y.raw<uint32_t>()) CHECK(word == 0xffffffffu);  // nothing written
}

TEST_CASE("time of activations on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  const int64_t rows = 65536, cols = 2048, n = rows * cols;
  for (const xlstm_activation activation : {XLSTM_SILU, XLSTM_GELU}) {
    const int64_t size = 2;
    const DeviceArray both = DeviceArray::bytes(2 * n * size), y = DeviceArray::bytes(n * size),
                      d_both = DeviceArray::bytes(2 * n * size);
    check_cuda(cudaMemset(both, 0, static_cast<size_t>(2 * n * size)), "memset");
    check_cuda(cudaMemset(y, 0, static_cast<size_t>(n * size)), "memset");
    xlstm_activation_fwd_args fwd{};
    fwd.activation = activation;
    fwd.dtype = XLSTM_BF16;
    fwd.rows = rows;
    fwd.cols = cols;
    fwd.x = both;
    fwd.up = static_cast<char*>(both.get()) + cols * size;
    fwd.x_row_stride = fwd.up_row_stride = 2 * cols;
    fwd.y = y;
    fwd.y_row_stride = cols;
    const double ms = median_ms([&] { xlstm_activation_fwd_cuda(&fwd, {}); });
    xlstm_activation_bwd_args bwd{};
    bwd.activation = activation;
    bwd.dtype = XLSTM_BF16;
    bwd.rows = rows;
    bwd.cols = cols;
    bwd.x = both;
    bwd.up = fwd.up;
    bwd.x_row_stride = bwd.up_row_stride = bwd.dx_row_stride = bwd.dup_row_stride = 2 * cols;
    bwd.dy = y;
    bwd.dy_row_stride = cols;
    bwd.dx = d_both;
    bwd.dup = static_cast<char*>(d_both.get()) + cols * size;
    const double ms_bwd = median_ms([&] { xlstm_activation_bwd_cuda(&bwd, {}); });
    const auto tell = [&](const char* pass, double t, int64_t arrays) {
      const double rate = static_cast<double>(arrays * n * size) / t * 1e-6;
      std::printf("gated activation %d %s bf16 %lldx%lld %8.4f ms %7.0f GB/s %5.1f %%\n",
                  activation, pass, static_cast<long long>(rows), static_cast<long long>(cols), t,
                  rate, rate / 42.60);
    };
    tell("fwd", ms, 3);
    tell("bwd", ms_bwd, 5);
  }
}

}  // namespace
}  // namespace xlstm::test
