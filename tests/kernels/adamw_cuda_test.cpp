#include "kernels/adamw/adamw.h"
#include "tests/kernels/cuda_kernel_case.h"

namespace xlstm::test {
namespace {

const int64_t kSizes[] = {0, 1, 3, 4, 1023, 4096, 100003};

struct Values {
  std::vector<double> p, g, m, v;
  Values(int64_t n, xlstm_dtype grad)
      : p(rounded(normal(n, 1), XLSTM_F32)),
        g(rounded(normal(n, 2), grad)),
        m(rounded(normal(n, 3, 0.1), XLSTM_F32)),
        v(rounded(normal(n, 4, 0.1), XLSTM_F32)) {
    for (double& x : v) x = static_cast<double>(static_cast<float>(x * x));
  }
};

template <class Args>
void device_types(Args& a, xlstm_dtype grad, void* copy, xlstm_dtype copy_dtype) {
  a.dtype = XLSTM_F32, a.grad_dtype = grad;
  a.weights_copy = copy, a.weights_copy_dtype = copy_dtype;
}

xlstm_adamw_args adamw_of(int64_t n) {
  xlstm_adamw_args a{};
  a.n = n, a.lr = 0.01, a.beta1 = 0.9, a.beta2 = 0.95, a.eps = 1e-8, a.weight_decay = 0.1;
  a.grad_scale = 0.5, a.step = 3;
  return a;
}

TEST_CASE("AdamW on CUDA against the CPU in float64") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype grad : {XLSTM_F32, XLSTM_BF16, XLSTM_F16}) {
    for (const int64_t n : kSizes) {
      for (const int64_t before : {0, 1}) {  // 1: no access of 16 bytes is possible
        INFO(name_of(grad) << " gradients, n " << n << ", misaligned by " << before);
        Values want(n, grad);
        const Placement place{before, 0};
        Matrix p(want.p, 1, n, XLSTM_F32, place), g(want.g, 1, n, grad, place),
            m(want.m, 1, n, XLSTM_F32, place), v(want.v, 1, n, XLSTM_F32, place),
            copy(1, n, XLSTM_BF16, place);
        xlstm_adamw_args a = adamw_of(n);
        a.dtype = a.grad_dtype = XLSTM_F64;
        a.parameter = want.p.data(), a.grad = want.g.data();
        a.moment1 = want.m.data(), a.moment2 = want.v.data();
        REQUIRE(xlstm_adamw_cpu(&a, {}) == XLSTM_OK);
        device_types(a, grad, copy.get(), XLSTM_BF16);
        a.parameter = p.get(), a.grad = g.get(), a.moment1 = m.get(), a.moment2 = v.get();
        REQUIRE(run_on_device(xlstm_adamw_cuda, a) == XLSTM_OK);
        CHECK(max_error(p.values(), want.p) < 1e-6);
        CHECK(max_error(m.values(), want.m) < 1e-6);
        CHECK(max_error(v.values(), want.v) < 1e-6);
        CHECK(copy.values() == rounded(p.values(), XLSTM_BF16));
        CHECK(p.surroundings_intact());
        CHECK(copy.surroundings_intact());
      }
    }
  }
}

TEST_CASE("updates on CUDA read the step's scalars on the device, and skip") {
  if (!has_cuda_device()) return;
  const int64_t n = 1000;
  const Values start(n, XLSTM_F32);
  const DeviceArray lr(std::vector<double>{0.02}, XLSTM_F32),
      scale(std::vector<double>{0.25}, XLSTM_F32), step = DeviceArray::of(std::vector<int64_t>{17}),
                                                   skip = DeviceArray::of(std::vector<int32_t>{1});
  const auto updated = [&](bool on_device, bool skipped) {
    const DeviceArray p(start.p, XLSTM_F32), g(start.g, XLSTM_F32), m(start.m, XLSTM_F32),
        v(start.v, XLSTM_F32);
    xlstm_adamw_args a = adamw_of(n);
    device_types(a, XLSTM_F32, nullptr, XLSTM_F32);
    a.parameter = p, a.grad = g, a.moment1 = m, a.moment2 = v;
    a.lr = static_cast<double>(0.02f), a.grad_scale = 0.25, a.step = 17;
    if (on_device) {
      a.lr = NAN, a.grad_scale = NAN, a.step = 0;  // not looked at
      a.on_device.lr = static_cast<const float*>(lr.get());
      a.on_device.grad_scale = static_cast<const float*>(scale.get());
      a.on_device.step = static_cast<const int64_t*>(step.get());
    }
    if (skipped) a.on_device.skip = static_cast<const int32_t*>(skip.get());
    REQUIRE(run_on_device(xlstm_adamw_cuda, a) == XLSTM_OK);
    return p.values();
  };
  CHECK(updated(true, false) == updated(false, false));
  CHECK(updated(true, false) != start.p);
  CHECK(updated(true, true) == start.p);
}

