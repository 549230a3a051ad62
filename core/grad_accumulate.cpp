#include "core/grad_accumulate.h"

#include "core/ops/kernel_call.h"
#include "kernels/elementwise/elementwise.h"

namespace xlstm::autograd {
namespace {

template <class T>
void add_contiguous(T* to, const T* from, int64_t n) {
#pragma omp parallel for simd schedule(static) if (n > 65536)
  for (int64_t i = 0; i < n; ++i) to[i] += from[i];
}

Tensor contiguous(const Tensor& t) {
  return t.is_contiguous() ? t : t.clone();
}

bool is_whole(const Tensor& t) {
  return t.impl()->storage->bytes == t.numel() * size_of(t.dtype());
}

// to += from; `to` must be contiguous.
void add_to(const Tensor& to, const Tensor& from) {
  require<ShapeError>(to.shape() == from.shape() && to.dtype() == from.dtype(),
                      "backward: gradients of one tensor differ in shape or type, got ",
                      to_string(from.shape()), ", expected ", to_string(to.shape()));
  require<DeviceError>(to.device() == from.device(),
                       "backward: gradients of one tensor are on different devices, got ",
                       to_string(from.device()), ", expected ", to_string(to.device()));
  const Tensor source = contiguous(from);
  if (to.device() != kCpu) {
    xlstm_binary_fwd_args args{};
    args.op = XLSTM_BINARY_ADD;
    args.dtype = kernel_dtype(to.dtype());
    args.n_dims = 1;
    args.sizes[0] = to.numel();
    args.a = args.y = to.raw();
    args.b = source.raw();
    args.a_strides[0] = args.b_strides[0] = 1;
    ops::run_kernel(ops::Kernel{xlstm_binary_fwd_cpu, xlstm_binary_fwd_cuda}, args, to.device(),
                    "backward");
  } else if (to.dtype() == DType::f32) {
    add_contiguous(to.data<float>(), source.data<float>(), to.numel());
  } else if (to.dtype() == DType::f64) {
    add_contiguous(to.data<double>(), source.data<double>(), to.numel());
  } else {
    throw_error<ShapeError>("backward: gradients must be float32 or float64, got ",
                            name_of(to.dtype()));
  }
}

}  // namespace

bool owned_alone(const Tensor& t) {
  return t.shared_impl().use_count() == 1 && t.impl()->storage.use_count() == 1 &&
         t.is_contiguous();
}

void accumulate_into_leaf(Tensor& leaf, Tensor grad) {
  require<ShapeError>(grad.shape() == leaf.shape() && grad.dtype() == leaf.dtype(),
                      "backward: gradient and tensor differ, got ", to_string(grad.shape()),
                      ", expected ", to_string(leaf.shape()));
  if (!leaf.grad().defined()) {
    // What also serves as somebody else's gradient, or is a part of more memory, is copied.
    const bool is_free = owned_alone(grad) && is_whole(grad);
    leaf.set_grad(is_free ? grad : grad.clone());
    return;
  }
  Tensor target = leaf.grad();
  if (target.is_contiguous()) {
    add_to(target, grad);
    target.bump_version();
  } else {
    Tensor sum = target.clone();
    add_to(sum, grad);
    target.copy_from(sum);
  }
}

Tensor sum_of_gradients(Tensor a, const Tensor& b) {
  if (owned_alone(a)) {
    add_to(a, b);
    return a;
  }
  // a + b and b + a are the same bits.
  Tensor sum = owned_alone(b) ? b : b.clone();
  add_to(sum, a);
  return sum;
}

}  // namespace xlstm::autograd
