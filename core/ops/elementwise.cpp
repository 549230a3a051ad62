#include "core/ops/elementwise.h"

#include <algorithm>

#include "core/autograd.h"
#include "core/ops/kernel_call.h"
#include "core/ops/reduce.h"
#include "kernels/elementwise/elementwise.h"

namespace xlstm::ops {
namespace {

using autograd::must_record;
using autograd::record;
using autograd::Saved;

void require_real(const Tensor& x, const char* op) {
  require_computes(x, op, "x");
}

// Sizes of the result, and the strides of an input that is repeated up to them.
template <class Args>
void set_shape(Args& args, const Tensor& result) {
  args.dtype = kernel_dtype(result.dtype());
  args.n_dims = static_cast<int32_t>(result.dim());
  std::copy(result.shape().begin(), result.shape().end(), args.sizes);
}

void set_input(const void*& pointer, int64_t* strides, const Tensor& x, const Shape& shape) {
  pointer = x.raw();
  const size_t lead = shape.size() - x.shape().size();
  std::fill_n(strides, shape.size(), int64_t{0});
  for (size_t d = 0; d < x.shape().size(); ++d)
    if (x.shape()[d] != 1) strides[d + lead] = x.strides()[d];
}

Tensor unary_gradient(const char* name, xlstm_unary_op op, double parameter, const Tensor& saved,
                      const Tensor& dy) {
  const Tensor dx = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
  xlstm_unary_bwd_args args{};
  args.op = op;
  args.parameter = parameter;
  set_shape(args, dx);
  set_input(args.dy, args.dy_strides, dy, dx.shape());
  if (saved.defined()) set_input(args.saved, args.saved_strides, saved, dx.shape());
  args.dx = dx.raw();
  run_kernel(Kernel{xlstm_unary_bwd_cpu, xlstm_unary_bwd_cuda}, args, dx.device(), name);
  return dx;
}

Tensor unary(const char* name, xlstm_unary_op op, const Tensor& x, double parameter = 0) {
  const OpScope scope(name, {x});
  require_real(x, name);
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  xlstm_unary_fwd_args args{};
  args.op = op;
  args.parameter = parameter;
  set_shape(args, y);
  set_input(args.x, args.x_strides, x, y.shape());
  args.y = y.raw();
  run_kernel(Kernel{xlstm_unary_fwd_cpu, xlstm_unary_fwd_cuda}, args, y.device(), name);
  if (must_record({x})) {
    const xlstm_unary_saved reads = xlstm_unary_bwd_reads(op);
    const Saved saved(reads == XLSTM_SAVED_INPUT    ? x
                      : reads == XLSTM_SAVED_OUTPUT ? y
                                                    : Tensor{},
                      name);
    record(name, {x}, {y}, [=](const Tensors& g) -> Tensors {
      if (!g[0].defined()) return {Tensor{}};
      return {unary_gradient(name, op, parameter, saved.get(), g[0])};
    });
  }
  return y;
}

// Gradients of a two-argument function whose inputs were repeated to dy's shape.
struct BinaryGradient {
  const char* name;
  xlstm_binary_op op;
  bool wants_a, wants_b;
  Shape a_shape, b_shape;
  Saved a, b;

