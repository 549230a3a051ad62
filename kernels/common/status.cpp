#include "kernels/common/types.h"

const char* xlstm_status_string(xlstm_status status) {
  switch (status) {
    case XLSTM_OK:
      return "ok";
    case XLSTM_NULL_POINTER:
      return "a required pointer is null";
    case XLSTM_BAD_SIZE:
      return "a size is negative or too large, or sizes do not fit each other";
    case XLSTM_BAD_STRIDE:
      return "a stride is unusable (the innermost dimension must be dense)";
    case XLSTM_BAD_DTYPE:
      return "the element type is not supported by this backend";
    case XLSTM_BAD_VALUE:
      return "a scalar or flag is outside its range";
    case XLSTM_BAD_VARIANT:
      return "the kernel variant asked for does not compute these sizes and types on this device";
    case XLSTM_WORKSPACE_TOO_SMALL:
      return "the workspace is missing or smaller than the workspace query says";
    case XLSTM_NOT_COMPILED:
      return "this backend is not part of the build";
    case XLSTM_DEVICE_ERROR:
      return "the device reported an error";
    case XLSTM_MISALIGNED:
      return "a pointer is not a multiple of its element's size, or the workspace not of 64 bytes";
  }
  return "unknown status";
}
