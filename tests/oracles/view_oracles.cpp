#include <algorithm>
#include <functional>

#include "tests/oracles/indices.h"
#include "tests/oracles/oracle_rows.h"

namespace xlstm::oracles {
namespace {

using A = const OpAttributes&;
using T = const Tensors&;

std::vector<int64_t> list(A a, const std::string& name) {
  std::vector<int64_t> out;
  for (int i = 0; a.has(name + std::to_string(i)); ++i)
    out.push_back(a.get_int(name + std::to_string(i)));
  return out;
}

// y[i] = x[source(i)].
Tensor gathered(const Tensor& x, const Shape& shape,
                const std::function<Shape(const Shape&)>& source) {
  const Tensor y = Tensor::empty(shape, DType::f64);
  for_each_index(shape, [&](const Shape& i) { at(y, i) = at(x, source(i)); });
  return y;
}

// The same row-major values under another shape; -1 is worked out.
Tensor relabelled(const Tensor& x, Shape shape) {
  int64_t product = 1;
  for (const int64_t size : shape) product *= size == -1 ? 1 : size;
  for (int64_t& size : shape)
    if (size == -1) size = x.numel() / product;
  return Tensor::from(x.to_vector<double>(), shape);
}

Tensor cut(const Tensor& x, size_t d, int64_t start, int64_t stop) {
  Shape shape = x.shape();
  shape[d] = stop - start;
  return gathered(x, shape, [&](Shape i) {
    i[d] += start;
    return i;
  });
}

Tensor swapped(const Tensor& x, size_t d0, size_t d1) {
  Shape shape = x.shape();
  std::swap(shape[d0], shape[d1]);
  return gathered(x, shape, [&](Shape i) {
    std::swap(i[d0], i[d1]);
    return i;
  });
}

Tensors permute(T x, A a) {
  const size_t rank = x[0].shape().size();
  const std::vector<int64_t> dims = list(a, "d");
  Shape shape;
  for (const int64_t d : dims) shape.push_back(x[0].shape()[wrap(d, rank)]);
  return {gathered(x[0], shape, [&](const Shape& i) {
    Shape from(rank);
    for (size_t k = 0; k < rank; ++k) from[wrap(dims[k], rank)] = i[k];
    return from;
  })};
}

Tensors split(T x, A a) {
  Tensors out;
  int64_t start = 0;
  for (const int64_t size : list(a, "s")) {
    out.push_back(cut(x[0], wrap(a.get_int("dim"), x[0].shape().size()), start, start + size));
    start += size;
  }
  return out;
}

Tensor joined(T x, size_t d) {
  Shape shape = x[0].shape();
  shape[d] = 0;
  for (const Tensor& part : x) shape[d] += part.shape()[d];
  const Tensor y = Tensor::empty(shape, DType::f64);
  int64_t start = 0;
  for (const Tensor& part : x) {
    for_each_index(part.shape(), [&](const Shape& i) {
      Shape to = i;
      to[d] += start;
      // at() repeats dimensions of size 1, which is right here too: there the index is 0.
      at(y, to) = at(part, i);
    });
    start += part.shape()[d];
  }
  return y;
}

Shape with_one(Shape shape, int64_t dim) {
  shape.insert(shape.begin() + static_cast<int64_t>(wrap(dim, shape.size() + 1)), 1);
  return shape;
}

Shape without(Shape shape, int64_t dim) {
  shape.erase(shape.begin() + static_cast<int64_t>(wrap(dim, shape.size())));
  return shape;
}

Tensors stack(T x, A a) {
  Tensors raised;
  for (const Tensor& part : x)
    raised.push_back(relabelled(part, with_one(part.shape(), a.get_int("dim"))));
  return {joined(raised, wrap(a.get_int("dim"), raised[0].shape().size()))};
}

Tensors select(T x, A a) {
  const size_t d = wrap(a.get_int("dim"), x[0].shape().size());
  const auto i =
      static_cast<int64_t>(wrap(a.get_int("index"), static_cast<size_t>(x[0].shape()[d])));
  return {relabelled(cut(x[0], d, i, i + 1), without(x[0].shape(), a.get_int("dim")))};
}

}  // namespace

OracleRows view_oracles() {
  return {
      {"reshape", [](T x, A a) -> Tensors { return {relabelled(x[0], list(a, "d"))}; }},
      {"transpose",
       [](T x, A a) -> Tensors {
         const size_t rank = x[0].shape().size();
         return {swapped(x[0], wrap(a.get_int("dim0"), rank), wrap(a.get_int("dim1"), rank))};
       }},
      {"permute", permute},
      {"slice",
       [](T x, A a) -> Tensors {
         return {cut(x[0], wrap(a.get_int("dim"), x[0].shape().size()), a.get_int("start"),
                     a.get_int("stop"))};
       }},
      {"select", select},
      {"unsqueeze",
       [](T x, A a) -> Tensors {
         return {relabelled(x[0], with_one(x[0].shape(), a.get_int("dim")))};
       }},
      {"squeeze",
       [](T x, A a) -> Tensors {
         return {relabelled(x[0], without(x[0].shape(), a.get_int("dim")))};
       }},
      {"expand",
       [](T x, A a) -> Tensors {
         return {gathered(x[0], list(a, "d"), [](const Shape& i) { return i; })};
       }},
      {"split", split},
      {"contiguous", [](T x, A) -> Tensors { return {swapped(x[0], 0, x[0].shape().size() - 1)}; }},
      {"concat",
       [](T x, A a) -> Tensors {
         return {joined(x, wrap(a.get_int("dim"), x[0].shape().size()))};
       }},
      {"stack", stack},
      {"cast", [](T x, A) -> Tensors { return {x[0].clone()}; }},
  };
}

}  // namespace xlstm::oracles
