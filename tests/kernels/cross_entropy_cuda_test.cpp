#include "kernels/cross_entropy/cross_entropy.h"
#include "tests/kernels/cuda_kernel_case.h"

namespace xlstm::test {
namespace {

struct Shape {
  int64_t rows, n_vocab;
  double soft_cap;
  Placement place;
};

constexpr int64_t kIgnore = -100;

struct Case {
  std::vector<double> x, dx, row_max, row_sum;
  std::vector<int64_t> targets;
  double loss = 0, dloss = 1.5;
  int64_t n_targets = 0;
  Matrix logits, dlogits;
  DeviceArray ids, device_loss, count, device_max, device_sum, device_dloss;
  xlstm_cross_entropy_fwd_args f{};
  xlstm_cross_entropy_bwd_args b{};
  Case(const Shape& s, xlstm_dtype dtype)
      : x(rounded(normal(s.rows * s.n_vocab, 1, 4), dtype)),
        dx(x.size()),
        row_max(static_cast<size_t>(s.rows)),
        row_sum(row_max),
        targets(targets_of(s)),
        logits(x, s.rows, s.n_vocab, dtype, s.place),
        dlogits(s.rows, s.n_vocab, dtype, s.place),
        ids(DeviceArray::of(targets)),
        device_loss(1, XLSTM_F32),
        count(DeviceArray::bytes(8)),
        device_max(s.rows, XLSTM_F32),
        device_sum(s.rows, XLSTM_F32),
        device_dloss(std::vector<double>{dloss}, XLSTM_F32) {
    host(s);
    f.dtype = b.dtype = b.dlogits_dtype = dtype;
    const auto common = [&](auto& a) {
      a.rows = s.rows, a.n_vocab = s.n_vocab, a.soft_cap = s.soft_cap, a.ignore_index = kIgnore;
      a.logits = logits.get(), a.logits_stride_row = logits.stride();
      a.targets = static_cast<const int64_t*>(ids.get());
      a.row_max = device_max, a.row_sum = device_sum;
    };
    common(f), common(b);
    f.loss = device_loss, f.n_targets = static_cast<int64_t*>(count.get());
    b.n_targets = n_targets;
    b.dloss = device_dloss;
    b.dlogits = dlogits.get(), b.dlogits_stride_row = dlogits.stride();
  }
  static std::vector<int64_t> targets_of(const Shape& s) {
    std::vector<int64_t> targets;
    for (int64_t row = 0; row < s.rows; ++row)
      targets.push_back(row % 5 == 3 ? kIgnore : row * 7919 % s.n_vocab);
    return targets;
  }
  void host(const Shape& s) {
    xlstm_cross_entropy_fwd_args hf{};
    xlstm_cross_entropy_bwd_args hb{};
    const auto common = [&](auto& a) {
      a.dtype = XLSTM_F64;
      a.rows = s.rows, a.n_vocab = s.n_vocab, a.soft_cap = s.soft_cap, a.ignore_index = kIgnore;
      a.logits = x.data(), a.logits_stride_row = s.n_vocab;
      a.targets = targets.data();
      a.row_max = row_max.data(), a.row_sum = row_sum.data();
    };
    common(hf), common(hb);
    hf.loss = &loss, hf.n_targets = &n_targets;
    REQUIRE(run_on_host(xlstm_cross_entropy_fwd_cpu, xlstm_cross_entropy_fwd_workspace_cpu, hf) ==
            XLSTM_OK);
    hb.dlogits_dtype = XLSTM_F64;
    hb.n_targets = n_targets, hb.dloss = &dloss;
    hb.dlogits = dx.data(), hb.dlogits_stride_row = s.n_vocab;
    REQUIRE(run_on_host(xlstm_cross_entropy_bwd_cpu, nullptr_query(), hb) == XLSTM_OK);
  }
  static int64_t (*nullptr_query())(const xlstm_cross_entropy_bwd_args*) { return nullptr; }
  xlstm_status forward() const {
    return run_on_device(xlstm_cross_entropy_fwd_cuda, xlstm_cross_entropy_fwd_workspace_cuda, f);
  }
  xlstm_status backward() const { return run_on_device(xlstm_cross_entropy_bwd_cuda, b); }
};

TEST_CASE("cross-entropy on CUDA against the CPU in float64") {
  if (!has_cuda_device()) return;
  const Placement dense{0, 0}, apart{8, 16}, crooked{1, 3};
  for (const xlstm_dtype dtype : {XLSTM_F32, XLSTM_BF16, XLSTM_F16}) {
    for (const Shape& s :
         {Shape{1, 1, 0, dense}, Shape{9, 2, 0, dense}, Shape{30, 256, 30, dense},
          Shape{7, 1001, 0, dense}, Shape{100, 512, 15, crooked}, Shape{21, 2048, 0, apart},
          Shape{6, 2056, 30, dense}, Shape{40, 50304, 0, dense}, Shape{40, 50257, 30, apart},
          Shape{1300, 64, 0, dense}, Shape{3, 100001, 0, crooked}}) {
      INFO(name_of(dtype) << ", " << s.rows << " x " << s.n_vocab << " cap " << s.soft_cap);
      Case c(s, dtype);
      REQUIRE(c.forward() == XLSTM_OK);
      CHECK(c.device_loss.values()[0] == Approx(c.loss).epsilon(1e-5).margin(1e-6));
      CHECK(c.count.raw<int64_t>()[0] == c.n_targets);
      CHECK(relative_error(c.device_max.values(), c.row_max) < 1e-5);
      CHECK(relative_error(c.device_sum.values(), c.row_sum) < 2e-5);
      REQUIRE(c.backward() == XLSTM_OK);
      if (s.n_vocab > 1)
        CHECK(relative_error(c.dlogits.values(), c.dx) < gradient_tolerance(dtype));
      CHECK(c.dlogits.surroundings_intact());
      // In place, and the count read on the device.
      c.b.n_targets = 0;
      c.b.n_targets_device = static_cast<const int64_t*>(c.count.get());
      c.b.dlogits = c.logits.get();
      REQUIRE(c.backward() == XLSTM_OK);
      CHECK(c.logits.values() == c.dlogits.values());
    }
  }
}

TEST_CASE("cross-entropy on CUDA of extreme logits") {
  if (!has_cuda_device()) return;
  const double inf = INFINITY;
  const auto loss_of = [](const std::vector<double>& x, int64_t target, double cap) {
    const DeviceArray logits(x, XLSTM_F32), max(1, XLSTM_F32), sum(1, XLSTM_F32),
        loss(1, XLSTM_F32);
    const DeviceArray targets = DeviceArray::of(std::vector<int64_t>{target}),
                      count = DeviceArray::bytes(8);
    xlstm_cross_entropy_fwd_args f{};
    f.rows = 1, f.n_vocab = static_cast<int64_t>(x.size()), f.logits = logits;
    f.targets = static_cast<const int64_t*>(targets.get()), f.ignore_index = kIgnore;
    f.soft_cap = cap, f.loss = loss, f.n_targets = static_cast<int64_t*>(count.get());
    f.row_max = max, f.row_sum = sum;
    REQUIRE(run_on_device(xlstm_cross_entropy_fwd_cuda, xlstm_cross_entropy_fwd_workspace_cuda,
                          f) == XLSTM_OK);
    return loss.values()[0];
  };
  CHECK(loss_of({1e30, 1e30}, 0, 0) == Approx(std::log(2.0)));
  CHECK(loss_of({-inf, 0, 0}, 1, 0) == Approx(std::log(2.0)));
  CHECK(loss_of({-inf, 0, 0}, 0, 0) == inf);
  CHECK(std::isnan(loss_of({-inf, -inf}, 0, 0)));
  CHECK(std::isnan(loss_of({inf, 0}, 0, 0)));
  CHECK(std::isnan(loss_of({NAN, 0}, 1, 0)));
  CHECK(std::isnan(loss_of({0, 0}, 2, 0)));
  CHECK(loss_of({0, 0}, kIgnore, 0) == 0);
  CHECK(loss_of({inf, -inf}, 1, 5) == Approx(10 + std::log1p(std::exp(-10.0))));
}

TEST_CASE("cross-entropy on CUDA gives the same bits every time and names bad arguments") {
  if (!has_cuda_device()) return;
  Case c({50, 50304, 30, {0, 0}}, XLSTM_BF16);
  CHECK(same_bits_again(
      [&] {
        REQUIRE(c.forward() == XLSTM_OK);
        REQUIRE(c.backward() == XLSTM_OK);
      },
      {&c.device_loss, &c.device_max, &c.device_sum, c.dlogits.memory()}));
  CHECK(xlstm_cross_entropy_fwd_cuda(&c.f, {}) == XLSTM_WORKSPACE_TOO_SMALL);
  c.b.dtype = XLSTM_F64;
  CHECK(xlstm_cross_entropy_bwd_cuda(&c.b, {}) == XLSTM_BAD_DTYPE);
  c.b.logits = nullptr;
  CHECK(xlstm_cross_entropy_bwd_cuda(&c.b, {}) == XLSTM_NULL_POINTER);
  // No rows: a loss of 0.
  c.f.rows = 0;
  REQUIRE(c.forward() == XLSTM_OK);
  CHECK(c.device_loss.values()[0] == 0);
  CHECK(c.count.raw<int64_t>()[0] == 0);
}

TEST_CASE("the gradient of float32 logits in a narrower type is the float32 gradient, rounded") {
  if (!has_cuda_device()) return;
  const Placement dense{0, 0}, crooked{1, 3};
  for (const xlstm_dtype narrow : {XLSTM_BF16, XLSTM_F16}) {
    for (const Shape& s : {Shape{7, 1001, 0, dense}, Shape{30, 256, 30, dense},
                           Shape{9, 50304, 0, dense}, Shape{5, 4096, 15, crooked}}) {
      INFO(name_of(narrow) << ", " << s.rows << " x " << s.n_vocab << " cap " << s.soft_cap);
      Case c(s, XLSTM_F32);
      REQUIRE(c.forward() == XLSTM_OK);
      REQUIRE(c.backward() == XLSTM_OK);
      const Matrix small(s.rows, s.n_vocab, narrow, s.place);
      c.b.dlogits_dtype = narrow, c.b.dlogits = small.get(),
      c.b.dlogits_stride_row = small.stride();
      REQUIRE(c.backward() == XLSTM_OK);
      CHECK(small.values() == rounded(c.dlogits.values(), narrow));
      CHECK(small.surroundings_intact());
    }
  }
  Case c({4, 64, 0, dense}, XLSTM_BF16);
  c.b.dlogits_dtype = XLSTM_F32;
  CHECK(c.backward() == XLSTM_BAD_DTYPE);
}

TEST_CASE("time of cross-entropy on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  for (const double cap : {0.0, 30.0}) {
    const int64_t rows = 16384, n_vocab = 50304;
    const DeviceArray x = DeviceArray::bytes(rows * n_vocab * 2);
    check_cuda(cudaMemset(x, 0, static_cast<size_t>(x.n_bytes())), "memset");
    std::vector<int64_t> targets(static_cast<size_t>(rows), 7);
    const DeviceArray ids = DeviceArray::of(targets), max = DeviceArray::bytes(rows * 4),
                      sum = DeviceArray::bytes(rows * 4), loss = DeviceArray::bytes(4),
                      count = DeviceArray::bytes(8), dloss(std::vector<double>{1}, XLSTM_F32);
    xlstm_cross_entropy_fwd_args f{};
    xlstm_cross_entropy_bwd_args b{};
    const auto common = [&](auto& a) {
      a.dtype = XLSTM_BF16, a.rows = rows, a.n_vocab = n_vocab, a.soft_cap = cap;
      a.ignore_index = kIgnore, a.logits = x, a.logits_stride_row = n_vocab;
      a.targets = static_cast<const int64_t*>(ids.get()), a.row_max = max, a.row_sum = sum;
    };
    common(f), common(b);
    f.loss = loss, f.n_targets = static_cast<int64_t*>(count.get());
    b.dlogits_dtype = XLSTM_BF16;
    b.n_targets = rows, b.dloss = dloss, b.dlogits = x, b.dlogits_stride_row = n_vocab;
    const int64_t bytes = xlstm_cross_entropy_fwd_workspace_cuda(&f);
    const DeviceArray workspace = DeviceArray::bytes(bytes);
    const double array = static_cast<double>(rows * n_vocab) * 2;
    const std::string shape = cap > 0 ? "16384 x 50304, capped" : "16384 x 50304";
    print_time(("cross-entropy forward " + shape).c_str(), median_ms([&] {
                 xlstm_cross_entropy_fwd_cuda(&f, {nullptr, workspace, bytes, nullptr});
               }),
               array);
    print_time(("cross-entropy backward " + shape).c_str(),
               median_ms([&] { xlstm_cross_entropy_bwd_cuda(&b, {}); }), 2 * array);
  }
}

}  // namespace
}  // namespace xlstm::test
