// What ops do around a kernel call: scratch memory, optional tensors, argument checks, dense
// copies. For op authors alone; everything here is outside the tape.
#pragma once

#include <optional>
#include <string_view>

#include "core/cuda/runtime.h"
#include "core/kernel_variant.h"
#include "core/op_scope.h"
#include "core/tensor.h"
#include "core/variant_log.h"
#include "kernels/common/types.h"

namespace xlstm::ops {

// The kernel of one op and direction on every backend, with the queries of the scratch memory it
// needs (null: none).
template <class Args>
struct Kernel {
  using Run = xlstm_status (*)(const Args*, xlstm_exec);
  using Query = int64_t (*)(const Args*);
  Run cpu, cuda;
  Query cpu_workspace = nullptr, cuda_workspace = nullptr;
  // The name of the variant that the CUDA kernel will choose for these arguments; null: there is
  // one alone, "portable", as on the CPU.
  const char* (*cuda_variant)(const Args*) = nullptr;
  // What the workspace on the CPU does not exceed with any batch; null: it grows with the batch.
  Query cpu_workspace_most = nullptr;
};
// Clang 14 does not deduce the arguments of aggregates by itself.
template <class Args, class... More>
Kernel(xlstm_status (*)(const Args*, xlstm_exec), More...) -> Kernel<Args>;

// Where a call on `device` runs: its stream and its cuBLASLt handle.
xlstm_exec exec_on(Device device);

// Memory that a kernel works in. most: MemoryOwner::most.
inline Tensor scratch(int64_t bytes, Device device, int64_t most = 0) {
  MemoryOwner owner = MemoryOwner::current();
  owner.category = MemoryCategory::workspace;
  owner.most = most;
  const MemoryScope scope(owner);
  return Tensor::empty({bytes}, DType::u8, device);
}

// Runs the kernel of the device, with scratch memory.
template <class Args>
xlstm_status status_of(const Kernel<Args>& kernel, const Args& args, Device device) {
  const bool on_cpu = device == kCpu;
  const auto query = on_cpu ? kernel.cpu_workspace : kernel.cuda_workspace;
  xlstm_exec exec = exec_on(device);
  if (variants_are_noted()) {
    const bool is_one = on_cpu || kernel.cuda_variant == nullptr;
    const std::string_view name = is_one ? "portable" : kernel.cuda_variant(&args);
    if (name != "none") note_variant(name.data());  // refused below
  }
  const bool has_most = on_cpu && kernel.cpu_workspace_most != nullptr;
  const Tensor workspace = scratch(query == nullptr ? 0 : query(&args), device,
                                   has_most ? kernel.cpu_workspace_most(&args) : 0);
  exec.workspace = workspace.raw();
  exec.workspace_bytes = workspace.numel();
  return on_cpu ? kernel.cpu(&args, exec) : cuda::settled(kernel.cuda(&args, exec), device);
}

// The same; a status other than XLSTM_OK becomes an exception (check_status).
template <class Args>
void run_kernel(const Kernel<Args>& kernel, const Args& args, Device device, const char* op) {
  check_status(status_of(kernel, args, device), op, device);
}

// The same where a variant may have been asked for: if it does not compute the call, the error says
// so. call(): what it is, "D 300 in 16 bits".
template <class Args, class Call>
void run_variant(const Kernel<Args>& kernel, const Args& args, Device device, const char* op,
                 const KernelSwitch& kernel_switch, Call call) {
  const xlstm_status status = status_of(kernel, args, device);
  if (status == XLSTM_BAD_VARIANT) {
    const KernelVariant* asked = kernel_switch.asked(device);
    if (asked != nullptr)
      kernel_switch.refuse(*asked, detail::concat(call(), ", expected ", asked->computes));
  }
  check_status(status, op, device);
}

// ShapeError unless the kernels of x's device compute in its element type: float32 and float64 on
// the CPU; float32, bfloat16 and float16 on CUDA.
void require_computes(const Tensor& x, const char* op, const char* name);

inline void* raw_or_null(const Tensor& t) {
  return t.defined() ? t.raw() : nullptr;
}

// t itself if it is contiguous, else a copy; undefined stays so.
inline Tensor dense(const Tensor& t) {
  return !t.defined() || t.is_contiguous() ? t : t.clone();
}

// The same, but only the last dimension need be dense.
inline Tensor dense_last(const Tensor& t) {
  return !t.defined() || t.dim() == 0 || t.size(-1) <= 1 || t.stride(-1) == 1 ? t : t.clone();
}

// Uninitialised tensors with the shapes and strides of `xs`, which are [B, T, ...] with B T rows.
// If they lie side by side and fill their memory, so do these: a split's gradient needs no copy
// then. Otherwise each is contiguous on its own.
Tensors empty_like_neighbours(const Tensors& xs);

// The strides under which memory of (shape, strides) reads as `new_shape` in row-major order, if
// there are any. Both shapes have the same number of elements.
std::optional<Shape> strides_for_reshape(const Shape& shape, const Shape& strides,
                                         const Shape& new_shape);
// x as a matrix [numel / last, last] whose rows are dense, one row stride apart: a view where
// strides allow, else a copy. x has at least one dimension. An empty x gives [0 or rows, last].
Tensor as_rows(const Tensor& x);

// ShapeError unless `t` is undefined or has this shape and type.
inline void require_like(const Tensor& t, const Shape& shape, DType dtype, const char* op,
                         const char* name) {
  if (!t.defined()) return;
  require<ShapeError>(t.shape() == shape, op, ": wrong shape of ", name, ", got ",
                      to_string(t.shape()), ", expected ", to_string(shape));
  require<ShapeError>(t.dtype() == dtype, op, ": wrong type of ", name, ", got ",
                      name_of(t.dtype()), ", expected ", name_of(dtype));
}

// ShapeError unless `t` is undefined or is a learned parameter of this shape that can stand beside
// activations of this type: of the same type, or float32 beside bfloat16 and float16.
inline void require_weight(const Tensor& t, const Shape& shape, DType activations, const char* op,
                           const char* name) {
  const bool narrow = activations == DType::bf16 || activations == DType::f16;
  const bool mixed = t.defined() && narrow && t.dtype() == DType::f32;
  require_like(t, shape, mixed ? DType::f32 : activations, op, name);
}

// A learned parameter as kernels read it beside activations of this type: itself, or its
// low-precision copy if it has one, widened if need be. On the tape.
Tensor beside(const Tensor& weight, DType activations);

// ShapeError unless `reset` is undefined or marks the steps of [B, T] with bytes.
inline void require_reset(const Tensor& reset, int64_t B, int64_t T, const char* op) {
  if (!reset.defined()) return;
  require_like(reset, {B, T}, reset.dtype() == DType::boolean ? DType::boolean : DType::u8, op,
               "reset");
}

}  // namespace xlstm::ops
