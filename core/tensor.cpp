#include "core/tensor.h"

#include <cstring>

#include "core/autograd.h"
#include "core/checked_size.h"
#include "core/cuda/runtime.h"
#include "core/element_copy.h"

namespace xlstm {
namespace {

Elements elements_of(const Tensor& t) {
  return {t.raw(), t.dtype(), &t.strides()};
}

// Between devices only dense memory of one type moves; whatever else there is to do is done on the
// side that has the values.
void copy_elements(const Tensor& from, const Tensor& to) {
  const Device source = from.device(), target = to.device();
  if (source == target) {
    if (source == kCpu) return xlstm::copy_elements(to.shape(), elements_of(from), elements_of(to));
    return cuda::copy_elements(to.shape(), elements_of(from), elements_of(to), source);
  }
  Tensor sent = from;
  if (!from.is_contiguous() || from.dtype() != to.dtype()) {
    sent = Tensor::empty(from.shape(), to.dtype(), source);
    copy_elements(from, sent);
  }
  const Tensor received = to.is_contiguous() ? to : Tensor::empty(to.shape(), to.dtype(), target);
  cuda::copy(received.raw(), target, sent.raw(), source, sent.numel() * size_of(to.dtype()));
  if (!to.is_contiguous()) copy_elements(received, to);
}

}  // namespace

const TensorImpl& Tensor::checked() const {
  require<ShapeError>(impl_ != nullptr, "tensor: undefined tensor used as a value");
  return *impl_;
}

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  auto impl = std::make_shared<TensorImpl>();
  const int64_t bytes = checked_mul(element_count(shape), size_of(dtype), "tensor");
  impl->storage = std::make_shared<Storage>(bytes, device);
  impl->dtype = dtype;
  impl->shape = shape;
  impl->strides = contiguous_strides(shape);
  return Tensor(std::move(impl));
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  t.fill(0);
  return t;
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  t.fill(value);
  return t;
}

template <class T>
Tensor Tensor::from(std::span<const T> values, const Shape& shape) {
  require<ShapeError>(static_cast<int64_t>(values.size()) == element_count(shape),
                      "tensor: number of values does not fit the shape, got ", values.size(),
                      ", expected ", to_string(shape));
  Tensor t = empty(shape, DTypeOf<T>::value);
  if (!values.empty()) std::memcpy(t.raw(), values.data(), values.size_bytes());
  return t;
}
template Tensor Tensor::from(std::span<const float>, const Shape&);
template Tensor Tensor::from(std::span<const double>, const Shape&);
template Tensor Tensor::from(std::span<const int32_t>, const Shape&);
template Tensor Tensor::from(std::span<const int64_t>, const Shape&);
template Tensor Tensor::from(std::span<const uint8_t>, const Shape&);
template Tensor Tensor::from(std::span<const uint16_t>, const Shape&);

const Shape& Tensor::shape() const {
  return checked().shape;
}
const Shape& Tensor::strides() const {
  return checked().strides;
}
DType Tensor::dtype() const {
  return checked().dtype;
}
Device Tensor::device() const {
  return checked().storage->device;
}
int64_t Tensor::numel() const {
  return element_count(shape());
}
int64_t Tensor::size(int64_t d) const {
  return shape()[static_cast<size_t>(normalize_dim(d, dim(), "size"))];
}
int64_t Tensor::stride(int64_t d) const {
  return strides()[static_cast<size_t>(normalize_dim(d, dim(), "stride"))];
}

bool Tensor::is_contiguous() const {
  const TensorImpl& t = checked();
  int64_t expected = 1;
  for (size_t d = t.shape.size(); d-- > 0;) {
    if (t.shape[d] == 0) return true;
    if (t.shape[d] != 1 && t.strides[d] != expected) return false;
    expected *= t.shape[d];
  }
  return true;
}

void* Tensor::raw() const {
  const TensorImpl& t = checked();
  require<AutogradError>(t.storage->data != nullptr || t.storage->bytes == 0,
                         "tensor: its memory has been given back, got a read of ",
                         to_string(t.shape), " ", name_of(t.dtype),
                         ", expected one of its low-precision copy");
  return static_cast<char*>(t.storage->data) + t.offset * size_of(t.dtype);
}

void Tensor::check_dtype(DType expected) const {
  const DType have = dtype();
  const bool same = have == expected || (expected == DType::u8 && have == DType::boolean) ||
                    (expected == DType::u16 && (have == DType::bf16 || have == DType::f16));
  require<ShapeError>(same, "tensor: element type differs, got ", name_of(have), ", expected ",
                      name_of(expected));
}

double Tensor::item() const {
  require<ShapeError>(numel() == 1, "item: expected a tensor with one element, got ",
                      to_string(shape()));
  return load_element(to(kCpu).raw(), dtype(), 0);
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  std::vector<T> out(static_cast<size_t>(numel()));
  if (out.empty()) return out;
  Tensor converted = empty(shape(), DTypeOf<T>::value);
  copy_elements(*this, converted);
  std::memcpy(out.data(), converted.raw(), out.size() * sizeof(T));
  return out;
}
template std::vector<float> Tensor::to_vector() const;
template std::vector<double> Tensor::to_vector() const;
template std::vector<int32_t> Tensor::to_vector() const;
template std::vector<int64_t> Tensor::to_vector() const;
template std::vector<uint8_t> Tensor::to_vector() const;

