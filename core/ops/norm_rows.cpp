#include "core/op_info.h"
#include "core/ops/elementwise.h"
#include "core/ops/norm.h"

namespace xlstm {
namespace {

ops::NormScale scale_of(const OpAttributes& attributes) {
  return attributes.get("one_plus") != 0 ? ops::NormScale::one_plus : ops::NormScale::plain;
}

Tensors layer_norm(const Tensors& in, const OpAttributes& a) {
  return {ops::layer_norm(in[0], in[1], in[2], a.get("eps"), scale_of(a))};
}
Tensors layer_norm_composed(const Tensors& in, const OpAttributes& a) {
  return {ops::norm_composed(in[0], in[1], in[2], 1, a.get("eps"), scale_of(a), true)};
}
Tensors rms_norm(const Tensors& in, const OpAttributes& a) {
  return {ops::rms_norm(in[0], in[1], a.get("eps"), scale_of(a))};
}
Tensors rms_norm_composed(const Tensors& in, const OpAttributes& a) {
  return {ops::norm_composed(in[0], in[1], {}, 1, a.get("eps"), scale_of(a), false)};
}
Tensors multi_head_norm(const Tensors& in, const OpAttributes& a) {
  return {ops::multi_head_norm(in[0], in[1], a.get_int("heads"), a.get("eps"), scale_of(a))};
}
Tensors multi_head_norm_composed(const Tensors& in, const OpAttributes& a) {
  return {
      ops::norm_composed(in[0], in[1], {}, a.get_int("heads"), a.get("eps"), scale_of(a), true)};
}

Tensors add_layer_norm(const Tensors& in, const OpAttributes& a) {
  const auto out = ops::add_layer_norm(in[0], in[1], in[2], in[3], a.get("eps"), scale_of(a));
  return {out.y, out.sum};
}
Tensors add_rms_norm(const Tensors& in, const OpAttributes& a) {
  const auto out = ops::add_rms_norm(in[0], in[1], in[2], a.get("eps"), scale_of(a));
  return {out.y, out.sum};
}
Tensors add_layer_norm_composed(const Tensors& in, const OpAttributes& a) {
  const Tensor sum = ops::add(in[0], in[1]);
  return {ops::norm_composed(sum, in[2], in[3], 1, a.get("eps"), scale_of(a), true), sum};
}
Tensors add_rms_norm_composed(const Tensors& in, const OpAttributes& a) {
  const Tensor sum = ops::add(in[0], in[1]);
  return {ops::norm_composed(sum, in[2], {}, 1, a.get("eps"), scale_of(a), false), sum};
}

// Inputs: x, gate, weight, bias, skip, skip_weight; those at the end may be left out.
ops::NormGate gate_of(const Tensors& in, const OpAttributes& a) {
  const bool skips = in.size() > 4;
  return {in[1], a.get("silu") != 0 ? ops::Activation::silu : ops::Activation::sigmoid,
          skips ? in[4] : Tensor{}, skips ? in[5] : Tensor{}};
}
template <auto op>
Tensors gated(const Tensors& in, const OpAttributes& a) {
  return {op(in[0], gate_of(in, a), in[2], in.size() > 3 ? in[3] : Tensor{}, a.get_int("heads"),
             a.get("eps"), scale_of(a))};
}

// x and weight of one sample, and a bias or none.
Tensors inputs_of(const Shape& shape, bool bias, DType dtype, Generator& g, double mean = 0.3,
                  double std = 1) {
  const Shape width{shape.back()};
  return {random_tensor(shape, dtype, g, mean, std), random_tensor(width, dtype, g, 0.5, 0.5),
          bias ? random_tensor(width, dtype, g) : Tensor{}};
}

std::vector<OpSample> layer_norm_samples(SampleSize size, DType dtype, Generator& g) {
  if (size == SampleSize::bench)
    return {{"B8 T1024 D1024", inputs_of({8, 1024, 1024}, false, dtype, g), {{"eps", 1e-5}}}};
  const OpAttributes plain{{"eps", 1e-5}}, one_plus{{"eps", 1e-5}, {"one_plus", 1}};
  return {
      {"B2 T3 D5, bias", inputs_of({2, 3, 5}, true, dtype, g), plain},
      {"scale 1 + w, no bias", inputs_of({4, 7}, false, dtype, g), one_plus},
      {"one row without leading dimensions", inputs_of({11}, true, dtype, g), one_plus},
      {"41 rows, more than one block", inputs_of({41, 3}, true, dtype, g), plain},
      {"wider than the lanes", inputs_of({2, 67}, false, dtype, g), plain},
      {"D1: the output is the bias", inputs_of({3, 1}, true, dtype, g), {{"eps", 1}}},
      {"equal elements", inputs_of({2, 6}, true, dtype, g, 2, 0), {{"eps", 0.5}}},
      {"no rows", inputs_of({0, 4}, true, dtype, g), plain},
      {"no features", inputs_of({2, 0}, false, dtype, g), plain},
  };
}

std::vector<OpSample> rms_norm_samples(SampleSize size, DType dtype, Generator& g) {
  const OpAttributes plain{{"eps", 1e-6}}, one_plus{{"eps", 1e-6}, {"one_plus", 1}};
  const auto inputs = [&](const Shape& shape, double mean = 0.3, double std = 1) {
    Tensors in = inputs_of(shape, false, dtype, g, mean, std);
    in.pop_back();
    return in;
  };
  if (size == SampleSize::bench) return {{"B2 T1024 D4096", inputs({2, 1024, 4096}), plain}};
  return {
      {"B2 T3 D5", inputs({2, 3, 5}), plain},
      {"scale 1 + w", inputs({4, 7}), one_plus},
      {"41 rows", inputs({41, 3}), plain},
      {"D1", inputs({3, 1}), plain},
      {"zeros", inputs({2, 4}, 0, 0), {{"eps", 0.25}}},
      {"no rows", inputs({0, 4}), plain},
  };
}

std::vector<OpSample> multi_head_norm_samples(SampleSize size, DType dtype, Generator& g) {
  const auto inputs = [&](const Shape& shape) {
    Tensors in = inputs_of(shape, false, dtype, g);
    in.pop_back();
    return in;
  };
  if (size == SampleSize::bench)
    return {{"B8 T1024 H4 V384", inputs({8, 1024, 1536}), {{"heads", 4}, {"eps", 1e-5}}}};
  return {
      {"B2 T3 H2 V3", inputs({2, 3, 6}), {{"heads", 2}, {"eps", 1e-6}}},
      {"scale 1 + w, H3 V2", inputs({5, 6}), {{"heads", 3}, {"eps", 1e-5}, {"one_plus", 1}}},
      {"one head", inputs({2, 5}), {{"heads", 1}, {"eps", 1e-5}}},
      {"one feature a head", inputs({2, 4}), {{"heads", 4}, {"eps", 1}}},
      {"no rows", inputs({0, 3, 4}), {{"heads", 2}, {"eps", 1e-5}}},
  };
}

// What is beside x * xhat in a gated norm.
enum class Beside { nothing, bias, skip };
Tensors gated_inputs(const Shape& shape, Beside beside, DType dtype, Generator& g) {
  const Shape width{shape.back()};
  Tensors in{random_tensor(shape, dtype, g, 0.3, 1), random_tensor(shape, dtype, g, 0, 2),
             random_tensor(width, dtype, g, 0.5, 0.5)};
  if (beside == Beside::bias) in.push_back(random_tensor(width, dtype, g));
  if (beside != Beside::skip) return in;
  in.emplace_back();
  in.push_back(random_tensor(shape, dtype, g));
  in.push_back(random_tensor(width, dtype, g, 1, 0.5));
  return in;
}

// Both architectures' forms: a sigmoid gate beside scale w, SiLU beside 1 + w.
OpAttributes gate_attributes(double heads, bool silu, double eps = 1e-5) {
  const double a = silu ? 1 : 0;
  return {{"heads", heads}, {"eps", eps}, {"silu", a}, {"one_plus", a}};
}

std::vector<OpSample> gated_samples(SampleSize size, DType dtype, Generator& g) {
  const auto sample = [&](const char* label, const Shape& shape, Beside beside,
                          const OpAttributes& attributes) {
    return OpSample{label, gated_inputs(shape, beside, dtype, g), attributes};
  };
  const auto sigmoid = [](double heads) { return gate_attributes(heads, false); };
  const auto silu = [](double heads) { return gate_attributes(heads, true); };
  if (size == SampleSize::bench)
    return {sample("B8 T1024 H4 V384, SiLU, skip", {8, 1024, 1536}, Beside::skip, silu(4)),
            sample("B4 T1024 H8 V512, sigmoid", {4, 1024, 4096}, Beside::nothing, sigmoid(8))};
  return {
      sample("B2 T3 H2 V3", {2, 3, 6}, Beside::nothing, sigmoid(2)),
      sample("SiLU, skip, scale 1 + w, H3 V4", {5, 12}, Beside::skip, silu(3)),
      sample("bias", {4, 10}, Beside::bias, sigmoid(2)),
      sample("SiLU without a skip", {4, 10}, Beside::nothing, silu(1)),
      sample("skip, 41 rows, more than one block", {41, 6}, Beside::skip, sigmoid(2)),
      sample("wider than the lanes", {2, 67}, Beside::skip, silu(1)),
      sample("one feature a head", {2, 4}, Beside::bias, gate_attributes(4, false, 1)),
      sample("no rows", {0, 3, 4}, Beside::skip, silu(2)),
      sample("no features", {2, 0}, Beside::nothing, sigmoid(1)),
  };
}

std::vector<LargeSample> large_gated() {
  const auto sample = [](const char* label, const Shape& shape, Beside beside,
                         const OpAttributes& attributes) {
    return LargeSample{label, [=](DType dtype, Generator& g) {
                         return OpSample{label, gated_inputs(shape, beside, dtype, g), attributes};
                       }};
  };
  return {
      sample("32768, H8 V512, sigmoid", {32768, 4096}, Beside::nothing,
             gate_attributes(8, false, 1e-6)),
      sample("65536, H4 V512, SiLU, skip", {65536, 2048}, Beside::skip, gate_attributes(4, true))};
}

// The samples of a norm with a residual beside x.
template <auto samples>
std::vector<OpSample> with_residual(SampleSize size, DType dtype, Generator& g) {
  std::vector<OpSample> out = samples(size, dtype, g);
  for (OpSample& sample : out) {
    const Tensor residual = random_tensor(sample.inputs[0].shape(), dtype, g, -0.2, 0.8);
    sample.inputs.insert(sample.inputs.begin() + 1, residual);
  }
  return out;
}

// rows x width, with the weight alone or with the place of an absent bias; with or without a
// residual.
template <bool place_of_bias, bool residual = false>
std::vector<LargeSample> large_samples(const char* label, const Shape& shape,
                                       const OpAttributes& attributes) {
  return {{label, [=](DType dtype, Generator& g) {
             Tensors in = inputs_of(shape, false, dtype, g);
             if (!place_of_bias) in.pop_back();
             if (residual) in.insert(in.begin() + 1, random_tensor(shape, dtype, g));
             return OpSample{label, in, attributes};
           }}};
}

double flops(const OpSample& s) {
  return 8 * static_cast<double>(s.inputs[0].numel());
}
double bytes(const OpSample& s) {
  return bytes_of(s.inputs) + bytes_of({s.inputs[0]});
}

double add_norm_flops(const OpSample& s) {
  return 9 * static_cast<double>(s.inputs[0].numel());
}
double add_norm_bytes(const OpSample& s) {
  return bytes_of(s.inputs) + 2 * bytes_of({s.inputs[0]});
}
// x that was normalised and the gradients of y and of the sum are read; one gradient, that of x and
// of the residual alike, is written beside those of the parameters.
double add_norm_backward_bytes(const OpSample& s) {
  const double array = bytes_of({s.inputs[0]});
  return 4 * array + 2 * (bytes_of(s.inputs) - 2 * array);
}

double gated_flops(const OpSample& s) {
  return 16 * static_cast<double>(s.inputs[0].numel());
}

}  // namespace

std::vector<OpInfo> norm_rows() {
  std::vector<OpInfo> rows = {
      {"layer_norm", "norm", "LayerNorm over the last dimension, scale w or 1 + w", layer_norm,
       layer_norm_composed, layer_norm_samples, flops, bytes},
      {"rms_norm", "norm", "RMSNorm over the last dimension, scale w or 1 + w", rms_norm,
       rms_norm_composed, rms_norm_samples, flops, bytes},
      {"multi_head_norm", "norm", "LayerNorm over each head's features", multi_head_norm,
       multi_head_norm_composed, multi_head_norm_samples, flops, bytes},
      {"add_layer_norm", "norm", "Sum of x and a residual, and LayerNorm of it, in one pass",
       add_layer_norm, add_layer_norm_composed, with_residual<layer_norm_samples>, add_norm_flops,
       add_norm_bytes},
      {"add_rms_norm", "norm", "Sum of x and a residual, and RMSNorm of it, in one pass",
       add_rms_norm, add_rms_norm_composed, with_residual<rms_norm_samples>, add_norm_flops,
       add_norm_bytes},
      {"multi_head_norm_gated", "norm", "LayerNorm over each head's features, a gate on it",
       gated<ops::multi_head_norm_gated>, gated<ops::multi_head_norm_gated_composed>, gated_samples,
       gated_flops, bytes},
  };
  for (OpInfo& row : rows) row.float_tolerance = 1e-6;
  rows[0].large_samples = [] {
    return large_samples<true>("65536 x 2048", {65536, 2048}, {{"eps", 1e-5}});
  };
  rows[1].large_samples = [] {
    return large_samples<false>("65536 x 2048", {65536, 2048}, {{"eps", 1e-6}});
  };
  rows[2].large_samples = [] {
    return large_samples<false>("32768, H8 V512", {32768, 4096}, {{"heads", 8}, {"eps", 1e-6}});
  };
  rows[3].large_samples = [] {
    return large_samples<true, true>("65536 x 2048", {65536, 2048}, {{"eps", 1e-5}});
  };
  rows[4].large_samples = [] {
    return large_samples<false, true>("65536 x 2048", {65536, 2048}, {{"eps", 1e-6}});
  };
  rows[5].large_samples = large_gated;
  for (const size_t added : {3, 4}) rows[added].backward_bytes = add_norm_backward_bytes;
  return rows;
}

}  // namespace xlstm
