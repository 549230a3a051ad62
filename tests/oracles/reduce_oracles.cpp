#include <algorithm>
#include <functional>
#include <limits>

#include "tests/oracles/indices.h"
#include "tests/oracles/oracle_rows.h"

namespace xlstm::oracles {
namespace {

// Folds x over the attribute "dim" (over everything without it), starting from `start`.
Tensor folded(const Tensor& x, const OpAttributes& a, double start,
              const std::function<double(double, double)>& f) {
  if (!a.has("dim")) {
    Tensor y = Tensor::full({}, start, DType::f64);
    for (int64_t i = 0; i < x.numel(); ++i)
      *y.data<double>() = f(*y.data<double>(), x.data<double>()[i]);
    return y;
  }
  const size_t d = wrap(a.get_int("dim"), x.shape().size());
  Shape kept = x.shape();
  kept[d] = 1;
  Tensor y = Tensor::full(kept, start, DType::f64);
  for_each_index(x.shape(), [&](const Shape& i) { at(y, i) = f(at(y, i), at(x, i)); });
  if (a.get("keep") != 0) return y;
  Shape dropped = kept;
  dropped.erase(dropped.begin() + static_cast<int64_t>(d));
  return Tensor::from(y.to_vector<double>(), dropped);
}

double plus(double a, double b) {
  return a + b;
}

Tensors mean(const Tensors& in, const OpAttributes& a) {
  const Tensor y = folded(in[0], a, 0, plus);
  for (int64_t i = 0; i < y.numel(); ++i)
    y.data<double>()[i] *= static_cast<double>(y.numel()) / static_cast<double>(in[0].numel());
  return {y};
}

Tensors cumsum(const Tensors& in, const OpAttributes& a) {
  const size_t d = wrap(a.get_int("dim"), in[0].shape().size());
  const Tensor y = in[0].clone();
  for_each_index(y.shape(), [&](const Shape& i) {
    if (i[d] == 0) return;
    Shape before = i;
    --before[d];
    at(y, i) = at(y, before) + at(in[0], i);
  });
  return {y};
}

Tensors sum_to(const Tensors& in, const OpAttributes& a) {
  Shape shape = in[0].shape();
  for (size_t d = 0; d < shape.size(); ++d)
    if (!a.has("keep" + std::to_string(d))) shape[d] = 1;
  shape.erase(shape.begin(), shape.begin() + a.get_int("drop"));
  const Tensor y = Tensor::zeros(shape, DType::f64);
  for_each_index(in[0].shape(), [&](const Shape& i) { at(y, i) += at(in[0], i); });
  return {y};
}

}  // namespace

OracleRows reduce_oracles() {
  using A = const OpAttributes&;
  using T = const Tensors&;
  return {
      {"sum", [](T x, A a) -> Tensors { return {folded(x[0], a, 0, plus)}; }},
      {"mean", mean},
      {"max",
       [](T x, A a) -> Tensors {
         return {folded(x[0], a, -std::numeric_limits<double>::infinity(),
                        [](double u, double v) { return u < v ? v : u; })};
       }},
      {"cumsum", cumsum},
      {"sum_to", sum_to},
  };
}

}  // namespace xlstm::oracles
