/* Counts on a device what the host wants to watch without waiting: a counter in device memory goes
 * up by one, and its new value appears in host memory that the device can write to (pinned and
 * mapped). Inside a CUDA graph every replay counts on.
 *
 * One thread, one launch; visible to the host when later work of the stream is. The CPU version
 * does the same at once.
 */
#ifndef XLSTM_KERNELS_PROGRESS_PROGRESS_H_
#define XLSTM_KERNELS_PROGRESS_PROGRESS_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xlstm_progress_args {
  uint64_t* counter; /* on the device */
  uint64_t* shown;   /* in host memory that the device can reach */
} xlstm_progress_args;

xlstm_status xlstm_progress_check(const xlstm_progress_args* args);
xlstm_status xlstm_progress_cpu(const xlstm_progress_args* args, xlstm_exec exec);
xlstm_status xlstm_progress_cuda(const xlstm_progress_args* args, xlstm_exec exec);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_PROGRESS_PROGRESS_H_ */
