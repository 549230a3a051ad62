// Matrix products for the CPU kernels: one serial call, and one parallel product made of serial
// calls over blocks whose sizes depend on the shape alone, so that the number of threads never
// changes a bit. Backed by OpenBLAS (blas_openblas.cpp) or plain loops (blas_plain.cpp).
#pragma once

#include <cstdint>

namespace xlstm::kernels {

enum class Trans { no, yes };

// Row-major C[M,N] = alpha * op(A)[M,K] * op(B)[K,N] + beta * C, on the calling thread.
// lda, ldb, ldc are the row strides of the matrices as stored (before op). beta == 0 does not read
// C. M, N or K may be 0; with K == 0, C becomes beta * C.
void gemm_serial(Trans trans_a, Trans trans_b, int64_t M, int64_t N, int64_t K, float alpha,
                 const float* A, int64_t lda, const float* B, int64_t ldb, float beta, float* C,
                 int64_t ldc);
void gemm_serial(Trans trans_a, Trans trans_b, int64_t M, int64_t N, int64_t K, double alpha,
                 const double* A, int64_t lda, const double* B, int64_t ldb, double beta, double* C,
                 int64_t ldc);

// The same product, spread over the OpenMP threads by fixed blocks of C (and, where C is too small
// for that, by fixed slices of K summed in order; this needs gemm_workspace_bytes of scratch).
void gemm_parallel(Trans trans_a, Trans trans_b, int64_t M, int64_t N, int64_t K, float alpha,
                   const float* A, int64_t lda, const float* B, int64_t ldb, float beta, float* C,
                   int64_t ldc, void* workspace);
void gemm_parallel(Trans trans_a, Trans trans_b, int64_t M, int64_t N, int64_t K, double alpha,
                   const double* A, int64_t lda, const double* B, int64_t ldb, double beta,
                   double* C, int64_t ldc, void* workspace);
int64_t gemm_workspace_bytes(int64_t M, int64_t N, int64_t K, int64_t element_bytes);

}  // namespace xlstm::kernels
