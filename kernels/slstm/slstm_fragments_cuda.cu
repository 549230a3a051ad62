// R rearranged once per call into the fragments that the recurrent kernels hold in registers.
#include "kernels/slstm/slstm_cuda.cuh"

namespace xlstm::kernels {
namespace {

// R_h[k, gate, j] rounded to T, zero beyond D.
struct Weights {
  const void* R;
  xlstm_dtype dtype;
  int64_t D;
  __device__ float at(int64_t h, int64_t k, int64_t gate, int64_t j) const {
    if (k >= D || j >= D || gate >= 4) return 0.0f;
    return load_as_float(R, dtype, ((h * D + k) * 4 + gate) * D + j);
  }
};

// A thread makes one lane's four registers.
template <class T, bool kBackward>
__global__ void pack_fragments(Weights R, int64_t H, SlstmFragments shape, uint4* to) {
  constexpr int kTilesM = kBackward ? 1 : 4;
  const int64_t n = H * shape.groups * shape.k_tiles * kTilesM * 32;
  for (int64_t x = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; x < n;
       x += int64_t{gridDim.x} * blockDim.x) {
    const int lane = static_cast<int>(x % 32), tile = static_cast<int>(x / 32 % kTilesM);
    const int64_t k_tile = x / 32 / kTilesM % shape.k_tiles;
    const int64_t group = x / 32 / kTilesM / shape.k_tiles % shape.groups;
    const int64_t h = x / 32 / kTilesM / shape.k_tiles / shape.groups;
    const int64_t unit = group * 16 + lane / 4 * 2, k = k_tile * 16 + lane % 4 * 2;
    // Registers: rows r and r + 8 at columns k, then both at columns k + 8.
    uint32_t registers[4];
    for (int i = 0; i < 4; ++i) {
      float pair[2];
      for (int e = 0; e < 2; ++e) {
        const int64_t column = k + i / 2 * 8 + e;
        pair[e] = kBackward
                      ? R.at(h, unit + i % 2, column / shape.gate_width, column % shape.gate_width)
                      : R.at(h, column, tile % 2 * 2 + i % 2, unit + tile / 2);
      }
      registers[i] = packed_pair<T>(pair[0], pair[1]);
    }
    to[x] = make_uint4(registers[0], registers[1], registers[2], registers[3]);
  }
}

template <class T>
void launch(const Weights& R, int64_t H, const SlstmFragments& shape, bool backward, void* to,
            cudaStream_t stream) {
  const unsigned blocks = grid_for(shape.bytes(H, backward) / 16, 256);
  if (backward) {
    pack_fragments<T, true><<<blocks, 256, 0, stream>>>(R, H, shape, static_cast<uint4*>(to));
  } else {
    pack_fragments<T, false><<<blocks, 256, 0, stream>>>(R, H, shape, static_cast<uint4*>(to));
  }
}

}  // namespace

xlstm_status slstm_pack_fragments(const void* R, xlstm_dtype weight_dtype, xlstm_dtype dtype,
                                  int64_t H, int64_t D, const SlstmFragments& shape, bool backward,
                                  void* to, cudaStream_t stream) {
  const Weights weights{R, weight_dtype, D};
  if (dtype == XLSTM_BF16) {
    launch<bf16>(weights, H, shape, backward, to, stream);
  } else {
    launch<f16>(weights, H, shape, backward, to, stream);
  }
  return launched();
}

}  // namespace xlstm::kernels
