// Kernels of an op by name, and which of them is to run.
//
// An op's variants stand in its row of the op table (op_info.h): reports, `xlstm bench --variant`,
// docs/ops.md and the environment variable XLSTM_KERNEL_<OP> all take the names from there.
#pragma once

#include <cstdint>
#include <string>

#include "core/device.h"
#include "core/error.h"

namespace xlstm {

struct KernelVariant {
  const char* name;  // as VariantLog reports it
  DeviceType device;
  const char* computes = "";  // which sizes and types, if not all of the op's; for docs/ops.md
  int32_t id = 0;             // the kernel's `variant` argument; 0: never asked for by number
  bool has_backward = true;   // false: without gradients only
  int capability = 0;         // the one compute capability it is for (90: 9.0); 0: any
};

// A variant that was asked for and does not compute this call.
class VariantError : public ConfigError {
 public:
  using ConfigError::ConfigError;
};

// What was asked of one op that has several kernels: by the innermost VariantChoice of this thread,
// else by the environment. Ops keep one as a static.
class KernelSwitch {
 public:
  explicit KernelSwitch(const char* op);
  // The variant of `device` with the name that was asked for; null if none was, or it is one of
  // another device: calls there are not meant. ConfigError for a name that the op does not have.
  const KernelVariant* asked(Device device) const;
  // Throws the VariantError that says what `variant` cannot do: "12 rows, expected 1 to 4".
  [[noreturn]] void refuse(const KernelVariant& variant, const std::string& why) const;

 private:
  const char* op_;
  std::string variable_;  // XLSTM_KERNEL_SLSTM
};

// While alive, calls of the op on this thread run this variant, whatever the environment says; an
// empty name leaves the choice to the op.
class VariantChoice {
 public:
  VariantChoice(std::string op, std::string variant);
  ~VariantChoice();
  VariantChoice(const VariantChoice&) = delete;
  VariantChoice& operator=(const VariantChoice&) = delete;

 private:
  friend class KernelSwitch;
  std::string op_, variant_;
  VariantChoice* outer_;
};

// "XLSTM_KERNEL_SLSTM"
std::string kernel_variable(const std::string& op);
// ConfigError if a variable XLSTM_KERNEL_... of the environment names no op or not one of its
// variants: what commands look at first, since an op that is never called would not complain.
void check_kernel_variables();

}  // namespace xlstm
