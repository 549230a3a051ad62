// Tensor: a value handle on storage with a shape. Copies of a Tensor share everything.
//
// This class holds no arithmetic: operations are free functions in core/ops/, and they are what
// autograd records. The one raw view here, `strided_view`, is not recorded.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/dtype.h"
#include "core/error.h"
#include "core/shape.h"
#include "core/storage.h"

namespace xlstm {

namespace autograd {
struct Node;
}
struct TensorImpl;

class Tensor {
 public:
  Tensor() = default;  // undefined: "no tensor", used for optional arguments and absent gradients

  // New contiguous tensors. ShapeError for negative sizes, OutOfMemory.
  static Tensor empty(const Shape& shape, DType dtype = DType::f32, Device device = kCpu);
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = kCpu);
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32,
                     Device device = kCpu);
  // Copies `values` (row-major); their number must be that of the shape.
  template <class T>
  static Tensor from(std::span<const T> values, const Shape& shape);
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape) {
    return from(std::span<const T>(values), shape);
  }
  static Tensor scalar(double value, DType dtype = DType::f32) { return full({}, value, dtype); }

  bool defined() const { return impl_ != nullptr; }
  explicit operator bool() const { return defined(); }

  const Shape& shape() const;
  const Shape& strides() const;  // elements
  int64_t dim() const { return static_cast<int64_t>(shape().size()); }
  int64_t size(int64_t d) const;  // negative d counts from the end
  int64_t stride(int64_t d) const;
  int64_t numel() const;
  DType dtype() const;
  Device device() const;
  bool is_contiguous() const;

  // First element. `data<T>` checks the type; the memory is the caller's to respect.
  void* raw() const;
  template <class T>
  T* data() const {
    check_dtype(DTypeOf<T>::value);
    return static_cast<T*>(raw());
  }
  // The value of a tensor with one element.
  double item() const;
  // All elements in row-major order, converted.
  template <class T>
  std::vector<T> to_vector() const;

  // Another view on the same storage; offset in elements from this tensor's first element.
  // Bounds are checked. Not recorded by autograd.
  Tensor strided_view(const Shape& shape, const Shape& strides, int64_t offset = 0) const;

  // The same memory outside the tape.
  Tensor detach() const;
  // A fresh contiguous copy outside the tape.
  Tensor clone() const;
  // The same values on `device`, outside the tape; this tensor itself if it is there already.
  Tensor to(Device device) const;
  // Copies values (converting the type) from `source` of the same shape into this memory.
  void copy_from(const Tensor& source);
  void fill(double value);

  // Makes this handle (and every copy of it) use `other`'s memory; the shape must agree, and type
  // and device too where there is a gradient. This is how parameters move into the flat arena and
  // to another device, where they have no low-precision copy yet.
  void rebind(const Tensor& other);

  // A copy of a parameter in a narrower type, kept up to date by whoever updates the parameter
  // (mixed precision: optimizers update float32, products read bfloat16). Undefined: none.
  Tensor low_precision() const;
  void set_low_precision(const Tensor& copy);  // of the same shape and device, or undefined

  // Autograd.
  bool requires_grad() const;
  Tensor& set_requires_grad(bool value);  // leaves only
  Tensor grad() const;                    // undefined until backward has reached it
  void set_grad(const Tensor& grad);      // undefined clears it
  uint64_t version() const;
  void bump_version();  // call after writing into the memory of a tensor

  TensorImpl* impl() const { return impl_.get(); }
  const std::shared_ptr<TensorImpl>& shared_impl() const { return impl_; }
  explicit Tensor(std::shared_ptr<TensorImpl> impl) : impl_(std::move(impl)) {}

 private:
  void check_dtype(DType expected) const;
  const TensorImpl& checked() const;
  std::shared_ptr<TensorImpl> impl_;
};

struct TensorImpl {
  std::shared_ptr<Storage> storage;
  int64_t offset = 0;  // elements
  DType dtype = DType::f32;
  Shape shape, strides;
  // Autograd: a leaf has requires_grad and perhaps grad; any other result has the node that made
  // it.
  bool requires_grad = false;
  std::shared_ptr<autograd::Node> grad_node;
  int64_t output_index = 0;
  Tensor grad;
  Tensor low_precision;
};

// Tensors laid one behind the other in a flat one start at multiples of this many elements. What
// lies between is nobody's and zero, so one call over the whole may stand for calls on the parts.
inline constexpr int64_t kFlatAlignment = 32;

// A contiguous tensor in the bytes of a storage from `byte_offset` on, whatever else they hold: for
// blocks of several things. The offset is a multiple of the element's size; neither is checked.
Tensor tensor_in(const std::shared_ptr<Storage>& storage, int64_t byte_offset, const Shape& shape,
                 DType dtype);

using Tensors = std::vector<Tensor>;
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

}  // namespace xlstm
