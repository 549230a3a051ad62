#include "core/ops/view.h"

#include <algorithm>
#include <numeric>

#include "core/autograd.h"
#include "core/checked_size.h"
#include "core/ops/kernel_call.h"
#include "core/ops/reduce.h"

namespace xlstm::ops {
namespace {

using autograd::must_record;
using autograd::record;

// Records `y` as a view of x whose gradient is undone by `back`.
template <class F>
Tensor viewed(const char* name, const Tensor& x, Tensor y, F back) {
  if (must_record({x})) {
    record(name, {x}, {y},
           [back](const Tensors& g) { return Tensors{g[0].defined() ? back(g[0]) : Tensor{}}; });
  }
  return y;
}

Tensor permuted(const Tensor& x, const std::vector<int64_t>& dims) {
  Shape shape, strides;
  for (const int64_t d : dims) {
    shape.push_back(x.size(d));
    strides.push_back(x.stride(d));
  }
  return x.strided_view(shape, strides);
}

Tensor narrowed(const Tensor& x, int64_t dim, int64_t start, int64_t size) {
  Shape shape = x.shape();
  shape[static_cast<size_t>(dim)] = size;
  // An empty piece may start past the last element, where no view can.
  return x.strided_view(shape, x.strides(), size == 0 ? 0 : start * x.stride(dim));
}

Tensor reshaped(const Tensor& x, const Shape& shape) {
  if (const auto strides = strides_for_reshape(x.shape(), x.strides(), shape))
    return x.strided_view(shape, *strides);
  return x.clone().strided_view(shape, contiguous_strides(shape));
}

// `shape` with its one -1 worked out for n elements.
Shape completed(Shape shape, int64_t n, const Tensor& x) {
  int64_t known = 1, open = -1;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == -1 && open < 0) {
      open = static_cast<int64_t>(d);
    } else {
      require<ShapeError>(shape[d] >= 0, "reshape: sizes must not be negative, got ",
                          to_string(shape), " (one size may be -1)");
      known = checked_mul(known, shape[d], "reshape");
    }
  }
  if (open >= 0) {
    require<ShapeError>(known > 0 && n % known == 0, "reshape: no size fits -1, got ",
                        to_string(x.shape()), " to ", to_string(shape));
    shape[static_cast<size_t>(open)] = n / known;
  }
  require<ShapeError>(element_count(shape) == n, "reshape: number of elements differs, got ",
                      to_string(shape), ", expected that of ", to_string(x.shape()));
  return shape;
}

// The tensor of `shape` whose pieces along `dim` are exactly `pieces`, if they lie so in memory.
Tensor joined_in_place(const Tensors& pieces, const Shape& shape, int64_t dim) {
  const Tensor& first = pieces.front();
  if (element_count(shape) == 0 || !first.defined()) return {};
  int64_t offset = first.impl()->offset;
  for (const Tensor& piece : pieces) {
    if (!piece.defined() || piece.impl()->storage != first.impl()->storage) return {};
    if (piece.strides() != first.strides() || piece.impl()->offset != offset) return {};
    offset += piece.size(dim) * piece.stride(dim);
  }
  // Repeated memory (stride 0) would pass the test above and be wrong.
  return first.strides() == contiguous_strides(shape) ? first.strided_view(shape, first.strides())
                                                      : Tensor{};
}

// Pieces side by side along dim; an undefined piece counts as zeros.
Tensor joined(const Tensors& pieces, const std::vector<int64_t>& sizes, const Shape& shape,
              int64_t dim, DType dtype, Device device) {
  const Tensor out = Tensor::empty(shape, dtype, device);
  int64_t start = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    Tensor part = narrowed(out, dim, start, sizes[i]);
    if (pieces[i].defined()) {
      part.copy_from(pieces[i]);
    } else {
      part.fill(0);
    }
    start += sizes[i];
  }
  return out;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  const OpScope scope("reshape", {x});
  const Shape to = completed(shape, x.numel(), x);
  if (to == x.shape()) return x;
  return viewed("reshape", x, reshaped(x, to),
                [from = x.shape()](const Tensor& g) { return reshaped(g, from); });
}

