#include "core/error.h"

namespace xlstm {

void check_status(xlstm_status status, const char* op) {
  if (status == XLSTM_OK) return;
  const std::string text = detail::concat(op, ": ", xlstm_status_string(status));
  if (status == XLSTM_NOT_COMPILED) throw DeviceError(text);
  if (status == XLSTM_DEVICE_ERROR) throw CudaError(text);
  if (status == XLSTM_BAD_VARIANT) throw ConfigError(text);
  throw ShapeError(text);
}

}  // namespace xlstm
