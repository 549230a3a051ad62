#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "kernels/common/blas_cpu.h"
#include "tests/catch.h"

namespace xlstm::kernels {
namespace {

// Numbers of either sign that no index pattern repeats.
template <class T>
std::vector<T> numbers(int64_t n, double phase) {
  std::vector<T> out(static_cast<size_t>(n));
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<T>(std::sin(phase + 0.37 * static_cast<double>(i)));
  return out;
}

template <class T>
struct Product {
  Trans ta, tb;
  int64_t M, N, K;
  T alpha, beta;
  std::vector<T> A, B, C;
  int64_t lda, ldb, ldc;

  Product(Trans a, Trans b, int64_t m, int64_t n, int64_t k, T al, T be)
      : ta(a), tb(b), M(m), N(n), K(k), alpha(al), beta(be) {
    lda = (ta == Trans::yes ? M : K) + 3;
    ldb = (tb == Trans::yes ? K : N) + 1;
    ldc = N + 2;
    A = numbers<T>((ta == Trans::yes ? K : M) * lda, 0.1);
    B = numbers<T>((tb == Trans::yes ? N : K) * ldb, 0.7);
    C = numbers<T>(M * ldc, 1.3);
  }

  std::vector<T> run(bool parallel) const {
    std::vector<T> out = C;
    std::vector<T> workspace(static_cast<size_t>(gemm_workspace_bytes(M, N, K, sizeof(T)) /
                                                 static_cast<int64_t>(sizeof(T))));
    if (parallel) {
      gemm_parallel(ta, tb, M, N, K, alpha, A.data(), lda, B.data(), ldb, beta, out.data(), ldc,
                    workspace.data());
    } else {
      gemm_serial(ta, tb, M, N, K, alpha, A.data(), lda, B.data(), ldb, beta, out.data(), ldc);
    }
    return out;
  }

  // The equation, for every `step`-th element; elements between the columns must be untouched.
  double worst_error(const std::vector<T>& got, int64_t step) const {
    double worst = 0;
    for (int64_t at = 0; at < M * ldc; at += step) {
      const int64_t i = at / ldc, j = at % ldc;
      double want = static_cast<double>(C[static_cast<size_t>(at)]);
      if (j < N) {
        double sum = 0;
        for (int64_t k = 0; k < K; ++k)
          sum += double(A[size_t(ta == Trans::yes ? k * lda + i : i * lda + k)]) *
                 double(B[size_t(tb == Trans::yes ? j * ldb + k : k * ldb + j)]);
        want = double(alpha) * sum + (beta == 0 ? 0 : double(beta) * want);
      }
      worst = std::max(worst, std::abs(want - double(got[static_cast<size_t>(at)])));
    }
    return worst;
  }
};

constexpr Trans kBoth[] = {Trans::no, Trans::yes};

TEMPLATE_TEST_CASE("products equal their definition, whatever is transposed", "", float, double) {
  const double tolerance = std::is_same_v<TestType, float> ? 2e-5 : 1e-13;
  for (const Trans ta : kBoth)
    for (const Trans tb : kBoth)
      for (const auto& [M, N, K] : std::vector<std::array<int64_t, 3>>{
               {1, 1, 1}, {1, 7, 5}, {5, 1, 3}, {17, 19, 23}, {64, 33, 1}, {3, 4, 0}}) {
        for (const double beta : {0.0, 1.0, -0.5}) {
          const Product<TestType> p(ta, tb, M, N, K, TestType(1.25), TestType(beta));
          INFO("M " << M << " N " << N << " K " << K << " beta " << beta);
          CHECK(p.worst_error(p.run(false), 1) <= tolerance);
          CHECK(p.worst_error(p.run(true), 1) <= tolerance);
        }
      }
}

TEST_CASE("large products are right at and around the edges of blocks and slices") {
  for (const Trans ta : kBoth)
    for (const Trans tb : kBoth) {
      const Product<float> blocks(ta, tb, 1030, 1100, 33, 1, 0);
      CHECK(blocks.worst_error(blocks.run(true), 97) <= 1e-4);
      const Product<float> slices(ta, tb, 70, 50, 5003, 1, 1);
      REQUIRE(gemm_workspace_bytes(70, 50, 5003, sizeof(float)) > 0);
      CHECK(slices.worst_error(slices.run(true), 7) <= 1e-3);
    }
}

// Tokens are generated with any number of streams at once; none may notice the others.
TEST_CASE("with few rows, a row's result does not depend on how many there are") {
  const Product<float> all(Trans::no, Trans::yes, 16, 301, 77, 1, 0);
  const std::vector<float> want = all.run(true);
  CHECK(all.worst_error(want, 1) <= 1e-4);
  for (const int64_t rows : {1, 2, 3, 4, 7, 15}) {
    Product<float> some = all;
    some.M = rows;
    some.C.resize(static_cast<size_t>(rows * some.ldc));
    const std::vector<float> got = some.run(true);
    CHECK(std::equal(got.begin(), got.end(), want.begin()));
  }
}

TEST_CASE("beta 0 does not read C, and empty products write nothing") {
  Product<float> p(Trans::no, Trans::yes, 9, 8, 7, 1, 0);
  for (float& c : p.C) c = NAN;
  const std::vector<float> got = p.run(true);
  for (int64_t i = 0; i < p.M; ++i)
    for (int64_t j = 0; j < p.N; ++j) CHECK_FALSE(std::isnan(got[size_t(i * p.ldc + j)]));
  const Product<float> empty(Trans::no, Trans::no, 0, 5, 4, 1, 0);
  CHECK(empty.run(true).empty());
}

TEST_CASE("the number of threads changes no bit") {
  const int before = omp_get_max_threads();
  for (const auto& [M, N, K] :
       std::vector<std::array<int64_t, 3>>{{600, 1100, 40}, {40, 60, 6000}, {1, 3000, 200}}) {
    const Product<float> p(Trans::no, Trans::yes, M, N, K, 1, 0);
    omp_set_num_threads(1);
    const std::vector<float> one = p.run(true);
    for (const int threads : {2, 3, 8}) {
      omp_set_num_threads(threads);
      CHECK(p.run(true) == one);
    }
  }
  omp_set_num_threads(before);
}

}  // namespace
}  // namespace xlstm::kernels
