// Norms of x + residual on CUDA, and gradients that the sum's are added to: against the CPU in
// float64, and bit for bit against the addition and the norm one after the other.
#include "kernels/norm/norm.h"
#include "tests/kernels/cuda_kernel_case.h"

namespace xlstm::test {
namespace {

struct SumCase {
  int64_t rows, groups, width;
  bool subtract_mean, one_plus, bias;
  Placement place;
  int64_t D() const { return groups * width; }
};

// Every path forward and backward: packs that fill their lanes once to sixteen times or in part, a
// block to a row, rows read again, runs of a few elements, rows that lie anyhow.
std::vector<SumCase> cases() {
  const Placement dense{0, 0}, apart{8, 24}, crooked{3, 5};
  return {
      {1, 1, 1, false, false, false, dense},      {3, 1, 7, true, true, true, dense},
      {5, 1, 8, true, false, true, apart},        {50, 3, 2, true, false, true, dense},
      {70, 2, 4, true, false, true, apart},       {9, 4, 128, true, false, true, crooked},
      {200, 32, 64, true, true, false, apart},    {301, 5, 256, true, false, true, dense},
      {1001, 1, 512, true, false, true, dense},   {33, 1, 768, true, true, false, dense},
      {130, 1, 1000, false, false, false, dense}, {41, 2, 1024, true, false, true, apart},
      {7, 1, 1032, true, true, true, dense},      {259, 1, 2048, true, true, false, dense},
      {70, 1, 3000, true, false, true, dense},    {71, 1, 4096, false, false, false, dense},
      {70, 1, 4096, true, true, true, apart},     {11, 2, 5000, true, false, true, dense},
      {6, 1, 8200, true, false, true, dense},     {3, 1, 20000, true, false, true, dense},
      {2, 1, 40001, true, false, true, crooked},  {9001, 1, 16, true, false, true, dense},
  };
}

template <class Args>
void fill(Args& args, const SumCase& c) {
  args.rows = c.rows, args.groups = c.groups, args.width = c.width;
  args.subtract_mean = c.subtract_mean, args.one_plus = c.one_plus;
  args.eps = 1e-5;
}

// Everything of one case, on the CPU in float64 from values that the types hold: the norm of the
// sum as the type holds it.
struct Reference {
  std::vector<double> x, residual, sum, weight, bias, dy, dsum, y, mean, rstd, dx, dweight, dbias;
  Reference(const SumCase& c, const Types& types) {
    const auto size = [](int64_t n) { return static_cast<size_t>(n); };
    const int64_t n = c.rows * c.D();
    x = rounded(normal(n, 1, 1, 1.5), types.dtype);
    residual = rounded(normal(n, 5, 1.5, 0.5), types.dtype);
    sum = x;
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += residual[i];
    sum = rounded(sum, types.dtype);
    dy = rounded(normal(n, 2), types.dtype);
    dsum = rounded(normal(n, 6), types.dtype);
    weight = rounded(normal(c.D(), 3, 0.5, 1), types.weights);
    bias = rounded(normal(c.D(), 4), types.weights);
    y = dx = std::vector<double>(size(n));
    mean = rstd = std::vector<double>(size(c.rows * c.groups));
    dweight = dbias = std::vector<double>(size(c.D()));
    xlstm_norm_fwd_args f{};
    f.dtype = f.weight_dtype = XLSTM_F64;
    fill(f, c);
    f.x = sum.data(), f.x_stride_row = c.D();
    f.weight = weight.data(), f.bias = c.bias ? bias.data() : nullptr;
    f.y = y.data(), f.y_stride_row = c.D();
    f.mean = mean.data(), f.rstd = rstd.data();
    REQUIRE(xlstm_norm_fwd_cpu(&f, {}) == XLSTM_OK);
    xlstm_norm_bwd_args b{};
    b.dtype = b.weight_dtype = XLSTM_F64;
    fill(b, c);
    b.x = sum.data(), b.x_stride_row = c.D();
    b.weight = weight.data();
    b.mean = mean.data(), b.rstd = rstd.data();
    b.dy = dy.data(), b.dy_stride_row = c.D();
    b.dx = dx.data(), b.dx_stride_row = c.D();
    b.dweight = dweight.data(), b.dbias = dbias.data();
    REQUIRE(run_on_host(xlstm_norm_bwd_cpu, xlstm_norm_bwd_workspace_cpu, b) == XLSTM_OK);
    for (size_t i = 0; i < dx.size(); ++i) dx[i] += dsum[i];
  }
};

// The same on the device.
struct OnDevice {
  Matrix x, residual, sum, dy, dsum, y, dx;
  DeviceArray weight, bias, mean, rstd, dweight, dbias;
  xlstm_norm_fwd_args f{};
  xlstm_norm_bwd_args b{};
  OnDevice(const SumCase& c, const Types& types, const Reference& r)
      : x(r.x, c.rows, c.D(), types.dtype, c.place),
        residual(r.residual, c.rows, c.D(), types.dtype, c.place),
        sum(c.rows, c.D(), types.dtype, c.place),
        dy(r.dy, c.rows, c.D(), types.dtype, c.place),
        dsum(r.dsum, c.rows, c.D(), types.dtype, c.place),
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
    fill(f, c);
    fill(b, c);
    f.x = x.get(), f.x_stride_row = x.stride();
    f.residual = residual.get(), f.residual_stride_row = residual.stride();
    f.sum = sum.get(), f.sum_stride_row = sum.stride();
    f.weight = b.weight = weight;
    f.bias = c.bias ? bias.get() : nullptr;
    f.y = y.get(), f.y_stride_row = y.stride();
    f.mean = mean, f.rstd = rstd;
    b.x = sum.get(), b.x_stride_row = sum.stride();
    b.mean = c.subtract_mean ? mean.get() : nullptr;
    b.rstd = rstd;
    b.dy = dy.get(), b.dy_stride_row = dy.stride();
    b.dsum = dsum.get(), b.dsum_stride_row = dsum.stride();
    b.dx = dx.get(), b.dx_stride_row = dx.stride();
    b.dweight = dweight, b.dbias = dbias;
  }
  xlstm_status forward() const { return run_on_device(xlstm_norm_fwd_cuda, f); }
  xlstm_status backward() const {
    return run_on_device(xlstm_norm_bwd_cuda, xlstm_norm_bwd_workspace_cuda, b);
  }
};

TEST_CASE("norms of sums on CUDA against the CPU in float64") {
  if (!has_cuda_device()) return;
  for (const Types& types : all_types()) {
    for (const SumCase& c : cases()) {
      INFO(to_string(types) << ", " << c.rows << " x " << c.groups << " x " << c.width);
      const Reference want(c, types);
      OnDevice got(c, types, want);
      REQUIRE(got.forward() == XLSTM_OK);
      CHECK(got.sum.values() == want.sum);
      CHECK(got.sum.surroundings_intact());
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

TEST_CASE("the norm of a sum on CUDA has the bits of the norm after the addition") {
  if (!has_cuda_device()) return;
  for (const Types& types : all_types()) {
    for (const SumCase& c : cases()) {
      INFO(to_string(types) << ", " << c.rows << " x " << c.groups << " x " << c.width);
      const Reference want(c, types);
      OnDevice fused(c, types, want), apart(c, types, want);
      REQUIRE(fused.forward() == XLSTM_OK);
      REQUIRE(fused.backward() == XLSTM_OK);
      const Matrix sum(want.sum, c.rows, c.D(), types.dtype, c.place);
      apart.f.x = apart.b.x = sum.get();
      apart.f.residual = apart.f.sum = nullptr;
      apart.b.dsum = nullptr;
      REQUIRE(apart.forward() == XLSTM_OK);
      REQUIRE(apart.backward() == XLSTM_OK);
      CHECK(fused.y.values() == apart.y.values());
      CHECK(fused.rstd.values() == apart.rstd.values());
      if (c.subtract_mean) CHECK(fused.mean.values() == apart.mean.values());
      CHECK(fused.dweight.values() == apart.dweight.values());
      CHECK(fused.dbias.values() == apart.dbias.values());
    }
  }
}

TEST_CASE("norms of sums on CUDA: in place, single gradients, no rows") {
  if (!has_cuda_device()) return;
  const Types types{XLSTM_BF16, XLSTM_F32};
  for (const SumCase& c : {SumCase{50, 1, 768, true, false, false, {0, 0}},
                           SumCase{51, 1, 4096, true, false, false, {0, 0}},
                           SumCase{50, 1, 5120, true, false, false, {0, 0}},
                           SumCase{50, 4, 64, true, false, false, {1, 2}},
                           SumCase{50, 1, 1025, true, false, false, {0, 0}}}) {
    INFO(c.rows << " x " << c.groups << " x " << c.width);
    const Reference want(c, types);
    OnDevice got(c, types, want);
    got.f.y = got.residual.get();
    got.f.sum = got.x.get();
    got.b.x = got.x.get();
    REQUIRE(got.forward() == XLSTM_OK);
    CHECK(got.x.values() == want.sum);
    CHECK(relative_error(got.residual.values(), want.y) < forward_tolerance(types.dtype));
    xlstm_norm_bwd_args only = got.b;
    only.dx = nullptr, only.dweight = nullptr;
    REQUIRE(run_on_device(xlstm_norm_bwd_cuda, xlstm_norm_bwd_workspace_cuda, only) == XLSTM_OK);
    CHECK(relative_error(got.dbias.values(), want.dbias) < 1e-5);
    got.b.dweight = got.b.dbias = nullptr;
    got.b.dx = got.dsum.get();
    REQUIRE(got.backward() == XLSTM_OK);
    CHECK(relative_error(got.dsum.values(), want.dx) < gradient_tolerance(types.dtype));

    OnDevice other(c, types, want);
    other.f.y = other.x.get();
    other.f.sum = other.residual.get();
    other.b.x = other.residual.get();
    REQUIRE(other.forward() == XLSTM_OK);
    CHECK(other.residual.values() == want.sum);
    CHECK(relative_error(other.x.values(), want.y) < forward_tolerance(types.dtype));
    other.b.dx = other.dy.get();
    REQUIRE(other.backward() == XLSTM_OK);
    CHECK(relative_error(other.dy.values(), want.dx) < gradient_tolerance(types.dtype));

    OnDevice none(c, types, want);
    none.f.rows = none.b.rows = 0;
    CHECK(none.forward() == XLSTM_OK);
    CHECK(none.backward() == XLSTM_OK);
    CHECK(none.dweight.values() == std::vector<double>(static_cast<size_t>(c.D()), 0.0));
  }
}

TEST_CASE("norms of sums on CUDA give the same bits every time and name bad arguments") {
  if (!has_cuda_device()) return;
  const Types types{XLSTM_BF16, XLSTM_BF16};
  for (const SumCase& c : {SumCase{3000, 1, 768, true, false, true, {0, 0}},
                           SumCase{700, 1, 4096, false, false, true, {0, 0}}}) {
    const Reference want(c, types);
    OnDevice got(c, types, want);
    CHECK(same_bits_again([&] { REQUIRE(got.forward() == XLSTM_OK); },
                          {got.y.memory(), got.sum.memory(), &got.rstd}));
    CHECK(same_bits_again([&] { REQUIRE(got.backward() == XLSTM_OK); },
                          {got.dx.memory(), &got.dweight, &got.dbias}));
    xlstm_norm_fwd_args bad = got.f;
    bad.sum = nullptr;
    CHECK(xlstm_norm_fwd_cuda(&bad, {}) == XLSTM_NULL_POINTER);
    bad = got.f;
    bad.residual = nullptr;
    CHECK(xlstm_norm_fwd_cuda(&bad, {}) == XLSTM_NULL_POINTER);
    bad = got.f;
    bad.sum_stride_row = c.D() - 1;
    CHECK(xlstm_norm_fwd_cuda(&bad, {}) == XLSTM_BAD_STRIDE);
    xlstm_norm_bwd_args worse = got.b;
    worse.dsum_stride_row = -1;
    CHECK(xlstm_norm_bwd_cuda(&worse, {}) == XLSTM_BAD_STRIDE);
  }
}

// Beside what it replaces: see "time of norms on CUDA" and the addition in the elementwise test.
TEST_CASE("time of norms of sums on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  for (const int64_t D : {int64_t{2048}, int64_t{768}, int64_t{1024}, int64_t{4096}}) {
    const int64_t rows = 65536 * 2048 / D;
    const auto array = [&] { return DeviceArray::bytes(rows * D * 2); };
    const DeviceArray x = array(), residual = array(), sum = array(), y = array();
    const DeviceArray weight = DeviceArray::bytes(D * 4), dweight = DeviceArray::bytes(D * 4),
                      rstd = DeviceArray::bytes(rows * 4);
    xlstm_norm_fwd_args f{};
    f.dtype = XLSTM_BF16, f.weight_dtype = XLSTM_F32;
    f.rows = rows, f.groups = 1, f.width = D, f.eps = 1e-6;
    f.x = x, f.residual = residual, f.sum = sum, f.y = y;
    f.x_stride_row = f.residual_stride_row = f.sum_stride_row = f.y_stride_row = D;
    f.weight = weight, f.rstd = rstd;
    xlstm_norm_bwd_args b{};
    b.dtype = XLSTM_BF16, b.weight_dtype = XLSTM_F32;
    b.rows = rows, b.groups = 1, b.width = D, b.eps = 1e-6;
    b.x = x, b.dy = residual, b.dsum = sum, b.dx = y;
    b.x_stride_row = b.dy_stride_row = b.dsum_stride_row = b.dx_stride_row = D;
    b.weight = weight, b.rstd = rstd, b.dweight = dweight;
    const int64_t bytes = xlstm_norm_bwd_workspace_cuda(&b);
    const DeviceArray workspace = DeviceArray::bytes(bytes);
    const std::string shape = std::to_string(rows) + " x " + std::to_string(D) + " bf16";
    const double one = static_cast<double>(rows * D) * 2;
    print_time(("add and RMS norm forward " + shape).c_str(),
               median_ms([&] { xlstm_norm_fwd_cuda(&f, {}); }), 4 * one);
    print_time(("add and RMS norm backward " + shape).c_str(), median_ms([&] {
                 xlstm_norm_bwd_cuda(&b, {nullptr, workspace, bytes, nullptr});
               }),
               4 * one);
  }
}

}  // namespace
}  // namespace xlstm::test
