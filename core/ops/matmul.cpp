#include "core/ops/matmul.h"

#include <algorithm>

#include "core/autograd.h"
#include "core/cuda/runtime.h"
#include "core/ops/kernel_call.h"
#include "core/ops/linear_few.h"
#include "core/ops/matrix_product.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "core/variant_log.h"
#include "kernels/common/blas_cpu.h"

namespace xlstm::ops {
namespace {

using autograd::must_record;
using autograd::record;
using autograd::Saved;
using kernels::Trans;

// A batch of products this small each is spread over the threads whole; larger ones one by one.
constexpr int64_t kSmallProduct = 256 * 256 * 256;

void require_pair(const Tensor& a, const Tensor& b, const char* op) {
  require_computes(a, op, "a");
  require<ShapeError>(a.dtype() == b.dtype(), op, ": element types differ, got ",
                      name_of(a.dtype()), " and ", name_of(b.dtype()), " (cast one of them)");
}

// How BLAS reads the last two dimensions of a tensor.
struct Layout {
  Trans trans = Trans::no;
  int64_t ld = 0;
  bool usable = true;
};

Layout layout_of(const Tensor& x) {
  const int64_t rows = x.size(-2), cols = x.size(-1), s0 = x.stride(-2), s1 = x.stride(-1);
  if (x.numel() == 0) return {Trans::no, std::max<int64_t>(1, cols), true};
  // The stride of a dimension of size 1 says nothing.
  if ((s1 == 1 || cols == 1) && (s0 >= cols || rows == 1))
    return {Trans::no, rows == 1 ? cols : s0, true};
  if ((s0 == 1 || rows == 1) && (s1 >= rows || cols == 1))
    return {Trans::yes, cols == 1 ? rows : s1, true};
  return {Trans::no, cols, false};
}

Tensor readable(const Tensor& x) {
  return layout_of(x).usable ? x : x.clone();
}

// Offsets of the matrices of x, broadcast to the leading dimensions `batch`.
std::vector<int64_t> matrix_offsets(const Tensor& x, const Shape& batch) {
  std::vector<int64_t> offsets{0};
  const size_t lead = batch.size() - (x.shape().size() - 2);
  for (size_t d = 0; d < batch.size(); ++d) {
    const bool repeats = d < lead || x.shape()[d - lead] == 1;
    const int64_t stride = repeats ? 0 : x.strides()[d - lead];
    std::vector<int64_t> next;
    for (const int64_t offset : offsets)
      for (int64_t i = 0; i < batch[d]; ++i) next.push_back(offset + i * stride);
    offsets = std::move(next);
  }
  return offsets;
}

// y = a b + beta y for every matrix of the batch; y is contiguous.
template <class T>
void multiply(const Tensor& a, const Tensor& b, T beta, const Tensor& y) {
  const int64_t M = y.size(-2), N = y.size(-1), K = a.size(-1);
  const Layout la = layout_of(a), lb = layout_of(b);
  const Shape batch(y.shape().begin(), y.shape().end() - 2);
  const std::vector<int64_t> at_a = matrix_offsets(a, batch), at_b = matrix_offsets(b, batch);
  const auto n = static_cast<int64_t>(at_a.size());
  const T *pa = a.data<T>(), *pb = b.data<T>();
  T* py = y.data<T>();
  if (n > 1 && M * N * K <= kSmallProduct) {
#pragma omp parallel for schedule(static) if (n * M * N * K > 64 * 64 * 64)
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(i);
      kernels::gemm_serial(la.trans, lb.trans, M, N, K, T(1), pa + at_a[at], la.ld, pb + at_b[at],
                           lb.ld, beta, py + i * M * N, N);
    }
    return;
  }
  const Tensor workspace =
      scratch(kernels::gemm_workspace_bytes(M, N, K, size_of(y.dtype())), kCpu);
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    kernels::gemm_parallel(la.trans, lb.trans, M, N, K, T(1), pa + at_a[at], la.ld, pb + at_b[at],
                           lb.ld, beta, py + i * M * N, N, workspace.raw());
  }
}

