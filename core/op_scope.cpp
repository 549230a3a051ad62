#include "core/op_scope.h"

#include "core/error.h"

namespace xlstm {
namespace {

thread_local const OpScope* current = nullptr;

std::string text_of(const Tensor& t) {
  return t.defined() ? name_of(t.dtype()) + to_string(t.shape()) : "none";
}

}  // namespace

OpScope::OpScope(const char* op, std::initializer_list<Operand> operands, bool backward)
    : memory_(MemoryScope::op(op, backward)), op_(op), backward_(backward), outer_(current) {
  for (const Operand& operand : operands) add(operand);
  current = this;
}

OpScope::~OpScope() {
  current = outer_;
}

void OpScope::add(const Operand& operand) {
  const Tensor& tensor = *operand.tensor_;
  if (n_ < operands_.size()) operands_[n_] = &tensor;
  ++n_;
  if (!tensor.defined()) return;
  if (first_ == nullptr) first_ = &tensor;
  require<DeviceError>(tensor.device() == first_->device(), op_,
                       ": tensors are on different devices, got ", text_of(*first_), " on ",
                       to_string(first_->device()), " and ", text_of(tensor), " on ",
                       to_string(tensor.device()), " (move one of them)");
}

void OpScope::add(const Tensors& operands) {
  for (const Tensor& operand : operands) add(operand);
}

std::string OpScope::text() const {
  std::string text = detail::concat(", in ", op_, backward_ ? " backward" : "");
  for (size_t i = 0; i < n_ && i < operands_.size(); ++i)
    text += (i > 0 ? ", " : backward_ ? ", gradients " : " of ") + text_of(*operands_[i]);
  return n_ > operands_.size() ? text + ", ..." : text;
}

std::string OpScope::where(const std::string& device) {
  return " (on " + device + (current != nullptr ? current->text() : "") + ")";
}
std::string OpScope::where(Device device) {
  return where(to_string(device));
}

}  // namespace xlstm
