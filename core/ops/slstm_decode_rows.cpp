#include <cmath>

#include "core/ops/op_rows.h"
#include "core/ops/slstm_decode.h"
#include "core/ops/slstm_scale.h"

namespace xlstm {
namespace {

// Inputs x, weight and bias of the convolution, weights of the gates i, f, z, o, R, bias, state of
// the convolution, h, c, n, m. Outputs h, state of the convolution if there is one, final h, c, n,
// m.
enum Input : size_t { kX, kConv, kConvBias, kI, kF, kZ, kO, kR, kBias, kInputs, kH, kC, kN, kM };

ops::SlstmLayerWeights weights_of(const Tensors& in) {
  return {in[kConv], in[kConvBias], in[kI], in[kF], in[kZ], in[kO], in[kR], in[kBias]};
}

Tensors outputs_of(const ops::SlstmDecodeResult& out) {
  const ops::SlstmState& s = out.final_state;
  return {out.h, out.conv, s.h, s.c, s.n, s.m};
}

Tensors run(const Tensors& in, const OpAttributes&) {
  return outputs_of(
      ops::slstm_decode(in[kX], weights_of(in), in[kInputs], {in[kH], in[kC], in[kN], in[kM]}));
}

Tensors run_composed(const Tensors& in, const OpAttributes&) {
  return outputs_of(ops::slstm_decode_composed(in[kX], weights_of(in), in[kInputs],
                                               {in[kH], in[kC], in[kN], in[kM]}, {}));
}

struct Case {
  const char* label;
  int64_t B, H, D, KS;
  bool bias, state;
};

OpSample make_sample(const Case& k, DType dtype, Generator& g) {
  const int64_t C = k.H * k.D;
  const Shape state{k.B, k.H, k.D};
  const double small = k.D > 0 ? 1 / std::sqrt(static_cast<double>(k.D)) : 0;
  Tensors in(kM + 1);
  in[kX] = random_tensor({k.B, C}, dtype, g);
  if (k.KS > 0) in[kConv] = random_tensor({C, 1, k.KS}, dtype, g, 0, 0.5);
  for (const Input gate : {kI, kF, kZ, kO})
    in[gate] = random_tensor({k.H, k.D, k.D}, dtype, g, 0, small);
  in[kR] = random_tensor({k.H, k.D, 4, k.D}, dtype, g, 0, small);
  if (k.bias) {
    if (k.KS > 0) in[kConvBias] = random_tensor({C}, dtype, g);
    in[kBias] = random_tensor({k.H, 4, k.D}, dtype, g);
  }
  if (k.state) {
    if (k.KS > 0) in[kInputs] = random_tensor({k.B, k.KS - 1, C}, dtype, g);
    in[kH] = random_tensor(state, dtype, g, 0, 0.4);
    in[kC] = random_tensor(state, dtype, g, 0, 0.4);
    in[kN] = Tensor::empty(state, dtype);
    fill_uniform(in[kN], 1, 2, g);
    in[kM] = random_tensor(state, dtype, g);
  }
  return {k.label, in, {}};
}

std::vector<OpSample> samples(SampleSize size, DType dtype, Generator& g) {
  std::vector<OpSample> out;
  if (size == SampleSize::bench) {
    for (const Case& k :
         {Case{"B1 H4 D192", 1, 4, 192, 4, true, true}, {"B16 H4 D192", 16, 4, 192, 4, true, true}})
      out.push_back(make_sample(k, dtype, g));
    return out;
  }
  for (const Case& k : {Case{"B2 H2 D3, 4 taps", 2, 2, 3, 4, true, true},
                        {"no convolution", 2, 1, 3, 0, true, true},
                        {"one tap, no biases", 1, 2, 2, 1, false, true},
                        {"zero state", 2, 1, 3, 2, true, false},
                        {"one unit", 1, 1, 1, 3, true, true},
                        {"no rows", 0, 2, 2, 4, true, true}})
    out.push_back(make_sample(k, dtype, g));
  return out;
}

// Whole vectors and single elements, one turn of a warp and several, more rows than a block takes.
std::vector<LargeSample> path_samples() {
  std::vector<LargeSample> out;
  for (const Case& k : {Case{"B3 H2 D64", 3, 2, 64, 4, true, true},
                        {"B17 H2 D40, 2 taps", 17, 2, 40, 2, true, true},
                        {"B9 H1 D33", 9, 1, 33, 4, true, true},
                        {"B2 H1 D600", 2, 1, 600, 4, true, true}})
    out.push_back({k.label, [k](DType dtype, Generator& g) { return make_sample(k, dtype, g); }});
  return out;
}

Tensors comparable(const Tensors& outputs, const Tensors& unperturbed) {
  return with_slstm_scale_of(outputs, unperturbed, 3);
}

double flops(const OpSample& sample) {
  const Tensor& R = sample.inputs[kR];
  const double taps =
      sample.inputs[kConv].defined() ? static_cast<double>(sample.inputs[kConv].size(2)) : 0;
  return static_cast<double>(sample.inputs[kX].numel()) *
         (16 * static_cast<double>(R.size(1)) + 2 * taps + 40);
}

double bytes(const OpSample& sample) {
  const Tensor& x = sample.inputs[kX];
  return bytes_of(sample.inputs) + bytes_of({sample.inputs[kInputs]}) +
         static_cast<double>(x.numel() * (size_of(x.dtype()) + 4 * size_of(wide_type(x.dtype()))));
}

}  // namespace

std::vector<OpInfo> slstm_decode_rows() {
  OpInfo row{"slstm_decode",
             "slstm_decode",
             "One step of an sLSTM layer: convolution, gates and the sLSTM cell",
             run,
             run_composed,
             samples,
             flops,
             bytes,
             true,
             comparable,
             2e-5};
  row.wide_inputs = {kH, kC, kN, kM};
  row.path_samples = path_samples;
  return {row};
}

}  // namespace xlstm
