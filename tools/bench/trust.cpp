#include "tools/bench/trust.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/error.h"

namespace xlstm::bench {
namespace {

// Values of samples are about 1; what cancels to less than this is rounding.
constexpr double kSmallest = 1e-2;

// A twin that errs by more in float32 does not compute the op, whatever it does in 16 bits. Far
// above the rounding of float32 in the worst of the samples, far below what 16 bits may need.
constexpr double kMostOfTwin = 1e-3;

// Small samples mean errors close to the tests' own tolerances; 16 bits are those of rounding.
double tolerance(const OpInfo& op, DType dtype, Pass pass) {
  if (dtype == DType::f32)
    return pass == Pass::forward ? 3 * op.float_tolerance : 10 * std::max(op.float_tolerance, 1e-5);
  return 2 * tolerance_of(op, dtype, pass);
}

bool same_bits(const Tensors& a, const Tensors& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (!a[i].defined()) continue;
    const std::vector<double> x = a[i].to(kCpu).to_vector<double>(),
                              y = b[i].to(kCpu).to_vector<double>();
    for (size_t k = 0; k < x.size(); ++k)
      if (x[k] != y[k] && !(std::isnan(x[k]) && std::isnan(y[k]))) return false;
  }
  return true;
}

Errors scaled(Errors errors, double factor, double most) {
  for (std::vector<double>* of : {&errors.outputs, &errors.gradients})
    for (double& error : *of) error = std::min(factor * error, most);
  return errors;
}

Errors nothing(const Reference& reference) {
  return {std::vector<double>(reference.want.outputs.size()),
          std::vector<double>(reference.want.gradients.size())};
}

// How much the exact result changes when the inputs change by half a unit in their last place.
Errors sensitivity(const OpInfo& op, const OpSample& sample, DType dtype,
                   const Reference& reference) {
  const double unit = dtype == DType::f32 ? 0x1p-24 : dtype == DType::bf16 ? 0x1p-9 : 0x1p-12;
  OpSample shaken = placed(op, sample, DType::f64, kCpu);
  for (Tensor& x : shaken.inputs) {
    if (!x.defined() || x.dtype() != DType::f64) continue;
    x = x.clone();
    for (int64_t i = 0; i < x.numel(); ++i)
      x.data<double>()[i] *= 1 + (i * i % 3 == 1 ? unit : -unit);
  }
  return errors_of(op, run_with_gradients(op, op.forward, shaken), reference, kSmallest);
}

DType result_type(const OpInfo& op, DType dtype) {
  return op.all_wide ? wide_type(dtype) : dtype;
}

// One sample in one type: its reference, and what it is excused, which is only looked up if needed.
class SampleTrial {
 public:
  SampleTrial(const OpInfo& op, const OpSample& drawn, DType dtype, Device device, Verdict& verdict)
      : op_(op),
        drawn_(drawn),
        dtype_(dtype),
        device_(device),
        sample_(placed(op, drawn, dtype, device)),
        reference_(reference_of(op, sample_)),
        verdict_(verdict) {}

  // Every variant that computes the sample, and what the op chooses by itself.
  void run() {
    ++verdict_.n_samples;
    for (const KernelVariant* variant : asked_variants()) {
      std::optional<VariantChoice> choice;
      if (variant != nullptr) choice.emplace(op_.name, variant->name);
      try {
        run_once(variant == nullptr || variant->has_backward);
      } catch (const VariantError&) {
        // Not for these sizes.
      }
    }
    verdict_.n_wrong += wrong_ ? 1 : 0;
    verdict_.n_excused += excuse_ && !wrong_ ? 1 : 0;
  }

 private:
  std::vector<const KernelVariant*> asked_variants() const {
    std::vector<const KernelVariant*> all{nullptr};
    for (const KernelVariant& variant : op_.variants)
      if (variant.device == device_.type && variant.id != 0) all.push_back(&variant);
    return all;
  }

  void run_once(bool with_gradients) {
    const Results plain = run_forward(op_, op_.forward, sample_);
    count(plain.forward_variant);
    judge(plain, plain.forward_variant);
    same(plain, run_forward(op_, op_.forward, sample_), plain.forward_variant);
    if (!with_gradients || !op_.has_gradient) return;
    const Results got = run_with_gradients(op_, op_.forward, sample_);
    const std::string name =
        got.backward_variant.empty() ? got.forward_variant : got.backward_variant;
    judge(got, name);
    same(got, run_with_gradients(op_, op_.forward, sample_), name);
  }

