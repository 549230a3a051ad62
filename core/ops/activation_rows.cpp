#include "core/ops/activation.h"
#include "core/ops/activation_composed.h"
#include "core/ops/op_rows.h"

namespace xlstm {
namespace {

ops::Activation kind(const OpAttributes& a) {
  return static_cast<ops::Activation>(a.get_int("activation"));
}
Tensors call_activate(const Tensors& in, const OpAttributes& a) {
  return {ops::activate(in[0], kind(a))};
}
Tensors call_silu(const Tensors& in, const OpAttributes&) {
  return {ops::silu(in[0])};
}
Tensors call_gelu(const Tensors& in, const OpAttributes&) {
  return {ops::gelu(in[0])};
}
Tensors call_gated(const Tensors& in, const OpAttributes& a) {
  return {ops::gated(in[0], in[1], kind(a))};
}
Tensors call_gated_composed(const Tensors& in, const OpAttributes& a) {
  return {ops::gated_composed(in[0], in[1], kind(a))};
}

constexpr struct {
  const char* name;
  ops::Activation activation;
} kAll[] = {{"silu", ops::Activation::silu},       {"gelu", ops::Activation::gelu},
            {"relu", ops::Activation::relu},       {"relu^2", ops::Activation::relu_squared},
            {"sigmoid", ops::Activation::sigmoid}, {"selu", ops::Activation::selu}};

std::vector<Shape> shapes_of(SampleSize size) {
  if (size == SampleSize::bench) return {{2048, 1024}};
  return {{3, 7}, {1}, {}, {2, 2, 19}, {0, 3}};
}

std::vector<OpSample> plain_samples(SampleSize size, DType dtype, Generator& g) {
  std::vector<OpSample> out;
  for (const Shape& shape : shapes_of(size))
    out.push_back({to_string(shape), {random_tensor(shape, dtype, g, 0, 2)}, {}});
  return out;
}

// Whole vectors in several blocks, and a rest.
constexpr int64_t kManyElements = 50003;

std::vector<LargeSample> plain_path_samples() {
  return {
      {"50003 elements", [](DType dtype, Generator& g) {
         return OpSample{"50003 elements", {random_tensor({kManyElements}, dtype, g, 0, 2)}, {}};
       }}};
}

// n_inputs tensors of one shape, for every activation.
template <int n_inputs>
std::vector<OpSample> samples(SampleSize size, DType dtype, Generator& g) {
  std::vector<OpSample> out;
  for (const auto& [name, activation] : kAll) {
    for (const Shape& shape : shapes_of(size)) {
      OpSample sample{std::string(name) + " " + to_string(shape),
                      {},
                      {{"activation", static_cast<double>(activation)}}};
      for (int i = 0; i < n_inputs; ++i)
        sample.inputs.push_back(random_tensor(shape, dtype, g, 0, 2));
      out.push_back(sample);
    }
  }
  return out;
}

template <int n_inputs>
std::vector<LargeSample> path_samples() {
  std::vector<LargeSample> out;
  for (const auto& [name, activation] : kAll) {
    const std::string label = std::string(name) + ", 50003 elements";
    const OpAttributes attributes{{"activation", static_cast<double>(activation)}};
    out.push_back({label, [label, attributes](DType dtype, Generator& g) {
                     OpSample sample{label, {}, attributes};
                     for (int i = 0; i < n_inputs; ++i)
                       sample.inputs.push_back(random_tensor({kManyElements}, dtype, g, 0, 2));
                     return sample;
                   }});
  }
  return out;
}

std::vector<LargeSample> large_gated() {
  return {{"silu, 65536 x 2048", [](DType dtype, Generator& g) {
             return OpSample{
                 "silu, 65536 x 2048",
                 {random_tensor({65536, 2048}, dtype, g), random_tensor({65536, 2048}, dtype, g)},
                 {{"activation", static_cast<double>(ops::Activation::silu)}}};
           }}};
}

double flops(const OpSample& sample) {
  return 25 * numel_of({sample.inputs[0]});
}
double bytes(const OpSample& sample) {
  return bytes_of(sample.inputs) + bytes_of({sample.inputs[0]});
}

}  // namespace

std::vector<OpInfo> activation_rows() {
  std::vector<OpInfo> rows = {
      {"activate", "activation", "An activation by name", call_activate, nullptr, samples<1>, flops,
       bytes},
      {"silu", "activation", "Product of x and the sigmoid of x", call_silu, nullptr, plain_samples,
       flops, bytes},
      {"gelu", "activation", "Product of x and the normal distribution function of x", call_gelu,
       nullptr, plain_samples, flops, bytes},
      {"gated", "activation", "Product activation(gate) * up in one pass", call_gated,
       call_gated_composed, samples<2>, flops, bytes},
  };
  rows[0].path_samples = path_samples<1>;
  rows[1].path_samples = rows[2].path_samples = plain_path_samples;
  rows[3].path_samples = path_samples<2>;
  rows.back().large_samples = large_gated;
  return rows;
}

}  // namespace xlstm
