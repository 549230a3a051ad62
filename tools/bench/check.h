// Results of an op against a reference, for benchmarks and the self-test.
//
// The reference is the op's composed twin, or the op itself where there is none, on the CPU in
// float64 (float32 where float64 would take too long), from inputs rounded as those of the call
// under test. The tests of the source tree hold the float64 CPU kernels against independent
// oracles.
#pragma once

#include <string>
#include <vector>

#include "core/op_info.h"

namespace xlstm {
class VariantLog;
}

namespace xlstm::bench {

struct Results {
  Tensors outputs, gradients;                     // a gradient per differentiable input
  std::string forward_variant, backward_variant;  // kernel variants that ran
};

using Call = Tensors (*)(const Tensors& inputs, const OpAttributes& attributes);

// The variants that ran, joined by "+": "copy" if nothing but the strided copy of tensors did.
std::string joined(const VariantLog& log, const OpInfo& op);
// Whether `asked` is one of those joined in `ran`.
bool has_variant(const std::string& ran, const std::string& asked);

// Calls the op without a tape, as in generation. Ops may choose another kernel than with one.
Results run_forward(const OpInfo& op, Call call, const OpSample& sample);
// Calls the op with a tape and, if it has a gradient, takes that of a fixed weighted sum of its
// outputs.
Results run_with_gradients(const OpInfo& op, Call call, const OpSample& sample);

// What a sample gives on the CPU: outputs and gradients.
struct Reference {
  Results want;
  std::string name;  // "composed twin, cpu, float64"
  DType dtype = DType::f64;
};
Reference reference_of(const OpInfo& op, const OpSample& sample, bool with_gradients = true);

// Errors as ||got - want|| / ||want||, or infinite where shapes differ or only one is finite. A
// tensor far smaller than another of the same call is measured against a thousandth of that, and
// every one against at least `smallest` (root mean square).
struct Errors {
  std::vector<double> outputs, gradients;  // of each tensor; gradients: none if none were taken
  double forward() const;                  // the largest
  double backward() const;
};
Errors errors_of(const OpInfo& op, const Results& got, const Reference& reference,
                 double smallest = 1e-30);

struct Difference {
  double forward = 0, backward = 0;  // the largest over outputs, over gradients
  std::string reference;             // its name
};
Difference compare_with_reference(const OpInfo& op, const OpSample& sample, const Results& got,
                                  double smallest = 1e-30);

// What float32, bfloat16 or float16 results may differ by.
double tolerance_of(const OpInfo& op, DType dtype, Pass pass);

}  // namespace xlstm::bench
