#include "core/kernel_variant.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>

#include "core/op_info.h"

namespace xlstm {
namespace {

constexpr const char* kPrefix = "XLSTM_KERNEL_";

thread_local VariantChoice* innermost = nullptr;

// "small, spread or step on cuda, portable on cpu"
std::string names_of(const OpInfo& op) {
  std::string text;
  for (const DeviceType device : {DeviceType::cuda, DeviceType::cpu}) {
    const std::vector<KernelVariant> variants = variants_of(op, device);
    for (size_t i = 0; i < variants.size(); ++i)
      text += std::string(i == 0                     ? (text.empty() ? "" : ", ")
                          : i + 1 == variants.size() ? " or "
                                                     : ", ") +
              variants[i].name;
    text += device == DeviceType::cuda ? " on cuda" : " on cpu";
  }
  return text;
}

// Where the name stands among the variants of the device, or null; ConfigError if on none.
const KernelVariant* find(const OpInfo& op, DeviceType device, const std::string& name,
                          const std::string& asked_by) {
  bool known = false;
  for (const DeviceType type : {DeviceType::cuda, DeviceType::cpu})
    for (const KernelVariant& v : variants_of(op, type)) known = known || v.name == name;
  require<ConfigError>(known, asked_by, ": ", op.name, " has no such kernel variant, got \"", name,
                       "\", expected ", names_of(op));
  for (const KernelVariant& v : op.variants)
    if (v.device == device && v.name == name) return &v;
  return nullptr;
}

}  // namespace

std::string kernel_variable(const std::string& op) {
  std::string name = kPrefix;
  for (const char c : op) name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

KernelSwitch::KernelSwitch(const char* op) : op_(op), variable_(kernel_variable(op)) {}

const KernelVariant* KernelSwitch::asked(Device device) const {
  for (const VariantChoice* choice = innermost; choice != nullptr; choice = choice->outer_) {
    if (choice->op_ != op_) continue;
    if (choice->variant_.empty()) return nullptr;
    return find(*find_op(op_), device.type, choice->variant_, "kernel variant");
  }
  const char* name = std::getenv(variable_.c_str());
  if (name == nullptr || *name == '\0') return nullptr;
  return find(*find_op(op_), device.type, name, variable_);
}

void KernelSwitch::refuse(const KernelVariant& variant, const std::string& why) const {
  throw_error<VariantError>(op_, ": the kernel variant ", variant.name,
                            " was asked for and does not compute this, got ", why, " (unset ",
                            variable_, " to let the op choose)");
}

VariantChoice::VariantChoice(std::string op, std::string variant)
    : op_(std::move(op)), variant_(std::move(variant)), outer_(innermost) {
  innermost = this;
}
VariantChoice::~VariantChoice() {
  innermost = outer_;
}

void check_kernel_variables() {
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    if (std::strncmp(*at, kPrefix, std::strlen(kPrefix)) != 0) continue;
    const std::string entry = *at, variable = entry.substr(0, entry.find('='));
    const std::string name = entry.substr(variable.size() + 1);
    const OpInfo* found = nullptr;
    std::string variables;
    for (const OpInfo& op : op_table()) {
      if (kernel_variable(op.name) == variable) found = &op;
      const bool has_choice = std::any_of(op.variants.begin(), op.variants.end(),
                                          [](const KernelVariant& v) { return v.id != 0; });
      if (has_choice) variables += (variables.empty() ? "" : ", ") + kernel_variable(op.name);
    }
    require<ConfigError>(found != nullptr, variable, ": there is no such op, expected one of ",
                         variables, " (ops with several kernels)");
    if (!name.empty()) find(*found, DeviceType::cpu, name, variable);
  }
}

}  // namespace xlstm