TEST_CASE("SGD on CUDA against the CPU in float64") {
  if (!has_cuda_device()) return;
  for (const double momentum : {0.0, 0.9}) {
    for (const int nesterov : {0, 1}) {
      for (const int64_t n : kSizes) {
        INFO("momentum " << momentum << " nesterov " << nesterov << " n " << n);
        Values want(n, XLSTM_BF16);
        const DeviceArray p(want.p, XLSTM_F32), g(want.g, XLSTM_BF16), u(want.m, XLSTM_F32),
            copy(n, XLSTM_F16);
        xlstm_sgd_args a{};
        a.n = n, a.lr = 0.1, a.momentum = momentum, a.weight_decay = 0.01, a.grad_scale = 2;
        a.nesterov = nesterov;
        a.dtype = a.grad_dtype = XLSTM_F64;
        a.parameter = want.p.data(), a.grad = want.g.data(), a.velocity = want.m.data();
        REQUIRE(xlstm_sgd_cpu(&a, {}) == XLSTM_OK);
        device_types(a, XLSTM_BF16, copy, XLSTM_F16);
        a.parameter = p, a.grad = g, a.velocity = momentum > 0 ? u.get() : nullptr;
        REQUIRE(run_on_device(xlstm_sgd_cuda, a) == XLSTM_OK);
        CHECK(max_error(p.values(), want.p) < 1e-6);
        CHECK(max_error(u.values(), want.m) < 1e-6);
        CHECK(copy.values() == rounded(p.values(), XLSTM_F16));
      }
    }
  }
}

TEST_CASE("the sum of squares and the clip on CUDA") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : {XLSTM_F32, XLSTM_BF16, XLSTM_F16}) {
    for (const int64_t n : some<int64_t>({0, 1, 9, 4096, 200003, 5000011}, 5)) {
      INFO(name_of(dtype) << " n " << n);
      const std::vector<double> values = rounded(normal(n, 1), dtype);
      double want = 0;
      std::vector<double> clipped = values;
      for (double& x : clipped) want += x * x, x = std::min(std::max(x, -0.75), 0.75);
      for (const int64_t before : {0, 1}) {
        Matrix x(values, 1, n, dtype, {before, 0});
        DeviceArray sum(1, XLSTM_F64);
        const xlstm_sum_of_squares_args a{dtype, n, x.get(), static_cast<double*>(sum.get())};
        CHECK(same_bits_again(
            [&] {
              REQUIRE(run_on_device(xlstm_sum_of_squares_cuda, xlstm_sum_of_squares_workspace_cuda,
                                    a) == XLSTM_OK);
            },
            {&sum}));
        CHECK(sum.values()[0] == Approx(want).epsilon(1e-12));
        const xlstm_clip_args clip{dtype, n, x.get(), 0.75};
        REQUIRE(run_on_device(xlstm_clip_cuda, clip) == XLSTM_OK);
        CHECK(x.values() == clipped);
        CHECK(x.surroundings_intact());
      }
    }
  }
  const DeviceArray bad(std::vector<double>{1, NAN, 2}, XLSTM_F32), sum(1, XLSTM_F64);
  const xlstm_sum_of_squares_args a{XLSTM_F32, 3, bad, static_cast<double*>(sum.get())};
  REQUIRE(run_on_device(xlstm_sum_of_squares_cuda, xlstm_sum_of_squares_workspace_cuda, a) ==
          XLSTM_OK);
  CHECK(std::isnan(sum.values()[0]));
}

TEST_CASE("updates name what only CUDA or only the CPU takes") {
  double x[4] = {1, 1, 1, 1};
  const float lr = 1;
  xlstm_adamw_args a = adamw_of(1);
  a.dtype = a.grad_dtype = XLSTM_F64;
  a.parameter = x, a.grad = x + 1, a.moment1 = x + 2, a.moment2 = x + 3;
  CHECK(xlstm_adamw_cuda(&a, {}) == XLSTM_BAD_DTYPE);
  a.grad_dtype = XLSTM_F32;
  CHECK(xlstm_adamw_cpu(&a, {}) == XLSTM_BAD_DTYPE);
  a.grad_dtype = XLSTM_F64;
  a.on_device.lr = &lr;
  CHECK(xlstm_adamw_cpu(&a, {}) == XLSTM_BAD_VALUE);
  a.on_device.lr = nullptr;
  a.weights_copy = x;
  CHECK(xlstm_adamw_cpu(&a, {}) == XLSTM_BAD_VALUE);
  a.step = 0;
  CHECK(xlstm_adamw_cuda(&a, {}) == XLSTM_BAD_VALUE);
}

TEST_CASE("time of updates on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  const int64_t n = 65536 * 2048;
  const DeviceArray p = DeviceArray::bytes(n * 4), m = DeviceArray::bytes(n * 4),
                    v = DeviceArray::bytes(n * 4), g = DeviceArray::bytes(n * 4),
                    copy = DeviceArray::bytes(n * 2), sum(1, XLSTM_F64);
  for (const xlstm_dtype grad : {XLSTM_F32, XLSTM_BF16}) {
    xlstm_adamw_args a = adamw_of(n);
    device_types(a, grad, copy, XLSTM_BF16);
    a.parameter = p, a.grad = g, a.moment1 = m, a.moment2 = v;
    print_time((std::string("adamw of 2^27, bf16 copy, gradients ") + name_of(grad)).c_str(),
               median_ms([&] { xlstm_adamw_cuda(&a, {}); }),
               static_cast<double>(n * (26 + size_of(grad))));
    const xlstm_sum_of_squares_args s{grad, n, g, static_cast<double*>(sum.get())};
    const int64_t bytes = xlstm_sum_of_squares_workspace_cuda(&s);
    const DeviceArray workspace = DeviceArray::bytes(bytes);
    print_time((std::string("sum of squares of 2^27 ") + name_of(grad)).c_str(), median_ms([&] {
                 xlstm_sum_of_squares_cuda(&s, {nullptr, workspace, bytes, nullptr});
               }),
               static_cast<double>(n * size_of(grad)));
  }
}

}  // namespace
}  // namespace xlstm::test
