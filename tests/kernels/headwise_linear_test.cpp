// The headwise linear map at sizes beyond the op table's: both of its ways, row strides, threads,
// bad arguments.
#include "kernels/headwise_linear/headwise_linear.h"

#include <omp.h>

#include <cmath>
#include <cstring>

#include "core/autograd.h"
#include "core/ops/headwise_linear.h"
#include "core/random.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

template <class T>
Tensor normal(const Shape& shape, Generator& g) {
  Tensor t = Tensor::empty(shape, DTypeOf<T>::value);
  fill_normal(t, 0, 1, g);
  return t;
}

Tensor leaf(Tensor t) {
  t.set_requires_grad(true);
  return t;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.numel() * size_of(a.dtype()))) == 0;
}

struct Result {
  Tensor y, dx, dweight, dbias;
};

Result run(const Tensor& x0, const Tensor& w0, const Tensor& b0, const Tensor& dy) {
  const Tensor x = leaf(x0.detach()), w = leaf(w0.detach()), b = leaf(b0.detach());
  const Tensor y = ops::headwise_linear(x, w, b);
  autograd::backward(y, dy);
  return {y, x.grad(), w.grad(), b.grad()};
}

double error(const Tensor& got, const std::vector<double>& want) {
  const std::vector<double> values = got.to_vector<double>();
  REQUIRE(values.size() == want.size());
  double worst = 0, largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    worst = std::max(worst, std::abs(values[i] - want[i]));
    largest = std::max(largest, std::abs(want[i]));
  }
  return worst / largest;
}

// Plain sums in double from float or double arguments.
struct Reference {
  std::vector<double> y, dx, dweight, dbias;
  Reference(const Tensor& tx, const Tensor& tw, const Tensor& tb, const Tensor& tdy) {
    const auto x = tx.to_vector<double>(), w = tw.to_vector<double>(), b = tb.to_vector<double>(),
               g = tdy.to_vector<double>();
    const size_t H = static_cast<size_t>(tw.size(0)), O = static_cast<size_t>(tw.size(1)),
                 I = static_cast<size_t>(tw.size(2)), N = x.size() / (H * I);
    y.resize(g.size()), dx.resize(x.size()), dweight.resize(w.size()), dbias.resize(b.size());
    for (size_t n = 0; n < N; ++n)
      for (size_t h = 0; h < H; ++h)
        for (size_t o = 0; o < O; ++o) {
          const size_t out = (n * H + h) * O + o;
          y[out] = b[h * O + o];
          dbias[h * O + o] += g[out];
          for (size_t i = 0; i < I; ++i) {
            const size_t in = (n * H + h) * I + i, at = (h * O + o) * I + i;
            y[out] += w[at] * x[in];
            dx[in] += w[at] * g[out];
            dweight[at] += x[in] * g[out];
          }
        }
  }
};

template <class T>
void check_sizes(int64_t N, int64_t H, int64_t I, int64_t O, double tolerance) {
  INFO("N " << N << ", H " << H << ", I " << I << ", O " << O);
  Generator g{7, 0};
  const Tensor x = normal<T>({N, H * I}, g), w = normal<T>({H, O, I}, g), b = normal<T>({H * O}, g),
               dy = normal<T>({N, H * O}, g);
  const Result r = run(x, w, b, dy);
  const Reference want(x, w, b, dy);
  CHECK(error(r.y, want.y) < tolerance);
  CHECK(error(r.dx, want.dx) < tolerance);
  CHECK(error(r.dweight, want.dweight) < tolerance);
  CHECK(error(r.dbias, want.dbias) < tolerance);
}

TEST_CASE("headwise: small blocks and products equal plain sums") {
  for (const int64_t N : {1, 7, 64, 129, 700}) {
    for (const int64_t block : {2, 4, 8}) {
      for (const int64_t H : {1, 9, 16}) {
        check_sizes<float>(N, H, block, block, 2e-6);
        check_sizes<double>(N, H, block, block, 1e-14);
      }
    }
    check_sizes<float>(N, 3, 33, 20, 4e-6);
    check_sizes<double>(N, 3, 33, 20, 1e-14);
    check_sizes<float>(N, 4, 64, 64, 4e-6);
    check_sizes<float>(N, 2, 4, 8, 4e-6);
  }
}

