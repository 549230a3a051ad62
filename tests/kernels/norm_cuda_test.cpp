#include "kernels/norm/norm.h"
#include "tests/kernels/cuda_kernel_case.h"

namespace xlstm::test {
namespace {

struct NormCase {
  int64_t rows, groups, width;
  bool subtract_mean, one_plus, bias;
  Placement place;
  int64_t D() const { return groups * width; }
};

std::vector<NormCase> cases() {
  const Placement dense{0, 0}, apart{8, 24}, crooked{3, 5};
  return {
      {1, 1, 1, false, false, false, dense},
      {3, 1, 7, true, true, true, dense},
      {5, 1, 8, true, false, true, apart},
      {5, 1, 64, true, false, true, dense},
      {17, 3, 24, true, true, false, dense},
      {9, 4, 128, true, false, true, crooked},
      {200, 32, 64, true, true, false, apart},
      {300, 5, 256, true, false, true, dense},
      {33, 1, 768, false, false, false, dense},
      {40, 2, 1024, true, false, true, apart},
      {7, 1, 1032, true, true, true, dense},
      {130, 1, 2048, true, false, false, dense},
      {70, 1, 4096, false, true, false, apart},
      {11, 2, 5000, true, false, true, dense},
      {6, 1, 8200, true, false, true, dense},
      {3, 1, 20000, true, false, true, dense},
      {2, 1, 40001, true, false, true, crooked},
      {9001, 1, 16, true, false, true, dense},
      // What is left of dx when nearly all cancels; rounds and blocks that end early.
      {50, 1, 1, true, false, true, dense},
      {50, 1, 1, false, true, false, dense},
      {70, 3, 2, true, true, true, dense},
      {70, 2, 4, true, false, true, apart},
      {1001, 1, 512, true, false, true, dense},
      {403, 3, 512, true, false, true, dense},
      {259, 3, 1280, true, false, true, dense},
      {77, 2, 2560, true, true, true, apart},
      {1601, 1, 32, false, false, true, dense},
      {2203, 40, 8, true, false, true, dense},
  };
}

// Everything of one case, on the CPU in float64 from values that the types hold.
struct Reference {
  std::vector<double> x, weight, bias, dy, y, mean, rstd, dx, dweight, dbias;
  Reference(const NormCase& c, const Types& types) {
    const auto size = [](int64_t n) { return static_cast<size_t>(n); };
    x = rounded(normal(c.rows * c.D(), 1, 1.5, 2), types.dtype);
    // Of one or two elements next to nothing passes the norm: from dy of about 1 come gradients of
    // 5e-6, which float16 cannot hold to 1 % (its spacing is 6e-8 there).
    dy = rounded(normal(c.rows * c.D(), 2, c.width <= 2 ? 256 : 1), types.dtype);
    weight = rounded(normal(c.D(), 3, 0.5, 1), types.weights);
    bias = rounded(normal(c.D(), 4), types.weights);
    y = dx = std::vector<double>(size(c.rows * c.D()));
    mean = rstd = std::vector<double>(size(c.rows * c.groups));
    dweight = dbias = std::vector<double>(size(c.D()));
    xlstm_norm_fwd_args f{};
    f.dtype = f.weight_dtype = XLSTM_F64;
    fill(f, c);
    f.eps = 1e-5;
    f.x = x.data(), f.x_stride_row = c.D();
    f.weight = weight.data(), f.bias = c.bias ? bias.data() : nullptr;
    f.y = y.data(), f.y_stride_row = c.D();
    f.mean = mean.data(), f.rstd = rstd.data();
    REQUIRE(xlstm_norm_fwd_cpu(&f, {}) == XLSTM_OK);
    xlstm_norm_bwd_args b{};
    b.dtype = b.weight_dtype = XLSTM_F64;
    fill(b, c);
    b.x = x.data(), b.x_stride_row = c.D();
    b.weight = weight.data();
    b.mean = mean.data(), b.rstd = rstd.data();
    b.dy = dy.data(), b.dy_stride_row = c.D();
    b.dx = dx.data(), b.dx_stride_row = c.D();
    b.dweight = dweight.data(), b.dbias = dbias.data();
    REQUIRE(run_on_host(xlstm_norm_bwd_cpu, xlstm_norm_bwd_workspace_cpu, b) == XLSTM_OK);
  }
  template <class Args>
  static void fill(Args& args, const NormCase& c) {
    args.rows = c.rows, args.groups = c.groups, args.width = c.width;
    args.subtract_mean = c.subtract_mean, args.one_plus = c.one_plus;
  }
};

// The same on the device.
struct OnDevice {
  Matrix x, dy, y, dx;
  DeviceArray weight, bias, mean, rstd, dweight, dbias;
  xlstm_norm_fwd_args f{};
  xlstm_norm_bwd_args b{};
  OnDevice(const NormCase& c, const Types& types, const Reference& r)
      : x(r.x, c.rows, c.D(), types.dtype, c.place),
        dy(r.dy, c.rows, c.D(), types.dtype, c.place),
        y(c.rows, c.D(), types.dtype, c.place),
        dx(c.rows, c.D(), types.dtype, c.place),
        weight(r.weight, types.weights),
        bias(r.bias, types.weights),
        mean(c.rows * c.groups, XLSTM_F32),
        rstd(c.rows * c.groups, XLSTM_F32),
        dweight(c.D(), types.weights),
        dbias(c.D(), types.weights) {
    f.dtype = b.dtype = types.dtype;
    f.weight_dtype = b.weight_dtype = types.weights;
    Reference::fill(f, c);
    Reference::fill(b, c);
    f.eps = b.eps = 1e-5;
    f.x = b.x = x.get(), f.x_stride_row = b.x_stride_row = x.stride();
    f.weight = b.weight = weight;
    f.bias = c.bias ? bias.get() : nullptr;
    f.y = y.get(), f.y_stride_row = y.stride();
    f.mean = mean, f.rstd = rstd;
    b.mean = c.subtract_mean ? mean.get() : nullptr;
    b.rstd = rstd;
    b.dy = dy.get(), b.dy_stride_row = dy.stride();
    b.dx = dx.get(), b.dx_stride_row = dx.stride();
    b.dweight = dweight, b.dbias = dbias;
  }
  xlstm_status forward() const { return run_on_device(xlstm_norm_fwd_cuda, f); }
  xlstm_status backward() const {
    return run_on_device(xlstm_norm_bwd_cuda, xlstm_norm_bwd_workspace_cuda, b);
  }
};

TEST_CASE("norms on CUDA against the CPU in float64") {
  if (!has_cuda_device()) return;
  for (const Types& types : all_types()) {
    for (const NormCase& c : cases()) {
      INFO(to_string(types) << ", " << c.rows << " x " << c.groups << " x " << c.width);
      const Reference want(c, types);
      OnDevice got(c, types, want);
      REQUIRE(got.forward() == XLSTM_OK);
      CHECK(relative_error(got.y.values(), want.y) < forward_tolerance(types.dtype));
      CHECK(got.y.surroundings_intact());
      CHECK(relative_error(got.rstd.values(), want.rstd) < 2e-6);
      if (c.subtract_mean) CHECK(relative_error(got.mean.values(), want.mean) < 2e-6);
      REQUIRE(got.backward() == XLSTM_OK);
      CHECK(relative_error(got.dx.values(), want.dx) < gradient_tolerance(types.dtype));
      CHECK(got.dx.surroundings_intact());
      CHECK(relative_error(got.dweight.values(), want.dweight) < gradient_tolerance(types.weights));
      CHECK(relative_error(got.dbias.values(), want.dbias) < gradient_tolerance(types.weights));
    }
  }
}

TEST_CASE("norms on CUDA: in place, single gradients, no rows") {
  if (!has_cuda_device()) return;
  const Types types{XLSTM_BF16, XLSTM_F32};
  for (const NormCase& c : {NormCase{50, 1, 768, true, false, false, {0, 0}},
                            NormCase{50, 4, 64, true, false, false, {1, 2}},
                            NormCase{50, 1, 1025, true, false, false, {0, 0}}}) {
    INFO(c.rows << " x " << c.groups << " x " << c.width);
    const Reference want(c, types);
    OnDevice got(c, types, want);
    REQUIRE(got.forward() == XLSTM_OK);
    xlstm_norm_bwd_args only = got.b;
    only.dx = nullptr, only.dweight = nullptr;
    REQUIRE(run_on_device(xlstm_norm_bwd_cuda, xlstm_norm_bwd_workspace_cuda, only) == XLSTM_OK);
    CHECK(relative_error(got.dbias.values(), want.dbias) < 1e-5);
    got.b.dweight = got.b.dbias = nullptr;
    got.b.dx = got.dy.get();
    REQUIRE(got.backward() == XLSTM_OK);
    CHECK(relative_error(got.dy.values(), want.dx) < 8e-3);
    got.f.y = got.x.get();
    REQUIRE(got.forward() == XLSTM_OK);
    CHECK(relative_error(got.x.values(), want.y) < 4e-3);

    OnDevice none(c, types, want);
    none.f.rows = none.b.rows = 0;
    CHECK(none.forward() == XLSTM_OK);
    CHECK(none.backward() == XLSTM_OK);
    CHECK(none.dweight.values() == std::vector<double>(static_cast<size_t>(c.D()), 0.0));
  }
}

TEST_CASE("float32 norms on CUDA keep digits where the mean is large beside the spread") {
  if (!has_cuda_device()) return;
  const NormCase c{4, 1, 4096, true, false, false, {0, 0}};
  const Types types{XLSTM_F32, XLSTM_F32};
  Reference want(c, types);
  for (double& x : want.x) x = static_cast<double>(static_cast<float>(x + 300));
  xlstm_norm_fwd_args f{};
  f.dtype = f.weight_dtype = XLSTM_F64;
  Reference::fill(f, c);
  f.eps = 1e-5;
  f.x = want.x.data(), f.x_stride_row = f.y_stride_row = c.D();
  f.weight = want.weight.data();
  f.y = want.y.data();
  REQUIRE(xlstm_norm_fwd_cpu(&f, {}) == XLSTM_OK);
  OnDevice got(c, types, want);
  REQUIRE(got.forward() == XLSTM_OK);
  CHECK(max_error(got.y.values(), want.y) < 1e-5);
}

TEST_CASE("norms on CUDA give the same bits every time and name bad arguments") {
  if (!has_cuda_device()) return;
  const Types types{XLSTM_BF16, XLSTM_BF16};
  const NormCase c{3000, 1, 768, true, false, true, {0, 0}};
  const Reference want(c, types);
  OnDevice got(c, types, want);
  REQUIRE(got.forward() == XLSTM_OK);
  CHECK(same_bits_again([&] { REQUIRE(got.backward() == XLSTM_OK); },
                        {got.dx.memory(), &got.dweight, &got.dbias}));
  CHECK(xlstm_norm_bwd_cuda(&got.b, {}) == XLSTM_WORKSPACE_TOO_SMALL);
  xlstm_norm_fwd_args bad = got.f;
  bad.dtype = bad.weight_dtype = XLSTM_F64;
  CHECK(xlstm_norm_fwd_cuda(&bad, {}) == XLSTM_BAD_DTYPE);
  bad = got.f;
  bad.weight_dtype = XLSTM_F16;
  CHECK(xlstm_norm_fwd_cuda(&bad, {}) == XLSTM_BAD_DTYPE);
  bad = got.f;
  bad.x = nullptr;
  CHECK(xlstm_norm_fwd_cuda(&bad, {}) == XLSTM_NULL_POINTER);
}

TEST_CASE("time of norms on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  for (const auto& [groups, width] :
       {std::pair<int64_t, int64_t>{1, 2048}, {1, 768}, {32, 64}, {8, 512}, {1, 4096}}) {
    const int64_t D = groups * width, rows = 65536 * 2048 / D;
    const DeviceArray x = DeviceArray::bytes(rows * D * 2), dy = DeviceArray::bytes(rows * D * 2),
                      y = DeviceArray::bytes(rows * D * 2), weight = DeviceArray::bytes(D * 4),
                      dweight = DeviceArray::bytes(D * 4),
                      mean = DeviceArray::bytes(rows * groups * 4),
                      rstd = DeviceArray::bytes(rows * groups * 4);
    xlstm_norm_fwd_args f{};
    f.dtype = XLSTM_BF16, f.weight_dtype = XLSTM_F32;
    f.rows = rows, f.groups = groups, f.width = width, f.subtract_mean = 1, f.eps = 1e-5;
    f.x = x, f.x_stride_row = D, f.weight = weight, f.y = y, f.y_stride_row = D;
    f.mean = mean, f.rstd = rstd;
    xlstm_norm_bwd_args b{};
    b.dtype = XLSTM_BF16, b.weight_dtype = XLSTM_F32;
    b.rows = rows, b.groups = groups, b.width = width, b.subtract_mean = 1, b.eps = 1e-5;
    b.x = x, b.x_stride_row = D, b.weight = weight, b.mean = mean, b.rstd = rstd;
    b.dy = dy, b.dy_stride_row = D, b.dx = y, b.dx_stride_row = D, b.dweight = dweight;
    const int64_t bytes = xlstm_norm_bwd_workspace_cuda(&b);
    const DeviceArray workspace = DeviceArray::bytes(bytes);
    const std::string shape = std::to_string(rows) + " x " + std::to_string(groups) + " x " +
                              std::to_string(width) + " bf16";
    const double array = static_cast<double>(rows * D) * 2;
    print_time(("norm forward " + shape).c_str(), median_ms([&] { xlstm_norm_fwd_cuda(&f, {}); }),
               2 * array);
    print_time(("norm backward " + shape).c_str(), median_ms([&] {
                 xlstm_norm_bwd_cuda(&b, {nullptr, workspace, bytes, nullptr});
               }),
               3 * array);
  }
}

}  // namespace
}  // namespace xlstm::test
