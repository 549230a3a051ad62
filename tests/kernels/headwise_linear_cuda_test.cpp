#include "kernels/headwise_linear/headwise_linear.h"
#include "tests/kernels/cuda_kernel_case.h"

namespace xlstm::test {
namespace {

struct Shape {
  int64_t N, H, I, O;
  bool bias;
  Placement place;
};

std::vector<Shape> shapes() {
  const Placement dense{0, 0}, apart{8, 16}, crooked{1, 3};
  return {
      {1, 1, 1, 1, true, dense},      {3, 4, 2, 2, true, dense},
      {17, 8, 4, 4, true, apart},     {1000, 32, 4, 4, false, dense},
      {70, 6, 8, 8, true, dense},     {70, 3, 4, 4, true, dense},
      {45, 8, 4, 4, true, crooked},   {33, 2, 16, 16, true, dense},
      {130, 3, 40, 24, true, apart},  {65, 2, 100, 72, true, dense},
      {64, 4, 64, 64, true, dense},   {300, 2, 128, 192, false, dense},
      {77, 3, 33, 19, true, crooked}, {1300, 2, 96, 80, true, dense},
      {2, 2, 5, 0, true, dense},      {5, 2, 0, 3, true, dense},
  };
}

struct Values {
  std::vector<double> x, W, bias, dy;
  Values(const Shape& s, const Types& t)
      : x(rounded(normal(s.N * s.H * s.I, 1), t.dtype)),
        W(rounded(normal(s.H * s.O * s.I, 2), t.weights)),
        bias(rounded(normal(s.H * s.O, 3), t.weights)),
        dy(rounded(normal(s.N * s.H * s.O, 4), t.dtype)) {}
};

struct Results {
  std::vector<double> y, dx, dW, dbias;
};

template <class Args>
void fill(Args& a, const Shape& s) {
  a.N = s.N, a.H = s.H, a.I = s.I, a.O = s.O;
}

Results on_host(const Shape& s, const Values& v) {
  Results r{std::vector<double>(v.dy.size()), std::vector<double>(v.x.size()),
            std::vector<double>(v.W.size()), std::vector<double>(v.bias.size())};
  xlstm_headwise_linear_fwd_args f{};
  xlstm_headwise_linear_bwd_args b{};
  f.dtype = f.weight_dtype = b.dtype = b.weight_dtype = XLSTM_F64;
  fill(f, s), fill(b, s);
  f.x = b.x = v.x.data(), f.W = b.W = v.W.data();
  f.bias = s.bias ? v.bias.data() : nullptr;
  f.y = r.y.data(), b.dy = v.dy.data(), b.dx = r.dx.data();
  b.dW = r.dW.data(), b.dbias = r.dbias.data();
  f.x_stride_n = b.x_stride_n = b.dx_stride_n = s.H * s.I;
  f.y_stride_n = b.dy_stride_n = s.H * s.O;
  REQUIRE(run_on_host(xlstm_headwise_linear_fwd_cpu, xlstm_headwise_linear_fwd_workspace_cpu, f) ==
          XLSTM_OK);
  REQUIRE(run_on_host(xlstm_headwise_linear_bwd_cpu, xlstm_headwise_linear_bwd_workspace_cpu, b) ==
          XLSTM_OK);
  return r;
}

struct OnDevice {
  Matrix x, dy, y, dx;
  DeviceArray W, bias, dW, dbias;
  xlstm_headwise_linear_fwd_args f{};
  xlstm_headwise_linear_bwd_args b{};
  OnDevice(const Shape& s, const Types& t, const Values& v)
      : x(v.x, s.N, s.H * s.I, t.dtype, s.place),
        dy(v.dy, s.N, s.H * s.O, t.dtype, s.place),
        y(s.N, s.H * s.O, t.dtype, s.place),
        dx(s.N, s.H * s.I, t.dtype, s.place),
        W(v.W, t.weights),
        bias(v.bias, t.weights),
        dW(s.H * s.O * s.I, t.weights),
        dbias(s.H * s.O, t.weights) {
    f.dtype = b.dtype = t.dtype;
    f.weight_dtype = b.weight_dtype = t.weights;
    fill(f, s), fill(b, s);
    f.x = b.x = x.get(), f.y = y.get(), b.dy = dy.get(), b.dx = dx.get();
    f.x_stride_n = b.x_stride_n = b.dx_stride_n = x.stride();
    f.y_stride_n = b.dy_stride_n = y.stride();
    f.W = b.W = W;
    f.bias = s.bias ? bias.get() : nullptr;
    b.dW = dW, b.dbias = dbias;
  }
  xlstm_status forward() const {
    return run_on_device(xlstm_headwise_linear_fwd_cuda, xlstm_headwise_linear_fwd_workspace_cuda,
                         f);
  }
  xlstm_status backward() const {
    return run_on_device(xlstm_headwise_linear_bwd_cuda, xlstm_headwise_linear_bwd_workspace_cuda,
                         b);
  }
};

TEST_CASE("headwise linear on CUDA against the CPU in float64") {
  if (!has_cuda_device()) return;
  for (const Types& t : all_types()) {
    for (const Shape& s : shapes()) {
      INFO(to_string(t) << ", N " << s.N << " H " << s.H << " I " << s.I << " O " << s.O);
      const Values v(s, t);
      const Results want = on_host(s, v);
      OnDevice got(s, t, v);
      REQUIRE(got.forward() == XLSTM_OK);
      CHECK(relative_error(got.y.values(), want.y) < forward_tolerance(t.dtype));
      CHECK(got.y.surroundings_intact());
      REQUIRE(got.backward() == XLSTM_OK);
      CHECK(relative_error(got.dx.values(), want.dx) < gradient_tolerance(t.dtype));
      CHECK(got.dx.surroundings_intact());
      CHECK(relative_error(got.dW.values(), want.dW) < gradient_tolerance(t.weights));
      CHECK(relative_error(got.dbias.values(), want.dbias) < gradient_tolerance(t.weights));
    }
  }
}

TEST_CASE("headwise linear on CUDA: single gradients, no rows, the same bits, bad arguments") {
  if (!has_cuda_device()) return;
  const Types t{XLSTM_BF16, XLSTM_F32};
  for (const Shape& s :
       {Shape{2000, 16, 4, 4, true, {0, 0}}, Shape{900, 2, 64, 96, true, {0, 0}}}) {
    INFO("block of " << s.I);
    const Values v(s, t);
    const Results want = on_host(s, v);
    OnDevice got(s, t, v);
    CHECK(same_bits_again([&] { REQUIRE(got.backward() == XLSTM_OK); },
                          {got.dx.memory(), &got.dW, &got.dbias}));
    got.b.dx = got.b.dW = nullptr, got.b.x = nullptr, got.b.W = nullptr;
    got.dbias.poison();
    REQUIRE(got.backward() == XLSTM_OK);
    CHECK(relative_error(got.dbias.values(), want.dbias) < 1e-5);
    OnDevice none(s, t, v);
    none.f.N = none.b.N = 0;
    CHECK(none.forward() == XLSTM_OK);
    CHECK(none.backward() == XLSTM_OK);
    CHECK(none.dW.values() == std::vector<double>(v.W.size(), 0.0));
    CHECK(xlstm_headwise_linear_bwd_cuda(&got.b, {}) == XLSTM_WORKSPACE_TOO_SMALL);
    xlstm_headwise_linear_fwd_args bad = got.f;
    bad.weight_dtype = XLSTM_F16;
    CHECK(xlstm_headwise_linear_fwd_cuda(&bad, {}) == XLSTM_BAD_DTYPE);
    bad = got.f;
    bad.y = nullptr;
    CHECK(xlstm_headwise_linear_fwd_cuda(&bad, {}) == XLSTM_NULL_POINTER);
  }
}

TEST_CASE("time of headwise linear on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  for (const auto& [H, G] : {std::pair<int64_t, int64_t>{512, 4}, {4, 512}, {32, 64}}) {
    const int64_t N = 65536, C = H * G;
    const DeviceArray x = DeviceArray::bytes(N * C * 2), y = DeviceArray::bytes(N * C * 2),
                      dy = DeviceArray::bytes(N * C * 2), W = DeviceArray::bytes(C * G * 4),
                      dW = DeviceArray::bytes(C * G * 4);
    xlstm_headwise_linear_fwd_args f{};
    xlstm_headwise_linear_bwd_args b{};
    f.dtype = b.dtype = XLSTM_BF16;
    f.weight_dtype = b.weight_dtype = XLSTM_F32;
    f.N = b.N = N, f.H = b.H = H, f.I = b.I = f.O = b.O = G;
    f.x = b.x = x, f.W = b.W = W, f.y = y, b.dy = dy, b.dx = y, b.dW = dW;
    f.x_stride_n = f.y_stride_n = b.x_stride_n = b.dy_stride_n = b.dx_stride_n = C;
    const int64_t bytes = xlstm_headwise_linear_bwd_workspace_cuda(&b);
    const DeviceArray workspace = DeviceArray::bytes(bytes);
    const std::string shape = "65536 x " + std::to_string(H) + " blocks of " + std::to_string(G);
    const double array = static_cast<double>(N * C) * 2;
    print_time(("headwise forward " + shape).c_str(),
               median_ms([&] { xlstm_headwise_linear_fwd_cuda(&f, {}); }), 2 * array);
    print_time(("headwise backward " + shape).c_str(), median_ms([&] {
                 xlstm_headwise_linear_bwd_cuda(&b, {nullptr, workspace, bytes, nullptr});
               }),
               3 * array);
  }
}

}  // namespace
}  // namespace xlstm::test
