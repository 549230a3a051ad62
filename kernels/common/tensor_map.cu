#include <cudaTypedefs.h>
#include <cuda_runtime.h>

#include "kernels/common/driver_function.h"
#include "kernels/common/tensor_map.h"

namespace xlstm::kernels {

bool make_tensor_map(CUtensorMap* map, xlstm_dtype dtype, const void* data, const int64_t (&n)[4],
                     const int64_t (&strides)[3], int rows) {
  static const auto encode =
      driver_function<PFN_cuTensorMapEncodeTiled_v12000>("cuTensorMapEncodeTiled", 12000);
  if (encode == nullptr) return false;
  cuuint64_t sizes[4], bytes[3];
  for (int i = 0; i < 4; ++i) sizes[i] = static_cast<cuuint64_t>(n[i]);
  for (int i = 0; i < 3; ++i) bytes[i] = static_cast<cuuint64_t>(strides[i]) * 2;
  const cuuint32_t box[4] = {64, 1, static_cast<cuuint32_t>(rows), 1}, every[4] = {1, 1, 1, 1};
  return encode(map,
                dtype == XLSTM_BF16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                    : CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
                4, const_cast<void*>(data), sizes, bytes, box, every, CU_TENSOR_MAP_INTERLEAVE_NONE,
                CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

}  // namespace xlstm::kernels
