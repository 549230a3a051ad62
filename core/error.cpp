#include "core/error.h"

#include "core/cuda/runtime.h"
#include "core/op_scope.h"

namespace xlstm {

void check_status(xlstm_status status, const char* op, Device device) {
  if (status == XLSTM_OK) return;
  const std::string error = status == XLSTM_DEVICE_ERROR ? cuda::take_error() : "";
  const std::string text =
      detail::concat(op, ": ", xlstm_status_string(status), error, OpScope::where(device));
  if (status == XLSTM_NOT_COMPILED) throw DeviceError(text);
  if (status == XLSTM_DEVICE_ERROR) throw CudaError(text);
  if (status == XLSTM_BAD_VARIANT) throw ConfigError(text);
  throw ShapeError(text);
}

}  // namespace xlstm
