// The table of operations: one row per op, from which the forward-against-oracle tests, the
// gradient checks, the determinism, empty and non-contiguous cases, the benchmark list and
// docs/ops.md are made.
//
// Rows stand beside their ops in core/ops/<group>_rows.cpp; op_info.cpp only lists the groups.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/kernel_variant.h"
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
  bench   // sizes that matter for speed and are computed on a CPU within seconds
};

// A sample that is made when asked for: large models on a GPU have sizes up to gigabytes.
struct LargeSample {
  std::string label;
  std::function<OpSample(DType dtype, Generator& generator)> make;
};

enum class Pass { forward, backward };

// What a call must do at least: floating-point operations, and bytes that it reads and writes if
// each of its arguments and results passes through memory once.
struct OpWork {
  double flops = 0, bytes = 0;
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
  // Work of one forward call (OpWork).
  double (*flops)(const OpSample& sample);
  double (*bytes)(const OpSample& sample);
  bool has_gradient = true;
  // For outputs whose meaning is only defined together with another output (a stabilised state and
  // its stabiliser): rescales `outputs` to the scale of `unperturbed`, so that finite differences
  // compare like with like. Null if outputs are compared as they are.
  Tensors (*comparable)(const Tensors& outputs, const Tensors& unperturbed) = nullptr;
  // Largest error of the float32 result against the float64 oracle, relative to the largest value.
  double float_tolerance = 1e-5;
  // Floating inputs, by index, that stay float32 beside 16-bit ones; all_wide: every one.
  std::vector<int64_t> wide_inputs = {};
  bool all_wide = false;
  // An op that writes into its arguments, called without the copies that `forward` makes of them:
  // what is timed. Null: forward.
  Tensors (*in_place)(const Tensors& inputs, const OpAttributes& attributes) = nullptr;
  // The sizes of large models, those at which other implementations were timed among them. Null:
  // none.
  std::vector<LargeSample> (*large_samples)() = nullptr;
  // Work of one backward call. Null: twice the operations of forward; the bytes of forward, whose
  // results are now read as gradients, and the gradients of all differentiable inputs.
  double (*backward_flops)(const OpSample& sample) = nullptr;
  double (*backward_bytes)(const OpSample& sample) = nullptr;
  // Samples that beside those of `samples` reach every kernel variant and every path inside
  // kernels, on every backend: whole vectors and tiles, several chunks, blocks beside each other.
  // Too many numbers for differences, few enough for the CPU in float64 within a moment. Null:
  // those of `samples` reach all.
  std::vector<LargeSample> (*path_samples)() = nullptr;
  // The kernels by name, of all devices. Empty: one on each, "portable".
  std::vector<KernelVariant> variants = {};
  bool any_type = false;  // moves elements of any type without computing
};

OpWork work_of(const OpInfo& op, const OpSample& sample, Pass pass);
// Indices of the inputs that take a gradient.
std::vector<int64_t> differentiable_inputs(const OpInfo& op, const OpSample& sample);
// The sample in another element type and place: floating inputs become `dtype`, but those of
// wide_inputs float32 if it is a 16-bit type.
OpSample placed(const OpInfo& op, const OpSample& sample, DType dtype, Device device);

// All rows, in order of group.
const std::vector<OpInfo>& op_table();
// The row of that name, or null.
const OpInfo* find_op(const std::string& name);

// The kernels of an op on a device.
std::vector<KernelVariant> variants_of(const OpInfo& op, DeviceType device);

// True if XLSTM_FORCE_REFERENCE=1: fused ops then run their composed twins. A bisecting tool.
bool force_reference();

// ---- for writing rows ----
Tensor random_tensor(const Shape& shape, DType dtype, Generator& generator, double mean = 0,
                     double std = 1);
double numel_of(const Tensors& tensors);  // elements of all defined tensors
double bytes_of(const Tensors& tensors);

}  // namespace xlstm
