#include <cstring>

#include "kernels/linear/linear.h"
#include "tests/cuda_device.h"

namespace xlstm::test {
namespace {

constexpr xlstm_dtype kTypes[] = {XLSTM_BF16, XLSTM_F16};

struct PartCase {
  int64_t N;
  bool bias, wide, wide_bias;
  int64_t weight_gap = 0;  // numbers between rows
};
struct Case {
  int64_t M, K;
  std::vector<PartCase> parts;
  int64_t x_gap = 0, offset = 0;  // numbers between rows of x; before the first of x and weights
};

// The memory of one call and what it should give, in double.
struct Call {
  Call(const Case& c, xlstm_dtype dtype) : dtype(dtype) {
    const int64_t x_stride = c.K + c.x_gap;
    const std::vector<double> x = rounded(normal(c.offset + 16 * x_stride, 1), dtype);
    arrays.push_back(DeviceArray(x, dtype));
    args.dtype = dtype;
    args.M = c.M;
    args.K = c.K;
    args.x = at(arrays.back(), c.offset);
    args.x_stride_row = x_stride;
    for (const PartCase& part : c.parts) add(c, part, x);
  }

  void add(const Case& c, const PartCase& part, const std::vector<double>& x) {
    const auto seed = static_cast<uint64_t>(10 + args.n_parts);
    const int64_t stride = c.K + part.weight_gap;
    const std::vector<double> w = rounded(normal(c.offset + part.N * stride, seed), dtype);
    const xlstm_dtype bias_dtype = part.wide_bias ? XLSTM_F32 : dtype;
    const std::vector<double> bias = rounded(normal(part.N, seed + 50), bias_dtype);
    xlstm_linear_part& p = args.parts[args.n_parts++];
    arrays.push_back(DeviceArray(w, dtype));
    p.N = part.N;
    p.weight = at(arrays.back(), c.offset);
    p.weight_stride_row = stride;
    if (part.bias) {
      arrays.push_back(DeviceArray(bias, bias_dtype));
      p.bias = arrays.back();
      p.bias_dtype = bias_dtype;
    }
    p.y_dtype = part.wide ? XLSTM_F32 : dtype;
    results.push_back(DeviceArray(c.M * part.N, p.y_dtype));
    p.y = results.back();
    p.y_stride_row = part.N;
    std::vector<double> y;
    for (int64_t m = 0; m < c.M; ++m)
      for (int64_t n = 0; n < part.N; ++n) {
        double sum = part.bias ? bias[static_cast<size_t>(n)] : 0;
        for (int64_t k = 0; k < c.K; ++k)
          sum += x[static_cast<size_t>(c.offset + m * args.x_stride_row + k)] *
                 w[static_cast<size_t>(c.offset + n * stride + k)];
        y.push_back(sum);
      }
    want.push_back(y);
  }

  void* at(const DeviceArray& array, int64_t offset) const {
    return static_cast<char*>(array.get()) + offset * size_of(dtype);
  }
  xlstm_status run() { return xlstm_linear_few_cuda(&args, {}); }

