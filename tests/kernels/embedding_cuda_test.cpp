#include "kernels/embedding/embedding.h"
#include "tests/kernels/cuda_kernel_case.h"

namespace xlstm::test {
namespace {

struct Table {
  int64_t n_tokens, n_vocab, D;
  int kind;  // of the tokens: 0 random, 1 all the same, 2 few long runs among rare ones
  Placement place;
};

std::vector<Table> tables() {
  const Placement dense{0, 0}, apart{8, 16}, crooked{1, 3};
  return some<Table>({{1, 1, 1, 0, dense},
                      {5, 3, 8, 0, dense},
                      {64, 10, 16, 0, apart},
                      {65, 600, 24, 0, dense},
                      {700, 5, 40, 0, crooked},
                      {3000, 7, 1032, 1, dense},
                      {2048, 512, 33, 2, dense},
                      {1000, 50304, 64, 0, dense},
                      {5000, 300000, 8, 0, dense},
                      {4096, 700, 256, 2, dense},
                      {10000, 511, 128, 2, apart}},
                     7);
}

std::vector<int64_t> tokens_of(const Table& t) {
  std::mt19937_64 engine(7);
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < t.n_tokens; ++i) {
    const int64_t draw = static_cast<int64_t>(engine() % static_cast<uint64_t>(t.n_vocab));
    tokens.push_back(t.kind == 1                        ? t.n_vocab - 1
                     : t.kind == 2 && engine() % 3 != 0 ? draw % 2
                                                        : draw);
  }
  return tokens;
}

struct Case {
  std::vector<int64_t> tokens;
  std::vector<double> weight, dy, want_y, want_dweight;
  Matrix table, y, grad;
  DeviceArray ids, dweight;
  xlstm_embedding_fwd_args f{};
  xlstm_embedding_bwd_args b{};
  Case(const Table& t, const Types& types)
      : tokens(tokens_of(t)),
        weight(rounded(normal(t.n_vocab * t.D, 1), types.weights)),
        dy(rounded(normal(t.n_tokens * t.D, 2), types.dtype)),
        table(weight, t.n_vocab, t.D, types.weights, t.place),
        y(t.n_tokens, t.D, types.dtype, t.place),
        grad(dy, t.n_tokens, t.D, types.dtype, t.place),
        ids(DeviceArray::of(tokens)),
        dweight(t.n_vocab * t.D, types.weights) {
    const auto sizes = [&](auto& a) { a.n_tokens = t.n_tokens, a.n_vocab = t.n_vocab, a.D = t.D; };
    sizes(f), sizes(b);
    host(t);
    f.dtype = b.dtype = types.dtype;
    f.weight_dtype = b.weight_dtype = types.weights;
    f.tokens = b.tokens = static_cast<const int64_t*>(ids.get());
    f.weight = table.get(), f.weight_stride_row = table.stride();
    f.y = y.get(), f.y_stride_row = y.stride();
    b.dy = grad.get(), b.dy_stride_row = grad.stride();
    b.dweight = dweight;
  }
  void host(const Table& t) {
    want_y = std::vector<double>(dy.size());
    want_dweight = std::vector<double>(weight.size());
    xlstm_embedding_fwd_args hf = f;
    xlstm_embedding_bwd_args hb = b;
    hf.dtype = hf.weight_dtype = hb.dtype = hb.weight_dtype = XLSTM_F64;
    hf.tokens = hb.tokens = tokens.data();
    hf.weight = weight.data(), hf.weight_stride_row = t.D;
    hf.y = want_y.data(), hf.y_stride_row = t.D;
    hb.dy = dy.data(), hb.dy_stride_row = t.D, hb.dweight = want_dweight.data();
    REQUIRE(xlstm_embedding_fwd_cpu(&hf, {}) == XLSTM_OK);
    REQUIRE(run_on_host(xlstm_embedding_bwd_cpu, xlstm_embedding_bwd_workspace_cpu, hb) ==
            XLSTM_OK);
  }
  xlstm_status forward() const { return run_on_device(xlstm_embedding_fwd_cuda, f); }
  xlstm_status backward() const {
    return run_on_device(xlstm_embedding_bwd_cuda, xlstm_embedding_bwd_workspace_cuda, b);
  }
};

TEST_CASE("the embedding on CUDA against the CPU in float64") {
  if (!has_cuda_device()) return;
  for (const Types& types : all_types()) {
    for (const Table& t : tables()) {
      INFO(to_string(types) << ", " << t.n_tokens << " of " << t.n_vocab << " x " << t.D);
      Case c(t, types);
      REQUIRE(c.forward() == XLSTM_OK);
      // A look-up rounds once, to the type of y.
      CHECK(c.y.values() == rounded(c.want_y, types.dtype));
      CHECK(c.y.surroundings_intact());
      REQUIRE(c.backward() == XLSTM_OK);
      CHECK(relative_error(c.dweight.values(), c.want_dweight) < gradient_tolerance(types.weights));
    }
  }
}

TEST_CASE("the embedding on CUDA: the same bits, tokens out of range, no tokens, bad arguments") {
  if (!has_cuda_device()) return;
  const Types types{XLSTM_BF16, XLSTM_F32};
  const Table t{10000, 511, 128, 2, {0, 0}};
  Case c(t, types);
  CHECK(same_bits_again([&] { REQUIRE(c.backward() == XLSTM_OK); }, {&c.dweight}));

  std::vector<int64_t> tokens = c.tokens;
  tokens[3] = -1, tokens[9000] = t.n_vocab;
  const DeviceArray wrong = DeviceArray::of(tokens);
  c.f.tokens = c.b.tokens = static_cast<const int64_t*>(wrong.get());
  REQUIRE(c.forward() == XLSTM_OK);
  const std::vector<double> y = c.y.values();
  for (int64_t row = 0; row < t.n_tokens; ++row)
    REQUIRE(std::isnan(y[static_cast<size_t>(row * t.D)]) == (row == 3 || row == 9000));
  REQUIRE(c.backward() == XLSTM_OK);
  std::vector<double> want = c.want_dweight;
  for (const int64_t row : {3, 9000})
    for (int64_t i = 0; i < t.D; ++i)
      want[static_cast<size_t>(c.tokens[static_cast<size_t>(row)] * t.D + i)] -=
          c.dy[static_cast<size_t>(row * t.D + i)];
  CHECK(relative_error(c.dweight.values(), want) < 1e-5);

  c.b.n_tokens = c.f.n_tokens = 0;
  CHECK(c.forward() == XLSTM_OK);
  REQUIRE(c.backward() == XLSTM_OK);
  CHECK(c.dweight.values() == std::vector<double>(c.weight.size(), 0.0));
  c.b.n_tokens = 5;
  CHECK(xlstm_embedding_bwd_cuda(&c.b, {}) == XLSTM_WORKSPACE_TOO_SMALL);
  c.f.weight_dtype = XLSTM_F16;
  CHECK(xlstm_embedding_fwd_cuda(&c.f, {}) == XLSTM_BAD_DTYPE);
}

TEST_CASE("time of the embedding on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  for (const int kind : {0, 2}) {
    const int64_t n = 65536, n_vocab = 50304, D = 2048;
    const std::vector<int64_t> tokens = tokens_of({n, n_vocab, D, kind, {0, 0}});
    const DeviceArray ids = DeviceArray::of(tokens), weight = DeviceArray::bytes(n_vocab * D * 4),
                      y = DeviceArray::bytes(n * D * 2);
    xlstm_embedding_fwd_args f{
        XLSTM_BF16, XLSTM_F32, n, n_vocab, D, static_cast<const int64_t*>(ids.get()),
        weight,     D,         y, D};
    xlstm_embedding_bwd_args b{
        XLSTM_BF16, XLSTM_F32, n, n_vocab, D, static_cast<const int64_t*>(ids.get()), y, D, weight};
    const int64_t bytes = xlstm_embedding_bwd_workspace_cuda(&b);
    const DeviceArray workspace = DeviceArray::bytes(bytes);
    const std::string shape =
        kind == 0 ? "65536 x 2048, even tokens" : "65536 x 2048, two frequent";
    print_time(("embedding forward " + shape).c_str(),
               median_ms([&] { xlstm_embedding_fwd_cuda(&f, {}); }),
               static_cast<double>(n * D) * 6);
    print_time(("embedding backward " + shape).c_str(), median_ms([&] {
                 xlstm_embedding_bwd_cuda(&b, {nullptr, workspace, bytes, nullptr});
               }),
               static_cast<double>(n * D) * 2 + static_cast<double>(n_vocab * D) * 4);
  }
}

}  // namespace
}  // namespace xlstm::test
