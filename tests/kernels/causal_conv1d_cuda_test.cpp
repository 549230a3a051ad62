#include "kernels/causal_conv1d/causal_conv1d.h"
#include "tests/kernels/cuda_kernel_case.h"

namespace xlstm::test {
namespace {

struct ConvCase {
  int64_t B, T, C, KS;
  bool silu, bias, state, resets;
  Placement place;
};

std::vector<ConvCase> cases() {
  const Placement dense{0, 0}, apart{8, 16}, crooked{1, 3};
  return {
      {1, 1, 1, 4, true, true, true, false, dense},
      {2, 3, 8, 4, true, true, true, false, dense},
      {1, 2, 16, 4, false, true, false, true, dense},
      {3, 17, 40, 4, true, true, true, true, apart},
      {2, 130, 24, 4, true, false, true, true, dense},
      {1, 300, 1032, 4, true, true, false, true, apart},
      {2, 64, 512, 4, true, true, true, false, dense},
      {1, 300, 1030, 4, true, true, true, false, dense},
      {2, 1100, 130, 4, false, true, true, true, apart},
      {3, 35, 72, 4, true, true, true, true, dense},
      {5, 33, 136, 4, true, true, true, false, apart},
      {2, 37, 7, 4, true, true, true, true, crooked},
      {2, 37, 64, 4, true, true, true, true, crooked},
      {2, 9, 16, 1, true, true, false, true, dense},
      {2, 11, 24, 2, false, true, true, true, dense},
      {1, 40, 33, 7, true, true, true, true, dense},
      {3, 513, 2048, 4, true, true, true, true, dense},
      {2, 3, 8, 9, true, true, true, true, dense},
  };
}

struct Values {
  std::vector<double> x, weight, bias, state, dy, dstate_final;
  std::vector<uint8_t> reset;
  Values(const ConvCase& c, const Types& t)
      : x(rounded(normal(c.B * c.T * c.C, 1), t.dtype)),
        weight(rounded(normal(c.C * c.KS, 2, 0.6), t.weights)),
        bias(rounded(normal(c.C, 3), t.weights)),
        state(rounded(normal(c.B * (c.KS - 1) * c.C, 4), t.dtype)),
        dy(rounded(normal(c.B * c.T * c.C, 5), t.dtype)),
        dstate_final(rounded(normal(c.B * (c.KS - 1) * c.C, 6), t.dtype)) {
    // Long rows also have stretches without a start.
    const int64_t apart = c.T < 200 ? 6 : 61;
    for (int64_t i = 0; i < c.B * c.T; ++i)
      reset.push_back(c.resets && (i * 7 + i / 5) % apart == 0 ? 1 : 0);
  }
};

template <class Args>
void fill(Args& a, const ConvCase& c) {
  a.B = c.B, a.T = c.T, a.C = c.C, a.KS = c.KS, a.silu = c.silu;
}

struct Results {
  std::vector<double> y, state_final, dx, dweight, dbias, dstate_init;
};

Results on_host(const ConvCase& c, Values v) {
  Results r;
  r.y = r.dx = std::vector<double>(v.x.size());
  r.state_final = r.dstate_init = std::vector<double>(v.state.size());
  r.dweight = std::vector<double>(v.weight.size());
  r.dbias = std::vector<double>(v.bias.size());
  xlstm_causal_conv1d_fwd_args f{};
  xlstm_causal_conv1d_bwd_args b{};
  f.dtype = f.weight_dtype = b.dtype = b.weight_dtype = XLSTM_F64;
  fill(f, c), fill(b, c);
  f.x = b.x = v.x.data();
  f.x_stride_b = f.y_stride_b = b.x_stride_b = b.dy_stride_b = b.dx_stride_b = c.T * c.C;
  f.x_stride_t = f.y_stride_t = b.x_stride_t = b.dy_stride_t = b.dx_stride_t = c.C;
  f.weight = b.weight = v.weight.data();
  f.bias = b.bias = c.bias ? v.bias.data() : nullptr;
  f.state_init = b.state_init = c.state ? v.state.data() : nullptr;
  f.reset = b.reset = c.resets ? v.reset.data() : nullptr;
  f.y = r.y.data(), f.state_final = r.state_final.data();
  b.dy = v.dy.data();
  b.dstate_final = c.state ? v.dstate_final.data() : nullptr;
  b.dx = r.dx.data(), b.dweight = r.dweight.data(), b.dbias = r.dbias.data();
  b.dstate_init = r.dstate_init.data();
  REQUIRE(run_on_host(xlstm_causal_conv1d_fwd_cpu, xlstm_causal_conv1d_fwd_workspace_cpu, f) ==
          XLSTM_OK);
  REQUIRE(run_on_host(xlstm_causal_conv1d_bwd_cpu, xlstm_causal_conv1d_bwd_workspace_cpu, b) ==
          XLSTM_OK);
  return r;
}

struct OnDevice {
  Matrix x, dy, y, dx;
  DeviceArray weight, bias, state, dstate_final, reset, state_final, dweight, dbias, dstate_init;
  xlstm_causal_conv1d_fwd_args f{};
  xlstm_causal_conv1d_bwd_args b{};
  OnDevice(const ConvCase& c, const Types& t, const Values& v)
      : x(v.x, c.B * c.T, c.C, t.dtype, c.place),
        dy(v.dy, c.B * c.T, c.C, t.dtype, c.place),
        y(c.B * c.T, c.C, t.dtype, c.place),
        dx(c.B * c.T, c.C, t.dtype, c.place),
        weight(v.weight, t.weights),
        bias(v.bias, t.weights),
        state(v.state, t.dtype),
        dstate_final(v.dstate_final, t.dtype),
        reset(DeviceArray::of(v.reset)),
        state_final(c.B * (c.KS - 1) * c.C, t.dtype),
        dweight(c.C * c.KS, t.weights),
        dbias(c.C, t.weights),
        dstate_init(c.B * (c.KS - 1) * c.C, t.dtype) {
    f.dtype = b.dtype = t.dtype;
    f.weight_dtype = b.weight_dtype = t.weights;
    fill(f, c), fill(b, c);
    f.x = b.x = x.get(), f.y = y.get(), b.dy = dy.get(), b.dx = dx.get();
    f.x_stride_t = f.y_stride_t = b.x_stride_t = b.dy_stride_t = b.dx_stride_t = x.stride();
    f.x_stride_b = f.y_stride_b = b.x_stride_b = b.dy_stride_b = b.dx_stride_b = c.T * x.stride();
    f.weight = b.weight = weight;
    f.bias = b.bias = c.bias ? bias.get() : nullptr;
    f.state_init = b.state_init = c.state ? state.get() : nullptr;
    f.reset = b.reset = c.resets ? static_cast<const uint8_t*>(reset.get()) : nullptr;
    f.state_final = state_final;
    b.dstate_final = c.state ? dstate_final.get() : nullptr;
    b.dweight = dweight, b.dbias = dbias, b.dstate_init = dstate_init;
  }
  xlstm_status forward() const {
    return run_on_device(xlstm_causal_conv1d_fwd_cuda, xlstm_causal_conv1d_fwd_workspace_cuda, f);
  }
  xlstm_status backward() const {
    return run_on_device(xlstm_causal_conv1d_bwd_cuda, xlstm_causal_conv1d_bwd_workspace_cuda, b);
  }
};

void check_against_host(const ConvCase& c, const Types& t) {
  INFO(to_string(t) << ", B " << c.B << " T " << c.T << " C " << c.C << " KS " << c.KS << " before "
                    << c.place.before);
  const Values v(c, t);
  const Results want = on_host(c, v);
  OnDevice got(c, t, v);
  REQUIRE(got.forward() == XLSTM_OK);
  CHECK(relative_error(got.y.values(), want.y) < forward_tolerance(t.dtype));
  CHECK(got.y.surroundings_intact());
  CHECK(got.state_final.values() == want.state_final);
  REQUIRE(got.backward() == XLSTM_OK);
  CHECK(relative_error(got.dx.values(), want.dx) < gradient_tolerance(t.dtype));
  CHECK(got.dx.surroundings_intact());
  CHECK(relative_error(got.dstate_init.values(), want.dstate_init) < gradient_tolerance(t.dtype));
  CHECK(relative_error(got.dweight.values(), want.dweight) < gradient_tolerance(t.weights));
  CHECK(relative_error(got.dbias.values(), want.dbias) < gradient_tolerance(t.weights));
}

TEST_CASE("the causal convolution on CUDA against the CPU in float64") {
  if (!has_cuda_device()) return;
  for (const Types& t : all_types())
    for (const ConvCase& c : cases()) check_against_host(c, t);
}

TEST_CASE("the causal convolution on CUDA against the CPU: runs of more than 32 steps") {
  if (!has_cuda_device()) return;
  // Runs are as long only where there are many channels.
  check_against_host({64, 41, 8192, 4, true, true, true, true, {0, 0}}, {XLSTM_BF16, XLSTM_F32});
}

TEST_CASE("the causal convolution on CUDA: single gradients, no dy, no steps") {
  if (!has_cuda_device()) return;
  const Types t{XLSTM_BF16, XLSTM_F32};
  const ConvCase c{2, 70, 64, 4, true, true, true, true, {0, 0}};
  const Values v(c, t);
  const Results want = on_host(c, v);
  OnDevice got(c, t, v);
  OnDevice only(c, t, v);
  only.b.dx = only.b.dweight = only.b.dstate_init = nullptr;
  REQUIRE(only.backward() == XLSTM_OK);
  CHECK(relative_error(only.dbias.values(), want.dbias) < 1e-5);
  only.b.dbias = nullptr, only.b.dx = only.dx.get();
  REQUIRE(only.backward() == XLSTM_OK);
  CHECK(relative_error(only.dx.values(), want.dx) < 8e-3);
  // Without dy only the final state's gradient flows.
  got.b.dy = nullptr;
  REQUIRE(got.backward() == XLSTM_OK);
  CHECK(got.dbias.values() == std::vector<double>(static_cast<size_t>(c.C), 0.0));
  const std::vector<double> dx = got.dx.values();
  double sum = 0;
  for (size_t i = 0; i < dx.size(); ++i) sum += std::abs(dx[i]);
  CHECK(sum > 0);
  CHECK(std::isfinite(sum));
  // Without steps the final state is the initial one.
  const ConvCase none{2, 0, 64, 4, true, true, true, false, {0, 0}};
  const Values empty(none, t);
  OnDevice still(none, t, empty);
  REQUIRE(still.forward() == XLSTM_OK);
  CHECK(still.state_final.values() == empty.state);
  REQUIRE(still.backward() == XLSTM_OK);
  CHECK(still.dstate_init.values() == empty.dstate_final);
  CHECK(still.dweight.values() == std::vector<double>(empty.weight.size(), 0.0));
}

TEST_CASE("the causal convolution on CUDA gives the same bits every time, names bad arguments") {
  if (!has_cuda_device()) return;
  const Types t{XLSTM_BF16, XLSTM_F32};
  const ConvCase c{4, 700, 512, 4, true, true, true, true, {0, 0}};
  OnDevice got(c, t, Values(c, t));
  CHECK(same_bits_again([&] { REQUIRE(got.backward() == XLSTM_OK); },
                        {got.dx.memory(), &got.dweight, &got.dbias, &got.dstate_init}));
  CHECK(same_bits_again([&] { REQUIRE(got.forward() == XLSTM_OK); },
                        {got.y.memory(), &got.state_final}));
  CHECK(xlstm_causal_conv1d_bwd_cuda(&got.b, {}) == XLSTM_WORKSPACE_TOO_SMALL);
  xlstm_causal_conv1d_fwd_args bad = got.f;
  bad.weight_dtype = XLSTM_F64;
  CHECK(xlstm_causal_conv1d_fwd_cuda(&bad, {}) == XLSTM_BAD_DTYPE);
  bad = got.f;
  bad.silu = 2;
  CHECK(xlstm_causal_conv1d_fwd_cuda(&bad, {}) == XLSTM_BAD_VALUE);
  bad = got.f;
  bad.weight = nullptr;
  CHECK(xlstm_causal_conv1d_fwd_cuda(&bad, {}) == XLSTM_NULL_POINTER);
}

TEST_CASE("time of the causal convolution on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  for (const auto& [B, T] : {std::pair<int64_t, int64_t>{32, 2048}, {8, 8192}, {1, 65536}}) {
    const int64_t C = 2048, n = B * T * C;
    const DeviceArray x = DeviceArray::bytes(n * 2), y = DeviceArray::bytes(n * 2),
                      dy = DeviceArray::bytes(n * 2), weight = DeviceArray::bytes(C * 16),
                      bias = DeviceArray::bytes(C * 4), dweight = DeviceArray::bytes(C * 16),
                      dbias = DeviceArray::bytes(C * 4);
    xlstm_causal_conv1d_fwd_args f{};
    xlstm_causal_conv1d_bwd_args b{};
    f.dtype = b.dtype = XLSTM_BF16;
    f.weight_dtype = b.weight_dtype = XLSTM_F32;
    f.B = b.B = B, f.T = b.T = T, f.C = b.C = C, f.KS = b.KS = 4, f.silu = b.silu = 1;
    f.x = b.x = x, f.y = y, b.dy = dy, b.dx = y;
    f.weight = b.weight = weight, f.bias = b.bias = bias, b.dweight = dweight, b.dbias = dbias;
    f.x_stride_t = f.y_stride_t = b.x_stride_t = b.dy_stride_t = b.dx_stride_t = C;
    f.x_stride_b = f.y_stride_b = b.x_stride_b = b.dy_stride_b = b.dx_stride_b = T * C;
    const int64_t bytes = xlstm_causal_conv1d_bwd_workspace_cuda(&b);
    const DeviceArray workspace = DeviceArray::bytes(bytes);
    const std::string shape =
        std::to_string(B) + " x " + std::to_string(T) + " x 2048, 4 taps, bf16";
    const double array = static_cast<double>(n) * 2;
    print_time(("conv forward " + shape).c_str(),
               median_ms([&] { xlstm_causal_conv1d_fwd_cuda(&f, {}); }), 2 * array);
    print_time(("conv backward " + shape).c_str(), median_ms([&] {
                 xlstm_causal_conv1d_bwd_cuda(&b, {nullptr, workspace, bytes, nullptr});
               }),
               3 * array);
  }
}

}  // namespace
}  // namespace xlstm::test
