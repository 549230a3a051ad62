/* Kernels in place of the small memsets of a CUDA graph. Library products clear a counter of a few
 * bytes before many of their launches. On an H100 such a memset between kernels takes about 2
 * microseconds, idle time included, and 5 where the graph has branches; a kernel takes less.
 */
#ifndef XLSTM_KERNELS_COMMON_MEMSET_NODES_H_
#define XLSTM_KERNELS_COMMON_MEMSET_NODES_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* graph: a cudaGraph_t that is not instantiated yet. Memsets of one row of at most `most` bytes
 * become kernels with the same neighbours; n_replaced: so many. Others stay, also those next to
 * edges with properties of their own. */
xlstm_status xlstm_replace_memsets(void* graph, int64_t most, int64_t* n_replaced);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_COMMON_MEMSET_NODES_H_ */