  Tensors operator()(const Tensors& g) const {
    if (!g[0].defined()) return {Tensor{}, Tensor{}};
    const Tensor& dy = g[0];
    Tensor da, db;
    if (op == XLSTM_BINARY_ADD || op == XLSTM_BINARY_SUB) {
      if (wants_a) da = sum_to(dy, a_shape);
      if (wants_b) db = sum_to(dy, b_shape);
      if (wants_b && op == XLSTM_BINARY_SUB) db = neg(db);
      return {da, db};
    }
    xlstm_binary_bwd_args args{};
    args.op = op;
    set_shape(args, dy);
    set_input(args.dy, args.dy_strides, dy, dy.shape());
    const Tensor a0 = a.get(), b0 = b.get();
    if (a0.defined()) set_input(args.a, args.a_strides, a0, dy.shape());
    if (b0.defined()) set_input(args.b, args.b_strides, b0, dy.shape());
    if (wants_a) da = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
    if (wants_b) db = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
    args.da = wants_a ? da.raw() : nullptr;
    args.db = wants_b ? db.raw() : nullptr;
    run_kernel(Kernel{xlstm_binary_bwd_cpu, xlstm_binary_bwd_cuda}, args, dy.device(), name);
    return {wants_a ? sum_to(da, a_shape) : da, wants_b ? sum_to(db, b_shape) : db};
  }
};

Tensor binary(const char* name, xlstm_binary_op op, const Tensor& a, const Tensor& b) {
  const OpScope scope(name, {a, b});
  require_real(a, name);
  require<ShapeError>(a.dtype() == b.dtype(), name, ": element types differ, got ",
                      name_of(a.dtype()), " and ", name_of(b.dtype()), " (cast one of them)");
  const Tensor y =
      Tensor::empty(broadcast_shapes(a.shape(), b.shape(), name), a.dtype(), a.device());
  xlstm_binary_fwd_args args{};
  args.op = op;
  set_shape(args, y);
  set_input(args.a, args.a_strides, a, y.shape());
  set_input(args.b, args.b_strides, b, y.shape());
  args.y = y.raw();
  run_kernel(Kernel{xlstm_binary_fwd_cpu, xlstm_binary_fwd_cuda}, args, y.device(), name);
  if (must_record({a, b})) {
    BinaryGradient gradient{name, op, a.requires_grad(), b.requires_grad(), a.shape(), b.shape(),
                            {},   {}};
    const bool both = op == XLSTM_BINARY_MAXIMUM, product = op == XLSTM_BINARY_MUL;
    if (both || ((product || op == XLSTM_BINARY_DIV) && b.requires_grad()))
      gradient.a = Saved(a, name);
    if (both || op == XLSTM_BINARY_DIV || (product && a.requires_grad()))
      gradient.b = Saved(b, name);
    record(name, {a, b}, {y}, gradient);
  }
  return y;
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  return binary("add", XLSTM_BINARY_ADD, a, b);
}
Tensor sub(const Tensor& a, const Tensor& b) {
  return binary("sub", XLSTM_BINARY_SUB, a, b);
}
Tensor mul(const Tensor& a, const Tensor& b) {
  return binary("mul", XLSTM_BINARY_MUL, a, b);
}
Tensor div(const Tensor& a, const Tensor& b) {
  return binary("div", XLSTM_BINARY_DIV, a, b);
}
Tensor maximum(const Tensor& a, const Tensor& b) {
  return binary("maximum", XLSTM_BINARY_MAXIMUM, a, b);
}
Tensor scale(const Tensor& x, double factor) {
  return unary("scale", XLSTM_UNARY_SCALE, x, factor);
}
Tensor add_scalar(const Tensor& x, double value) {
  return unary("add_scalar", XLSTM_UNARY_ADD, x, value);
}
Tensor neg(const Tensor& x) {
  return unary("neg", XLSTM_UNARY_SCALE, x, -1);
}
Tensor exp(const Tensor& x) {
  return unary("exp", XLSTM_UNARY_EXP, x);
}
Tensor log(const Tensor& x) {
  return unary("log", XLSTM_UNARY_LOG, x);
}
Tensor sqrt(const Tensor& x) {
  return unary("sqrt", XLSTM_UNARY_SQRT, x);
}
Tensor square(const Tensor& x) {
  return unary("square", XLSTM_UNARY_SQUARE, x);
}
Tensor abs(const Tensor& x) {
  return unary("abs", XLSTM_UNARY_ABS, x);
}
Tensor tanh(const Tensor& x) {
  return unary("tanh", XLSTM_UNARY_TANH, x);
}
Tensor sigmoid(const Tensor& x) {
  return unary("sigmoid", XLSTM_UNARY_SIGMOID, x);
}
Tensor log_sigmoid(const Tensor& x) {
  return unary("log_sigmoid", XLSTM_UNARY_LOG_SIGMOID, x);
}
Tensor softcap(const Tensor& x, double cap) {
  require<ShapeError>(cap >= 0, "softcap: cap must not be negative, got ", cap);
  if (cap == 0) {
    require_real(x, "softcap");
    return x;
  }
  return unary("softcap", XLSTM_UNARY_SOFTCAP, x, cap);
}

}  // namespace xlstm::ops