  void count(const std::string& variants) {
    if (std::find(counted_.begin(), counted_.end(), variants) != counted_.end()) return;
    counted_.push_back(variants);
    ++verdict_.variants[variants];
  }

  void judge(const Results& got, const std::string& variant) {
    const Errors errors = errors_of(op_, got, reference_, kSmallest);
    verdict_.forward = std::max(verdict_.forward, errors.forward());
    verdict_.backward = std::max(verdict_.backward, errors.backward());
    for (size_t i = 0; i < errors.outputs.size(); ++i)
      if (!allowed(errors.outputs[i], Pass::forward, i))
        complain(variant, detail::concat("result ", i, " is off by ", errors.outputs[i]));
    for (size_t i = 0; i < errors.gradients.size(); ++i)
      if (!allowed(errors.gradients[i], Pass::backward, i))
        complain(variant, detail::concat("gradient ", i, " is off by ", errors.gradients[i]));
  }

  bool allowed(double error, Pass pass, size_t i) {
    if (error <= tolerance(op_, result_type(op_, dtype_), pass)) return true;
    if (!excuse_) excuse_ = excused(op_, drawn_, dtype_, device_, reference_);
    return error <= (pass == Pass::forward ? excuse_->outputs : excuse_->gradients).at(i);
  }

  void same(const Results& got, const Results& again, const std::string& variant) {
    if (!same_bits(got.outputs, again.outputs) || !same_bits(got.gradients, again.gradients))
      complain(variant, "a second call gave other bits");
  }

  void complain(const std::string& variant, const std::string& what) {
    wrong_ = true;
    if (verdict_.complaint.empty())
      verdict_.complaint = detail::concat("\"", drawn_.label, "\", ", variant, ": ", what);
  }

  const OpInfo& op_;
  const OpSample& drawn_;
  DType dtype_;
  Device device_;
  OpSample sample_;
  Reference reference_;
  Verdict& verdict_;
  std::optional<Errors> excuse_;
  std::vector<std::string> counted_;
  bool wrong_ = false;
};

}  // namespace

Errors excused(const OpInfo& op, const OpSample& drawn, DType dtype, Device device,
               const Reference& reference) {
  const OpSample sample = placed(op, drawn, dtype, device);
  if (op.composed == nullptr)
    // Samples with ties or steps are no excuse for a wrong result.
    return scaled(sensitivity(op, sample, result_type(op, dtype), reference), 8, 0.05);
  try {
    const Errors twin =
        errors_of(op, run_with_gradients(op, op.composed, sample), reference, kSmallest);
    Errors wide = twin;
    if (dtype != DType::f32) {
      const OpSample in_f32 = placed(op, drawn, DType::f32, device);
      wide = errors_of(op, run_with_gradients(op, op.composed, in_f32), reference_of(op, in_f32),
                       kSmallest);
    }
    if (!(wide.forward() <= kMostOfTwin) || !(wide.backward() <= kMostOfTwin))
      return nothing(reference);
    return scaled(twin, 2, kMostExcused);
  } catch (const Error&) {
    return nothing(reference);  // a twin that does not run says nothing
  }
}

Verdict verdict_of(const OpInfo& op, DType dtype, Device device) {
  Verdict verdict;
  const auto test = [&](const OpSample& sample) {
    try {
      SampleTrial(op, sample, dtype, device, verdict).run();
    } catch (const Error& error) {
      ++verdict.n_wrong;
      if (verdict.complaint.empty())
        verdict.complaint = detail::concat("\"", sample.label, "\": ", error.what());
    }
  };
  Generator generator{20260101, 0};
  for (const OpSample& sample : op.samples(SampleSize::check, DType::f32, generator)) test(sample);
  if (op.path_samples != nullptr)
    for (const LargeSample& sample : op.path_samples()) test(sample.make(DType::f32, generator));
  return verdict;
}

std::string text_of(const std::map<std::string, int64_t>& variants) {
  std::string text;
  for (const auto& [name, n] : variants)
    text += (text.empty() ? "" : ", ") + name + " " + std::to_string(n);
  return text;
}

}  // namespace xlstm::bench
