#include "core/cuda/check.h"

#include "core/cuda/runtime.h"
#include "core/op_scope.h"

namespace xlstm::cuda {
namespace {

// Errors of kernels that ran: they come up in whatever call is next.
bool may_be_of_an_earlier_call(cudaError_t error) {
  switch (error) {
    case cudaErrorECCUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
      return !waits_after_each_call();
    default:
      return false;
  }
}

// On the device that is current, and in the op in progress.
std::string here() {
  int index = 0;
  if (cudaGetDevice(&index) == cudaSuccess) return OpScope::where(Device{DeviceType::cuda, index});
  static_cast<void>(cudaGetLastError());
  return OpScope::where("cuda");
}

}  // namespace

std::string text_of(cudaError_t error) {
  return detail::concat(": ", cudaGetErrorName(error), ", ", cudaGetErrorString(error),
                        may_be_of_an_earlier_call(error)
                            ? "; an earlier call may have caused it: set XLSTM_CUDA_SYNC=1"
                            : "");
}

void fail(cudaError_t status, const char* what) {
  static_cast<void>(cudaGetLastError());
  if (status == cudaErrorMemoryAllocation)
    throw_error<OutOfMemory>("out of memory on the device: ", what, here());
  throw_error<CudaError>(what, text_of(status), here());
}

void fail(cublasStatus_t status, const char* what) {
  const std::string cause = take_error();
  if (status == CUBLAS_STATUS_ALLOC_FAILED)
    throw_error<OutOfMemory>("out of memory in cuBLASLt: ", what, here());
  throw_error<CudaError>(what, ": cuBLASLt status ", cublasLtGetStatusString(status), cause,
                         here());
}

}  // namespace xlstm::cuda
