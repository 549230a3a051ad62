#include "core/ops/headwise_linear.h"

#include <algorithm>

#include "core/autograd.h"
#include "core/cuda/runtime.h"
#include "core/op_info.h"
#include "core/ops/kernel_call.h"
#include "core/ops/matrix_product.h"
#include "core/ops/view.h"
#include "core/variant_log.h"
#include "kernels/headwise_linear/headwise_linear.h"

namespace xlstm::ops {
namespace {

constexpr const char* kOp = "headwise_linear";

struct Sizes {
  int64_t N, H, I, O;
};

Sizes check(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  require<ShapeError>(x.defined() && weight.defined(), kOp, ": x and weight are required");
  require<ShapeError>(weight.dim() == 3, kOp, ": wrong shape of weight, got ",
                      to_string(weight.shape()), ", expected [H, O, I]");
  const int64_t H = weight.size(0), O = weight.size(1), I = weight.size(2);
  require<ShapeError>(x.dim() >= 1 && x.size(-1) == H * I, kOp, ": wrong shape of x, got ",
                      to_string(x.shape()), ", expected [..., ", H * I, "] for ", H,
                      " heads of width ", I);
  require_weight(weight, weight.shape(), x.dtype(), kOp, "weight");
  require_weight(bias, {H * O}, x.dtype(), kOp, "bias");
  const Shape rows(x.shape().begin(), x.shape().end() - 1);
  return {element_count(rows), H, I, O};
}

// What backward reads of one map.
struct Kept {
  Sizes s;
  xlstm_dtype dtype;
  Shape x_shape;
  autograd::Saved x, weight;
  bool want_x, want_weight, want_bias;
};

// Heads as wide as this are products of matrices that the library does best. It adds no bias to a
// batch of them.
bool goes_to_library(const Sizes& s, const Tensor& x, bool has_bias) {
  constexpr int64_t kWide = 32;
  return x.device() != kCpu && size_of(x.dtype()) == 2 && s.I >= kWide && s.O >= kWide && !has_bias;
}

// The library's products of a map in the element type of x; rows [N, H * width].
cuda::Product library_product(const Sizes& s, const Tensor& x) {
  cuda::Product p;
  p.dtype = p.y_dtype = x.dtype();
  p.batch = s.H;
  return p;
}

void library_forward(const Sizes& s, const Tensor& rows, const Tensor& weight, const Tensor& y) {
  note_variant("cublaslt");
  const Tensor W = in_type(weight, rows.dtype());
  cuda::Product p = library_product(s, rows);
  p.M = s.N, p.N = s.O, p.K = s.I;
  p.a = rows.raw(), p.a_ld = rows.stride(0), p.a_stride = s.I;
  p.b = W.raw(), p.b_ld = s.I, p.b_stride = s.O * s.I, p.trans_b = true;
  p.y = y.raw(), p.y_ld = y.stride(0), p.y_stride = s.O;
  cuda::multiply(p, y.device());
}

// dx and dW, each if it is defined.
void library_backward(const Sizes& s, const Tensor& rows, const Tensor& weight, const Tensor& dy,
                      const Tensor& dx, const Tensor& dW) {
  note_variant("cublaslt");
  cuda::Product p = library_product(s, dy);
  p.a = dy.raw(), p.a_ld = dy.stride(0), p.a_stride = s.O;
  if (dx.defined()) {
    const Tensor W = in_type(weight, dy.dtype());
    p.M = s.N, p.N = s.I, p.K = s.O;
    p.b = W.raw(), p.b_ld = s.I, p.b_stride = s.O * s.I;
    p.y = dx.raw(), p.y_ld = s.H * s.I, p.y_stride = s.I;
    cuda::multiply(p, dy.device());
  }
  if (dW.defined()) {
    p.M = s.O, p.N = s.I, p.K = s.N;
    p.trans_a = true;
    p.b = rows.raw(), p.b_ld = rows.stride(0), p.b_stride = s.I;
    p.y = dW.raw(), p.y_ld = s.I, p.y_stride = s.O * s.I;
    p.y_dtype = dW.dtype();
    cuda::multiply(p, dy.device());
  }
}

// Gradients of x, weight and bias; dy [rows, H*O], rows any step apart.
Tensors backward(const Kept& k, const Tensor& dy) {
  const Tensor x = k.x.get(), weight = k.weight.get();
  Tensor dx, dW, dbias;
  if (k.want_x) dx = Tensor::empty(k.x_shape, dy.dtype(), dy.device());
  if (k.want_weight) dW = Tensor::empty(weight.shape(), weight.dtype(), dy.device());
  if (k.want_bias) dbias = Tensor::empty({k.s.H * k.s.O}, weight.dtype(), dy.device());
  const Tensor rows = k.want_weight ? as_rows(x) : Tensor{};  // perhaps a copy
  if (goes_to_library(k.s, dy, k.want_bias)) {
    library_backward(k.s, rows, weight, dy, dx, dW);
    return {dx, dW, dbias};
  }
  xlstm_headwise_linear_bwd_args a{};
  a.dtype = k.dtype;
  a.weight_dtype = kernel_dtype(weight.dtype());
  a.N = k.s.N, a.H = k.s.H, a.I = k.s.I, a.O = k.s.O;
  if (k.want_weight) {
    a.x = rows.raw();
    a.x_stride_n = rows.stride(0);
  }
  a.W = weight.raw();
  a.dy = dy.raw();
  a.dy_stride_n = dy.stride(0);
  a.dx = raw_or_null(dx);
  a.dx_stride_n = k.s.H * k.s.I;
  a.dW = raw_or_null(dW);
  a.dbias = raw_or_null(dbias);
  run_kernel(
      Kernel{xlstm_headwise_linear_bwd_cpu, xlstm_headwise_linear_bwd_cuda,
             xlstm_headwise_linear_bwd_workspace_cpu, xlstm_headwise_linear_bwd_workspace_cuda},
      a, dy.device(), kOp);
  return {dx, dW, dbias};
}

// Columns [start, start + size) of the rows.
Tensor columns(const Tensor& rows, int64_t start, int64_t size) {
  return rows.strided_view({rows.size(0), size}, rows.strides(),
                           rows.numel() == 0 || size == 0 ? 0 : start);
}

void forward(const Sizes& s, const Tensor& x, const Tensor& weight, const Tensor& bias,
             const Tensor& y) {
  const Tensor rows = as_rows(x);
  if (goes_to_library(s, x, bias.defined())) return library_forward(s, rows, weight, y);
  xlstm_headwise_linear_fwd_args a{};
  a.dtype = kernel_dtype(x.dtype());
  a.weight_dtype = kernel_dtype(weight.dtype());
  a.N = s.N, a.H = s.H, a.I = s.I, a.O = s.O;
  a.x = rows.raw();
  a.x_stride_n = rows.stride(0);
  a.W = weight.raw();
  a.bias = raw_or_null(bias);
  a.y = y.raw();
  a.y_stride_n = y.stride(0);
  run_kernel(
      Kernel{xlstm_headwise_linear_fwd_cpu, xlstm_headwise_linear_fwd_cuda,
             xlstm_headwise_linear_fwd_workspace_cpu, xlstm_headwise_linear_fwd_workspace_cuda},
      a, x.device(), kOp);
}

}  // namespace

Tensor headwise_linears(const std::vector<HeadwiseMap>& maps) {
  OpScope scope(kOp, {});
  for (const HeadwiseMap& map : maps) {
    scope.add(map.x);
    scope.add(map.weight);
    scope.add(map.bias);
  }
  require<ShapeError>(!maps.empty(), kOp, ": nothing to map");
  std::vector<Sizes> sizes;
  int64_t width = 0;
  for (const HeadwiseMap& map : maps) {
    sizes.push_back(check(map.x, map.weight, map.bias));
    const Tensor& first = maps[0].x;
    require<ShapeError>(map.x.dtype() == first.dtype() && sizes.back().N == sizes[0].N, kOp,
                        ": maps side by side need the same rows, got ", to_string(map.x.shape()),
                        ", expected like ", to_string(first.shape()));
    width += sizes.back().H * sizes.back().O;
  }
  if (force_reference()) {
    Tensors parts;
    for (const HeadwiseMap& map : maps)
      parts.push_back(headwise_linear_composed(map.x, map.weight, map.bias));
    return parts.size() == 1 ? parts[0] : concat(parts, -1);
  }
  Shape shape = maps[0].x.shape();
  shape.back() = width;
  const Tensor y = Tensor::empty(shape, maps[0].x.dtype(), maps[0].x.device());
  const Tensor rows = as_rows(y);
  Tensors inputs;
  std::vector<Kept> kept;
  int64_t start = 0;
  for (size_t i = 0; i < maps.size(); ++i) {
    const Tensor& x = maps[i].x;
    const Tensor weight = beside(maps[i].weight, x.dtype()), bias = beside(maps[i].bias, x.dtype());
    const Tensor w = dense(weight);
    const int64_t size = sizes[i].H * sizes[i].O;
    forward(sizes[i], x, w, dense(bias), columns(rows, start, size));
    start += size;
    const bool want_weight = weight.requires_grad();
    kept.push_back({sizes[i], kernel_dtype(x.dtype()), x.shape(),
                    autograd::Saved(want_weight ? x : Tensor{}, kOp), autograd::Saved(w, kOp),
                    x.requires_grad(), want_weight, bias.requires_grad()});
    inputs.insert(inputs.end(), {x, weight, bias});
  }
  if (autograd::must_record(inputs)) {
    autograd::record(kOp, inputs, {y}, [kept](const Tensors& grads) {
      Tensors all(3 * kept.size());
      if (!grads[0].defined()) return all;
      const Tensor dy = as_rows(grads[0]);
      int64_t at = 0;
      for (size_t i = 0; i < kept.size(); ++i) {
        const int64_t size = kept[i].s.H * kept[i].s.O;
        const Tensors part = backward(kept[i], columns(dy, at, size));
        std::copy(part.begin(), part.end(), all.begin() + static_cast<int64_t>(3 * i));
        at += size;
      }
      return all;
    });
  }
  return y;
}

Tensor headwise_linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return headwise_linears({{x, weight, bias}});
}

}  // namespace xlstm::ops
