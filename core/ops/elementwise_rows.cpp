#include "core/op_info.h"
#include "core/ops/elementwise.h"
#include "core/ops/op_rows.h"

namespace xlstm {
namespace {

// Values of either sign, none of them close to 0, where |x| has no slope and 1/x none that fits.
Tensor away_from_zero(const Shape& shape, DType dtype, Generator& generator) {
  Tensor t = Tensor::empty(shape, dtype);
  fill_uniform(t, -2, 2, generator);
  std::vector<double> values = t.to_vector<double>();
  for (double& v : values) v += v < 0 ? -0.25 : 0.25;
  t.copy_from(Tensor::from(values, shape));
  return t;
}

Tensor positive(const Shape& shape, DType dtype, Generator& generator) {
  Tensor t = Tensor::empty(shape, dtype);
  fill_uniform(t, 0.1, 4, generator);
  return t;
}

using Draw = Tensor (*)(const Shape&, DType, Generator&);

Tensor normal(const Shape& shape, DType dtype, Generator& generator) {
  return random_tensor(shape, dtype, generator, 0, 2);
}

template <Draw draw>
std::vector<OpSample> unary_samples(SampleSize size, DType dtype, Generator& g) {
  const OpAttributes scalars{{"value", 1.75}};
  if (size == SampleSize::bench) return {{"2048x1024", {draw({2048, 1024}, dtype, g)}, scalars}};
  return {{"one element", {draw({1}, dtype, g)}, scalars},
          {"scalar", {draw({}, dtype, g)}, scalars},
          {"3x5x7", {draw({3, 5, 7}, dtype, g)}, scalars},
          {"2x37, more than one vector", {draw({2, 37}, dtype, g)}, scalars},
          {"empty", {draw({3, 0}, dtype, g)}, scalars}};
}

std::vector<OpSample> binary_samples(SampleSize size, DType dtype, Generator& g) {
  const auto pair = [&](const char* label, const Shape& a, const Shape& b) {
    return OpSample{label, {away_from_zero(a, dtype, g), away_from_zero(b, dtype, g)}, {}};
  };
  if (size == SampleSize::bench)
    return {pair("same shape 2048x1024", {2048, 1024}, {2048, 1024}),
            pair("row vector 2048x1024", {2048, 1024}, {1024}),
            pair("scalar 2048x1024", {2048, 1024}, {})};
  return {pair("same shape", {3, 7}, {3, 7}),
          pair("row vector", {2, 3, 19}, {19}),
          pair("column vector", {3, 7}, {3, 1}),
          pair("scalar left", {}, {5, 3}),
          pair("scalars", {}, {}),
          pair("both repeated", {4, 1, 3}, {2, 1}),
          pair("middle repeated", {2, 1, 3, 1}, {2, 5, 3, 2}),
          pair("empty", {0, 3}, {3}),
          pair("empty by repetition", {2, 1, 3}, {0, 1})};
}

// Whole vectors in several blocks and a rest; rows of vectors with gaps between them.
template <Draw draw>
std::vector<LargeSample> unary_path_samples() {
  return {{"50003 elements",
           [](DType dtype, Generator& g) {
             return OpSample{"50003 elements", {draw({50003}, dtype, g)}, {{"value", 1.75}}};
           }},
          {"rows of vectors", [](DType dtype, Generator& g) {
             const Tensor wide = draw({37, 520}, dtype, g);
             return OpSample{
                 "rows of vectors", {wide.strided_view({37, 512}, {520, 1})}, {{"value", 1.75}}};
           }}};
}

std::vector<LargeSample> binary_path_samples() {
  const auto pair = [](const char* label, const Shape& a, const Shape& b) {
    return LargeSample{
        label, [label, a, b](DType dtype, Generator& g) {
          return OpSample{label, {away_from_zero(a, dtype, g), away_from_zero(b, dtype, g)}, {}};
        }};
  };
  return {pair("50003 elements", {50003}, {50003}),
          pair("row of 512", {37, 512}, {512}),
          pair("row of 512 left", {512}, {37, 512}),
          pair("column, rows of 512", {37, 512}, {37, 1}),
          pair("scalar, 50003 elements", {50003}, {}),
          pair("middle repeated, rows of 64", {3, 1, 64}, {3, 41, 64})};
}

// Large models' activations, where nothing stays in a cache.
template <Draw draw>
std::vector<LargeSample> large_unary() {
  return {{"32768 x 2048", [](DType dtype, Generator& g) {
             return OpSample{"32768 x 2048", {draw({32768, 2048}, dtype, g)}, {{"value", 1.75}}};
           }}};
}
std::vector<LargeSample> large_binary() {
  return {{"32768 x 2048",
           [](DType dtype, Generator& g) {
             return OpSample{"32768 x 2048",
                             {normal({32768, 2048}, dtype, g), normal({32768, 2048}, dtype, g)},
                             {}};
           }},
          {"32768 x 2048 and a row", [](DType dtype, Generator& g) {
             return OpSample{"32768 x 2048 and a row",
                             {normal({32768, 2048}, dtype, g), normal({2048}, dtype, g)},
                             {}};
           }}};
}

template <int cost>
double per_output(const OpSample& sample) {
  double n = 0;
  for (const Tensor& t : sample.inputs) n = std::max(n, static_cast<double>(t.numel()));
  return cost * n;
}

// Every input once and a result as large as the largest input.
double traffic(const OpSample& sample) {
  const double element = static_cast<double>(size_of(sample.inputs[0].dtype()));
  return bytes_of(sample.inputs) + element * per_output<1>(sample);
}

template <Tensor (*op)(const Tensor&)>
Tensors call(const Tensors& in, const OpAttributes&) {
  return {op(in[0])};
}
template <Tensor (*op)(const Tensor&, double)>
Tensors call_with_value(const Tensors& in, const OpAttributes& attributes) {
  return {op(in[0], attributes.get("value"))};
}
template <Tensor (*op)(const Tensor&, const Tensor&)>
Tensors call_binary(const Tensors& in, const OpAttributes&) {
  return {op(in[0], in[1])};
}

template <Tensor (*op)(const Tensor&), Draw draw, int cost>
OpInfo unary(const char* name, const char* summary) {
  OpInfo row{name,    "elementwise",       summary,          call<op>,
             nullptr, unary_samples<draw>, per_output<cost>, traffic,
             true};
  row.path_samples = unary_path_samples<draw>;
  return row;
}
template <Tensor (*op)(const Tensor&, double), int cost>
OpInfo with_value(const char* name, const char* summary) {
  OpInfo row{name,    "elementwise",         summary,          call_with_value<op>,
             nullptr, unary_samples<normal>, per_output<cost>, traffic,
             true};
  row.path_samples = unary_path_samples<normal>;
  return row;
}
template <Tensor (*op)(const Tensor&, const Tensor&)>
OpInfo binary(const char* name, const char* summary) {
  OpInfo row{name,          "elementwise", summary, call_binary<op>, nullptr, binary_samples,
             per_output<1>, traffic,       true};
  row.path_samples = binary_path_samples;
  return row;
}

}  // namespace

std::vector<OpInfo> elementwise_rows() {
  std::vector<OpInfo> rows = {
      binary<ops::add>("add", "Sum a + b, broadcasting"),
      binary<ops::sub>("sub", "Difference a - b, broadcasting"),
      binary<ops::mul>("mul", "Product a * b, broadcasting"),
      binary<ops::div>("div", "Quotient a / b, broadcasting"),
      binary<ops::maximum>("maximum", "The larger of a and b, broadcasting"),
      with_value<ops::scale, 1>("scale", "Product of x and a number"),
      with_value<ops::add_scalar, 1>("add_scalar", "Sum of x and a number"),
      with_value<ops::softcap, 20>("softcap", "Soft limit cap * tanh(x / cap)"),
      unary<ops::neg, normal, 1>("neg", "The negative of x"),
      unary<ops::exp, normal, 15>("exp", "Exponential e^x"),
      unary<ops::log, positive, 20>("log", "Natural logarithm"),
      unary<ops::sqrt, positive, 1>("sqrt", "Square root"),
      unary<ops::square, normal, 1>("square", "Square of x"),
      unary<ops::abs, away_from_zero, 1>("abs", "Absolute value"),
      unary<ops::tanh, normal, 20>("tanh", "Hyperbolic tangent"),
      unary<ops::sigmoid, normal, 20>("sigmoid", "Sigmoid 1 / (1 + e^-x)"),
      unary<ops::log_sigmoid, normal, 40>("log_sigmoid", "Logarithm of the sigmoid, never -inf"),
  };
  // Of functions that cost about the same, one stands for all.
  for (OpInfo& row : rows) {
    const std::string name = row.name;
    if (name == "add" || name == "mul") row.large_samples = large_binary;
    if (name == "scale" || name == "sigmoid") row.large_samples = large_unary<normal>;
  }
  return rows;
}

}  // namespace xlstm
