#include "core/error.h"
#include "core/op_info.h"
#include "core/ops/mlstm_gated.h"
#include "core/ops/op_rows.h"

namespace xlstm {
namespace {

// Inputs q, k, v, i, f, gate, weight, bias, skip, skip_weight; those at the end may be undefined.
// Attributes eps of the cell, norm_eps, silu (with the scale 1 + w). Output y.
enum Input : size_t { kQ, kK, kV, kI, kF, kGate, kWeight, kBias, kSkip, kSkipWeight, kInputs };

template <auto op>
Tensors call(const Tensors& in, const OpAttributes& a) {
  const bool silu = a.get("silu") != 0;
  ops::MlstmOptions options;
  options.eps = a.get("eps", 1e-6);
  const ops::NormGate gate{in[kGate], silu ? ops::Activation::silu : ops::Activation::sigmoid,
                           in[kSkip], in[kSkipWeight]};
  const ops::HeadNorm norm{in[kWeight], in[kBias], a.get("norm_eps", 1e-5),
                           silu ? ops::NormScale::one_plus : ops::NormScale::plain};
  return {op(in[kQ], in[kK], in[kV], in[kI], in[kF], {}, {}, options, gate, norm).y};
}

enum class Beside { nothing, bias, skip };
struct Sizes {
  int64_t B, T, H, K, V;
};

OpSample sample(const std::string& label, const Sizes& s, Beside beside, bool silu, DType dtype,
                Generator& g, double eps) {
  const Shape steps{s.B, s.T, s.H, s.K}, values{s.B, s.T, s.H, s.V}, gates{s.B, s.T, s.H},
      joined{s.B, s.T, s.H * s.V}, width{s.H * s.V};
  Tensors in(kInputs);
  in[kQ] = random_tensor(steps, dtype, g);
  in[kK] = random_tensor(steps, dtype, g);
  in[kV] = random_tensor(values, dtype, g);
  in[kI] = random_tensor(gates, dtype, g);
  in[kF] = random_tensor(gates, dtype, g, 2);
  in[kGate] = random_tensor(joined, dtype, g, 0, 2);
  in[kWeight] = random_tensor(width, dtype, g, 0.5, 0.5);
  if (beside == Beside::bias) in[kBias] = random_tensor(width, dtype, g);
  if (beside == Beside::skip) {
    in[kSkip] = random_tensor(joined, dtype, g);
    in[kSkipWeight] = random_tensor(width, dtype, g, 1, 0.5);
  }
  // A norm with a large eps leaves much of <h, dh>, which is what this op hands over.
  return {label, in, {{"eps", eps}, {"norm_eps", 0.5}, {"silu", silu ? 1.0 : 0.0}}};
}

std::vector<OpSample> samples(SampleSize size, DType dtype, Generator& g) {
  const auto make = [&](const char* label, const Sizes& s, Beside beside, bool silu) {
    return sample(label, s, beside, silu, dtype, g, 1e-13);
  };
  if (size == SampleSize::bench)
    return {make("B4 T256 H4 K64 V128, SiLU, skip", {4, 256, 4, 64, 128}, Beside::skip, true)};
  return {make("B2 T5 H2 K3 V3, sigmoid", {2, 5, 2, 3, 3}, Beside::nothing, false),
          make("SiLU, skip", {1, 6, 2, 2, 4}, Beside::skip, true),
          make("bias", {1, 4, 1, 2, 5}, Beside::bias, false),
          make("no steps", {1, 0, 2, 2, 2}, Beside::nothing, false),
          make("no rows", {0, 3, 1, 2, 2}, Beside::skip, true)};
}

std::vector<LargeSample> paths() {
  std::vector<LargeSample> out;
  for (const auto& [s, silu] : {std::pair{Sizes{3, 130, 8, 64, 64}, true},
                                {Sizes{1, 200, 2, 128, 256}, false},
                                {Sizes{2, 70, 1, 40, 72}, false},
                                {Sizes{1, 70, 2, 33, 19}, true}}) {
    const std::string label = detail::concat("B", s.B, " T", s.T, " H", s.H, " K", s.K, " V", s.V);
    out.push_back({label, [label, s = s, silu = silu](DType dtype, Generator& g) {
                     return sample(label, s, silu ? Beside::skip : Beside::nothing, silu, dtype, g,
                                   0.3);
                   }});
  }
  return out;
}

double flops(const OpSample& s) {
  const double steps = numel_of({s.inputs[kI]});
  const double K = static_cast<double>(s.inputs[kQ].size(3)),
               V = static_cast<double>(s.inputs[kV].size(3));
  return steps * (4 * K * V + 64 * (K + V) + 16 * V);
}
double bytes(const OpSample& s) {
  return bytes_of(s.inputs) + bytes_of({s.inputs[kGate]});
}

}  // namespace

std::vector<OpInfo> mlstm_gated_rows() {
  OpInfo row{"mlstm_gated",
             "mlstm_gated",
             "The mLSTM recurrence, the norm of each head and the gate on it",
             call<ops::mlstm_gated>,
             call<ops::mlstm_gated_composed>,
             samples,
             flops,
             bytes};
  row.path_samples = paths;
  return {row};
}

}  // namespace xlstm
