// Descriptions of tensors for the copy engine of Hopper, made on the host.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "kernels/common/types.h"

namespace xlstm::kernels {

// A tensor of 16-bit elements [n3, n2, n1, n0] read and written in boxes of [1, rows, 1, 64], which
// stand in shared memory as hopper.cuh has it; elements outside are read as zeros. Strides in
// elements, multiples of 8 as the address is of 16 bytes; that of n0 is 1. The box lies in
// dimension
// 2. False: the driver has no such call or refuses.
bool make_tensor_map(CUtensorMap* map, xlstm_dtype dtype, const void* data, const int64_t (&n)[4],
                     const int64_t (&strides)[3], int rows);

}  // namespace xlstm::kernels
