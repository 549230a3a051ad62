// The table of operations: one row per op, from which the forward-against-oracle tests, the
// gradient checks, the determinism, empty and non-contiguous cases, the benchmark list and
// docs/ops.md are made.
//
// Rows stand beside their ops in core/ops/<group>_rows.cpp; op_info.cpp only lists the groups.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"

namespace xlstm {

// Scalars of a call, by name: {"eps", 1e-5}, {"heads", 4}.
class OpAttributes {
 public:
  OpAttributes() = default;
  OpAttributes(std::initializer_list<std::pair<const std::string, double>> values)
      : values_(values) {}
  double get(const std::string& name, double fallback = 0) const;
  int64_t get_int(const std::string& name, int64_t fallback = 0) const;
  bool has(const std::string& name) const { return values_.contains(name); }

 private:
  std::map<std::string, double> values_;
};

// One set of arguments. Undefined inputs stand for absent optional arguments.
struct OpSample {
  std::string label;  // "B2 T17 H3 K8 V4, resets"
  Tensors inputs;
  OpAttributes attributes;
  // Inputs with a gradient, by index; empty means every defined floating input.
  std::vector<int64_t> differentiable = {};
};

enum class SampleSize {
  check,  // small: every case that could go wrong; used with float64 for gradient checks too
  bench   // the sizes that matter for speed
};

struct OpInfo {
  const char* name;     // the function in xlstm::ops
  const char* group;    // its header in core/ops/
  const char* summary;  // one line for docs/ops.md
  // Calls the op.
  Tensors (*forward)(const Tensors& inputs, const OpAttributes& attributes);
  // The same made of small ops, or null if this is a small op.
  Tensors (*composed)(const Tensors& inputs, const OpAttributes& attributes);
  // Samples with random floating inputs of the given type (f32 or f64) drawn from the generator.
  std::vector<OpSample> (*samples)(SampleSize size, DType dtype, Generator& generator);
  // Work of one forward call.
  double (*flops)(const OpSample& sample);
  double (*bytes)(const OpSample& sample);
  bool has_gradient = true;
  // For outputs whose meaning is only defined together with another output (a stabilised state and
  // its stabiliser): rescales `outputs` to the scale of `unperturbed`, so that finite differences
  // compare like with like. Null if outputs are compared as they are.
  Tensors (*comparable)(const Tensors& outputs, const Tensors& unperturbed) = nullptr;
  // Largest error of the float32 result against the float64 oracle, relative to the largest value.
  double float_tolerance = 1e-5;
};

// All rows, in order of group.
const std::vector<OpInfo>& op_table();
// The row of that name, or null.
const OpInfo* find_op(const std::string& name);

// True if XLSTM_FORCE_REFERENCE=1: fused ops then run their composed twins. A bisecting tool.
bool force_reference();

// ---- for writing rows ----
Tensor random_tensor(const Shape& shape, DType dtype, Generator& generator, double mean = 0,
                     double std = 1);
double numel_of(const Tensors& tensors);  // elements of all defined tensors
double bytes_of(const Tensors& tensors);

}  // namespace xlstm