Tensor transpose(const Tensor& x, int64_t dim0, int64_t dim1) {
  const auto d0 = static_cast<size_t>(normalize_dim(dim0, x.dim(), "transpose"));
  const auto d1 = static_cast<size_t>(normalize_dim(dim1, x.dim(), "transpose"));
  std::vector<int64_t> dims(x.shape().size());
  std::iota(dims.begin(), dims.end(), 0);
  std::swap(dims[d0], dims[d1]);
  return permute(x, dims);
}

Tensor permute(const Tensor& x, const std::vector<int64_t>& dims) {
  std::vector<int64_t> order, inverse(dims.size(), -1);
  require<ShapeError>(static_cast<int64_t>(dims.size()) == x.dim(),
                      "permute: one entry per dimension, got ", to_string(dims), " for ",
                      to_string(x.shape()));
  for (size_t i = 0; i < dims.size(); ++i) {
    order.push_back(normalize_dim(dims[i], x.dim(), "permute"));
    int64_t& place = inverse[static_cast<size_t>(order.back())];
    require<ShapeError>(place < 0, "permute: a dimension is named twice, got ", to_string(dims));
    place = static_cast<int64_t>(i);
  }
  return viewed("permute", x, permuted(x, order),
                [inverse](const Tensor& g) { return permuted(g, inverse); });
}

Tensor slice(const Tensor& x, int64_t dim, int64_t start, int64_t stop) {
  const int64_t d = normalize_dim(dim, x.dim(), "slice");
  require<ShapeError>(0 <= start && start <= stop && stop <= x.size(d), "slice: got [", start, ", ",
                      stop, ") of dimension ", d, ", expected within [0, ", x.size(d), ")");
  return viewed("slice", x, narrowed(x, d, start, stop - start),
                [from = x.shape(), d, start](const Tensor& g) {
                  const Tensor dx = Tensor::zeros(from, g.dtype(), g.device());
                  narrowed(dx, d, start, g.size(d)).copy_from(g);
                  return dx;
                });
}

Tensor select(const Tensor& x, int64_t dim, int64_t index) {
  const int64_t d = normalize_dim(dim, x.dim(), "select");
  const int64_t i = index < 0 ? index + x.size(d) : index;
  require<ShapeError>(i >= 0 && i < x.size(d), "select: no such index, got ", index, ", expected ",
                      -x.size(d), " to ", x.size(d) - 1);
  return squeeze(slice(x, d, i, i + 1), d);
}

Tensor unsqueeze(const Tensor& x, int64_t dim) {
  const auto d = normalize_dim(dim, x.dim() + 1, "unsqueeze");
  Shape shape = x.shape();
  shape.insert(shape.begin() + d, 1);
  return reshape(x, shape);
}

Tensor squeeze(const Tensor& x, int64_t dim) {
  const auto d = normalize_dim(dim, x.dim(), "squeeze");
  require<ShapeError>(x.size(d) == 1, "squeeze: dimension ", d, " must have size 1, got ",
                      to_string(x.shape()));
  Shape shape = x.shape();
  shape.erase(shape.begin() + d);
  return reshape(x, shape);
}

Tensor expand(const Tensor& x, const Shape& shape) {
  require<ShapeError>(broadcast_shapes(x.shape(), shape, "expand") == shape,
                      "expand: the shape does not fit, got ", to_string(shape), " for ",
                      to_string(x.shape()));
  if (shape == x.shape()) return x;
  Shape strides(shape.size(), 0);
  const size_t lead = shape.size() - x.shape().size();
  for (size_t d = 0; d < x.shape().size(); ++d)
    if (x.shape()[d] != 1 || shape[d + lead] == 1) strides[d + lead] = x.strides()[d];
  return viewed("expand", x, x.strided_view(shape, strides),
                [from = x.shape()](const Tensor& g) { return sum_to(g, from); });
}

