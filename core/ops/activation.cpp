#include "core/ops/activation.h"

#include <tuple>
#include <utility>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/activation_composed.h"
#include "core/ops/kernel_call.h"
#include "kernels/activation/activation.h"

namespace xlstm::ops {
namespace {

using autograd::must_record;
using autograd::record;
using autograd::Saved;

constexpr std::pair<const char*, Activation> kNames[] = {{"silu", Activation::silu},
                                                         {"swish", Activation::silu},
                                                         {"gelu", Activation::gelu},
                                                         {"relu", Activation::relu},
                                                         {"relu^2", Activation::relu_squared},
                                                         {"sigmoid", Activation::sigmoid},
                                                         {"selu", Activation::selu}};

xlstm_activation kernel_activation(Activation a) {
  switch (a) {
    case Activation::silu:
      return XLSTM_SILU;
    case Activation::gelu:
      return XLSTM_GELU;
    case Activation::relu:
      return XLSTM_RELU;
    case Activation::relu_squared:
      return XLSTM_RELU_SQUARED;
    case Activation::sigmoid:
      return XLSTM_SIGMOID;
    case Activation::selu:
      return XLSTM_SELU;
  }
  throw_error<ShapeError>("activate: no such activation, got ", static_cast<int>(a));
}

void require_real(const Tensor& x, const char* op) {
  require_computes(x, op, "x");
}

// x as dense rows; a scalar is one row of one.
Tensor matrix(const Tensor& x) {
  return x.dim() > 0 ? as_rows(x) : x.strided_view({1, 1}, {1, 1});
}

// Two tensors of the given shape. Where gate and up are neighbours in memory (the halves of one
// projection), so are these: the split that made the halves then has its gradient without a copy.
std::pair<Tensor, Tensor> empty_like_pair(const Tensor& gate, const Tensor& up) {
  const Shape& shape = gate.shape();
  const int64_t last = shape.empty() ? 1 : shape.back();
  const int64_t between = up.impl()->offset - gate.impl()->offset;
  const bool neighbours = gate.impl()->storage == up.impl()->storage && !shape.empty() &&
                          gate.strides() == up.strides() && (between == last || between == -last);
  if (!neighbours)
    return {Tensor::empty(shape, gate.dtype(), gate.device()),
            Tensor::empty(shape, gate.dtype(), gate.device())};
  Shape both = shape;
  both.back() = 2 * last;
  const Tensor memory = Tensor::empty(both, gate.dtype(), gate.device());
  const int64_t second = memory.numel() > 0 ? last : 0;
  const Tensor low = memory.strided_view(shape, memory.strides(), 0);
  const Tensor high = memory.strided_view(shape, memory.strides(), second);
  return between > 0 ? std::pair{low, high} : std::pair{high, low};
}

// up may be undefined: no gate.
Tensor forward(const char* name, const Tensor& x, const Tensor& up, Activation activation) {
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const Tensor in = matrix(x), out = matrix(y), other = up.defined() ? matrix(up) : Tensor{};
  xlstm_activation_fwd_args args{};
  args.activation = kernel_activation(activation);
  args.dtype = kernel_dtype(x.dtype());
  args.rows = in.size(0);
  args.cols = in.size(1);
  args.x = in.raw();
  args.x_row_stride = in.stride(0);
  if (other.defined()) {
    args.up = other.raw();
    args.up_row_stride = other.stride(0);
  }
  args.y = out.raw();
  args.y_row_stride = out.stride(0);
  run_kernel(Kernel{xlstm_activation_fwd_cpu, xlstm_activation_fwd_cuda}, args, y.device(), name);
  return y;
}

// {dx, dup}; dup is undefined where up is.
Tensors backward(const char* name, const Tensor& x, const Tensor& up, const Tensor& dy,
                 Activation activation) {
  Tensor dx, dup;
  if (up.defined()) {
    std::tie(dx, dup) = empty_like_pair(x, up);
  } else {
    dx = Tensor::empty(x.shape(), x.dtype(), x.device());
  }
  const Tensor in = matrix(x), grad = matrix(dy), to = matrix(dx);
  const Tensor other = up.defined() ? matrix(up) : Tensor{};
  const Tensor to_other = up.defined() ? matrix(dup) : Tensor{};
  xlstm_activation_bwd_args args{};
  args.activation = kernel_activation(activation);
  args.dtype = kernel_dtype(x.dtype());
  args.rows = in.size(0);
  args.cols = in.size(1);
  args.x = in.raw();
  args.x_row_stride = in.stride(0);
  args.dy = grad.raw();
  args.dy_row_stride = grad.stride(0);
  args.dx = to.raw();
  args.dx_row_stride = to.stride(0);
  if (up.defined()) {
    args.up = other.raw();
    args.up_row_stride = other.stride(0);
    args.dup = to_other.raw();
    args.dup_row_stride = to_other.stride(0);
  }
  run_kernel(Kernel{xlstm_activation_bwd_cpu, xlstm_activation_bwd_cuda}, args, x.device(), name);
  return {dx, dup};
}

}  // namespace

Activation parse_activation(const std::string& name) {
  for (const auto& [known, activation] : kNames)
    if (name == known) return activation;
  throw_error<ConfigError>("activation: no such activation, got \"", name,
                           "\", expected silu, swish, gelu, relu, relu^2, sigmoid or selu");
}

Tensor activate(const Tensor& x, Activation activation) {
  const OpScope scope("activate", {x});
  require_real(x, "activate");
  const Tensor y = forward("activate", x, {}, activation);
  if (must_record({x})) {
    record("activate", {x}, {y},
           [saved = Saved(x, "activate"), activation](const Tensors& g) -> Tensors {
             if (!g[0].defined()) return {Tensor{}};
             return {backward("activate", saved.get(), {}, g[0], activation)[0]};
           });
  }
  return y;
}

Tensor silu(const Tensor& x) {
  return activate(x, Activation::silu);
}
Tensor gelu(const Tensor& x) {
  return activate(x, Activation::gelu);
}

Tensor gated(const Tensor& gate, const Tensor& up, Activation activation) {
  const OpScope scope("gated", {gate, up});
  require_real(gate, "gated");
  require<ShapeError>(gate.shape() == up.shape() && gate.dtype() == up.dtype(),
                      "gated: gate and up differ, got ", name_of(gate.dtype()),
                      to_string(gate.shape()), " and ", name_of(up.dtype()), to_string(up.shape()));
  if (force_reference()) return gated_composed(gate, up, activation);
  const Tensor y = forward("gated", gate, up, activation);
  if (must_record({gate, up})) {
    record("gated", {gate, up}, {y},
           [saved_gate = Saved(gate, "gated"), saved_up = Saved(up, "gated"),
            activation](const Tensors& g) -> Tensors {
             if (!g[0].defined()) return {Tensor{}, Tensor{}};
             return backward("gated", saved_gate.get(), saved_up.get(), g[0], activation);
           });
  }
  return y;
}

}  // namespace xlstm::ops