TEST_CASE("headwise: rows may lie apart") {
  Generator g{8, 0};
  for (const int64_t block : {4, 5}) {
    const int64_t width = 3 * block;
    const Tensor wide = normal<float>({2, 5, width + 7}, g),
                 w = normal<float>({3, block, block}, g), b = normal<float>({width}, g),
                 dy_wide = normal<float>({2, 5, width + 3}, g);
    // Equally spaced rows, and rows that are not (a slice of the middle dimension).
    for (const int64_t kept : {5, 4}) {
      const Tensor x = wide.strided_view({2, kept, width}, wide.strides(), 2),
                   dy = dy_wide.strided_view({2, kept, width}, dy_wide.strides(), 1);
      const Result strided = run(x, w, b, dy), plain = run(x.clone(), w, b, dy.clone());
      CHECK(same_bits(strided.y, plain.y));
      CHECK(same_bits(strided.dx, plain.dx));
      CHECK(same_bits(strided.dweight, plain.dweight));
      CHECK(same_bits(strided.dbias, plain.dbias));
    }
  }
}

TEST_CASE("headwise: the number of threads changes no bit of a large problem") {
  Generator g{9, 0};
  const int before = omp_get_max_threads();
  for (const auto& [H, width] : {std::pair<int64_t, int64_t>{50, 4}, {4, 40}}) {
    const Tensor x = normal<float>({3000, H * width}, g), w = normal<float>({H, width, width}, g),
                 b = normal<float>({H * width}, g), dy = normal<float>({3000, H * width}, g);
    omp_set_num_threads(1);
    const Result one = run(x, w, b, dy);
    for (const int threads : {2, 3}) {
      omp_set_num_threads(threads);
      const Result again = run(x, w, b, dy);
      CHECK(same_bits(one.y, again.y));
      CHECK(same_bits(one.dx, again.dx));
      CHECK(same_bits(one.dweight, again.dweight));
      CHECK(same_bits(one.dbias, again.dbias));
    }
  }
  omp_set_num_threads(before);
}

TEST_CASE("headwise: bad arguments give the status that says why") {
  float memory[64] = {};
  alignas(64) char scratch[4096];
  xlstm_headwise_linear_fwd_args f{};
  f.dtype = XLSTM_F32;
  f.N = 1, f.H = 2, f.I = 4, f.O = 4;
  f.x = memory, f.W = memory + 8, f.y = memory + 48;
  xlstm_exec exec{};
  exec.workspace = scratch;
  exec.workspace_bytes = xlstm_headwise_linear_fwd_workspace_cpu(&f);
  REQUIRE(exec.workspace_bytes > 0);
  CHECK(xlstm_headwise_linear_fwd_cpu(&f, exec) == XLSTM_OK);
  using F = xlstm_headwise_linear_fwd_args;
  const auto forward_with = [&](auto change) {
    F a = f;
    change(a);
    return xlstm_headwise_linear_fwd_cpu(&a, exec);
  };
  CHECK(xlstm_headwise_linear_fwd_cpu(nullptr, exec) == XLSTM_NULL_POINTER);
  CHECK(forward_with([](F& a) { a.N = -1; }) == XLSTM_BAD_SIZE);
  CHECK(forward_with([](F& a) { a.H = INT64_MAX / 2; }) == XLSTM_BAD_SIZE);
  CHECK(forward_with([](F& a) { a.N = 2, a.x_stride_n = 7, a.y_stride_n = 8; }) ==
        XLSTM_BAD_STRIDE);
  CHECK(forward_with([](F& a) { a.x = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(forward_with([](F& a) { a.y = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(forward_with([](F& a) { a.dtype = XLSTM_F16; }) == XLSTM_BAD_DTYPE);
  xlstm_exec small = exec;
  --small.workspace_bytes;
  CHECK(xlstm_headwise_linear_fwd_cpu(&f, small) == XLSTM_WORKSPACE_TOO_SMALL);
  xlstm_headwise_linear_bwd_args b{};
  b.dtype = XLSTM_F32;
  b.N = 1, b.H = 2, b.I = 4, b.O = 4;
  b.dy = memory, b.W = memory + 8, b.dx = memory + 48;
  exec.workspace_bytes = xlstm_headwise_linear_bwd_workspace_cpu(&b);
  CHECK(xlstm_headwise_linear_bwd_cpu(&b, exec) == XLSTM_OK);
  b.dW = memory + 8;  // now x is needed too
  CHECK(xlstm_headwise_linear_bwd_cpu(&b, exec) == XLSTM_NULL_POINTER);
  b.dW = nullptr, b.N = 2;
  CHECK(xlstm_headwise_linear_bwd_cpu(&b, exec) == XLSTM_BAD_STRIDE);

  CHECK_THROWS_AS(ops::headwise_linear(Tensor::zeros({3, 7}), Tensor::zeros({2, 4, 4})),
                  ShapeError);
  CHECK_THROWS_AS(ops::headwise_linear(Tensor::zeros({3, 8}), Tensor::zeros({2, 4})), ShapeError);
}

}  // namespace
}  // namespace xlstm
