#include "core/tensor.h"

#include <cstring>

#include "core/autograd.h"
#include "core/checked_size.h"

namespace xlstm {
namespace {

// Calls f(typed pointer) for the element type of memory.
template <class F>
void with_type(DType dtype, F f) {
  switch (dtype) {
    case DType::f32:
      return f(float{});
    case DType::f64:
      return f(double{});
    case DType::i8:
      return f(int8_t{});
    case DType::i16:
      return f(int16_t{});
    case DType::i32:
      return f(int32_t{});
    case DType::i64:
      return f(int64_t{});
    case DType::u8:
    case DType::boolean:
      return f(uint8_t{});
    case DType::u16:
      return f(uint16_t{});
    case DType::u32:
      return f(uint32_t{});
    case DType::bf16:
    case DType::f16:
      break;
  }
  throw_error<ShapeError>("tensor: no plain C++ type for ", name_of(dtype));
}

double load(const void* p, DType dtype, int64_t i) {
  if (dtype == DType::bf16) return bf16_to_float(static_cast<const uint16_t*>(p)[i]);
  if (dtype == DType::f16) return f16_to_float(static_cast<const uint16_t*>(p)[i]);
  double value = 0;
  with_type(dtype, [&](auto zero) {
    value = static_cast<double>(static_cast<const decltype(zero)*>(p)[i]);
  });
  return value;
}

void store(void* p, DType dtype, int64_t i, double value) {
  if (dtype == DType::bf16) {
    static_cast<uint16_t*>(p)[i] = float_to_bf16(static_cast<float>(value));
  } else if (dtype == DType::f16) {
    static_cast<uint16_t*>(p)[i] = float_to_f16(static_cast<float>(value));
  } else if (dtype == DType::boolean) {
    static_cast<uint8_t*>(p)[i] = value != 0;
  } else {
    with_type(dtype, [&](auto zero) {
      static_cast<decltype(zero)*>(p)[i] = static_cast<decltype(zero)>(value);
    });
  }
}

// Calls f(offset_a, offset_b) for every element in row-major order.
template <class F>
void for_each_pair(const Shape& shape, const Shape& sa, const Shape& sb, F f) {
  const int64_t n = element_count(shape);
  Shape index(shape.size(), 0);
  int64_t a = 0, b = 0;
  for (int64_t i = 0; i < n; ++i) {
    f(a, b);
    for (size_t d = shape.size(); d-- > 0;) {
      a += sa[d];
      b += sb[d];
      if (++index[d] < shape[d]) break;
      a -= sa[d] * shape[d];
      b -= sb[d] * shape[d];
      index[d] = 0;
    }
  }
}

// Integers beyond 2^53 would not survive a detour over double, so equal types copy directly.
void copy_elements(const Tensor& from, const Tensor& to) {
  const char* src = static_cast<const char*>(from.raw());
  char* dst = static_cast<char*>(to.raw());
  if (from.dtype() == to.dtype()) {
    const int64_t size = size_of(from.dtype());
    if (from.is_contiguous() && to.is_contiguous()) {
      if (from.numel() > 0) std::memmove(dst, src, static_cast<size_t>(from.numel() * size));
      return;
    }
    for_each_pair(from.shape(), from.strides(), to.strides(), [&](int64_t a, int64_t b) {
      std::memcpy(dst + b * size, src + a * size, static_cast<size_t>(size));
    });
    return;
  }
  for_each_pair(from.shape(), from.strides(), to.strides(), [&](int64_t a, int64_t b) {
    store(dst, to.dtype(), b, load(src, from.dtype(), a));
  });
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
  if (t.numel() > 0) std::memset(t.raw(), 0, static_cast<size_t>(t.impl()->storage->bytes));
  return t;
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype) {
  Tensor t = empty(shape, dtype);
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
  return load(raw(), dtype(), 0);
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

Tensor Tensor::clone() const {
  Tensor out = empty(shape(), dtype());
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
  const Shape zero(shape().size(), 0);
  for_each_pair(shape(), strides(), zero,
                [&](int64_t a, int64_t) { store(raw(), dtype(), a, value); });
  bump_version();
}

void Tensor::rebind(const Tensor& other) {
  require<ShapeError>(checked().shape == other.shape() && dtype() == other.dtype(),
                      "rebind: shape or type differs, got ", to_string(other.shape()),
                      ", expected ", to_string(shape()));
  impl_->storage = other.impl()->storage;
  impl_->offset = other.impl()->offset;
  impl_->strides = other.impl()->strides;
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
  require<ShapeError>(
      !grad.defined() || (grad.shape() == checked().shape && grad.dtype() == dtype()),
      "set_grad: shape or type differs from the tensor's");
  impl_->grad = grad;
}

uint64_t Tensor::version() const {
  return checked().storage->version;
}
void Tensor::bump_version() {
  ++impl_->storage->version;
}

}  // namespace xlstm
