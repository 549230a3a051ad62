#include "kernels/common/cuda.cuh"
#include "kernels/progress/progress.h"

namespace xlstm::kernels {
namespace {

__global__ void progress_kernel(xlstm_progress_args a) {
  const uint64_t value = *a.counter + 1;
  *a.counter = value;
  *static_cast<volatile uint64_t*>(a.shown) = value;
  __threadfence_system();
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

xlstm_status xlstm_progress_cuda(const xlstm_progress_args* args, xlstm_exec exec) {
  const xlstm_status status = xlstm_progress_check(args);
  if (status != XLSTM_OK) return status;
  progress_kernel<<<1, 1, 0, stream_of(exec)>>>(*args);
  return launched();
}
