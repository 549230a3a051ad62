#include "tools/bench/check.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/autograd.h"
#include "core/error.h"
#include "core/variant_log.h"

namespace xlstm::bench {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMaxFloat64Flops = 4e9;  // above, the reference is computed in float32
constexpr double kMaxTwinFlops = 1e8;     // twins take one step of time after the other

// Fixed numbers of either sign in the type and place of y, the same in every type. `size`: a power
// of two, about which they are.
Tensor weights_like(const Tensor& y, double size, Generator& generator) {
  Tensor rounded = Tensor::empty(y.shape(), DType::bf16);
  rounded.copy_from(random_tensor(y.shape(), DType::f32, generator, 0, size));
  Tensor w = Tensor::empty(y.shape(), y.dtype(), y.device());
  w.copy_from(rounded.to(y.device()));
  return w;
}

struct SquareSums {
  double difference = 0, want = 0;
  int64_t n = 0;
  double rms() const { return n > 0 ? std::sqrt(want / static_cast<double>(n)) : 0; }
};

template <class T>
SquareSums square_sums(const Tensor& got, const Tensor& want) {
  const T *a = got.data<T>(), *b = want.data<T>();
  const int64_t n = got.numel();
  constexpr int64_t kBlock = 1 << 16;
  const int64_t n_blocks = (n + kBlock - 1) / kBlock;
  std::vector<SquareSums> blocks(static_cast<size_t>(n_blocks));
#pragma omp parallel for schedule(static) if (n_blocks > 1)
  for (int64_t block = 0; block < n_blocks; ++block) {
    SquareSums sums;
    for (int64_t i = block * kBlock; i < std::min(n, (block + 1) * kBlock); ++i) {
      const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
      if (std::isfinite(y)) sums.want += y * y;
      if (x == y || (std::isnan(x) && std::isnan(y))) continue;
      sums.difference += std::isfinite(x - y) ? (x - y) * (x - y) : kInfinity;
    }
    blocks[static_cast<size_t>(block)] = sums;
  }
  SquareSums all{0, 0, n};
  for (const SquareSums& sums : blocks) {
    all.difference += sums.difference;
    all.want += sums.want;
  }
  return all;
}

// Of two tensors of one shape; of absent or empty ones, zeros. An infinite difference if only one
// is there or the shapes are not equal.
SquareSums sums_of(const Tensor& got, const Tensor& want) {
  if (got.defined() != want.defined()) return {kInfinity, 0, 1};
  if (!got.defined()) return {};
  if (got.shape() != want.shape()) return {kInfinity, 0, 1};
  const bool is_double = want.dtype() == DType::f64 || !is_floating(want.dtype());
  const auto converted = [is_double](const Tensor& t) {
    Tensor out = Tensor::empty(t.shape(), is_double ? DType::f64 : DType::f32);
    out.copy_from(t.to(kCpu));
    return out;
  };
  const Tensor a = converted(got), b = converted(want);
  return is_double ? square_sums<double>(a, b) : square_sums<float>(a, b);
}

// A gradient that cancels, such as that of a norm over one feature, is rounding alone: what counts
// as its size is at least a thousandth of the largest tensor of the same call.
std::vector<double> errors_of(const Tensors& got, const Tensors& want, double smallest) {
  if (got.size() != want.size()) return std::vector<double>(want.size(), kInfinity);
  std::vector<SquareSums> all;
  double largest = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    all.push_back(sums_of(got[i], want[i]));
    largest = std::max(largest, all.back().rms());
  }
  std::vector<double> errors;
  for (const SquareSums& sums : all) {
    const double rms =
        sums.difference == 0 ? 0 : std::sqrt(sums.difference / static_cast<double>(sums.n));
    errors.push_back(rms / std::max({sums.rms(), 1e-3 * largest, smallest}));
  }
  return errors;
}

double largest_of(const std::vector<double>& values) {
  double most = 0;
  for (const double v : values) most = std::max(most, v);
  return most;
}

// Gradients of a mean over n elements are n times smaller than those of a sum, and in float16 would
// be lost. The weights of few outputs of many inputs make up for it, within the range of float16.
double size_of_weights(const Tensors& roots, const Tensors& inputs,
                       const std::vector<int64_t>& wanted) {
  double n_inputs = 0;
  for (const int64_t i : wanted)
    n_inputs += static_cast<double>(inputs[static_cast<size_t>(i)].numel());
  const double ratio = n_inputs / std::max(numel_of(roots), 1.0);
  double size = 1;
  while (ratio >= 64 && 2 * size <= std::min(ratio, 8192.0)) size *= 2;
  return size;
}

// The inputs outside any tape.
Tensors detached(const OpSample& sample) {
  Tensors inputs;
  for (const Tensor& t : sample.inputs) inputs.push_back(t.defined() ? t.detach() : Tensor{});
  return inputs;
}

