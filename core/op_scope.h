// The op in progress on this thread: that its tensors are on one device, whose memory it allocates,
// and what errors say of it. On the way in it stores pointers; text is only made of an error.
#pragma once

#include <array>
#include <initializer_list>
#include <string>

#include "core/device.h"
#include "core/memory_owner.h"
#include "core/tensor.h"

namespace xlstm {

class OpScope {
 public:
  // A tensor that the op was called with. It outlives the scope; undefined: an optional one.
  class Operand {
   public:
    Operand(const Tensor& tensor) : tensor_(&tensor) {}
    Operand(const Tensor&& tensor) = delete;

   private:
    friend class OpScope;
    const Tensor* tensor_;
  };

  // Names live as long as the process. DeviceError unless all tensors are on one device.
  OpScope(const char* op, std::initializer_list<Operand> operands, bool backward = false);
  ~OpScope();
  OpScope(const OpScope&) = delete;
  OpScope& operator=(const OpScope&) = delete;

  // For operands whose number only the call knows.
  void add(const Operand& operand);
  void add(const Tensors& operands);

  // What an error on this device adds to its message: " (on cuda:0, in mul of float32[2, 3],
  // float32[3])".
  static std::string where(Device device);
  static std::string where(const std::string& device);

 private:
  std::string text() const;

  MemoryScope memory_;
  const char* op_;
  bool backward_;
  const OpScope* outer_;
  size_t n_ = 0;
  std::array<const Tensor*, 12> operands_;  // the first of them
  const Tensor* first_ = nullptr;           // that is defined
};

}  // namespace xlstm
