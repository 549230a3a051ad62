#include "kernels/common/blas_cpu.h"

// Chosen by CMake where OpenBLAS is absent: right, and slow.
namespace xlstm::kernels {
namespace {

template <class T>
void product(Trans trans_a, Trans trans_b, int64_t M, int64_t N, int64_t K, T alpha, const T* A,
             int64_t lda, const T* B, int64_t ldb, T beta, T* C, int64_t ldc) {
  for (int64_t i = 0; i < M; ++i) {
    T* row = C + i * ldc;
    for (int64_t j = 0; j < N; ++j) row[j] = beta == 0 ? T(0) : beta * row[j];
    for (int64_t k = 0; k < K; ++k) {
      const T a = alpha * (trans_a == Trans::yes ? A[k * lda + i] : A[i * lda + k]);
      if (trans_b == Trans::yes) {
        for (int64_t j = 0; j < N; ++j) row[j] += a * B[j * ldb + k];
      } else {
        for (int64_t j = 0; j < N; ++j) row[j] += a * B[k * ldb + j];
      }
    }
  }
}

}  // namespace

void gemm_serial(Trans trans_a, Trans trans_b, int64_t M, int64_t N, int64_t K, float alpha,
                 const float* A, int64_t lda, const float* B, int64_t ldb, float beta, float* C,
                 int64_t ldc) {
  product(trans_a, trans_b, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc);
}

void gemm_serial(Trans trans_a, Trans trans_b, int64_t M, int64_t N, int64_t K, double alpha,
                 const double* A, int64_t lda, const double* B, int64_t ldb, double beta, double* C,
                 int64_t ldc) {
  product(trans_a, trans_b, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc);
}

}  // namespace xlstm::kernels
