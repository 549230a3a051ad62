// Results of an op against a reference, for benchmarks and the self-test.
//
// The reference is the op's composed twin, or the op itself where there is none, on the CPU in
// float64 (float32 where float64 would take too long), from inputs rounded as those of the call
// under test. The tests of the source tree hold the float64 CPU kernels against independent
// oracles.
#pragma once

#include <string>

#include "core/op_info.h"

namespace xlstm::bench {

struct Results {
  Tensors outputs, gradients;                     // a gradient per differentiable input
  std::string forward_variant, backward_variant;  // kernel variants that ran
};

using Call = Tensors (*)(const Tensors& inputs, const OpAttributes& attributes);

// Calls the op and, if it has a gradient, takes that of a fixed weighted sum of its outputs.
Results run_with_gradients(const OpInfo& op, Call call, const OpSample& sample);

struct Difference {
  double forward = 0, backward = 0;  // relative: largest over outputs, over gradients
  std::string reference;             // "composed twin, cpu, float64"
};

// Errors as ||got - want|| / ||want||, or infinite where shapes differ or only one is finite. A
// tensor far smaller than another of the same call is measured against a thousandth of that, and
// every one against at least `smallest` (root mean square).
Difference compare_with_reference(const OpInfo& op, const OpSample& sample, const Results& got,
                                  double smallest = 1e-30);

// What float32, bfloat16 or float16 results may differ by.
double tolerance_of(const OpInfo& op, DType dtype, Pass pass);

}  // namespace xlstm::bench
