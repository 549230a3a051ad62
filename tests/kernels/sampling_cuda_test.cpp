#include <cmath>
#include <cstring>

#include "kernels/common/philox.h"
#include "kernels/sampling/sampling.h"
#include "tests/kernels/cuda_kernel_case.h"

namespace xlstm::test {
namespace {

constexpr xlstm_dtype kTypes[] = {XLSTM_F32, XLSTM_BF16, XLSTM_F16};
constexpr double kInf = std::numeric_limits<double>::infinity();

struct Case {
  int64_t rows, n_vocab, n_valid, stride;
  double temperature;
  int64_t top_k;
  double top_p = 1, min_p = 0, penalty = 1;
};

xlstm_sampling_args args_of(const Case& c, uint64_t position) {
  xlstm_sampling_args args{};
  args.dtype = XLSTM_F64;
  args.rows = c.rows;
  args.n_vocab = c.n_vocab;
  args.n_valid = c.n_valid;
  args.logits_stride_row = c.stride;
  args.temperature = c.temperature;
  args.top_k = c.top_k;
  args.top_p = c.top_p;
  args.min_p = c.min_p;
  args.repetition_penalty = c.penalty;
  args.seed = 99;
  args.position = position;
  return args;
}

std::vector<int64_t> on_cpu(xlstm_sampling_args args, const std::vector<double>& logits,
                            const std::vector<int64_t>& streams) {
  std::vector<int64_t> tokens(static_cast<size_t>(args.rows), -1);
  args.logits = logits.data();
  args.streams = streams.empty() ? nullptr : streams.data();
  args.tokens = tokens.data();
  REQUIRE(run_on_host(xlstm_sampling_cpu, xlstm_sampling_workspace_cpu, args) == XLSTM_OK);
  return tokens;
}

std::vector<int64_t> on_device(xlstm_sampling_args args, const std::vector<double>& logits,
                               const std::vector<int64_t>& streams, xlstm_dtype dtype) {
  const DeviceArray x(logits, dtype), names = DeviceArray::of(streams);
  const DeviceArray tokens = DeviceArray::bytes(args.rows * 8);
  args.dtype = dtype;
  args.logits = x;
  args.streams = streams.empty() ? nullptr : static_cast<const int64_t*>(names.get());
  args.tokens = static_cast<int64_t*>(tokens.get());
  CHECK(xlstm_sampling_workspace_cuda(&args) == 0);
  REQUIRE(xlstm_sampling_cuda(&args, {}) == XLSTM_OK);
  const auto first = tokens.raw<int64_t>();
  note_bits(first.data(), first.size() * sizeof(int64_t));
  for (int i = 1; i < n_repeats(); ++i) {
    tokens.poison();
    REQUIRE(xlstm_sampling_cuda(&args, {}) == XLSTM_OK);
  }
  CHECK(tokens.raw<int64_t>() == first);
  return first;
}

// How far, as a probability, the row's random number lies outside `token`'s interval: 0 inside.
double distance(const xlstm_sampling_args& args, const double* x, int64_t row, int64_t stream,
                int64_t token) {
  const int64_t n = args.n_valid == 0 ? args.n_vocab : args.n_valid;
  const int64_t k = args.top_k == 0 ? n : std::min(n, args.top_k);
  std::vector<int64_t> ids(static_cast<size_t>(n));
  for (int64_t v = 0; v < n; ++v) ids[static_cast<size_t>(v)] = v;
  std::stable_sort(ids.begin(), ids.end(), [&](int64_t a, int64_t b) { return x[a] > x[b]; });
  const double max = x[ids[0]];
  ids.resize(static_cast<size_t>(k));
  std::sort(ids.begin(), ids.end());
  double total = 0, begin = -1, end = -1;
  for (const int64_t v : ids) {
    const double w = std::exp((x[v] - max) / args.temperature);
    if (v == token) {
      begin = total;
      end = total + w;
    }
    total += w;
  }
  INFO("row " << row << " token " << token);
  REQUIRE(begin >= 0);  // among those kept
  const kernels::Philox4 r =
      kernels::philox(args.seed, args.position, static_cast<uint64_t>(stream));
  const double u = static_cast<double>((uint64_t{r.x[0]} << 32 | r.x[1]) >> 11) * 0x1.0p-53;
  return std::max({0.0, begin / total - u, u - end / total});
}

TEST_CASE("CUDA samples the tokens that the CPU samples in float64") {
  if (!has_cuda_device()) return;
  const Case cases[] = {{1, 1, 0, 1, 1.0, 0},
                        {3, 7, 0, 7, 1.0, 0},
                        {3, 7, 5, 9, 0.5, 2},
                        {40, 333, 300, 340, 0.8, 0},
                        {40, 333, 0, 333, 1.3, 1},
                        {40, 1000, 0, 1000, 1.0, 40},
                        {16, 50257, 0, 50304, 1.0, 0},
                        {16, 50304, 50257, 50304, 0.7, 200},
                        {8, 50304, 50257, 50304, 1.0, 50256},
                        {8, 50304, 0, 50304, 2.0, 50304},
                        {12, 32, 0, 0, 1.0, 5},
                        {9, 2049, 0, 2051, 0.0, 3}};
  int64_t sampled = 0, same = 0;
  for (const xlstm_dtype dtype : kTypes)
    for (const Case& c : cases)
      for (const uint64_t position : {0ull, 1000ull}) {
        INFO(name_of(dtype) << " vocabulary " << c.n_vocab << " temperature " << c.temperature
                            << " top_k " << c.top_k);
        const int64_t extent = (c.rows - 1) * c.stride + c.n_vocab;
        std::vector<double> x = rounded(normal(extent, 7, 3), dtype);
        for (size_t i = 3; i < x.size(); i += 11) x[i] = -kInf;
        std::vector<int64_t> streams;
        if (position != 0)
          for (int64_t row = 0; row < c.rows; ++row) streams.push_back(1000003 * row + 5);
        const xlstm_sampling_args args = args_of(c, position);
        const auto want = on_cpu(args, x, streams), got = on_device(args, x, streams, dtype);
        for (int64_t row = 0; row < c.rows; ++row) {
          const int64_t token = got[static_cast<size_t>(row)];
          ++sampled;
          if (token == want[static_cast<size_t>(row)]) {
            ++same;
            continue;
          }
          // Weights are float32 on the device: a random number this close to a border is a tie.
          REQUIRE(c.temperature > 0);
          const int64_t stream = streams.empty() ? row : streams[static_cast<size_t>(row)];
          CHECK(distance(args, x.data() + row * c.stride, row, stream, token) <= 1e-6);
        }
      }
  CHECK(sampled - same <= 2);
}

struct Chosen {
  std::vector<int64_t> tokens;
  std::vector<uint8_t> seen;
  bool operator==(const Chosen&) const = default;
};

// A byte for each logit with a gap after each row; every third token was seen.
std::vector<uint8_t> seen_of(const Case& c) {
  std::vector<uint8_t> seen(static_cast<size_t>(c.rows * (c.n_vocab + 5)), 0);
  for (size_t i = 0; i < seen.size(); i += 3) seen[i] = 1;
  return seen;
}

Chosen seen_on_cpu(const Case& c, const std::vector<double>& x) {
  Chosen out{{}, seen_of(c)};
  xlstm_sampling_args args = args_of(c, 7);
  args.seen = out.seen.data();
  args.seen_stride_row = c.n_vocab + 5;
  out.tokens = on_cpu(args, x, {});
  return out;
}

Chosen seen_on_device(const Case& c, const std::vector<double>& x, xlstm_dtype dtype) {
  const DeviceArray logits(x, dtype), seen = DeviceArray::of(seen_of(c));
  const DeviceArray tokens = DeviceArray::bytes(c.rows * 8);
  xlstm_sampling_args args = args_of(c, 7);
  args.dtype = dtype;
  args.logits = logits;
  args.seen = static_cast<uint8_t*>(seen.get());
  args.seen_stride_row = c.n_vocab + 5;
  args.tokens = static_cast<int64_t*>(tokens.get());
  REQUIRE(xlstm_sampling_cuda(&args, {}) == XLSTM_OK);
  return {tokens.raw<int64_t>(), seen.raw<uint8_t>()};
}

TEST_CASE("top_p, min_p and the penalty on CUDA are those of the CPU, and note what was seen") {
  if (!has_cuda_device()) return;
  const Case cases[] = {{40, 333, 300, 340, 0.8, 0, 0.9},
                        {40, 333, 0, 333, 1.3, 30, 0.7},
                        {200, 50, 0, 50, 1.0, 0, 0.5},
                        {20, 1000, 0, 1000, 1.0, 0, 0.0},
                        {20, 1000, 0, 1000, 1.0, 0, 0.999999},
                        {40, 1000, 0, 1000, 1.0, 0, 1, 0.1},
                        {40, 1000, 0, 1000, 1.0, 0, 1, 1},
                        {40, 1000, 0, 1000, 1.0, 0, 1, 0, 1.3},
                        {40, 1000, 0, 1000, 0.0, 0, 1, 0, 1.3},
                        {40, 1000, 0, 1000, 1.0, 0, 1, 0, 0.5},
                        {40, 2000, 1999, 2003, 0.9, 500, 0.9, 0.02, 1.2},
                        {16, 50257, 0, 50304, 1.0, 0, 0.95, 0, 1.1},
                        {16, 50304, 50257, 50304, 1.5, 0, 0.9},
                        {1, 1, 0, 1, 1.0, 0, 0.3, 0.5, 2}};
  int64_t sampled = 0, differ = 0;
  for (const xlstm_dtype dtype : kTypes)
    for (const Case& c : cases) {
      INFO(name_of(dtype) << " vocabulary " << c.n_vocab << " top_k " << c.top_k << " top_p "
                          << c.top_p << " min_p " << c.min_p << " penalty " << c.penalty);
      std::vector<double> x = rounded(normal((c.rows - 1) * c.stride + c.n_vocab, 9, 3), dtype);
      for (size_t i = 3; i < x.size(); i += 11) x[i] = -kInf;
      const Chosen want = seen_on_cpu(c, x), got = seen_on_device(c, x, dtype);
      for (int i = 0; i < n_repeats(); ++i) CHECK(seen_on_device(c, x, dtype) == got);
      std::vector<uint8_t> seen = seen_of(c);
      for (size_t row = 0; row < want.tokens.size(); ++row) {
        ++sampled;
        differ += got.tokens[row] == want.tokens[row] ? 0 : 1;
        REQUIRE(got.tokens[row] >= 0);
        seen[row * static_cast<size_t>(c.n_vocab + 5) + static_cast<size_t>(got.tokens[row])] = 1;
      }
      CHECK(got.seen == seen);
    }
  // A random number or a share on a border to within the rounding of float32.
  CHECK(differ <= sampled / 500);
}

TEST_CASE("top_p on CUDA keeps the smallest ids among equal logits") {
  if (!has_cuda_device()) return;
  // Sums of equal weights are exact, so that no rounding blurs how many are kept.
  std::vector<double> x(1024, -kInf);
  for (size_t i = 1; i < x.size(); i += 2) x[i] = i < 512 ? 2.0 : 0.0;
  std::vector<double> rows;
  for (int i = 0; i < 300; ++i) rows.insert(rows.end(), x.begin(), x.end());
  for (const double top_p : {0.001, 0.1, 0.25, 0.5, 0.875, 0.9, 0.99}) {
    INFO("top_p " << top_p);
    const xlstm_sampling_args args = args_of({300, 1024, 0, 1024, 1.0, 0, top_p}, 3);
    CHECK(on_device(args, rows, {}, XLSTM_F32) == on_cpu(args, rows, {}));
    const xlstm_sampling_args some = args_of({300, 1024, 0, 1024, 1.0, 100, top_p}, 3);
    CHECK(on_device(some, rows, {}, XLSTM_BF16) == on_cpu(some, rows, {}));
  }
}

TEST_CASE("top-k on CUDA keeps the smallest ids among equal logits; greedy takes the first") {
  if (!has_cuda_device()) return;
  // Many ties at the threshold, of both signs of zero.
  std::vector<double> x(1000);
  for (size_t i = 0; i < x.size(); ++i) x[i] = i % 2 == 0 ? 0.0 : -0.0;
  for (size_t i = 100; i < 105; ++i) x[i] = 1.0;
  for (size_t i = 500; i < 1000; ++i) x[i] = -5.0;
  std::vector<double> rows;
  for (int i = 0; i < 500; ++i) rows.insert(rows.end(), x.begin(), x.end());
  for (const int64_t top_k : {3, 5, 6, 37, 500, 700}) {
    INFO("top_k " << top_k);
    const xlstm_sampling_args args = args_of({500, 1000, 0, 1000, 1e12, top_k}, 3);
    const auto got = on_device(args, rows, {}, XLSTM_F32);
    CHECK(got == on_cpu(args, rows, {}));
  }
  const xlstm_sampling_args greedy = args_of({500, 1000, 0, 1000, 0.0, 0}, 3);
  CHECK(on_device(greedy, rows, {}, XLSTM_F16) == std::vector<int64_t>(500, 100));
}

TEST_CASE("CUDA: extreme logits and temperatures pick the sensible token, bad rows give -1") {
  if (!has_cuda_device()) return;
  const std::vector<double> wide{-1e4, 1e4, 0, 1e30, -1e30};
  for (const double temperature : {1e-300, 1e-40, 1e-3, 1.0}) {
    const auto args = args_of({1, 5, 0, 5, temperature, 0}, 1);
    CHECK(on_device(args, wide, {}, XLSTM_F32) == std::vector<int64_t>{3});
  }
  const std::vector<double> hot{-kInf, 2, -kInf, 1, NAN, kInf};
  for (const double temperature : {1.0, 1e300}) {
    const auto args = args_of({1, 6, 4, 6, temperature, 0}, 1);
    const int64_t token = on_device(args, hot, {}, XLSTM_BF16)[0];
    CHECK((token == 1 || token == 3));
  }
  const std::vector<double> bad{0, NAN, 1, 0, 1, kInf, -kInf, -kInf, -kInf, 5, 6, 7};
  for (const double temperature : {0.0, 1.0}) {
    const auto args = args_of({4, 3, 0, 3, temperature, 1}, 1);
    CHECK(on_device(args, bad, {}, XLSTM_F32) == std::vector<int64_t>{-1, -1, -1, 2});
  }
}

TEST_CASE("sampling on CUDA refuses what it should") {
  if (!has_cuda_device()) return;
  const DeviceArray x(std::vector<double>(6, 1.0), XLSTM_F32), tokens = DeviceArray::bytes(16);
  const auto status = [&](auto change) {
    xlstm_sampling_args args = args_of({2, 3, 0, 3, 1.0, 0}, 0);
    args.dtype = XLSTM_F32;
    args.logits = x;
    args.tokens = static_cast<int64_t*>(tokens.get());
    change(args);
    return xlstm_sampling_cuda(&args, {});
  };
  CHECK(xlstm_sampling_cuda(nullptr, {}) == XLSTM_NULL_POINTER);
  CHECK(status([](auto& g) { g.n_valid = 4; }) == XLSTM_BAD_SIZE);
  CHECK(status([](auto& g) { g.temperature = -1; }) == XLSTM_BAD_VALUE);
  CHECK(status([](auto& g) { g.top_p = 1.5; }) == XLSTM_BAD_VALUE);
  CHECK(status([](auto& g) { g.min_p = -1; }) == XLSTM_BAD_VALUE);
  CHECK(status([](auto& g) { g.repetition_penalty = 0; }) == XLSTM_BAD_VALUE);
  CHECK(status([](auto& g) { g.logits = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(status([](auto& g) { g.dtype = XLSTM_F64; }) == XLSTM_BAD_DTYPE);
  CHECK(status([](auto& g) { g.rows = 0; }) == XLSTM_OK);
  for (const uint32_t word : tokens.raw<uint32_t>()) CHECK(word == 0xffffffffu);
}

TEST_CASE("CUDA adds what stands at position_base when the kernel runs") {
  if (!has_cuda_device()) return;
  const std::vector<double> x = normal(30 * 200, 5, 1);
  xlstm_sampling_args args = args_of({30, 200, 0, 200, 1.0, 0}, 5);
  const DeviceArray base = DeviceArray::of(std::vector<int64_t>{1000});
  args.position_base = static_cast<const uint64_t*>(base.get());
  const auto got = on_device(args, x, {}, XLSTM_F32);
  args.position_base = nullptr;
  CHECK(got != on_device(args, x, {}, XLSTM_F32));
  args.position = 1005;
  CHECK(got == on_device(args, x, {}, XLSTM_F32));
}

TEST_CASE("time of sampling on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  const int64_t n_vocab = 50304;
  for (const xlstm_dtype dtype : {XLSTM_F32, XLSTM_BF16})
    for (const int64_t rows : {1, 64, 1024}) {
      const DeviceArray x(normal(rows * n_vocab, 1, 3), dtype);
      const DeviceArray tokens = DeviceArray::bytes(rows * 8);
      for (const auto& [temperature, top_k, top_p] :
           {std::tuple<double, int64_t, double>{0.0, 0, 1.0},
            {1.0, 0, 1.0},
            {1.0, 50, 1.0},
            {1.0, 0, 0.9}}) {
        xlstm_sampling_args args =
            args_of({rows, n_vocab, 0, n_vocab, temperature, top_k, top_p}, 0);
        args.dtype = dtype;
        args.logits = x;
        args.tokens = static_cast<int64_t*>(tokens.get());
        const double ms = median_ms([&] { xlstm_sampling_cuda(&args, {}); });
        const double rate = static_cast<double>(rows * n_vocab * size_of(dtype)) / ms * 1e-6;
        std::printf(
            "sample %-4s rows %5lld T %.0f top_k %2lld top_p %.1f %8.4f ms %7.0f GB/s %5.1f %%\n",
            name_of(dtype), static_cast<long long>(rows), temperature,
            static_cast<long long>(top_k), top_p, ms, rate, rate / 42.60);
      }
    }
}

}  // namespace
}  // namespace xlstm::test