// The same on CUDA, where y may be float32 for narrower a and b, and a bias [N] of y's type (or
// undefined) may be added to each row. Matrices an equal step apart go to the library as one batch.
void multiply_on_cuda(const Tensor& a, const Tensor& b, double beta, const Tensor& bias,
                      const Tensor& y) {
  const Layout la = layout_of(a), lb = layout_of(b);
  cuda::Product p;
  p.dtype = a.dtype();
  p.y_dtype = y.dtype();
  p.trans_a = la.trans == Trans::yes;
  p.trans_b = lb.trans == Trans::yes;
  p.M = y.size(-2), p.N = y.size(-1), p.K = a.size(-1);
  p.a_ld = la.ld, p.b_ld = lb.ld, p.y_ld = p.N;
  p.beta = beta;
  p.bias = raw_or_null(bias);
  const Shape batch(y.shape().begin(), y.shape().end() - 2);
  const std::vector<int64_t> at_a = matrix_offsets(a, batch), at_b = matrix_offsets(b, batch);
  const auto run = [&](size_t first, int64_t n, int64_t a_step, int64_t b_step) {
    const auto at = [](const Tensor& t, int64_t offset) {
      return static_cast<char*>(t.raw()) + offset * size_of(t.dtype());
    };
    p.a = at(a, at_a[first]);
    p.b = at(b, at_b[first]);
    p.y = at(y, static_cast<int64_t>(first) * p.M * p.N);
    p.batch = n;
    p.a_stride = a_step, p.b_stride = b_step, p.y_stride = p.M * p.N;
    cuda::multiply(p, y.device());
  };
  const size_t n = at_a.size();
  const int64_t a_step = n > 1 ? at_a[1] - at_a[0] : 0, b_step = n > 1 ? at_b[1] - at_b[0] : 0;
  bool even = true;
  for (size_t i = 1; i < n && even; ++i)
    even = at_a[i] - at_a[i - 1] == a_step && at_b[i] - at_b[i - 1] == b_step;
  if (n == 0) return;
  if (even) return run(0, static_cast<int64_t>(n), a_step, b_step);
  for (size_t i = 0; i < n; ++i) run(i, 1, 0, 0);
}

}  // namespace

Tensor transposed(const Tensor& x) {
  Shape shape = x.shape(), strides = x.strides();
  std::swap(shape.end()[-1], shape.end()[-2]);
  std::swap(strides.end()[-1], strides.end()[-2]);
  return x.strided_view(shape, strides);
}

Tensor in_type(const Tensor& x, DType dtype) {
  const autograd::NoGrad no_grad;
  return cast(x, dtype);
}

namespace {

// y = a b + beta y, or a b with a bias [N] added to each row: on CUDA by the product itself, while
// BLAS adds to what is there.
void multiply_with_bias(const Tensor& a, const Tensor& b, double beta, const Tensor& bias,
                        const Tensor& y) {
  const Tensor x = readable(a), z = readable(b);
  note_variant(y.device() == kCpu ? "blas" : "cublaslt");
  const Tensor added = bias.defined() ? dense(in_type(bias, y.dtype())) : bias;
  if (y.device() != kCpu) return multiply_on_cuda(x, z, beta, added, y);
  if (bias.defined()) {
    Tensor(y).copy_from(added.strided_view(y.shape(), {0, 1}));
    beta = 1;
  }
  if (y.dtype() == DType::f32) {
    multiply<float>(x, z, static_cast<float>(beta), y);
  } else {
    multiply<double>(x, z, beta, y);
  }
}

}  // namespace

void multiply_into(const Tensor& a, const Tensor& b, double beta, const Tensor& y) {
  multiply_with_bias(a, b, beta, {}, y);
}

namespace {

// a b outside the tape; leading dimensions broadcast.
Tensor product(const Tensor& a, const Tensor& b) {
  Shape shape = broadcast_shapes(Shape(a.shape().begin(), a.shape().end() - 2),
                                 Shape(b.shape().begin(), b.shape().end() - 2), "matmul");
  const bool one_matrix = b.dim() == 2 && a.dim() > 2;
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  const Tensor y = Tensor::empty(shape, a.dtype(), a.device());
  if (one_matrix) {  // all rows of the batch at once
    multiply_into(as_rows(a), b, 0, as_rows(y));
  } else {
    multiply_into(a, b, 0, y);
  }
  return y;
}

// The gradient of a matrix product with respect to its right side, summed over repeated matrices.
Tensor right_gradient(const Tensor& a, const Tensor& dy, const Shape& b_shape) {
  if (b_shape.size() == 2 && a.dim() > 2) return product(transposed(as_rows(a)), as_rows(dy));
  return sum_to(product(transposed(a), dy), b_shape);
}

// dy^T x, added to the weight's gradient if that exists already (then nothing is returned).
Tensor weight_gradient(const Tensor& dy, const Tensor& x, DType dtype,
                       const autograd::LeafGradient& leaf) {
  Tensor sum = leaf.get();
  if (!sum.defined()) {
    const Tensor fresh = Tensor::empty({dy.size(1), x.size(1)}, dtype, x.device());
    multiply_into(transposed(dy), x, 0, fresh);
    return fresh;
  }
  multiply_into(transposed(dy), x, 1, sum);
  sum.bump_version();
  return {};
}

// The sum of the rows of dy, in the bias's type.
Tensor bias_gradient(const Tensor& dy, DType dtype) {
  return in_type(sum_to(in_type(dy, wide_type(dtype)), {dy.size(1)}), dtype);
}

void check_linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  require_computes(x, "linear", "x");
  require<ShapeError>(
      x.dim() >= 1 && weight.defined() && weight.dim() == 2 && x.size(-1) == weight.size(1),
      "linear: shapes do not fit, got ", to_string(x.shape()), " and weight ",
      weight.defined() ? to_string(weight.shape()) : "nothing", ", expected [..., I] and [O, I]");
  require_weight(weight, weight.shape(), x.dtype(), "linear", "weight");
  require_weight(bias, {weight.size(0)}, x.dtype(), "linear", "bias");
}

