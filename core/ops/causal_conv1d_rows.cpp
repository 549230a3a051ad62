#include "core/ops/causal_conv1d.h"
#include "core/ops/op_rows.h"

namespace xlstm {
namespace {

// Inputs: x, weight, bias, initial_state, reset; attribute silu. Outputs: y, final_state.
template <auto Op>
Tensors run(const Tensors& in, const OpAttributes& attributes) {
  const ops::CausalConv1dResult out =
      Op(in[0], in[1], in[2], in[3], in[4], attributes.get_int("silu") != 0);
  return {out.y, out.final_state};
}

struct Case {
  const char* label;
  int64_t B, T, C, KS;
  bool bias, state, reset, silu;
};

OpSample make_sample(const Case& k, DType dtype, Generator& g) {
  OpSample sample;
  sample.label = k.label;
  const Tensor x = random_tensor({k.B, k.T, k.C}, dtype, g);
  const Tensor weight = random_tensor({k.C, 1, k.KS}, dtype, g, 0, 0.5);
  const Tensor bias = k.bias ? random_tensor({k.C}, dtype, g) : Tensor{};
  const Tensor state = k.state ? random_tensor({k.B, k.KS - 1, k.C}, dtype, g) : Tensor{};
  Tensor reset;
  if (k.reset) {
    reset = Tensor::zeros({k.B, k.T}, DType::u8);
    for (int64_t b = 0; b < k.B; ++b)
      for (int64_t t = 0; t < k.T; ++t) reset.data<uint8_t>()[b * k.T + t] = (2 * b + t) % 4 == 2;
  }
  sample.inputs = {x, weight, bias, state, reset};
  sample.attributes = OpAttributes{{"silu", k.silu ? 1.0 : 0.0}};
  return sample;
}

std::vector<OpSample> samples(SampleSize size, DType dtype, Generator& g) {
  std::vector<OpSample> out;
  if (size == SampleSize::bench) {
    for (const Case& k :
         {Case{"B8 T256 C256 KS4, silu", 8, 256, 256, 4, true, false, false, true},
          Case{"B8 T512 C1024 KS4, silu", 8, 512, 1024, 4, true, false, false, true},
          Case{"B8 T512 C1024 KS4, plain", 8, 512, 1024, 4, true, false, false, false},
          Case{"B1 T1 C512 KS4, a step", 1, 1, 512, 4, true, true, false, true}})
      out.push_back(make_sample(k, dtype, g));
    return out;
  }
  for (const Case& k : {Case{"KS 4, silu", 2, 7, 3, 4, true, false, false, true},
                        Case{"KS 4, state, no silu", 2, 5, 3, 4, true, true, false, false},
                        Case{"KS 3, resets, state", 3, 9, 2, 3, true, true, true, true},
                        Case{"KS 2, no bias", 1, 4, 5, 2, false, true, false, true},
                        Case{"KS 1", 2, 3, 2, 1, true, false, true, true},
                        Case{"KS 6 longer than T", 2, 3, 2, 6, true, true, false, true},
                        Case{"KS 5, resets", 2, 9, 2, 5, true, true, true, false},
                        Case{"one step", 1, 1, 1, 4, true, true, false, true},
                        Case{"no steps", 2, 0, 3, 4, true, true, false, true},
                        Case{"empty batch", 0, 3, 3, 4, true, false, false, true}})
    out.push_back(make_sample(k, dtype, g));
  return out;
}

// Four taps over pairs of channels: several runs of time and blocks of channels, also partial ones.
std::vector<LargeSample> path_samples() {
  std::vector<LargeSample> out;
  for (const Case& k : {Case{"C64 KS4, silu", 2, 70, 64, 4, true, false, false, true},
                        Case{"C130 KS4, state, resets", 2, 300, 130, 4, true, true, true, true},
                        Case{"C66 KS4, no silu, no bias", 3, 33, 66, 4, false, true, false, false},
                        Case{"C64 KS4, a step", 5, 1, 64, 4, true, true, false, true},
                        Case{"C65 KS4, odd", 2, 40, 65, 4, true, true, true, true},
                        Case{"C64 KS3", 2, 40, 64, 3, true, true, true, true}})
    out.push_back({k.label, [k](DType dtype, Generator& g) { return make_sample(k, dtype, g); }});
  return out;
}

std::vector<LargeSample> large_samples() {
  const Case k{"B32 T2048 C2048 KS4, silu", 32, 2048, 2048, 4, true, false, false, true};
  return {{k.label, [k](DType dtype, Generator& g) { return make_sample(k, dtype, g); }}};
}

double flops(const OpSample& sample) {
  const double per_element = 2 * static_cast<double>(sample.inputs[1].size(2)) +
                             (sample.attributes.get_int("silu") != 0 ? 10 : 0);
  return static_cast<double>(sample.inputs[0].numel()) * per_element;
}

double bytes(const OpSample& sample) {
  const Tensor& x = sample.inputs[0];
  return bytes_of(sample.inputs) + static_cast<double>(x.numel() * size_of(x.dtype()));
}

}  // namespace

std::vector<OpInfo> causal_conv1d_rows() {
  OpInfo row{"causal_conv1d",
             "causal_conv1d",
             "Causal depthwise convolution over time, SiLU fused, state carried",
             run<ops::causal_conv1d>,
             run<ops::causal_conv1d_composed>,
             samples,
             flops,
             bytes};
  row.large_samples = large_samples;
  row.path_samples = path_samples;
  return {row};
}

}  // namespace xlstm
