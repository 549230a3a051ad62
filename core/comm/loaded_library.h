// A library that is loaded when it is first needed, so that programs start without it.
#pragma once

#include <dlfcn.h>

#include <cstdlib>
#include <initializer_list>
#include <string>
#include <type_traits>

namespace xlstm::comm {

class LoadedLibrary {
 public:
  // The path in the environment variable, or the first of the names that is found; flags as dlopen.
  LoadedLibrary(const char* variable, std::initializer_list<const char*> names, int flags) {
    const char* asked = std::getenv(variable);
    if (asked != nullptr && *asked != '\0') {
      library_ = dlopen(asked, flags);
    } else {
      for (const char* name : names)
        if (library_ == nullptr) library_ = dlopen(name, flags);
    }
    if (library_ == nullptr) missing_ = dlerror();
  }

  // A function's address, or an object's; null if it is not there.
  template <class Pointer>
  void find_if_there(Pointer& place, const char* name) {
    if (library_ != nullptr) place = reinterpret_cast<Pointer>(dlsym(library_, name));
  }
  // The same of what cannot be done without.
  template <class Pointer>
  void find(Pointer& place, const char* name) {
    if (library_ == nullptr) return;
    find_if_there(place, name);
    if (place == nullptr) missing_ = std::string("no ") + name;
  }

  // Why it cannot be used; empty: it can.
  const std::string& missing() const { return missing_; }

 private:
  void* library_ = nullptr;  // never closed: what it started may still run
  std::string missing_;
};

}  // namespace xlstm::comm