Tensor Tensor::strided_view(const Shape& shape, const Shape& strides, int64_t offset) const {
  const TensorImpl& t = checked();
  require<ShapeError>(shape.size() == strides.size(), "view: one stride per dimension, got ",
                      to_string(shape), " and ", to_string(strides));
  int64_t first = checked_add(t.offset, offset, "view"), last = first;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] > 0)
      (strides[d] < 0 ? first : last) += checked_mul(shape[d] - 1, strides[d], "view");
  }
  const int64_t available = t.storage->bytes / size_of(t.dtype);
  require<ShapeError>(element_count(shape) == 0 || (first >= 0 && last < available),
                      "view: outside the storage, got shape ", to_string(shape), ", strides ",
                      to_string(strides), ", offset ", offset, ", expected within ", available,
                      " elements");
  auto impl = std::make_shared<TensorImpl>();
  impl->storage = t.storage;
  impl->offset = t.offset + offset;
  impl->dtype = t.dtype;
  impl->shape = shape;
  impl->strides = strides;
  return Tensor(std::move(impl));
}

Tensor Tensor::detach() const {
  return strided_view(shape(), strides(), 0);
}

Tensor tensor_in(const std::shared_ptr<Storage>& storage, int64_t byte_offset, const Shape& shape,
                 DType dtype) {
  auto impl = std::make_shared<TensorImpl>();
  impl->storage = storage;
  impl->offset = byte_offset / size_of(dtype);
  impl->dtype = dtype;
  impl->shape = shape;
  impl->strides = contiguous_strides(shape);
  return Tensor(std::move(impl));
}

Tensor Tensor::clone() const {
  Tensor out = empty(shape(), dtype(), device());
  copy_elements(*this, out);
  return out;
}

Tensor Tensor::to(Device device) const {
  if (device == this->device()) return *this;
  Tensor out = empty(shape(), dtype(), device);
  copy_elements(*this, out);
  return out;
}

void Tensor::copy_from(const Tensor& source) {
  require<ShapeError>(source.shape() == shape(), "copy_from: shapes differ, got ",
                      to_string(source.shape()), ", expected ", to_string(shape()));
  copy_elements(source, *this);
  bump_version();
}

void Tensor::fill(double value) {
  if (device() == kCpu) {
    fill_elements(shape(), elements_of(*this), value);
  } else {
    cuda::fill_elements(shape(), elements_of(*this), value, device());
  }
  bump_version();
}

void Tensor::rebind(const Tensor& other) {
  require<ShapeError>(
      checked().shape == other.shape() &&
          ((dtype() == other.dtype() && device() == other.device()) || !impl_->grad.defined()),
      "rebind: shape, type or device differs, got ", to_string(other.shape()), " ",
      name_of(other.dtype()), " on ", to_string(other.device()), ", expected ", to_string(shape()),
      " ", name_of(dtype()), " on ", to_string(device()));
  if (device() != other.device()) impl_->low_precision = {};
  impl_->dtype = other.dtype();
  impl_->storage = other.impl()->storage;
  impl_->offset = other.impl()->offset;
  impl_->strides = other.impl()->strides;
}

Tensor Tensor::low_precision() const {
  return checked().low_precision;
}

void Tensor::set_low_precision(const Tensor& copy) {
  require<ShapeError>(
      !copy.defined() || (copy.shape() == checked().shape && copy.device() == device()),
      "set_low_precision: shape or device differs from the tensor's");
  impl_->low_precision = copy;
}

bool Tensor::requires_grad() const {
  return impl_ != nullptr && (impl_->requires_grad || impl_->grad_node != nullptr);
}

Tensor& Tensor::set_requires_grad(bool value) {
  require<AutogradError>(checked().grad_node == nullptr,
                         "set_requires_grad: only leaves can be changed, got a result of ",
                         impl_->grad_node ? impl_->grad_node->name : "");
  require<AutogradError>(!value || is_floating(dtype()),
                         "set_requires_grad: only floating tensors have gradients, got ",
                         name_of(dtype()));
  impl_->requires_grad = value;
  return *this;
}

Tensor Tensor::grad() const {
  return checked().grad;
}

void Tensor::set_grad(const Tensor& grad) {
  require<ShapeError>(!grad.defined() || (grad.shape() == checked().shape &&
                                          grad.dtype() == dtype() && grad.device() == device()),
                      "set_grad: shape, type or device differs from the tensor's");
  impl_->grad = grad;
}

uint64_t Tensor::version() const {
  return checked().storage->version;
}
void Tensor::bump_version() {
  ++impl_->storage->version;
}

}  // namespace xlstm
