// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random
// numbers: as easy as 1, 2, 3" (2011): a stateless function from (seed, counter) to 128 random
// bits. The same on the CPU and on the GPU.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define XLSTM_HOST_DEVICE __host__ __device__
#else
#define XLSTM_HOST_DEVICE
#endif

namespace xlstm::kernels {

struct Philox4 {
  uint32_t x[4];
};

// counter_high names a stream, counter_low a position in it.
XLSTM_HOST_DEVICE inline Philox4 philox(uint64_t seed, uint64_t counter_low,
                                        uint64_t counter_high) {
  uint32_t c0 = static_cast<uint32_t>(counter_low), c1 = static_cast<uint32_t>(counter_low >> 32);
  uint32_t c2 = static_cast<uint32_t>(counter_high), c3 = static_cast<uint32_t>(counter_high >> 32);
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0, p1 = uint64_t{0xCD9E8D57u} * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    const uint32_t n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// [0, 1) with 24 bits, exact in float.
XLSTM_HOST_DEVICE inline float uniform_24(uint32_t bits) {
  return static_cast<float>(bits >> 8) * 5.9604644775390625e-8f;
}

}  // namespace xlstm::kernels