Tensors on_cpu(const Tensors& tensors, DType dtype) {
  Tensors out;
  for (const Tensor& t : tensors) {
    if (!t.defined() || !is_floating(t.dtype())) {
      out.push_back(t.defined() ? t.to(kCpu) : t);
      continue;
    }
    out.push_back(Tensor::empty(t.shape(), dtype));
    out.back().copy_from(t.to(kCpu));
  }
  return out;
}

}  // namespace

std::string joined(const VariantLog& log, const OpInfo& op) {
  std::string text;
  for (const std::string& name : log.names()) {
    if (name == "reference") return name;
    text += (text.empty() ? "" : "+") + name;
  }
  if (!text.empty()) return text;
  return op.any_type ? op.variants.front().name : "copy";
}

bool has_variant(const std::string& ran, const std::string& asked) {
  const std::string parts = "+" + ran + "+";
  return parts.find("+" + asked + "+") != std::string::npos;
}

Results run_forward(const OpInfo& op, Call call, const OpSample& sample) {
  const autograd::NoGrad no_grad;
  const Tensors inputs = detached(sample);
  Results results;
  const VariantLog log;
  results.outputs = call(inputs, sample.attributes);
  results.forward_variant = joined(log, op);
  return results;
}

Results run_with_gradients(const OpInfo& op, Call call, const OpSample& sample) {
  Tensors inputs = detached(sample);
  const std::vector<int64_t> wanted = differentiable_inputs(op, sample);
  for (const int64_t i : wanted) inputs[static_cast<size_t>(i)].set_requires_grad(true);
  Results results;
  {
    const VariantLog log;
    results.outputs = call(inputs, sample.attributes);
    results.forward_variant = joined(log, op);
  }
  Tensors roots, weights;
  for (Tensor& y : results.outputs) {
    if (y.defined() && y.requires_grad()) roots.push_back(y);
    if (y.defined()) y = y.detach();
  }
  if (roots.empty()) return results;
  const double size = size_of_weights(roots, inputs, wanted);
  Generator generator{77, 0};
  for (const Tensor& y : roots) weights.push_back(weights_like(y, size, generator));
  {
    const VariantLog log;
    autograd::backward(roots, weights);
    results.backward_variant = joined(log, op);
  }
  // No gradient is one of zeros: an input on which nothing depends may have either.
  for (const int64_t i : wanted) {
    const Tensor& x = inputs[static_cast<size_t>(i)];
    results.gradients.push_back(
        x.grad().defined() ? x.grad() : Tensor::zeros(x.shape(), x.dtype(), x.device()));
  }
  return results;
}

Reference reference_of(const OpInfo& op, const OpSample& sample, bool with_gradients) {
  const double flops = op.flops(sample);
  Reference out;
  out.dtype = flops <= kMaxFloat64Flops ? DType::f64 : DType::f32;
  // The twins of recurrences, which have a stabiliser among their outputs, walk step by step: too
  // slow beside the float64 kernels, which the tests hold against twins and oracles.
  const bool twin = op.composed != nullptr && op.comparable == nullptr && flops <= kMaxTwinFlops;
  const OpSample same = placed(op, sample, out.dtype, kCpu);
  const Call call = twin ? op.composed : op.forward;
  out.want = with_gradients ? run_with_gradients(op, call, same) : run_forward(op, call, same);
  out.name = std::string(twin ? "composed twin, cpu, " : "cpu, ") + name_of(out.dtype);
  return out;
}

double Errors::forward() const {
  return largest_of(outputs);
}
double Errors::backward() const {
  return largest_of(gradients);
}

Errors errors_of(const OpInfo& op, const Results& got, const Reference& reference,
                 double smallest) {
  const Results& want = reference.want;
  const Tensors outputs = op.comparable != nullptr
                              ? op.comparable(on_cpu(got.outputs, reference.dtype), want.outputs)
                              : got.outputs;
  Errors errors{errors_of(outputs, want.outputs, smallest), {}};
  if (!got.gradients.empty()) errors.gradients = errors_of(got.gradients, want.gradients, smallest);
  return errors;
}

Difference compare_with_reference(const OpInfo& op, const OpSample& sample, const Results& got,
                                  double smallest) {
  const Reference reference = reference_of(op, sample);
  const Errors errors = errors_of(op, got, reference, smallest);
  return {errors.forward(), errors.backward(), reference.name};
}

double tolerance_of(const OpInfo& op, DType dtype, Pass pass) {
  const double of_pass = pass == Pass::forward ? 1 : 2;
  // Sums over many rows lose a few more bits than those of the tests' small samples.
  if (dtype == DType::f32) return of_pass * std::max(1e-5, 10 * op.float_tolerance);
  if (dtype == DType::f64) return 1e-10;
  return of_pass * (dtype == DType::bf16 ? 1e-2 : 2e-3);
}

}  // namespace xlstm::bench
