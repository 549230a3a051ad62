#include "core/variant_log.h"

#include <algorithm>

namespace xlstm {
namespace {

thread_local VariantLog* listener = nullptr;

}  // namespace

VariantLog::VariantLog() {
  listener = this;
}
VariantLog::~VariantLog() {
  listener = nullptr;
}

bool variants_are_noted() {
  return listener != nullptr;
}

void note_variant(const char* name) {
  if (listener == nullptr) return;
  std::vector<std::string>& names = listener->names_;
  if (std::find(names.begin(), names.end(), name) == names.end()) names.emplace_back(name);
}

}  // namespace xlstm