// x W^T (+ bias), the product in x's type and the result in `dtype`.
Tensor linear_to(const Tensor& x, const Tensor& weight, const Tensor& bias, DType dtype) {
  const OpScope scope("linear", {x, weight, bias});
  check_linear(x, weight, bias);
  if (const std::vector<LinearPart> alone{{weight, bias, dtype != x.dtype()}}; takes_few(x, alone))
    return linear_few(x, alone)[0];
  const Tensor W = in_type(weight, x.dtype());
  Shape shape = x.shape();
  shape.back() = weight.size(0);
  const Tensor y = Tensor::empty(shape, dtype, x.device());
  multiply_with_bias(as_rows(x), transposed(W), 0, bias, as_rows(y));
  const Tensors inputs{x, weight, bias};
  if (must_record(inputs)) {
    const Saved saved_x(weight.requires_grad() ? x : Tensor{}, "linear");
    const Saved saved_w(x.requires_grad() ? W : Tensor{}, "linear");
    record("linear", inputs, {y},
           [saved_x, saved_w, leaf = autograd::LeafGradient(weight),
            pending = autograd::PendingGradient(x), x_shape = x.shape(), x_dtype = x.dtype(),
            weight_dtype = weight.dtype(), bias_dtype = bias.defined() ? bias.dtype() : dtype,
            wants_bias = bias.requires_grad()](const Tensors& g) {
             Tensors grads(3);
             const Tensor x0 = saved_x.get(), w0 = saved_w.get();
             if (!g[0].defined()) return grads;
             const Tensor dy_wide = as_rows(g[0]), dy = in_type(dy_wide, x_dtype);
             if (w0.defined()) {
               Tensor sum = pending.get();
               const bool adds = sum.defined();
               if (!adds) grads[0] = sum = Tensor::empty(x_shape, x_dtype, dy.device());
               multiply_into(dy, w0, adds ? 1 : 0, as_rows(sum));
             }
             if (x0.defined()) grads[1] = weight_gradient(dy, as_rows(x0), weight_dtype, leaf);
             if (wants_bias) grads[2] = bias_gradient(dy_wide, bias_dtype);
             return grads;
           });
  }
  return y;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  const OpScope scope("matmul", {a, b});
  require_pair(a, b, "matmul");
  require<ShapeError>(a.dim() >= 2 && b.dim() >= 2 && a.size(-1) == b.size(-2),
                      "matmul: shapes do not fit, got ", to_string(a.shape()), " and ",
                      to_string(b.shape()), ", expected [..., M, K] and [..., K, N]");
  const Tensor y = product(a, b);
  if (must_record({a, b})) {
    const Saved saved_a(b.requires_grad() ? a : Tensor{}, "matmul");
    const Saved saved_b(a.requires_grad() ? b : Tensor{}, "matmul");
    record("matmul", {a, b}, {y},
           [saved_a, saved_b, a_shape = a.shape(), b_shape = b.shape()](const Tensors& g) {
             Tensors grads(2);
             const Tensor a0 = saved_a.get(), b0 = saved_b.get();
             if (!g[0].defined()) return grads;
             if (b0.defined()) grads[0] = sum_to(product(g[0], transposed(b0)), a_shape);
             if (a0.defined()) grads[1] = right_gradient(a0, g[0], b_shape);
             return grads;
           });
  }
  return y;
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return linear_to(x, weight, bias, x.dtype());
}

Tensor linear_wide(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return linear_to(x, weight, bias, wide_type(x.dtype()));
}

Tensors linears(const Tensor& x, const std::vector<LinearPart>& parts) {
  OpScope scope("linear", {x});
  for (const LinearPart& part : parts) {
    scope.add(part.weight);
    scope.add(part.bias);
  }
  for (const LinearPart& part : parts) check_linear(x, part.weight, part.bias);
  if (takes_few(x, parts)) return linear_few(x, parts);
  Tensors results;
  for (const LinearPart& part : parts)
    results.push_back(
        linear_to(x, part.weight, part.bias, part.wide ? wide_type(x.dtype()) : x.dtype()));
  return results;
}

}  // namespace xlstm::ops
