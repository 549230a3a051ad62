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

// Where the fragments' rows and columns lie in R. at(R, h, group, tile, row, k): row 0 to 15.
struct PairedUnits : SlstmFragments {
  template <bool kBackward>
  static constexpr int kTilesM = kBackward ? 1 : 4;
  template <bool kBackward>
  __device__ float at(const Weights& R, int64_t h, int64_t group, int tile, int row,
                      int64_t k) const {
    const int64_t unit = group * 16 + row % 8 * 2;
    return kBackward ? R.at(h, unit + row / 8, k / gate_width, k % gate_width)
                     : R.at(h, k, tile % 2 * 2 + row / 8, unit + tile / 2);
  }
};
struct GroupedUnits : SlstmGroupFragments {
  template <bool kBackward>
  static constexpr int kTilesM = kBackward ? 1 : 2;
  template <bool kBackward>
  __device__ float at(const Weights& R, int64_t h, int64_t group, int tile, int row,
                      int64_t k) const {
    return kBackward ? R.at(h, group * 16 + row, k / 8 % 4, k / 32 * 8 + k % 8)
                     : R.at(h, k, tile * 2 + row / 8, group * 8 + row % 8);
  }
};

// A thread makes one lane's four registers.
template <class T, bool kBackward, class Shape>
__global__ void pack_fragments(Weights R, int64_t H, Shape shape, uint4* to) {
  constexpr int kTilesM = Shape::template kTilesM<kBackward>;
  const int64_t n = H * shape.groups * shape.k_tiles * kTilesM * 32;
  for (int64_t x = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; x < n;
       x += int64_t{gridDim.x} * blockDim.x) {
    const int lane = static_cast<int>(x % 32), tile = static_cast<int>(x / 32 % kTilesM);
    const int64_t k_tile = x / 32 / kTilesM % shape.k_tiles;
    const int64_t group = x / 32 / kTilesM / shape.k_tiles % shape.groups;
    const int64_t h = x / 32 / kTilesM / shape.k_tiles / shape.groups;
    const int64_t k = k_tile * 16 + lane % 4 * 2;
    // Registers: rows r and r + 8 at columns k, then both at columns k + 8.
    uint32_t registers[4];
    for (int i = 0; i < 4; ++i) {
      float pair[2];
      for (int e = 0; e < 2; ++e)
        pair[e] = shape.template at<kBackward>(R, h, group, tile, lane / 4 + i % 2 * 8,
                                               k + i / 2 * 8 + e);
      registers[i] = packed_pair<T>(pair[0], pair[1]);
    }
    to[x] = make_uint4(registers[0], registers[1], registers[2], registers[3]);
  }
}

template <class T, class Shape>
void launch(const Weights& R, int64_t H, const Shape& shape, bool backward, void* to,
            cudaStream_t stream) {
  const unsigned blocks = grid_for(shape.bytes(H, backward) / 16, 256);
  if (backward) {
    pack_fragments<T, true><<<blocks, 256, 0, stream>>>(R, H, shape, static_cast<uint4*>(to));
  } else {
    pack_fragments<T, false><<<blocks, 256, 0, stream>>>(R, H, shape, static_cast<uint4*>(to));
  }
}

template <class Shape>
xlstm_status pack(const Weights& R, xlstm_dtype dtype, int64_t H, const Shape& shape, bool backward,
                  void* to, cudaStream_t stream) {
  if (dtype == XLSTM_BF16) {
    launch<bf16>(R, H, shape, backward, to, stream);
  } else {
    launch<f16>(R, H, shape, backward, to, stream);
  }
  return launched();
}

}  // namespace

xlstm_status slstm_pack_fragments(const void* R, xlstm_dtype weight_dtype, xlstm_dtype dtype,
                                  int64_t H, int64_t D, const SlstmFragments& shape, bool backward,
                                  void* to, cudaStream_t stream) {
  return pack(Weights{R, weight_dtype, D}, dtype, H, PairedUnits{shape}, backward, to, stream);
}
xlstm_status slstm_pack_groups(const void* R, xlstm_dtype weight_dtype, xlstm_dtype dtype,
                               int64_t H, int64_t D, const SlstmGroupFragments& shape,
                               bool backward, void* to, cudaStream_t stream) {
  return pack(Weights{R, weight_dtype, D}, dtype, H, GroupedUnits{shape}, backward, to, stream);
}

}  // namespace xlstm::kernels
