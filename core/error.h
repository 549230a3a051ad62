// The errors of xlstm.cu. One line for the user: what is wrong, what came, what was expected, a
// hint. The commands turn each class into a documented exit code (docs/errors.md).
#pragma once

#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>

#include "core/device.h"
#include "core/memory_owner.h"
#include "kernels/common/types.h"

namespace xlstm {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

#define XLSTM_DEFINE_ERROR(Name) \
  class Name : public Error {    \
   public:                       \
    using Error::Error;          \
  }
XLSTM_DEFINE_ERROR(ShapeError);      // shapes, dtypes or strides that do not fit an operation
XLSTM_DEFINE_ERROR(DeviceError);     // a device that is absent or not the one of the other tensors
XLSTM_DEFINE_ERROR(CudaError);       // the CUDA runtime reported an error
XLSTM_DEFINE_ERROR(CommError);       // communication between ranks failed
XLSTM_DEFINE_ERROR(FormatError);     // a file that is damaged or not what it claims to be
XLSTM_DEFINE_ERROR(FileError);       // a file that is missing, unreadable, or could not be written
XLSTM_DEFINE_ERROR(ConfigError);     // a configuration or argument that makes no sense
XLSTM_DEFINE_ERROR(AutogradError);   // misuse of the tape
XLSTM_DEFINE_ERROR(NonFiniteError);  // NaN or infinity stopped the run
#undef XLSTM_DEFINE_ERROR

// An allocation failed, or is known to fail.
class OutOfMemory : public Error {
 public:
  using Error::Error;
  OutOfMemory(const std::string& text, const MemoryReport& report) : Error(text), report_(report) {}
  // In numbers, if a caching allocator found it.
  const std::optional<MemoryReport>& report() const { return report_; }

 private:
  std::optional<MemoryReport> report_;
};

namespace detail {
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}
}  // namespace detail

// throw_error<ShapeError>("linear: inner sizes differ, got ", a, ", expected ", b);
template <class E, class... Parts>
[[noreturn]] void throw_error(const Parts&... parts) {
  throw E(detail::concat(parts...));
}

// The parts are only turned into text when the condition is false.
template <class E, class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    throw_error<E>(parts...);
}

// Turns the status of a kernel that was called on `device` into an exception. It names the op, the
// device, the tensors of the op in progress (OpScope) and, of CUDA, the pending error, which it
// takes away.
void check_status(xlstm_status status, const char* op, Device device);

}  // namespace xlstm
