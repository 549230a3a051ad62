// Everything the op table promises, checked for every row and every sample: the result against the
// double-precision oracle (float64 and float32), the composed twin, the gradient against central
// differences, the same bits for 1, 2 and 3 threads, inputs that are not contiguous, empty inputs.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/autograd.h"
#include "core/op_info.h"
#include "tests/catch.h"
#include "tests/oracles/oracles.h"

namespace xlstm {
namespace {

constexpr double kStep =
    1e-5;  // of central differences; error about kStep^2 times third derivatives

std::vector<OpSample> check_samples(const OpInfo& op, DType dtype) {
  Generator generator{20260101, 0};
  return op.samples(SampleSize::check, dtype, generator);
}

Tensor as_double(const Tensor& t) {
  if (!t.defined()) return t;
  if (!is_floating(t.dtype())) return t.clone();
  Tensor out = Tensor::empty(t.shape(), DType::f64);
  out.copy_from(t);
  return out;
}

Tensors as_double(const Tensors& ts) {
  Tensors out;
  for (const Tensor& t : ts) out.push_back(as_double(t));
  return out;
}

std::vector<int64_t> differentiable_inputs(const OpSample& sample) {
  if (!sample.differentiable.empty()) return sample.differentiable;
  std::vector<int64_t> out;
  for (size_t i = 0; i < sample.inputs.size(); ++i)
    if (sample.inputs[i].defined() && is_floating(sample.inputs[i].dtype()))
      out.push_back(static_cast<int64_t>(i));
  return out;
}

// max |got - want| / max |want|, infinite if only one of them is finite.
double relative_error(const Tensor& got, const Tensor& want) {
  REQUIRE(got.defined() == want.defined());
  if (!got.defined()) return 0;
  REQUIRE(got.shape() == want.shape());
  const std::vector<double> a = got.to_vector<double>(), b = want.to_vector<double>();
  double worst = 0, largest = 1e-6;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (a[i] == b[i]) continue;
    const double difference = std::abs(a[i] - b[i]);
    worst = std::isfinite(difference) ? std::max(worst, difference) : INFINITY;
    if (std::isfinite(b[i])) largest = std::max(largest, std::abs(b[i]));
  }
  return worst / largest;
}

void check_close(const Tensors& got, const Tensors& want, double tolerance) {
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    INFO("output " << i);
    CHECK(relative_error(got[i], want[i]) <= tolerance);
  }
}

bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.defined() != b.defined()) return false;
  if (!a.defined()) return true;
  const Tensor x = a.clone(), y = b.clone();
  return x.shape() == y.shape() &&
         (x.numel() == 0 ||
          std::memcmp(x.raw(), y.raw(), static_cast<size_t>(x.numel() * size_of(x.dtype()))) == 0);
}

// Outputs' weights of the scalar that gradients are taken of: fixed numbers of either sign.
Tensors loss_weights(const Tensors& outputs) {
  Generator generator{77, 0};
  Tensors weights;
  for (const Tensor& output : outputs) {
    const bool counts = output.defined() && is_floating(output.dtype());
    weights.push_back(counts ? random_tensor(output.shape(), output.dtype(), generator) : Tensor{});
  }
  return weights;
}

double weighted_sum(const Tensors& outputs, const Tensors& weights,
                    const std::vector<bool>& counted) {
  double sum = 0;
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (!counted[k]) continue;
    const std::vector<double> y = outputs[k].to_vector<double>(),
                              w = weights[k].to_vector<double>();
    for (size_t i = 0; i < y.size(); ++i) sum += w[i] * y[i];
  }
  return sum;
}

struct Gradients {
  Tensors outputs;
  Tensors input_grads;        // in order of differentiable_inputs
  std::vector<bool> counted;  // outputs that carry a gradient
};

