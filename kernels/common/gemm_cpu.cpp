#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/common/blas_cpu.h"

namespace xlstm::kernels {
namespace {

// Blocks of C, largest first: larger ones pack their operands less often, smaller ones leave work
// for more threads.
struct Block {
  int64_t rows, cols;
};
constexpr Block kBlocks[] = {{512, 1024}, {512, 512}, {256, 512}};
constexpr int64_t kEnoughBlocks = 16;  // a block size that gives so many is small enough
constexpr int64_t kSliceDepth = 1024;  // K per slice when C alone gives too few blocks
constexpr int64_t kMinBlocks = 8;      // enough for a few threads
constexpr int64_t kMaxSlices = 16;

struct Plan {
  int64_t rows, cols, slices, depth;
};

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// A function of the shape alone.
Plan plan_product(int64_t M, int64_t N, int64_t K) {
  Plan p{};
  for (const Block& block : kBlocks) {
    p = {ceil_div(M, block.rows), ceil_div(N, block.cols), 1, K};
    if (p.rows * p.cols >= kEnoughBlocks) break;
  }
  const int64_t blocks = p.rows * p.cols;
  if (blocks > 0 && blocks < kMinBlocks && K >= 2 * kSliceDepth) {
    p.slices = std::min({ceil_div(kMinBlocks, blocks), K / kSliceDepth, kMaxSlices});
    p.depth = ceil_div(ceil_div(K, p.slices), 64) * 64;
    p.slices = ceil_div(K, p.depth);
  }
  return p;
}

// A few rows times a transposed matrix, as when tokens are generated: every row of B is read once,
// straight from memory, while BLAS would first copy it into its packed form. A result does not
// depend on the number of rows, so neither does what one stream of a batch says.
constexpr int64_t kFewRows = 16;
constexpr int64_t kLanes = 16;
constexpr int64_t kColumnsPerTask = 32;

// out[r] = <row r of a, b> for R rows, in a fixed order of summation.
template <int R, class T>
void dots(const T* a, int64_t lda, const T* b, int64_t K, T* out) {
  T lanes[R][kLanes] = {};
  int64_t k = 0;
  for (; k + kLanes <= K; k += kLanes) {
    for (int r = 0; r < R; ++r) {
#pragma omp simd
      for (int64_t l = 0; l < kLanes; ++l) lanes[r][l] += a[r * lda + k + l] * b[k + l];
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int64_t half = kLanes / 2; half > 0; half /= 2)
      for (int64_t l = 0; l < half; ++l) lanes[r][l] += lanes[r][l + half];
    T total = lanes[r][0];
    for (int64_t i = k; i < K; ++i) total = std::fma(a[r * lda + i], b[i], total);
    out[r] = total;
  }
}

template <class T>
void run_few_rows(int64_t M, int64_t N, int64_t K, T alpha, const T* A, int64_t lda, const T* B,
                  int64_t ldb, T beta, T* C, int64_t ldc) {
#pragma omp parallel for schedule(static) if (M * N * K > 64 * 64 * 64)
  for (int64_t task = 0; task < ceil_div(N, kColumnsPerTask); ++task) {
    const int64_t end = std::min(N, (task + 1) * kColumnsPerTask);
    for (int64_t j = task * kColumnsPerTask; j < end; ++j) {
      T sums[kFewRows];
      int64_t m = 0;
      for (; m + 4 <= M; m += 4) dots<4>(A + m * lda, lda, B + j * ldb, K, sums + m);
      for (; m + 2 <= M; m += 2) dots<2>(A + m * lda, lda, B + j * ldb, K, sums + m);
      for (; m < M; ++m) dots<1>(A + m * lda, lda, B + j * ldb, K, sums + m);
      for (int64_t i = 0; i < M; ++i) {
        T& c = C[i * ldc + j];
        c = beta == 0 ? alpha * sums[i] : alpha * sums[i] + beta * c;
      }
    }
  }
}

template <class T>
void run(Trans trans_a, Trans trans_b, int64_t M, int64_t N, int64_t K, T alpha, const T* A,
         int64_t lda, const T* B, int64_t ldb, T beta, T* C, int64_t ldc, void* workspace) {
  if (M <= kFewRows && trans_a == Trans::no && trans_b == Trans::yes)
    return run_few_rows(M, N, K, alpha, A, lda, B, ldb, beta, C, ldc);
  const Plan plan = plan_product(M, N, K);
  // Even block sizes, multiples of 16, so that no thread is left with a sliver.
  const int64_t block_m = plan.rows > 0 ? ceil_div(ceil_div(M, plan.rows), 16) * 16 : 0;
  const int64_t block_n = plan.cols > 0 ? ceil_div(ceil_div(N, plan.cols), 16) * 16 : 0;
  const int64_t tasks = plan.rows * plan.cols * plan.slices;
  T* partial = static_cast<T*>(workspace);
#pragma omp parallel for schedule(dynamic, 1) if (M * N * K > 64 * 64 * 64)
  for (int64_t task = 0; task < tasks; ++task) {
    const int64_t slice = task / (plan.rows * plan.cols);
    const int64_t block = task % (plan.rows * plan.cols);
    const int64_t m0 = block / plan.cols * block_m, n0 = block % plan.cols * block_n;
    const int64_t m = std::min(block_m, M - m0), n = std::min(block_n, N - n0);
    if (m <= 0 || n <= 0) continue;
    const int64_t k0 = slice * plan.depth, k = std::min(plan.depth, K - k0);
    const T* a = trans_a == Trans::yes ? A + k0 * lda + m0 : A + m0 * lda + k0;
    const T* b = trans_b == Trans::yes ? B + n0 * ldb + k0 : B + k0 * ldb + n0;
    if (slice == 0) {
      gemm_serial(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, C + m0 * ldc + n0, ldc);
    } else {
      gemm_serial(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, T(0),
                  partial + (slice - 1) * M * N + m0 * N + n0, N);
    }
  }
  if (plan.slices == 1) return;
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < M; ++i) {
    for (int64_t s = 1; s < plan.slices; ++s) {
      const T* from = partial + (s - 1) * M * N + i * N;
      T* to = C + i * ldc;
      for (int64_t j = 0; j < N; ++j) to[j] += from[j];
    }
  }
}

}  // namespace

int64_t gemm_workspace_bytes(int64_t M, int64_t N, int64_t K, int64_t element_bytes) {
  return (plan_product(M, N, K).slices - 1) * M * N * element_bytes;
}

void gemm_parallel(Trans trans_a, Trans trans_b, int64_t M, int64_t N, int64_t K, float alpha,
                   const float* A, int64_t lda, const float* B, int64_t ldb, float beta, float* C,
                   int64_t ldc, void* workspace) {
  run(trans_a, trans_b, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc, workspace);
}

void gemm_parallel(Trans trans_a, Trans trans_b, int64_t M, int64_t N, int64_t K, double alpha,
                   const double* A, int64_t lda, const double* B, int64_t ldb, double beta,
                   double* C, int64_t ldc, void* workspace) {
  run(trans_a, trans_b, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc, workspace);
}

}  // namespace xlstm::kernels
