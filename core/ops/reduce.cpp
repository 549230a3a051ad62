#include "core/ops/reduce.h"

#include "core/autograd.h"
#include "core/ops/elementwise.h"
#include "core/ops/kernel_call.h"
#include "core/ops/view.h"
#include "kernels/reduce/reduce.h"

namespace xlstm::ops {
namespace {

using autograd::must_record;
using autograd::record;

void require_real(const Tensor& x, const char* op) {
  require_computes(x, op, "x");
}

// [outer, n, inner] around dimension d.
struct Around {
  int64_t outer = 1, n = 1, inner = 1;
};

Around around(const Shape& shape, int64_t d) {
  Around a;
  for (size_t i = 0; i < shape.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    (at < d ? a.outer : at == d ? a.n : a.inner) *= shape[i];
  }
  return a;
}

Shape without(Shape shape, int64_t d, bool keep_dim) {
  if (keep_dim) {
    shape[static_cast<size_t>(d)] = 1;
  } else {
    shape.erase(shape.begin() + d);
  }
  return shape;
}

// factor * the sum over the middle of [outer, n, inner], outside the tape; x is dense.
Tensor summed(const Tensor& x, const Around& a, const Shape& shape, double factor) {
  const Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  xlstm_sum_fwd_args args{};
  args.dtype = kernel_dtype(x.dtype());
  args.outer = a.outer;
  args.n = a.n;
  args.inner = a.inner;
  args.factor = factor;
  args.x = x.raw();
  args.y = y.raw();
  run_kernel(Kernel{xlstm_sum_fwd_cpu, xlstm_sum_fwd_cuda, xlstm_sum_fwd_workspace_cpu,
                    xlstm_sum_fwd_workspace_cuda},
             args, x.device(), "sum");
  return y;
}

// g with dimension d put back (if it was dropped) and repeated to `shape`.
Tensor spread(const Tensor& g, const Shape& shape, int64_t d, bool keep_dim) {
  return expand(keep_dim ? g : unsqueeze(g, d), shape);
}

Tensor sum_over(const char* name, const Tensor& x, int64_t d, bool keep_dim, double factor) {
  const OpScope scope(name, {x});
  const Tensor y = summed(dense(x), around(x.shape(), d), without(x.shape(), d, keep_dim), factor);
  if (must_record({x})) {
    record(name, {x}, {y}, [shape = x.shape(), d, keep_dim, factor](const Tensors& g) -> Tensors {
      if (!g[0].defined()) return {Tensor{}};
      return {spread(factor == 1 ? g[0] : scale(g[0], factor), shape, d, keep_dim)};
    });
  }
  return y;
}

Tensor sum_all(const char* name, const Tensor& x, double factor) {
  const OpScope scope(name, {x});
  const Tensor y = summed(dense(x), {1, x.numel(), 1}, {}, factor);
  if (must_record({x})) {
    record(name, {x}, {y}, [shape = x.shape(), factor](const Tensors& g) -> Tensors {
      if (!g[0].defined()) return {Tensor{}};
      return {expand(factor == 1 ? g[0] : scale(g[0], factor), shape)};
    });
  }
  return y;
}

Tensor scanned(const Tensor& x, int64_t d, bool reverse) {
  const Tensor in = dense(x);
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const Around a = around(x.shape(), d);
  xlstm_cumsum_fwd_args args{};
  args.dtype = kernel_dtype(x.dtype());
  args.outer = a.outer;
  args.n = a.n;
  args.inner = a.inner;
  args.reverse = reverse;
  args.x = in.raw();
  args.y = y.raw();
  run_kernel(Kernel{xlstm_cumsum_fwd_cpu, xlstm_cumsum_fwd_cuda}, args, x.device(), "cumsum");
  return y;
}

// dx of a maximum: dy at the place of the maximum, else 0.
Tensor placed(const Tensor& g, const Tensor& index, const Shape& shape, int64_t d) {
  const Tensor dy = dense(g);
  const Tensor dx = Tensor::empty(shape, g.dtype(), g.device());
  const Around a = around(shape, d);
  xlstm_max_bwd_args args{};
  args.dtype = kernel_dtype(g.dtype());
  args.outer = a.outer;
  args.n = a.n;
  args.inner = a.inner;
  args.index = index.data<int64_t>();
  args.dy = dy.raw();
  args.dx = dx.raw();
  run_kernel(Kernel{xlstm_max_bwd_cpu, xlstm_max_bwd_cuda}, args, g.device(), "max");
  return dx;
}

}  // namespace

Tensor sum(const Tensor& x) {
  require_real(x, "sum");
  return sum_all("sum", x, 1);
}

Tensor mean(const Tensor& x) {
  require_real(x, "mean");
  require<ShapeError>(x.numel() > 0, "mean: nothing to average, got shape ", to_string(x.shape()));
  return sum_all("mean", x, 1 / static_cast<double>(x.numel()));
}

Tensor sum(const Tensor& x, int64_t dim, bool keep_dim) {
  require_real(x, "sum");
  return sum_over("sum", x, normalize_dim(dim, x.dim(), "sum"), keep_dim, 1);
}

Tensor mean(const Tensor& x, int64_t dim, bool keep_dim) {
  require_real(x, "mean");
  const int64_t d = normalize_dim(dim, x.dim(), "mean");
  require<ShapeError>(x.size(d) > 0 || x.numel() > 0 || around(x.shape(), d).outer == 0 ||
                          around(x.shape(), d).inner == 0,
                      "mean: nothing to average, got shape ", to_string(x.shape()));
  return sum_over("mean", x, d, keep_dim, x.size(d) > 0 ? 1 / static_cast<double>(x.size(d)) : 1);
}

Tensor max(const Tensor& x, int64_t dim, bool keep_dim) {
  const OpScope scope("max", {x});
  require_real(x, "max");
  const int64_t d = normalize_dim(dim, x.dim(), "max");
  const Around a = around(x.shape(), d);
  require<ShapeError>(a.n > 0 || a.outer * a.inner == 0, "max: nothing to choose from, got shape ",
                      to_string(x.shape()));
  const Tensor in = dense(x);
  const Tensor y = Tensor::empty(without(x.shape(), d, keep_dim), x.dtype(), x.device());
  const Tensor index = Tensor::empty(y.shape(), DType::i64, x.device());
  xlstm_max_fwd_args args{};
  args.dtype = kernel_dtype(x.dtype());
  args.outer = a.outer;
  args.n = a.n;
  args.inner = a.inner;
  args.x = in.raw();
  args.y = y.raw();
  args.index = index.data<int64_t>();
  run_kernel(Kernel{xlstm_max_fwd_cpu, xlstm_max_fwd_cuda}, args, x.device(), "max");
  if (must_record({x})) {
    record("max", {x}, {y}, [index, shape = x.shape(), d](const Tensors& g) -> Tensors {
      if (!g[0].defined()) return {Tensor{}};
      return {placed(g[0], index, shape, d)};
    });
  }
  return y;
}

Tensor cumsum(const Tensor& x, int64_t dim) {
  const OpScope scope("cumsum", {x});
  require_real(x, "cumsum");
  const int64_t d = normalize_dim(dim, x.dim(), "cumsum");
  const Tensor y = scanned(x, d, false);
  if (must_record({x})) {
    record("cumsum", {x}, {y}, [d](const Tensors& g) -> Tensors {
      if (!g[0].defined()) return {Tensor{}};
      return {scanned(g[0], d, true)};
    });
  }
  return y;
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  const OpScope scope("sum_to", {x});
  require_real(x, "sum_to");
  if (shape == x.shape()) return x;
  require<ShapeError>(broadcast_shapes(shape, x.shape(), "sum_to") == x.shape(),
                      "sum_to: the shape does not broadcast to the tensor's, got ",
                      to_string(shape), " for ", to_string(x.shape()));
  const size_t lead = x.shape().size() - shape.size();
  // Neighbouring dimensions that are both summed go together, from the outermost on.
  Tensor y = dense(x);
  Shape now = x.shape();
  for (size_t d = 0; d < now.size();) {
    const auto repeated = [&](size_t i) {
      return i < now.size() && now[i] != 1 && (i < lead || shape[i - lead] == 1);
    };
    if (!repeated(d)) {
      ++d;
      continue;
    }
    Around a{1, 1, 1};
    size_t end = d;
    for (size_t i = 0; i < d; ++i) a.outer *= now[i];
    for (; repeated(end); ++end) {
      a.n *= now[end];
      now[end] = 1;
    }
    for (size_t i = end; i < now.size(); ++i) a.inner *= now[i];
    y = summed(y, a, now, 1);
    d = end;
  }
  y = y.strided_view(shape, contiguous_strides(shape));
  if (must_record({x})) {
    record("sum_to", {x}, {y}, [from = x.shape()](const Tensors& g) -> Tensors {
      if (!g[0].defined()) return {Tensor{}};
      return {expand(g[0], from)};
    });
  }
  return y;
}

}  // namespace xlstm::ops
