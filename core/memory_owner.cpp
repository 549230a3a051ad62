#include "core/memory_owner.h"

#include <cstdio>
#include <mutex>
#include <set>

namespace xlstm {
namespace {

thread_local MemoryOwner owner;

}  // namespace

const MemoryOwner& MemoryOwner::current() {
  return owner;
}

const char* name_of(MemoryCategory category) {
  constexpr const char* kNames[kMemoryCategories] = {"other",     "weights",     "gradients",
                                                     "optimizer", "activations", "workspace"};
  return kNames[static_cast<size_t>(category)];
}

const char* interned(const std::string& name) {
  static std::mutex mutex;
  static auto* names = new std::set<std::string>;  // never destroyed: storages may outlive it
  std::lock_guard lock(mutex);
  return names->insert(name).first->c_str();
}

MemoryScope::MemoryScope(MemoryCategory category) : before_(owner) {
  owner.category = category;
}

MemoryScope::MemoryScope(const MemoryOwner& next) : before_(owner) {
  owner = next;
}

MemoryScope MemoryScope::op(const char* name, bool backward) {
  MemoryOwner next = owner;
  next.op = name;
  next.backward = backward || owner.backward;
  if (next.category == MemoryCategory::other) next.category = MemoryCategory::activations;
  return MemoryScope(next);
}

MemoryScope MemoryScope::module(const char* name) {
  MemoryOwner next = owner;
  next.module = name;
  return MemoryScope(next);
}

MemoryScope::~MemoryScope() {
  owner = before_;
}

std::string bytes_text(int64_t bytes) {
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return std::to_string(bytes) + " bytes";
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; value >= 1024 && unit < 3; ++unit) value /= 1024;
  char text[32];
  std::snprintf(text, sizeof(text), value < 10 ? "%.2f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

}  // namespace xlstm
