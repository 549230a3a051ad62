#include <cmath>

#include "tests/oracles/indices.h"
#include "tests/oracles/oracle_rows.h"

namespace xlstm::oracles {
namespace {

template <class F>
Tensors each(const Tensor& x, F f) {
  Tensor y = Tensor::empty(x.shape(), DType::f64);
  for (int64_t i = 0; i < x.numel(); ++i) y.data<double>()[i] = f(x.data<double>()[i]);
  return {y};
}

template <class F>
Tensors each_pair(const Tensors& in, F f) {
  const Shape &a = in[0].shape(), &b = in[1].shape();
  Shape shape(std::max(a.size(), b.size()), 1);
  for (size_t d = 0; d < shape.size(); ++d) {  // counted from the right
    if (d < a.size() && a[a.size() - 1 - d] != 1) shape[shape.size() - 1 - d] = a[a.size() - 1 - d];
    if (d < b.size() && b[b.size() - 1 - d] != 1) shape[shape.size() - 1 - d] = b[b.size() - 1 - d];
  }
  const Tensor y = Tensor::empty(shape, DType::f64);
  for_each_index(shape, [&](const Shape& i) { at(y, i) = f(at(in[0], i), at(in[1], i)); });
  return {y};
}

}  // namespace

OracleRows elementwise_oracles() {
  using A = const OpAttributes&;
  using T = const Tensors&;
  return {
      {"add", [](T x, A) { return each_pair(x, [](double a, double b) { return a + b; }); }},
      {"sub", [](T x, A) { return each_pair(x, [](double a, double b) { return a - b; }); }},
      {"mul", [](T x, A) { return each_pair(x, [](double a, double b) { return a * b; }); }},
      {"div", [](T x, A) { return each_pair(x, [](double a, double b) { return a / b; }); }},
      {"maximum",
       [](T x, A) { return each_pair(x, [](double a, double b) { return a < b ? b : a; }); }},
      {"scale",
       [](T x, A a) { return each(x[0], [v = a.get("value")](double u) { return u * v; }); }},
      {"add_scalar",
       [](T x, A a) { return each(x[0], [v = a.get("value")](double u) { return u + v; }); }},
      {"softcap",
       [](T x, A a) {
         return each(x[0], [v = a.get("value")](double u) { return v * std::tanh(u / v); });
       }},
      {"neg", [](T x, A) { return each(x[0], [](double u) { return -u; }); }},
      {"exp", [](T x, A) { return each(x[0], [](double u) { return std::exp(u); }); }},
      {"log", [](T x, A) { return each(x[0], [](double u) { return std::log(u); }); }},
      {"sqrt", [](T x, A) { return each(x[0], [](double u) { return std::sqrt(u); }); }},
      {"square", [](T x, A) { return each(x[0], [](double u) { return u * u; }); }},
      {"abs", [](T x, A) { return each(x[0], [](double u) { return u < 0 ? -u : u; }); }},
      {"tanh", [](T x, A) { return each(x[0], [](double u) { return std::tanh(u); }); }},
      {"sigmoid",
       [](T x, A) { return each(x[0], [](double u) { return 1 / (1 + std::exp(-u)); }); }},
      {"log_sigmoid",
       [](T x, A) { return each(x[0], [](double u) { return -std::log(1 + std::exp(-u)); }); }},
  };
}

}  // namespace xlstm::oracles
