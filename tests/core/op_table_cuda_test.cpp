// Every row of the op table on CUDA, every kernel variant of it: results and gradients in float32
// against the same op in float64 on the CPU, which the other tests hold against the oracles; twice,
// for the same bits. (16 bits: the self-test, tests/tools/bench_cuda_test.cpp.)
#include <cmath>
#include <cstring>
#include <set>

#include "core/autograd.h"
#include "core/kernel_variant.h"
#include "core/op_info.h"
#include "core/variant_log.h"
#include "tests/cuda_device.h"

namespace xlstm {
namespace {

constexpr Device kCuda{DeviceType::cuda, 0};

struct Result {
  Tensors outputs, gradients;
};

// The op on the inputs, and the gradients of a fixed weighted sum of its outputs.
Result run(const OpInfo& op, const OpSample& sample, const Tensors& given) {
  Tensors inputs;
  std::set<int64_t> wanted(sample.differentiable.begin(), sample.differentiable.end());
  for (size_t i = 0; i < given.size(); ++i) {
    Tensor t = given[i].defined() ? given[i].detach() : Tensor{};
    const bool differentiable = t.defined() && is_floating(t.dtype()) && op.has_gradient &&
                                (wanted.empty() || wanted.contains(static_cast<int64_t>(i)));
    if (differentiable) t.set_requires_grad(true);
    inputs.push_back(t);
  }
  Result result;
  result.outputs = op.forward(inputs, sample.attributes);
  Generator generator{77, 0};
  Tensors roots, weights;
  for (const Tensor& y : result.outputs) {
    if (!y.defined() || !is_floating(y.dtype())) continue;
    const Tensor weight = random_tensor(y.shape(), DType::f64, generator);
    if (!y.requires_grad()) continue;
    Tensor w = Tensor::empty(y.shape(), y.dtype(), y.device());
    w.copy_from(weight);
    roots.push_back(y);
    weights.push_back(w);
  }
  if (!roots.empty()) autograd::backward(roots, weights);
  for (const Tensor& t : inputs)
    result.gradients.push_back(t.defined() && t.requires_grad() ? t.grad() : Tensor{});
  return result;
}

double relative_error(const Tensor& got, const Tensor& want) {
  if (got.defined() != want.defined()) return INFINITY;
  if (!got.defined()) return 0;
  if (got.shape() != want.shape()) return INFINITY;
  const std::vector<double> a = got.to_vector<double>(), b = want.to_vector<double>();
  double worst = 0, largest = 1e-6;
  for (size_t i = 0; i < a.size(); ++i) {
    if ((std::isnan(a[i]) && std::isnan(b[i])) || a[i] == b[i]) continue;
    const double difference = std::abs(a[i] - b[i]);
    worst = std::isfinite(difference) ? std::max(worst, difference) : INFINITY;
    if (std::isfinite(b[i])) largest = std::max(largest, std::abs(b[i]));
  }
  return worst / largest;
}

Tensors each(const Tensors& ts, DType dtype, Device device) {
  Tensors out;
  for (const Tensor& t : ts) {
    if (!t.defined()) {
      out.emplace_back();
      continue;
    }
    Tensor copy = Tensor::empty(t.shape(), is_floating(t.dtype()) ? dtype : t.dtype(), device);
    copy.copy_from(t);
    out.push_back(copy);
  }
  return out;
}

void compare(const Tensors& got, const Tensors& want, double tolerance, const char* what) {
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    INFO(what << " " << i);
    CHECK(relative_error(got[i], want[i]) <= tolerance);
  }
}

// Small samples, and those that reach the other paths inside kernels.
std::vector<OpSample> all_samples(const OpInfo& op) {
  Generator generator{20260101, 0};
  std::vector<OpSample> samples = op.samples(SampleSize::check, DType::f32, generator);
  if (op.path_samples != nullptr)
    for (const LargeSample& sample : op.path_samples())
      samples.push_back(sample.make(DType::f32, generator));
  return samples;
}

// The names to ask for: none, and of each variant that has a number and a gradient if the op has.
std::vector<std::string> names_to_ask_for(const OpInfo& op) {
  std::vector<std::string> names{""};
  for (const KernelVariant& variant : variants_of(op, DeviceType::cuda))
    if (variant.id != 0 && (variant.has_backward || !op.has_gradient))
      names.emplace_back(variant.name);
  return names;
}

void compare_on_cuda(const OpInfo& op, const OpSample& sample, const Result& want) {
  const OpSample on_cuda = placed(op, sample, DType::f32, kCuda);
  const Result got = run(op, sample, on_cuda.inputs);
  const Result again = run(op, sample, on_cuda.inputs);
  const Tensors outputs = op.comparable != nullptr
                              ? op.comparable(each(got.outputs, DType::f64, kCpu), want.outputs)
                              : got.outputs;
  compare(outputs, want.outputs, 3 * op.float_tolerance, "output");
  compare(got.gradients, want.gradients, 10 * op.float_tolerance, "gradient of input");
  compare(again.outputs, got.outputs, 0, "again, output");
  compare(again.gradients, got.gradients, 0, "again, gradient of input");
}

TEST_CASE("every op of the table computes on CUDA what it computes on the CPU") {
  if (!test::has_cuda_device()) return;
  for (const OpInfo& op : op_table()) {
    for (const OpSample& sample : all_samples(op)) {
      INFO(op.name << ": " << sample.label);
      try {
        const Result want = run(op, sample, each(sample.inputs, DType::f64, kCpu));
        for (const std::string& name : names_to_ask_for(op)) {
          INFO("variant " << name);
          const VariantChoice choice(op.name, name);
          try {
            compare_on_cuda(op, sample, want);
          } catch (const VariantError&) {
            CHECK_FALSE(name.empty());  // asked for, and not for these sizes
          }
        }
      } catch (const Error& error) {
        FAIL_CHECK(error.what());
      }
    }
  }
}

TEST_CASE("the samples of the table reach every kernel variant on CUDA") {
  if (cuda_device_count() == 0) {
    WARN("skipped: no CUDA device here");
    return;
  }
  const autograd::NoGrad no_grad;
  for (const OpInfo& op : op_table()) {
    if (op.any_type) continue;  // copies have no name in the log
    std::set<std::string> ran;
    const VariantChoice choice(op.name, "");  // as the op chooses by itself
    for (const OpSample& sample : all_samples(op))
      for (const DType dtype : {DType::f32, DType::bf16}) {
        const VariantLog log;
        op.forward(placed(op, sample, dtype, kCuda).inputs, sample.attributes);
        ran.insert(log.names().begin(), log.names().end());
      }
    for (const KernelVariant& variant : variants_of(op, DeviceType::cuda)) {
      if (variant.capability != 0 && variant.capability != test::compute_capability()) continue;
      INFO(op.name << ", " << variant.name);
      CHECK(ran.contains(variant.name));
    }
  }
}

}  // namespace
}  // namespace xlstm