  xlstm_dtype dtype;
  xlstm_linear_few_args args{};
  std::vector<DeviceArray> arrays, results;
  std::vector<std::vector<double>> want;
};

TEST_CASE("CUDA maps a few rows as sums in double do") {
  if (!has_cuda_device()) return;
  const Case cases[] = {
      {1, 8, {{1, false, false, false}}},
      {1, 256, {{16, true, false, false}}},
      {3, 1, {{5, true, true, true}}},
      {2, 31, {{33, true, false, true}}},
      {5, 1000, {{17, false, true, false}, {128, true, false, false}, {1, true, true, true}}},
      {8, 4096, {{64, false, false, false}, {8, true, true, true}, {8, true, true, false}}},
      {9, 4096, {{64, false, false, false}, {8, true, true, true}, {40, true, true, false}}},
      {16, 1368, {{100, true, false, true, 8}}, 8},
      {16, 1367, {{100, true, false, true, 3}}, 5},
      {13, 264, {{31, false, false, false}, {0, false, false, false}, {7, true, true, true}}},
      {4, 264, {{31, false, false, false, 4}}, 0, 1},
      {1, 10944, {{50, false, false, false}}},
      {2, 0, {{9, true, true, true}}},
  };
  for (const xlstm_dtype dtype : kTypes)
    for (const Case& c : cases) {
      INFO(name_of(dtype) << " M " << c.M << " K " << c.K << " parts " << c.parts.size());
      Call call(c, dtype);
      REQUIRE(call.run() == XLSTM_OK);
      for (size_t p = 0; p < call.want.size(); ++p) {
        if (call.want[p].empty()) continue;
        INFO("part " << p);
        const auto first = call.results[p].values();
        // Results in 16 bits are rounded once; sums are float32.
        const double rounding = dtype == XLSTM_BF16 ? 4e-3 : 1e-3;
        CHECK(relative_error(first, call.want[p]) <
              (call.args.parts[p].y_dtype == XLSTM_F32 ? 1e-5 : rounding));
      }
      std::vector<std::vector<unsigned char>> bits;
      for (const DeviceArray& y : call.results) bits.push_back(y.raw<unsigned char>());
      for (const auto& y : bits) note_bits(y.data(), y.size());
      for (int i = 1; i < n_repeats(); ++i) {
        for (DeviceArray& y : call.results) y.poison();
        REQUIRE(call.run() == XLSTM_OK);
        for (size_t p = 0; p < bits.size(); ++p)
          CHECK(call.results[p].raw<unsigned char>() == bits[p]);
      }
    }
}

TEST_CASE("a row's bits depend neither on how many rows there are nor on other parts") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (const int64_t K : {512, 10944, 333}) {
      const PartCase part{37, true, true, true};
      Call alone({1, K, {part}}, dtype);
      REQUIRE(alone.run() == XLSTM_OK);
      const auto want = alone.results[0].raw<uint32_t>();
      for (const int64_t M : {2, 8, 9, 16}) {
        Call many({M, K, {part, {70, false, false, false}}}, dtype);
        REQUIRE(many.run() == XLSTM_OK);
        auto got = many.results[0].raw<uint32_t>();
        got.resize(want.size());
        CHECK(got == want);
      }
    }
}

TEST_CASE("maps of a few rows refuse bad arguments with the right status") {
  if (!has_cuda_device()) return;
  const Case plain{2, 64, {{16, true, false, true}}};
  const auto status = [&](auto change) {
    Call call(plain, XLSTM_BF16);
    change(call.args);
    const xlstm_status result = call.run();
    for (const uint32_t word : call.results[0].raw<uint32_t>())
      if (result != XLSTM_OK) CHECK(word == 0xffffffffu);
    return result;
  };
  CHECK(xlstm_linear_few_cuda(nullptr, {}) == XLSTM_NULL_POINTER);
  CHECK(status([](auto&) {}) == XLSTM_OK);
  CHECK(status([](auto& g) { g.M = 17; }) == XLSTM_BAD_SIZE);
  CHECK(status([](auto& g) { g.M = 0; }) == XLSTM_BAD_SIZE);
  CHECK(status([](auto& g) { g.n_parts = 9; }) == XLSTM_BAD_SIZE);
  CHECK(status([](auto& g) { g.parts[0].N = -1; }) == XLSTM_BAD_SIZE);
  CHECK(status([](auto& g) { g.dtype = XLSTM_F32; }) == XLSTM_BAD_DTYPE);
  CHECK(status([](auto& g) { g.parts[0].y_dtype = XLSTM_F16; }) == XLSTM_BAD_DTYPE);
  CHECK(status([](auto& g) { g.parts[0].bias_dtype = XLSTM_F64; }) == XLSTM_BAD_DTYPE);
  CHECK(status([](auto& g) { g.x = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(status([](auto& g) { g.parts[0].weight = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(status([](auto& g) { g.parts[0].weight_stride_row = -1; }) == XLSTM_BAD_STRIDE);
  CHECK(status([](auto& g) { g.n_parts = 0; }) == XLSTM_OK);
}

TEST_CASE("time of linear maps of a few rows on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  struct Shape {
    const char* name;
    int64_t K;
    std::vector<int64_t> N;
  };
  const Shape shapes[] = {{"7B q k v o i f", 4096, {2048, 2048, 4096, 4096, 8, 8}},
                          {"7B out", 4096, {4096}},
                          {"7B gate and up", 4096, {10944, 10944}},
                          {"7B down", 10944, {4096}},
                          {"7B head", 4096, {50304}}};
  for (const Shape& shape : shapes) {
    // Copies one after the other, so that no weight waits in the cache.
    int64_t weights = 0;
    for (const int64_t N : shape.N) weights += N * shape.K;
    const int64_t n_copies = std::max<int64_t>(1, (int64_t{400} << 20) / (weights * 2));
    const DeviceArray memory = DeviceArray::bytes(n_copies * weights * 2);
    check_cuda(cudaMemset(memory, 0, static_cast<size_t>(memory.n_bytes())), "memset");
    const DeviceArray x(normal(16 * shape.K, 1), XLSTM_BF16);
    const DeviceArray y = DeviceArray::bytes(16 * 65536 * 4);
    for (const int64_t M : {1, 4, 8, 12, 16}) {
      const double ms = median_ms([&] {
        for (int64_t copy = 0; copy < n_copies; ++copy) {
          xlstm_linear_few_args args{};
          args.dtype = XLSTM_BF16;
          args.M = M;
          args.K = shape.K;
          args.x = x;
          args.x_stride_row = shape.K;
          int64_t at = copy * weights, n = 0;
          for (const int64_t N : shape.N) {
            xlstm_linear_part& p = args.parts[args.n_parts++];
            p.N = N;
            p.weight = static_cast<char*>(memory.get()) + at * 2;
            p.weight_stride_row = shape.K;
            p.y = static_cast<char*>(y.get()) + n * 16 * 4;
            p.y_stride_row = N;
            p.y_dtype = XLSTM_BF16;
            at += N * shape.K;
            n += N;
          }
          xlstm_linear_few_cuda(&args, {});
        }
      });
      const double each = ms / static_cast<double>(n_copies);
      const double rate = static_cast<double>(weights * 2) / each * 1e-6;
      std::printf("linear of %2lld rows %-15s %8.2f us %7.0f GB/s %5.1f %%\n",
                  static_cast<long long>(M), shape.name, each * 1e3, rate, rate / 42.60);
    }
  }
}

}  // namespace
}  // namespace xlstm::test