Gradients run_with_gradients(const OpInfo& op, const OpSample& sample) {
  Tensors inputs = sample.inputs;
  const std::vector<int64_t> wanted = differentiable_inputs(sample);
  for (const int64_t i : wanted) {
    Tensor leaf = inputs[static_cast<size_t>(i)].detach();
    leaf.set_requires_grad(true);
    inputs[static_cast<size_t>(i)] = leaf;
  }
  Gradients result;
  result.outputs = op.forward(inputs, sample.attributes);
  const Tensors weights = loss_weights(result.outputs);
  Tensors roots, root_grads;
  for (size_t k = 0; k < result.outputs.size(); ++k) {
    const bool counts = weights[k].defined() && result.outputs[k].requires_grad();
    result.counted.push_back(counts);
    if (!counts) continue;
    roots.push_back(result.outputs[k]);
    root_grads.push_back(weights[k]);
  }
  if (!roots.empty()) autograd::backward(roots, root_grads);
  for (const int64_t i : wanted)
    result.input_grads.push_back(inputs[static_cast<size_t>(i)].grad());
  return result;
}

// The same values in memory with the dimensions reversed and a gap, so that no stride is what it
// was.
Tensor scattered(const Tensor& t) {
  if (!t.defined() || t.dim() == 0 || t.numel() == 0) return t;
  Shape reversed(t.shape().rbegin(), t.shape().rend());
  reversed.back() += 3;
  Tensor memory = Tensor::zeros(reversed, t.dtype());
  const Shape strides(memory.strides().rbegin(), memory.strides().rend());
  Tensor view = memory.strided_view(t.shape(), strides, 1);
  view.copy_from(t);
  return view;
}

template <class F>
void for_each_sample(DType dtype, F f) {
  REQUIRE_FALSE(op_table().empty());
  for (const OpInfo& op : op_table()) {
    for (const OpSample& sample : check_samples(op, dtype)) {
      INFO(op.name << ": " << sample.label);
      f(op, sample);
    }
  }
}

TEST_CASE("every op has a complete row and an oracle") {
  for (const OpInfo& op : op_table()) {
    INFO(op.name);
    CHECK(oracles::find_oracle(op.name) != nullptr);
    CHECK(std::strlen(op.summary) > 10);
    const auto samples = check_samples(op, DType::f64);
    CHECK(samples.size() >= 2);
    CHECK(std::any_of(samples.begin(), samples.end(), [](const OpSample& s) {
      return std::any_of(s.inputs.begin(), s.inputs.end(),
                         [](const Tensor& t) { return t.defined() && t.numel() == 0; });
    }));
    for (const OpSample& sample : samples) {
      CHECK(op.flops(sample) >= 0);
      CHECK(op.bytes(sample) >= 0);
    }
    CHECK(std::count_if(op_table().begin(), op_table().end(), [&](const OpInfo& other) {
            return std::strcmp(other.name, op.name) == 0;
          }) == 1);
  }
}

TEST_CASE("results equal the oracle in float64") {
  for_each_sample(DType::f64, [](const OpInfo& op, const OpSample& sample) {
    const auto oracle = oracles::find_oracle(op.name);
    REQUIRE(oracle != nullptr);
    check_close(op.forward(sample.inputs, sample.attributes),
                oracle(as_double(sample.inputs), sample.attributes), 1e-11);
  });
}

TEST_CASE("results equal the oracle in float32") {
  for_each_sample(DType::f32, [](const OpInfo& op, const OpSample& sample) {
    const auto oracle = oracles::find_oracle(op.name);
    REQUIRE(oracle != nullptr);
    check_close(op.forward(sample.inputs, sample.attributes),
                oracle(as_double(sample.inputs), sample.attributes), op.float_tolerance);
  });
}

