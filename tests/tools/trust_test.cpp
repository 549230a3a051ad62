// When the self-test trusts a kernel: twins in 16 bits as the measure of rounding, what is excused
// and what is not. The CPU has no 16-bit kernels, but twins that compute in the wide type run there
// in any type.
#include "tools/bench/trust.h"

#include "core/ops/elementwise.h"
#include "core/ops/view.h"
#include "tests/catch.h"

namespace xlstm::bench {
namespace {

std::vector<OpSample> check_samples(const OpInfo& op) {
  Generator generator{20260101, 0};
  return op.samples(SampleSize::check, DType::f32, generator);
}

OpSample sample_of(const OpInfo& op, const std::string& label) {
  for (const OpSample& sample : check_samples(op))
    if (sample.label == label) return sample;
  throw std::runtime_error("no sample " + label);
}

double unit_of(DType dtype) {  // half a unit in the last place
  return dtype == DType::bf16 ? 0x1p-9 : 0x1p-12;
}

TEST_CASE("twins of 16-bit inputs round, and err by rounding alone") {
  // Those whose small ops all compute in the wide type.
  for (const char* name : {"mlstm", "slstm", "causal_conv1d", "cross_entropy"}) {
    const OpInfo& op = *find_op(name);
    for (const DType dtype : {DType::bf16, DType::f16}) {
      double forward = 0, backward = 0;
      for (const OpSample& drawn : check_samples(op)) {
        INFO(name << ", " << name_of(dtype) << ": " << drawn.label);
        const OpSample sample = placed(op, drawn, dtype, kCpu);
        const Results got = run_with_gradients(op, op.composed, sample);
        const Errors errors = errors_of(op, got, reference_of(op, sample), 1e-2);
        // A few roundings, which samples amplify.
        CHECK(errors.forward() <= 8 * unit_of(dtype));
        CHECK(errors.backward() <= 64 * unit_of(dtype));
        forward = std::max(forward, errors.forward());
        backward = std::max(backward, errors.backward());
      }
      INFO(name << ", " << name_of(dtype) << ": " << forward << ", " << backward);
      CHECK(std::max(forward, backward) >= unit_of(dtype) / 4);
    }
  }
}

// In float32, for float64 kernels round no input.
Errors excuse_of(const OpInfo& op, const OpSample& drawn, DType dtype) {
  return excused(op, drawn, dtype, kCpu, reference_of(op, placed(op, drawn, dtype, kCpu)));
}

Tensors five_percent_more(const Tensors& in, const OpAttributes& a) {
  Tensors out = find_op("mlstm")->composed(in, a);
  out[0] = ops::cast(ops::scale(ops::cast(out[0], DType::f32), 1.05), out[0].dtype());
  return out;
}

// Wrong beyond recognition, but in 16 bits alone.
Tensors wrong_in_16_bits(const Tensors& in, const OpAttributes& a) {
  Tensors out = find_op("mlstm")->composed(in, a);
  if (size_of(out[0].dtype()) == 2)
    out[0] = ops::cast(ops::scale(ops::cast(out[0], DType::f32), 3), out[0].dtype());
  return out;
}

Tensors throwing(const Tensors&, const OpAttributes&) {
  throw ShapeError("a twin that does not run");
}

TEST_CASE("twice the error of the twin is excused, tensor by tensor") {
  const OpInfo& op = *find_op("mlstm");
  const OpSample drawn = sample_of(op, "state");
  const OpSample sample = placed(op, drawn, DType::bf16, kCpu);
  const Reference reference = reference_of(op, sample);
  const Errors twin = errors_of(op, run_with_gradients(op, op.composed, sample), reference, 1e-2);
  const Errors allowed = excused(op, drawn, DType::bf16, kCpu, reference);
  REQUIRE(allowed.outputs.size() == twin.outputs.size());
  REQUIRE(allowed.gradients.size() == twin.gradients.size());
  for (size_t i = 0; i < twin.outputs.size(); ++i) CHECK(allowed.outputs[i] == 2 * twin.outputs[i]);
  for (size_t i = 0; i < twin.gradients.size(); ++i)
    CHECK(allowed.gradients[i] == 2 * twin.gradients[i]);
  CHECK(allowed.forward() > 0);
}

TEST_CASE("a broken twin excuses nothing, or little") {
  OpInfo op = *find_op("mlstm");
  const OpSample drawn = sample_of(op, "state");
  op.composed = five_percent_more;
  CHECK(excuse_of(op, drawn, DType::bf16).forward() == 0);
  CHECK(excuse_of(op, drawn, DType::bf16).backward() == 0);
  op.composed = throwing;
  CHECK(excuse_of(op, drawn, DType::bf16).forward() == 0);
  op.composed = wrong_in_16_bits;
  CHECK(excuse_of(op, drawn, DType::bf16).forward() == kMostExcused);
}

Tensors slightly_wrong(const Tensors& in, const OpAttributes& a) {
  return {ops::scale(find_op("tanh")->forward(in, a)[0], 1.001)};
}

TEST_CASE("a wrong kernel is not trusted, and its verdict says where") {
  const OpInfo& right = *find_op("tanh");
  const Verdict good = verdict_of(right, DType::f32, kCpu);
  INFO(good.complaint);
  CHECK(good.trusted());
  CHECK(good.n_samples ==
        static_cast<int64_t>(check_samples(right).size() + right.path_samples().size()));
  CHECK(good.variants.at("portable") == good.n_samples);
  OpInfo op = right;
  op.forward = slightly_wrong;
  // The reference is the op itself, so that only a sample of another type tells.
  const OpSample sample = check_samples(op).at(2);
  const Errors errors =
      errors_of(op, run_forward(op, op.forward, sample), reference_of(right, sample));
  CHECK(errors.forward() == Approx(1e-3).epsilon(0.01));
}

Tensors wrong_without_a_tape(const Tensors& in, const OpAttributes& a) {
  Tensors out = find_op("multi_head_norm")->forward(in, a);
  if (!out[0].requires_grad() && out[0].dtype() == DType::f32) out[0] = ops::scale(out[0], 1.001);
  return out;
}

TEST_CASE("kernels that run only without a tape are tested too") {
  OpInfo op = *find_op("multi_head_norm");
  CHECK(verdict_of(op, DType::f32, kCpu).trusted());
  op.forward = wrong_without_a_tape;
  const Verdict verdict = verdict_of(op, DType::f32, kCpu);
  CHECK_FALSE(verdict.trusted());
  CHECK(verdict.n_wrong > 0);
  CHECK(verdict.complaint.find("result 0 is off by 0.001") != std::string::npos);
}

}  // namespace
}  // namespace xlstm::bench
