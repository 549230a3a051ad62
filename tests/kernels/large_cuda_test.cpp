// Arrays of more than 2^31 elements: a row, a head or a chunk of sequences is repeated all over
// them, and a few places far apart, on either side of 2^31, are compared with the CPU in float64.
// The hidden cases [.large] need up to 21 GB of device memory; those beside them run the same
// checks on small arrays.
#include <algorithm>
#include <array>

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/norm/norm.h"
#include "tests/kernels/cuda_kernel_case.h"
#include "tests/kernels/mlstm_case.h"

namespace xlstm::test {
namespace {

constexpr xlstm_dtype kType = XLSTM_BF16;
constexpr int64_t kSize = 2;
constexpr int64_t k31 = int64_t{1} << 31;

// Whether the case can run: says why if not.
bool has_room_for(double gigabytes) {
  if (!has_cuda_device()) return false;
  size_t free = 0, total = 0;
  check_cuda(cudaMemGetInfo(&free, &total), "memory");
  const double here = static_cast<double>(free) * 1e-9;
  if (here > gigabytes) return true;
  skipped("needs " + std::to_string(static_cast<int>(gigabytes)) + " GB of device memory, " +
          std::to_string(static_cast<int>(here)) + " are free");
  return false;
}

// n elements, those of the block over and over.
DeviceArray repeated(const std::vector<double>& block, int64_t n, xlstm_dtype dtype = kType) {
  const DeviceArray first(block, dtype);
  const int64_t size = size_of(dtype);
  DeviceArray all = DeviceArray::bytes(n * size);
  const auto copy = [&](int64_t to, const void* from, int64_t count) {
    check_cuda(cudaMemcpy(static_cast<char*>(all.get()) + to * size, from,
                          static_cast<size_t>(count * size), cudaMemcpyDeviceToDevice),
               "copy");
  };
  int64_t done = std::min(n, static_cast<int64_t>(block.size()));
  copy(0, first.get(), done);
  for (int64_t step = 0; done < n; done += step) {
    step = std::min(done, n - done);
    copy(done, all.get(), step);
  }
  return all;
}

std::vector<double> part_of(const DeviceArray& all, int64_t from, int64_t n,
                            xlstm_dtype dtype = kType) {
  const DeviceArray part(n, dtype);
  check_cuda(cudaMemcpy(part.get(), static_cast<char*>(all.get()) + from * size_of(dtype),
                        static_cast<size_t>(n * size_of(dtype)), cudaMemcpyDeviceToDevice),
             "copy");
  return part.values();
}

std::vector<double> slice(const std::vector<double>& x, int64_t from, int64_t n) {
  return {x.begin() + from, x.begin() + from + n};
}

// Rows of `width` elements at both ends, in the middle and around element 2^31.
std::vector<int64_t> places(int64_t n_rows, int64_t width) {
  const int64_t border = k31 / width;
  std::vector<int64_t> rows{0, 1, n_rows / 2, n_rows - 1};
  for (const int64_t row : {border / 2, border - 1, border, border + 1})
    if (row < n_rows) rows.push_back(row);
  return rows;
}

void check_elementwise(int64_t rows) {
  const int64_t D = 2048, n = rows * D + 5, period = 100003;
  const std::vector<double> block = rounded(normal(period, 1), kType);
  const std::vector<double> row = rounded(normal(D, 2), kType);
  DeviceArray x = repeated(block, n), y = DeviceArray::bytes(n * kSize);
  xlstm_unary_fwd_args tanh{};
  tanh.op = XLSTM_UNARY_TANH;
  tanh.dtype = kType;
  tanh.n_dims = 1;
  tanh.sizes[0] = n;
  tanh.x = x;
  tanh.x_strides[0] = 1;
  tanh.y = y;
  REQUIRE(run_on_device(xlstm_unary_fwd_cuda, tanh) == XLSTM_OK);
  const auto check = [&](const char* what, const DeviceArray& got, int64_t at,
                         const std::function<double(int64_t)>& want) {
    INFO(what << " at " << at);
    const std::vector<double> values = part_of(got, at, 5);
    std::vector<double> expected;
    for (int64_t i = at; i < at + 5; ++i) expected.push_back(want(i));
    CHECK(relative_error(values, expected) < forward_tolerance(kType));
  };
  const auto x_at = [&](int64_t i) { return block[static_cast<size_t>(i % period)]; };
  for (const int64_t place : places(rows, D))
    for (const int64_t at : {place * D, place * D + D - 2})
      check("tanh", y, at, [&](int64_t i) { return std::tanh(x_at(i)); });
  check("tanh", y, n - 5, [&](int64_t i) { return std::tanh(x_at(i)); });

  const DeviceArray b(row, kType);
  xlstm_binary_fwd_args add{};
  add.op = XLSTM_BINARY_ADD;
  add.dtype = kType;
  add.n_dims = 2;
  add.sizes[0] = rows;
  add.sizes[1] = D;
  add.a = x;
  add.a_strides[0] = D;
  add.a_strides[1] = add.b_strides[1] = 1;
  add.b = b;
  add.y = y;
  REQUIRE(run_on_device(xlstm_binary_fwd_cuda, add) == XLSTM_OK);
  for (const int64_t place : places(rows, D))
    check("sum", y, place * D + D - 5,
          [&](int64_t i) { return x_at(i) + row[static_cast<size_t>(i % D)]; });
}

void check_norm(int64_t rows) {
  const int64_t D = 2048, period = 101;
  const std::vector<double> x = rounded(normal(period * D, 1, 1.5, 2), kType),
                            dy = rounded(normal(period * D, 2), kType),
                            weight = rounded(normal(D, 3, 0.5, 1), XLSTM_F32);
  std::vector<double> y(x.size()), dx(x.size()), mean(static_cast<size_t>(period)), rstd(mean),
      sums(static_cast<size_t>(2 * D)), rest(sums);
  const auto shape = [&](auto& a, int64_t n) {
    a.rows = n, a.groups = 1, a.width = D, a.subtract_mean = 1, a.eps = 1e-5;
    a.x_stride_row = D;
  };
  xlstm_norm_fwd_args f{};
  xlstm_norm_bwd_args b{};
  f.dtype = f.weight_dtype = b.dtype = b.weight_dtype = XLSTM_F64;
  shape(f, period);
  f.x = x.data(), f.weight = weight.data(), f.y = y.data(), f.y_stride_row = D;
  f.mean = mean.data(), f.rstd = rstd.data();
  REQUIRE(xlstm_norm_fwd_cpu(&f, {}) == XLSTM_OK);
  const auto gradients = [&](int64_t n, double* to) {
    shape(b, n);
    b.x = x.data(), b.weight = weight.data(), b.mean = mean.data(), b.rstd = rstd.data();
    b.dy = dy.data(), b.dx = dx.data(), b.dy_stride_row = b.dx_stride_row = D;
    b.dweight = to, b.dbias = to + D;
    REQUIRE(run_on_host(xlstm_norm_bwd_cpu, xlstm_norm_bwd_workspace_cpu, b) == XLSTM_OK);
  };
  gradients(rows % period, rest.data());
  gradients(period, sums.data());
  for (size_t i = 0; i < sums.size(); ++i)
    sums[i] = sums[i] * static_cast<double>(rows / period) + rest[i];

  const DeviceArray device_x = repeated(x, rows * D), device_dy = repeated(dy, rows * D),
                    out = DeviceArray::bytes(rows * D * kSize), w(weight, XLSTM_F32),
                    device_mean(rows, XLSTM_F32), device_rstd(rows, XLSTM_F32),
                    dweight(D, XLSTM_F32), dbias(D, XLSTM_F32);
  f.dtype = b.dtype = kType;
  f.weight_dtype = b.weight_dtype = XLSTM_F32;
  shape(f, rows);
  shape(b, rows);
  f.x = b.x = device_x, f.weight = b.weight = w, f.y = out;
  f.mean = device_mean, f.rstd = device_rstd, b.mean = device_mean, b.rstd = device_rstd;
  b.dy = device_dy, b.dx = out, b.dweight = dweight, b.dbias = dbias;
  const auto check = [&](const char* what, const std::vector<double>& want, double tolerance) {
    for (const int64_t row : places(rows, D)) {
      INFO(what << " of row " << row);
      CHECK(relative_error(part_of(out, row * D, D), slice(want, row % period * D, D)) < tolerance);
    }
  };
  REQUIRE(run_on_device(xlstm_norm_fwd_cuda, f) == XLSTM_OK);
  check("y", y, forward_tolerance(kType));
  REQUIRE(run_on_device(xlstm_norm_bwd_cuda, xlstm_norm_bwd_workspace_cuda, b) == XLSTM_OK);
  check("dx", dx, gradient_tolerance(kType));
  // Float sums of up to a million terms.
  CHECK(relative_error(dweight.values(), slice(sums, 0, D)) < 1e-4);
  CHECK(relative_error(dbias.values(), slice(sums, D, D)) < 1e-4);
}

// Steps are compared with the few that they see: three before, and three after in the backward.
void check_conv(int64_t B, int64_t T) {
  const int64_t C = 2048, period = 101;
  const std::vector<double> x = rounded(normal(period * C, 1), kType),
                            dy = rounded(normal(period * C, 2), kType),
                            weight = rounded(normal(C * 4, 3, 0.6), XLSTM_F32),
                            bias = rounded(normal(C, 4), XLSTM_F32);
  const int64_t n = B * T * C;
  const DeviceArray device_x = repeated(x, n), device_dy = repeated(dy, n),
                    out = DeviceArray::bytes(n * kSize), w(weight, XLSTM_F32),
                    device_bias(bias, XLSTM_F32);
  xlstm_causal_conv1d_fwd_args f{};
  xlstm_causal_conv1d_bwd_args b{};
  const auto common = [&](auto& a, int64_t batch, int64_t steps) {
    a.B = batch, a.T = steps, a.C = C, a.KS = 4, a.silu = 1;
    a.x_stride_t = C, a.x_stride_b = steps * C;
  };
  const auto describe = [&](int64_t batch, int64_t steps) {
    common(f, batch, steps);
    common(b, batch, steps);
    f.y_stride_t = b.dy_stride_t = b.dx_stride_t = C;
    f.y_stride_b = b.dy_stride_b = b.dx_stride_b = steps * C;
  };
  const auto check = [&](const char* what, bool backward) {
    for (const int64_t row : places(B * T, C)) {
      if (row % T < 3 || row % T + 3 >= T) continue;
      std::vector<double> around, gradients;
      for (int64_t r = row - 3; r <= row + 3; ++r) {
        const auto at = r % period * C;
        around.insert(around.end(), x.begin() + at, x.begin() + at + C);
        gradients.insert(gradients.end(), dy.begin() + at, dy.begin() + at + C);
      }
      std::vector<double> want(around.size());
      describe(1, 7);
      f.dtype = f.weight_dtype = b.dtype = b.weight_dtype = XLSTM_F64;
      f.x = b.x = around.data(), f.weight = b.weight = weight.data();
      f.bias = b.bias = bias.data();
      f.y = want.data();
      b.dy = gradients.data(), b.dx = want.data();
      REQUIRE((backward ? run_on_host(xlstm_causal_conv1d_bwd_cpu,
                                      xlstm_causal_conv1d_bwd_workspace_cpu, b)
                        : run_on_host(xlstm_causal_conv1d_fwd_cpu,
                                      xlstm_causal_conv1d_fwd_workspace_cpu, f)) == XLSTM_OK);
      INFO(what << " of row " << row);
      CHECK(relative_error(part_of(out, row * C, C), slice(want, 3 * C, C)) <
            gradient_tolerance(kType));
    }
  };
  const auto on_device = [&] {
    describe(B, T);
    f.dtype = b.dtype = kType;
    f.weight_dtype = b.weight_dtype = XLSTM_F32;
    f.x = b.x = device_x, f.weight = b.weight = w, f.bias = b.bias = device_bias;
    f.y = out, b.dy = device_dy, b.dx = out;
  };
  on_device();
  REQUIRE(run_on_device(xlstm_causal_conv1d_fwd_cuda, xlstm_causal_conv1d_fwd_workspace_cuda, f) ==
          XLSTM_OK);
  check("y", false);
  on_device();
  REQUIRE(run_on_device(xlstm_causal_conv1d_bwd_cuda, xlstm_causal_conv1d_bwd_workspace_cuda, b) ==
          XLSTM_OK);
  check("dx", true);
}

void check_cross_entropy(int64_t rows) {
  const int64_t V = 50304, period = 31;
  const std::vector<double> x = rounded(normal(period * V, 1, 4), kType);
  std::vector<int64_t> ids;
  for (int64_t row = 0; row < rows; ++row) ids.push_back(row % period * 7919 % V);
  const double dloss = 1024,
               host_dloss = dloss * static_cast<double>(period) / static_cast<double>(rows);
  std::vector<double> dx(x.size()), row_max(static_cast<size_t>(period)), row_sum(row_max);
  double loss = 0;
  int64_t count = 0;
  xlstm_cross_entropy_fwd_args f{};
  xlstm_cross_entropy_bwd_args b{};
  const auto common = [&](auto& a, int64_t n) {
    a.rows = n, a.n_vocab = V, a.ignore_index = -1, a.logits_stride_row = V;
  };
  common(f, period), common(b, period);
  f.dtype = b.dtype = b.dlogits_dtype = XLSTM_F64;
  f.logits = b.logits = x.data(), f.targets = b.targets = ids.data();
  f.row_max = row_max.data(), f.row_sum = row_sum.data();
  b.row_max = f.row_max, b.row_sum = f.row_sum;
  f.loss = &loss, f.n_targets = &count;
  b.dloss = &host_dloss, b.n_targets = period, b.dlogits = dx.data(), b.dlogits_stride_row = V;
  REQUIRE(run_on_host(xlstm_cross_entropy_fwd_cpu, xlstm_cross_entropy_fwd_workspace_cpu, f) ==
          XLSTM_OK);
  REQUIRE(xlstm_cross_entropy_bwd_cpu(&b, {}) == XLSTM_OK);

  const DeviceArray logits = repeated(x, rows * V), targets = DeviceArray::of(ids),
                    device_max(rows, XLSTM_F32), device_sum(rows, XLSTM_F32),
                    device_loss(1, XLSTM_F32), device_count = DeviceArray::bytes(8),
                    device_dloss(std::vector<double>{dloss}, XLSTM_F32);
  common(f, rows), common(b, rows);
  f.dtype = b.dtype = b.dlogits_dtype = kType;
  f.logits = b.logits = logits;
  f.targets = b.targets = static_cast<const int64_t*>(targets.get());
  f.row_max = device_max, f.row_sum = device_sum;
  b.row_max = f.row_max, b.row_sum = f.row_sum;
  f.loss = device_loss, f.n_targets = static_cast<int64_t*>(device_count.get());
  b.dloss = device_dloss, b.n_targets = rows;
  b.dlogits = logits.get();  // in place
  REQUIRE(run_on_device(xlstm_cross_entropy_fwd_cuda, xlstm_cross_entropy_fwd_workspace_cuda, f) ==
          XLSTM_OK);
  CHECK(device_count.raw<int64_t>()[0] == rows);
  for (const int64_t row : places(rows, V)) {
    INFO("statistics of row " << row);
    const auto at = static_cast<size_t>(row % period);
    CHECK(part_of(device_max, row, 1, XLSTM_F32)[0] == Approx(row_max[at]).epsilon(1e-6));
    CHECK(part_of(device_sum, row, 1, XLSTM_F32)[0] == Approx(row_sum[at]).epsilon(5e-5));
  }
  REQUIRE(run_on_device(xlstm_cross_entropy_bwd_cuda, b) == XLSTM_OK);
  for (const int64_t row : places(rows, V)) {
    INFO("dlogits of row " << row);
    CHECK(relative_error(part_of(logits, row * V, V), slice(dx, row % period * V, V)) <
          gradient_tolerance(kType));
  }
}

// B sequences of `documents` documents of 128 steps each; a few documents are repeated all over.
void check_mlstm(int64_t B, int64_t documents) {
  constexpr int64_t kSteps = 128, H = 8, K = 64, V = 512, kPeriod = 3;
  using Case = mlstm_test::Case<double>;
  Case c = Case::random(kPeriod, kSteps, H, K, V);
  for (auto* x : {&c.q, &c.k, &c.v, &c.dh}) *x = rounded(*x, kType);
  for (auto* x : {&c.i, &c.f}) *x = rounded(*x, XLSTM_F32);
  // The output serves as its own gradient: one array less.
  const auto forward = c.forward();
  c.dh = forward.h;
  const auto backward = c.backward(forward);

  const int64_t T = documents * kSteps, n = B * T * H;
  std::vector<uint8_t> starts(static_cast<size_t>(B * T));
  for (size_t i = 0; i < starts.size(); i += kSteps) starts[i] = 1;
  const DeviceArray q = repeated(c.q, n * K), k = repeated(c.k, n * K), v = repeated(c.v, n * V),
                    i = repeated(c.i, n, XLSTM_F32), f = repeated(c.f, n, XLSTM_F32),
                    reset = DeviceArray::of(starts), h = DeviceArray::bytes(n * V * kSize),
                    m(n, XLSTM_F32), l(n, XLSTM_F32);
  const auto rows = [&](int64_t width) {
    return xlstm_mlstm_stride{T * H * width, H * width, width};
  };
  const auto common = [&](auto& a) {
    a.config = c.config;
    a.config.dtype = kType;
    a.config.gate_dtype = XLSTM_F32;
    a.config.B = B;
    a.config.T = T;
    a.q = q, a.k = k, a.v = v, a.i = i, a.f = f, a.h = h;
    a.q_stride = a.k_stride = rows(K);
    a.v_stride = a.h_stride = rows(V);
    a.i_stride = a.f_stride = rows(1);
    a.reset = static_cast<const uint8_t*>(reset.get());
    a.saved_m = m, a.saved_l = l;
  };
  xlstm_mlstm_fwd_args a{};
  common(a);
  REQUIRE(run_on_device(xlstm_mlstm_fwd_cuda, xlstm_mlstm_fwd_workspace_cuda, a) == XLSTM_OK);
  // All heads of a step beside each other.
  const auto check = [&](const char* what, const DeviceArray& got, int64_t width,
                         const std::vector<double>& want, xlstm_dtype dtype, double tolerance) {
    const int64_t document = kSteps * H * width;
    for (const int64_t place : places(B * documents, kSteps * H * V)) {
      INFO(what << " of document " << place);
      CHECK(relative_error(part_of(got, place * document, document, dtype),
                           slice(want, place % kPeriod * document, document)) < tolerance);
    }
  };
  check("h", h, V, forward.h, kType, 4e-3);
  const DeviceArray dq = DeviceArray::bytes(n * K * kSize), dk = DeviceArray::bytes(n * K * kSize),
                    dv = DeviceArray::bytes(n * V * kSize), di(n, XLSTM_F32), df(n, XLSTM_F32);
  xlstm_mlstm_bwd_args b{};
  common(b);
  b.dh = h, b.dh_stride = b.h_stride;
  b.dq = dq, b.dk = dk, b.dv = dv, b.di = di, b.df = df;
  b.dq_stride = b.dk_stride = rows(K);
  b.dv_stride = rows(V);
  b.di_stride = b.df_stride = rows(1);
  REQUIRE(run_on_device(xlstm_mlstm_bwd_cuda, xlstm_mlstm_bwd_workspace_cuda, b) == XLSTM_OK);
  // dh is the rounded output here, so its rounding comes on top.
  check("dq", dq, K, backward.q, kType, 1e-2);
  check("dk", dk, K, backward.k, kType, 1e-2);
  check("dv", dv, V, backward.v, kType, 1e-2);
}

TEST_CASE("what the large cases check holds of small arrays too") {
  if (!has_cuda_device()) return;
  check_elementwise(150);
  check_norm(250);
  check_conv(2, 150);
  check_cross_entropy(40);
  check_mlstm(4, 1);
  check_mlstm(1, 4);
}

TEST_CASE("elementwise functions on CUDA of more than 2^31 elements", "[.large]") {
  if (has_room_for(9)) check_elementwise(k31 / 2048 + 3);
}

TEST_CASE("norms on CUDA of more than 2^31 elements", "[.large]") {
  if (has_room_for(13.5)) check_norm(k31 / 2048 + 3);
}

TEST_CASE("convolutions on CUDA of more than 2^31 elements", "[.large]") {
  if (!has_room_for(13.5)) return;
  check_conv(1, k31 / 2048 + 9);
  check_conv(1025, 1027);
}

TEST_CASE("cross-entropy on CUDA of more than 2^31 logits", "[.large]") {
  if (has_room_for(5)) check_cross_entropy(k31 / 50304 + 40);
}

TEST_CASE("the mLSTM on CUDA of more than 2^31 values, in many sequences or one", "[.large]") {
  if (!has_room_for(21)) return;
  check_mlstm(1025, 4);
  check_mlstm(1, 4100);
}

}  // namespace
}  // namespace xlstm::test