TEST_CASE("composed twins give the same results and gradients") {
  for_each_sample(DType::f64, [](const OpInfo& op, const OpSample& sample) {
    if (op.composed == nullptr) return;
    OpInfo twin = op;
    twin.forward = op.composed;
    const Gradients fused = run_with_gradients(op, sample);
    const Gradients composed = run_with_gradients(twin, sample);
    check_close(composed.outputs, fused.outputs, 1e-11);
    REQUIRE(composed.input_grads.size() == fused.input_grads.size());
    for (size_t k = 0; k < fused.input_grads.size(); ++k) {
      INFO("gradient " << k);
      const Tensor &got = composed.input_grads[k], &want = fused.input_grads[k];
      // No gradient is one of zeros: an input on which nothing depends may have either.
      const auto or_zeros = [](const Tensor& x, const Tensor& other) {
        return x.defined() || !other.defined() ? x : Tensor::zeros(other.shape(), other.dtype());
      };
      CHECK(relative_error(or_zeros(got, want), or_zeros(want, got)) <= 1e-10);
    }
  });
}

TEST_CASE("gradients equal central differences") {
  for_each_sample(DType::f64, [](const OpInfo& op, const OpSample& sample) {
    if (!op.has_gradient) return;
    const Gradients analytic = run_with_gradients(op, sample);
    const Tensors weights = loss_weights(analytic.outputs);
    const std::vector<int64_t> wanted = differentiable_inputs(sample);
    const autograd::NoGrad no_grad;
    for (size_t w = 0; w < wanted.size(); ++w) {
      const size_t which = static_cast<size_t>(wanted[w]);
      const Tensor& input = sample.inputs[which];
      if (input.numel() == 0) continue;
      INFO("input " << which);
      REQUIRE(analytic.input_grads[w].defined());
      Tensors inputs = sample.inputs;
      Tensor numeric = Tensor::zeros(input.shape(), DType::f64);
      Tensor perturbed = input.clone();
      inputs[which] = perturbed;
      const auto loss_at = [&](int64_t i, double value) {
        perturbed.data<double>()[i] = value;
        Tensors outputs = op.forward(inputs, sample.attributes);
        if (op.comparable != nullptr) outputs = op.comparable(outputs, analytic.outputs);
        return weighted_sum(outputs, weights, analytic.counted);
      };
      for (int64_t i = 0; i < numeric.numel(); ++i) {
        const double x = perturbed.data<double>()[i];
        numeric.data<double>()[i] = (loss_at(i, x + kStep) - loss_at(i, x - kStep)) / (2 * kStep);
        perturbed.data<double>()[i] = x;
      }
      CHECK(relative_error(analytic.input_grads[w], numeric) <= 1e-6);
    }
  });
}

TEST_CASE("the number of threads changes no bit") {
  const int before = omp_get_max_threads();
  for_each_sample(DType::f32, [](const OpInfo& op, const OpSample& sample) {
    omp_set_num_threads(1);
    const Gradients one = run_with_gradients(op, sample);
    for (const int threads : {1, 2, 3}) {
      omp_set_num_threads(threads);
      const Gradients again = run_with_gradients(op, sample);
      for (size_t k = 0; k < one.outputs.size(); ++k)
        CHECK(same_bits(one.outputs[k], again.outputs[k]));
      for (size_t k = 0; k < one.input_grads.size(); ++k)
        CHECK(same_bits(one.input_grads[k], again.input_grads[k]));
    }
  });
  omp_set_num_threads(before);
}

TEST_CASE("inputs need not be contiguous") {
  for_each_sample(DType::f64, [](const OpInfo& op, const OpSample& sample) {
    const Gradients plain = run_with_gradients(op, sample);
    OpSample moved = sample;
    for (Tensor& input : moved.inputs) input = scattered(input);
    const Gradients strided = run_with_gradients(op, moved);
    check_close(strided.outputs, plain.outputs, 1e-12);
    for (size_t k = 0; k < plain.input_grads.size(); ++k)
      CHECK(relative_error(strided.input_grads[k], plain.input_grads[k]) <= 1e-12);
  });
}

}  // namespace
}  // namespace xlstm
