// A workspace handed out in pieces. Internal to this folder.
#pragma once

#include <cstdint>

namespace xlstm::kernels::mlstm {

// Hands out 64-byte aligned pieces of a block; with a null block it only counts.
class Scratch {
 public:
  explicit Scratch(void* block) : block_(static_cast<char*>(block)) {}
  template <class T>
  T* take(int64_t n) {
    char* piece = block_ == nullptr ? nullptr : block_ + used_;
    used_ += (n * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    return reinterpret_cast<T*>(piece);
  }
  int64_t bytes() const { return used_; }

 private:
  char* block_;
  int64_t used_ = 0;
};

}  // namespace xlstm::kernels::mlstm
