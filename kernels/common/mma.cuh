// Matrices of 16-bit elements on the tensor cores: loads from shared memory, 16x8x16 products with
// float32 sums (sm_80 and newer).
#pragma once

#include "kernels/common/shared_memory.cuh"

namespace xlstm::kernels {

// Two neighbouring elements in one register.
template <class T>
__device__ inline uint32_t packed_pair(float low, float high) {
  union {
    Pack<T, 2> pair;
    uint32_t bits;
  } x;
  x.pair.v[0] = from_float<T>(low);
  x.pair.v[1] = from_float<T>(high);
  return x.bits;
}
template <class T>
__device__ inline float2 unpacked_pair(uint32_t bits) {
  union {
    uint32_t bits;
    Pack<T, 2> pair;
  } x;
  x.bits = bits;
  return make_float2(to_float(x.pair.v[0]), to_float(x.pair.v[1]));
}

// Four 8x8 matrices of 16-bit elements; lane l gives the address of row l % 8 of matrix l / 8, 16
// bytes aligned to 16. Register j of lane l: elements 2 (l % 4) and the next of row l / 4 of matrix
// j.
__device__ inline void load_matrices(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
// The same with each matrix transposed.
__device__ inline void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

// d += a b for a [16,16], b [16,8]. Lane l with g = l / 4, c = 2 (l % 4) holds of d the elements
// (g, c), (g, c+1), (g+8, c), (g+8, c+1); of a the pairs (g, c), (g+8, c), (g, c+8), (g+8, c+8);
// of b the pairs of rows c, c+1 and c+8, c+9 in column g. T: bf16 or f16.
template <class T>
__device__ inline void multiply_16x8x16(float (&d)[4], const uint4& a, uint32_t b0, uint32_t b1) {
  static_assert(std::is_same_v<T, bf16> || std::is_same_v<T, f16>, "element types of the product");
  if constexpr (std::is_same_v<T, bf16>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
  }
}
template <class T>
__device__ inline void multiply_16x8x16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                        uint32_t b1) {
  multiply_16x8x16<T>(d, make_uint4(a[0], a[1], a[2], a[3]), b0, b1);
}

}  // namespace xlstm::kernels
