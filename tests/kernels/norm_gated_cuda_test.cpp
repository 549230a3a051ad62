// Norms with a gate on them on CUDA, against the CPU in float64.
#include <map>

#include "kernels/norm/norm_gated.h"
#include "tests/kernels/cuda_kernel_case.h"

namespace xlstm::test {
namespace {

enum class Beside { nothing, bias, skip };

struct GatedCase {
  int64_t rows, groups, width;
  bool subtract_mean, one_plus, silu;
  Beside beside;
  Placement place;
  int64_t D() const { return groups * width; }
  bool has_skip() const { return beside == Beside::skip; }
};

// Every path forward and backward: packs that fill their lanes once to eight times or in part, rows
// read again, runs of a few elements, rows that lie anyhow, rounds and blocks that end early.
std::vector<GatedCase> cases() {
  const Placement dense{0, 0}, apart{8, 24}, crooked{3, 5};
  const Beside nothing = Beside::nothing, bias = Beside::bias, skip = Beside::skip;
  return {
      {3, 1, 7, true, true, true, skip, dense},
      {5, 1, 8, true, false, false, bias, apart},
      {50, 3, 2, true, false, false, bias, dense},
      {50, 3, 2, true, false, true, skip, dense},
      {70, 2, 4, false, false, false, nothing, apart},
      {9, 4, 128, true, false, false, skip, crooked},
      {301, 32, 64, true, false, false, nothing, dense},
      {2203, 40, 8, true, true, true, skip, dense},
      {403, 3, 384, true, true, true, skip, apart},
      {403, 8, 512, true, false, false, nothing, dense},
      {259, 4, 512, true, true, true, skip, dense},
      {77, 2, 768, true, true, true, skip, dense},
      {101, 4, 1024, true, true, true, skip, apart},
      {41, 2, 1000, false, false, false, bias, dense},
      {130, 1, 2048, true, false, false, skip, dense},
      {70, 1, 2056, true, true, true, skip, dense},
      {11, 2, 5000, true, false, false, bias, dense},
      {3, 1, 20001, true, false, true, skip, crooked},
      {9001, 1, 16, true, false, false, bias, dense},
  };
}

template <class Args>
void fill(Args& args, const GatedCase& c) {
  args.rows = c.rows, args.groups = c.groups, args.width = c.width;
  args.subtract_mean = c.subtract_mean, args.one_plus = c.one_plus;
  args.activation = c.silu ? XLSTM_SILU : XLSTM_SIGMOID;
  args.eps = 1e-5;
}

// Everything of one case, on the CPU in float64 from values that the types hold.
struct Reference {
  std::vector<double> x, gate, skip, dy, weight, shift, y, mean, rstd, dx, dgate, dskip, dweight,
      dshift;
  Reference(const GatedCase& c, const Types& types) {
    const auto size = [](int64_t n) { return static_cast<size_t>(n); };
    const int64_t n = c.rows * c.D();
    x = rounded(normal(n, 1, 1.5, 2), types.dtype);
    gate = rounded(normal(n, 2, 2), types.dtype);
    skip = rounded(normal(n, 3), types.dtype);
    // Of one or two elements next to nothing passes the norm, less than float16 has digits for.
    dy = rounded(normal(n, 4, c.width <= 2 ? 256 : 1), types.dtype);
    weight = rounded(normal(c.D(), 5, 0.5, 1), types.weights);
    shift = rounded(normal(c.D(), 6), types.weights);
    y = dx = dgate = dskip = std::vector<double>(size(n));
    mean = rstd = std::vector<double>(size(c.rows * c.groups));
    dweight = dshift = std::vector<double>(size(c.D()));
    xlstm_norm_gated_fwd_args f{};
    f.dtype = f.weight_dtype = XLSTM_F64;
    fill(f, c);
    f.x = x.data(), f.gate = gate.data(), f.weight = weight.data(), f.y = y.data();
    f.x_stride_row = f.gate_stride_row = f.skip_stride_row = f.y_stride_row = c.D();
    f.mean = mean.data(), f.rstd = rstd.data();
    xlstm_norm_gated_bwd_args b{};
    b.dtype = b.weight_dtype = XLSTM_F64;
    fill(b, c);
    b.x = x.data(), b.gate = gate.data(), b.weight = weight.data(), b.dy = dy.data();
    b.x_stride_row = b.gate_stride_row = b.skip_stride_row = b.dy_stride_row = c.D();
    b.mean = mean.data(), b.rstd = rstd.data();
    b.dx = dx.data(), b.dgate = dgate.data(), b.dweight = dweight.data();
    b.dx_stride_row = b.dgate_stride_row = b.dskip_stride_row = c.D();
    if (c.has_skip()) {
      f.skip = b.skip = skip.data(), f.skip_weight = b.skip_weight = shift.data();
      b.dskip = dskip.data(), b.dskip_weight = dshift.data();
    } else {
      if (c.beside == Beside::bias) f.bias = b.bias = shift.data();
      b.dbias = dshift.data();
    }
    REQUIRE(xlstm_norm_gated_fwd_cpu(&f, {}) == XLSTM_OK);
    REQUIRE(run_on_host(xlstm_norm_gated_bwd_cpu, xlstm_norm_gated_bwd_workspace_cpu, b) ==
            XLSTM_OK);
  }
};

// The same on the device.
struct OnDevice {
  Matrix x, gate, skip, dy, y, dx, dgate, dskip;
  DeviceArray weight, shift, mean, rstd, dweight, dshift, x_dx;
  xlstm_norm_gated_fwd_args f{};
  xlstm_norm_gated_bwd_args b{};
  OnDevice(const GatedCase& c, const Types& types, const Reference& r)
      : x(r.x, c.rows, c.D(), types.dtype, c.place),
        gate(r.gate, c.rows, c.D(), types.dtype, c.place),
        skip(r.skip, c.rows, c.D(), types.dtype, c.place),
        dy(r.dy, c.rows, c.D(), types.dtype, c.place),
        y(c.rows, c.D(), types.dtype, c.place),
        dx(c.rows, c.D(), types.dtype, c.place),
        dgate(c.rows, c.D(), types.dtype, c.place),
        dskip(c.rows, c.D(), types.dtype, c.place),
        weight(r.weight, types.weights),
        shift(r.shift, types.weights),
        mean(c.rows * c.groups, XLSTM_F32),
        rstd(c.rows * c.groups, XLSTM_F32),
        dweight(c.D(), types.weights),
        dshift(c.D(), types.weights),
        x_dx(c.rows * c.groups, XLSTM_F32) {
    f.dtype = b.dtype = types.dtype;
    f.weight_dtype = b.weight_dtype = types.weights;
    fill(f, c);
    fill(b, c);
    f.x = b.x = x.get(), f.x_stride_row = b.x_stride_row = x.stride();
    f.gate = b.gate = gate.get(), f.gate_stride_row = b.gate_stride_row = gate.stride();
    f.skip_stride_row = b.skip_stride_row = skip.stride();
    f.weight = b.weight = weight;
    f.y = y.get(), f.y_stride_row = y.stride();
    f.mean = mean, f.rstd = rstd;
    b.mean = c.subtract_mean ? mean.get() : nullptr;
    b.rstd = rstd;
    b.dy = dy.get(), b.dy_stride_row = dy.stride();
    b.dx = dx.get(), b.dx_stride_row = dx.stride();
    b.dgate = dgate.get(), b.dgate_stride_row = dgate.stride();
    b.dskip_stride_row = dskip.stride();
    b.dweight = dweight;
    b.x_dx = x_dx;
    if (c.has_skip()) {
      f.skip = b.skip = skip.get(), f.skip_weight = b.skip_weight = shift;
      b.dskip = dskip.get(), b.dskip_weight = dshift;
    } else {
      if (c.beside == Beside::bias) f.bias = b.bias = shift;
      b.dbias = dshift;
    }
  }
  xlstm_status forward() const { return run_on_device(xlstm_norm_gated_fwd_cuda, f); }
  xlstm_status backward() const {
    return run_on_device(xlstm_norm_gated_bwd_cuda, xlstm_norm_gated_bwd_workspace_cuda, b);
  }
};

void check_gradients(OnDevice& got, const Reference& want, const GatedCase& c, const Types& types) {
  const double matrices = gradient_tolerance(types.dtype), sums = gradient_tolerance(types.weights);
  CHECK(relative_error(got.dx.values(), want.dx) < matrices);
  CHECK(relative_error(got.dgate.values(), want.dgate) < matrices);
  CHECK(got.dx.surroundings_intact());
  CHECK(got.dgate.surroundings_intact());
  if (c.has_skip()) {
    CHECK(relative_error(got.dskip.values(), want.dskip) < matrices);
    CHECK(got.dskip.surroundings_intact());
  }
  // <x, dx> of the gradient as it was rounded; of many terms little may be left.
  const std::vector<double> dx = got.dx.values(), x_dx = got.x_dx.values();
  for (size_t run = 0; run < x_dx.size(); ++run) {
    double sum = 0, size = 0;
    for (size_t i = run * static_cast<size_t>(c.width);
         i < (run + 1) * static_cast<size_t>(c.width); ++i) {
      sum += want.x[i] * dx[i];
      size += std::abs(want.x[i] * dx[i]);
    }
    CHECK(std::abs(x_dx[run] - sum) <= 1e-6 * size);
  }
  CHECK(relative_error(got.dweight.values(), want.dweight) < sums);
  CHECK(relative_error(got.dshift.values(), want.dshift) < sums);
}

TEST_CASE("gated norms on CUDA against the CPU in float64") {
  if (!has_cuda_device()) return;
  for (const Types& types : all_types()) {
    for (const GatedCase& c : cases()) {
      INFO(to_string(types) << ", " << c.rows << " x " << c.groups << " x " << c.width);
      const Reference want(c, types);
      OnDevice got(c, types, want);
      REQUIRE(got.forward() == XLSTM_OK);
      CHECK(relative_error(got.y.values(), want.y) < forward_tolerance(types.dtype));
      CHECK(got.y.surroundings_intact());
      CHECK(relative_error(got.rstd.values(), want.rstd) < 2e-6);
      if (c.subtract_mean) CHECK(relative_error(got.mean.values(), want.mean) < 2e-6);
      REQUIRE(got.backward() == XLSTM_OK);
      check_gradients(got, want, c, types);
    }
  }
}

TEST_CASE("gated norms on CUDA: in place, single gradients, no rows") {
  if (!has_cuda_device()) return;
  const Types types{XLSTM_BF16, XLSTM_F32};
  for (const GatedCase& c : {GatedCase{50, 2, 384, true, true, true, Beside::skip, {0, 0}},
                             GatedCase{50, 4, 512, true, false, false, Beside::skip, {0, 0}},
                             GatedCase{50, 4, 64, true, false, true, Beside::skip, {1, 2}},
                             GatedCase{50, 1, 1025, true, false, false, Beside::skip, {0, 0}},
                             GatedCase{50, 3, 3, true, false, false, Beside::skip, {0, 0}}}) {
    INFO(c.rows << " x " << c.groups << " x " << c.width);
    const Reference want(c, types);
    OnDevice got(c, types, want);
    REQUIRE(got.forward() == XLSTM_OK);
    // Each alone, the others null.
    const auto only = [&](auto keep) {
      xlstm_norm_gated_bwd_args one = got.b;
      one.dx = one.dgate = one.dskip = one.dweight = one.dskip_weight = one.x_dx = nullptr;
      keep(one);
      REQUIRE(run_on_device(xlstm_norm_gated_bwd_cuda, xlstm_norm_gated_bwd_workspace_cuda, one) ==
              XLSTM_OK);
    };
    only([&](auto& one) { one.dx = got.b.dx; });
    only([&](auto& one) { one.dx = got.b.dx, one.x_dx = got.b.x_dx; });
    only([&](auto& one) { one.dgate = got.b.dgate; });
    only([&](auto& one) { one.dskip = got.b.dskip; });
    only([&](auto& one) { one.dweight = got.b.dweight; });
    only([&](auto& one) { one.dskip_weight = got.b.dskip_weight; });
    check_gradients(got, want, c, types);

    const double tolerance = gradient_tolerance(types.dtype);
    OnDevice over(c, types, want);
    REQUIRE(over.forward() == XLSTM_OK);
    over.b.x_dx = nullptr;
    over.b.dx = over.x.get();
    over.b.dgate = over.dy.get();
    over.b.dskip = over.skip.get();
    REQUIRE(over.backward() == XLSTM_OK);
    CHECK(relative_error(over.x.values(), want.dx) < tolerance);
    CHECK(relative_error(over.dy.values(), want.dgate) < tolerance);
    CHECK(relative_error(over.skip.values(), want.dskip) < tolerance);
    for (const auto y : {&OnDevice::x, &OnDevice::gate, &OnDevice::skip}) {
      OnDevice in_place(c, types, want);
      in_place.f.y = (in_place.*y).get();
      REQUIRE(in_place.forward() == XLSTM_OK);
      CHECK(relative_error((in_place.*y).values(), want.y) < forward_tolerance(types.dtype));
    }

    OnDevice none(c, types, want);
    none.f.rows = none.b.rows = 0;
    CHECK(none.forward() == XLSTM_OK);
    CHECK(none.backward() == XLSTM_OK);
    const std::vector<double> zeros(static_cast<size_t>(c.D()), 0.0);
    CHECK(none.dweight.values() == zeros);
    CHECK(none.dshift.values() == zeros);
  }
}

TEST_CASE("gated norms on CUDA give the same bits every time and name bad arguments") {
  if (!has_cuda_device()) return;
  const Types types{XLSTM_BF16, XLSTM_BF16};
  const GatedCase c{3000, 4, 384, true, true, true, Beside::skip, {0, 0}};
  const Reference want(c, types);
  OnDevice got(c, types, want);
  CHECK(same_bits_again([&] { REQUIRE(got.forward() == XLSTM_OK); },
                        {got.y.memory(), &got.mean, &got.rstd}));
  CHECK(same_bits_again([&] { REQUIRE(got.backward() == XLSTM_OK); },
                        {got.dx.memory(), got.dgate.memory(), got.dskip.memory(), &got.dweight,
                         &got.dshift, &got.x_dx}));
  CHECK(xlstm_norm_gated_bwd_cuda(&got.b, {}) == XLSTM_WORKSPACE_TOO_SMALL);
  xlstm_norm_gated_fwd_args bad = got.f;
  bad.dtype = bad.weight_dtype = XLSTM_F64;
  CHECK(xlstm_norm_gated_fwd_cuda(&bad, {}) == XLSTM_BAD_DTYPE);
  bad = got.f;
  bad.activation = XLSTM_GELU;
  CHECK(xlstm_norm_gated_fwd_cuda(&bad, {}) == XLSTM_BAD_VALUE);
  bad = got.f;
  bad.gate = nullptr;
  CHECK(xlstm_norm_gated_fwd_cuda(&bad, {}) == XLSTM_NULL_POINTER);
  bad = got.f;
  bad.skip = nullptr;
  CHECK(xlstm_norm_gated_fwd_cuda(&bad, {}) == XLSTM_NULL_POINTER);
}

TEST_CASE("time of gated norms on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  const auto time = [](int64_t groups, int64_t width, bool skips) {
    const int64_t D = groups * width, rows = 65536 * 2048 / D;
    std::map<std::string, DeviceArray> arrays;
    for (const char* name : {"x", "gate", "skip", "dy", "y", "dgate", "dskip"})
      arrays.emplace(name, DeviceArray::bytes(rows * D * 2));
    const auto at = [&](const char* name) { return arrays.at(name).get(); };
    const DeviceArray weight = DeviceArray::bytes(D * 4), dweight = DeviceArray::bytes(D * 4),
                      dshift = DeviceArray::bytes(D * 4),
                      mean = DeviceArray::bytes(rows * groups * 4),
                      rstd = DeviceArray::bytes(rows * groups * 4);
    xlstm_norm_gated_fwd_args f{};
    f.dtype = XLSTM_BF16, f.weight_dtype = XLSTM_F32;
    f.rows = rows, f.groups = groups, f.width = width, f.subtract_mean = 1, f.eps = 1e-5;
    f.activation = skips ? XLSTM_SILU : XLSTM_SIGMOID;
    f.x = at("x"), f.gate = at("gate"), f.weight = weight, f.y = at("y");
    f.x_stride_row = f.gate_stride_row = f.skip_stride_row = f.y_stride_row = D;
    f.mean = mean, f.rstd = rstd;
    xlstm_norm_gated_bwd_args b{};
    b.dtype = XLSTM_BF16, b.weight_dtype = XLSTM_F32;
    b.rows = rows, b.groups = groups, b.width = width, b.subtract_mean = 1, b.eps = 1e-5;
    b.activation = f.activation;
    b.x = at("x"), b.gate = at("gate"), b.weight = weight, b.dy = at("dy");
    b.x_stride_row = b.gate_stride_row = b.skip_stride_row = b.dy_stride_row = D;
    b.mean = mean, b.rstd = rstd;
    b.dx = at("y"), b.dgate = at("dgate"), b.dweight = dweight;
    b.dx_stride_row = b.dgate_stride_row = b.dskip_stride_row = D;
    if (skips) {
      f.skip = b.skip = at("skip"), f.skip_weight = b.skip_weight = weight;
      b.dskip = at("dskip"), b.dskip_weight = dshift;
    }
    const int64_t bytes = xlstm_norm_gated_bwd_workspace_cuda(&b);
    const DeviceArray workspace = DeviceArray::bytes(bytes);
    const std::string shape = std::to_string(rows) + " x " + std::to_string(groups) + " x " +
                              std::to_string(width) + " bf16";
    const std::string kind = skips ? "norm, skip, SiLU gate " : "norm, sigmoid gate ";
    const double array = static_cast<double>(rows * D) * 2;
    print_time((kind + "forward " + shape).c_str(),
               median_ms([&] { xlstm_norm_gated_fwd_cuda(&f, {}); }), (skips ? 4 : 3) * array);
    print_time((kind + "backward " + shape).c_str(), median_ms([&] {
                 xlstm_norm_gated_bwd_cuda(&b, {nullptr, workspace, bytes, nullptr});
               }),
               (skips ? 7 : 5) * array);
  };
  for (const auto& [groups, width] : {std::pair<int64_t, int64_t>{8, 512}, {4, 512}, {32, 64}})
    time(groups, width, false);
  for (const auto& [groups, width] :
       {std::pair<int64_t, int64_t>{4, 512}, {4, 384}, {4, 768}, {4, 1024}})
    time(groups, width, true);
}

}  // namespace
}  // namespace xlstm::test