Tensors split(const Tensor& x, const std::vector<int64_t>& sizes, int64_t dim) {
  const int64_t d = normalize_dim(dim, x.dim(), "split");
  Tensors out;
  int64_t start = 0;
  for (const int64_t size : sizes) {
    require<ShapeError>(size >= 0 && size <= x.size(d) - start, "split: sizes do not fit, got ",
                        to_string(sizes), ", expected their sum to be ", x.size(d));
    out.push_back(narrowed(x, d, start, size));
    start += size;
  }
  require<ShapeError>(start == x.size(d) && !sizes.empty(), "split: sizes do not fit, got ",
                      to_string(sizes), ", expected their sum to be ", x.size(d));
  if (must_record({x})) {
    record(
        "split", {x}, out,
        [from = x.shape(), sizes, d, dtype = x.dtype(), device = x.device()](const Tensors& grads) {
          const Tensor in_place = joined_in_place(grads, from, d);
          return Tensors{in_place.defined() ? in_place
                                            : joined(grads, sizes, from, d, dtype, device)};
        });
  }
  return out;
}

Tensor contiguous(const Tensor& x) {
  const OpScope scope("contiguous", {x});
  if (x.is_contiguous()) return x;
  return viewed("contiguous", x, x.clone(), [](const Tensor& g) { return g; });
}

Tensor concat(const Tensors& xs, int64_t dim) {
  OpScope scope("concat", {});
  scope.add(xs);
  require<ShapeError>(!xs.empty(), "concat: nothing to join");
  const int64_t d = normalize_dim(dim, xs[0].dim(), "concat");
  Shape shape = xs[0].shape();
  int64_t total = 0;
  std::vector<int64_t> sizes;
  for (const Tensor& x : xs) {
    require<ShapeError>(x.dim() == xs[0].dim() && x.dtype() == xs[0].dtype(),
                        "concat: ranks or types differ, got ", name_of(x.dtype()),
                        to_string(x.shape()), ", expected like ", name_of(xs[0].dtype()),
                        to_string(xs[0].shape()));
    shape[static_cast<size_t>(d)] = x.size(d);
    require<ShapeError>(x.shape() == shape, "concat: shapes differ outside dimension ", d, ", got ",
                        to_string(x.shape()), ", expected ", to_string(shape));
    sizes.push_back(x.size(d));
    total = checked_add(total, x.size(d), "concat");
  }
  shape[static_cast<size_t>(d)] = total;
  // Neighbours in memory, such as weights in an arena, need no copy.
  Tensor y = joined_in_place(xs, shape, d);
  Tensors copies;
  for (const Tensor& x : xs) copies.push_back(x.low_precision());
  if (y.defined()) {
    y.set_low_precision(joined_in_place(copies, shape, d));
  } else {
    // Parameters that have a copy are read there.
    for (size_t i = 0; i < xs.size(); ++i)
      if (!copies[i].defined()) copies[i] = xs[i];
    y = joined(copies, sizes, shape, d, xs[0].dtype(), xs[0].device());
  }
  if (must_record(xs)) {
    record("concat", xs, {y}, [sizes, d](const Tensors& g) {
      Tensors grads(sizes.size());
      int64_t start = 0;
      for (size_t i = 0; i < sizes.size(); start += sizes[i++])
        if (g[0].defined()) grads[i] = narrowed(g[0], d, start, sizes[i]);
      return grads;
    });
  }
  return y;
}

Tensor stack(const Tensors& xs, int64_t dim) {
  OpScope scope("stack", {});
  scope.add(xs);
  require<ShapeError>(!xs.empty(), "stack: nothing to join");
  Tensors raised;
  for (const Tensor& x : xs) raised.push_back(unsqueeze(x, dim));
  return concat(raised, dim);
}

Tensor cast(const Tensor& x, DType dtype) {
  const OpScope scope("cast", {x});
  const Tensor known = x.low_precision();
  if (x.dtype() == dtype && !known.defined()) return x;
  Tensor y;
  if (known.defined() && known.dtype() == dtype) {
    y = known.detach();
  } else {
    y = Tensor::empty(x.shape(), dtype, x.device());
    y.copy_from(known.defined() ? known : x);
  }
  if (!is_floating(dtype)) return y;
  return viewed("cast", x, y, [from = x.dtype()](const Tensor& g) {
    Tensor dx = Tensor::empty(g.shape(), from, g.device());
    dx.copy_from(g);
    return dx;
  });
}

}  // namespace xlstm::ops
