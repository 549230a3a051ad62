#include "core/error.h"
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

// Rows of as many vectors as lanes hold once, a few times, and not at all; of whole blocks; rows
// that no vector fits. `heads` of that width each.
struct Path {
  int64_t rows, heads, width;
  bool bias;
};
template <bool place_of_bias>
std::vector<LargeSample> paths(const std::vector<Path>& all) {
  std::vector<LargeSample> out;
  for (const Path& k : all) {
    const std::string label =
        detail::concat(k.rows, " rows, H", k.heads, " V", k.width, k.bias ? ", bias" : "");
    out.push_back(
        {label, [k, label](DType dtype, Generator& g) {
           Tensors in = inputs_of({k.rows, k.heads * k.width}, k.bias, dtype, g);
           if (!place_of_bias) in.pop_back();
           return OpSample{label, in, {{"heads", static_cast<double>(k.heads)}, {"eps", 1e-5}}};
         }});
  }
  return out;
}

// rows x width, with the weight alone or with the place of an absent bias.
template <bool place_of_bias>
std::vector<LargeSample> large_samples(const char* label, const Shape& shape,
                                       const OpAttributes& attributes) {
  return {{label, [=](DType dtype, Generator& g) {
             Tensors in = inputs_of(shape, false, dtype, g);
             if (!place_of_bias) in.pop_back();
             return OpSample{label, in, attributes};
           }}};
}

std::vector<LargeSample> layer_norm_paths() {
  return paths<true>({{300, 1, 64, true},
                      {70, 1, 512, true},
                      {9, 1, 768, false},
                      {9, 1, 1000, true},
                      {9, 1, 2048, true},
                      {7, 1, 4096, true},
                      {5, 1, 5120, true},
                      {3, 1, 20000, true},
                      {9, 1, 1025, true},
                      {9, 1, 770, false}});
}
std::vector<LargeSample> rms_norm_paths() {
  return paths<false>({{300, 1, 64, false},
                       {70, 1, 512, false},
                       {9, 1, 2048, false},
                       {7, 1, 4096, false},
                       {5, 1, 8192, false},
                       {3, 1, 20000, false},
                       {9, 1, 1025, false}});
}
std::vector<LargeSample> large_layer_norm() {
  return large_samples<true>("65536 x 2048", {65536, 2048}, {{"eps", 1e-5}});
}
std::vector<LargeSample> large_rms_norm() {
  return large_samples<false>("65536 x 2048", {65536, 2048}, {{"eps", 1e-6}});
}

// The samples of a norm with a residual beside x.
OpSample with_residual(OpSample sample, DType dtype, Generator& g) {
  const Tensor residual = random_tensor(sample.inputs[0].shape(), dtype, g, -0.2, 0.8);
  sample.inputs.insert(sample.inputs.begin() + 1, residual);
  return sample;
}
template <auto samples>
std::vector<OpSample> with_residuals(SampleSize size, DType dtype, Generator& g) {
  std::vector<OpSample> out;
  for (const OpSample& sample : samples(size, dtype, g))
    out.push_back(with_residual(sample, dtype, g));
  return out;
}
template <auto samples>
std::vector<LargeSample> with_residuals() {
  std::vector<LargeSample> out;
  for (const LargeSample& sample : samples())
    out.push_back({sample.label, [make = sample.make](DType dtype, Generator& g) {
                     return with_residual(make(dtype, g), dtype, g);
                   }});
  return out;
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
       add_layer_norm, add_layer_norm_composed, with_residuals<layer_norm_samples>, add_norm_flops,
       add_norm_bytes},
      {"add_rms_norm", "norm", "Sum of x and a residual, and RMSNorm of it, in one pass",
       add_rms_norm, add_rms_norm_composed, with_residuals<rms_norm_samples>, add_norm_flops,
       add_norm_bytes},
  };
  for (OpInfo& row : rows) row.float_tolerance = 1e-6;
  rows[0].path_samples = layer_norm_paths;
  rows[1].path_samples = rms_norm_paths;
  rows[2].path_samples = [] {
    return paths<false>({{40, 4, 192, false},
                         {33, 8, 64, false},
                         {9, 4, 384, false},
                         {9, 8, 512, false},
                         {5, 4, 1024, false},
                         {9, 3, 33, false},
                         {3, 2, 8, false}});
  };
  rows[0].large_samples = large_layer_norm;
  rows[1].large_samples = large_rms_norm;
  rows[2].large_samples = [] {
    return large_samples<false>("32768, H8 V512", {32768, 4096}, {{"heads", 8}, {"eps", 1e-6}});
  };
  rows[3].path_samples = with_residuals<layer_norm_paths>;
  rows[3].large_samples = with_residuals<large_layer_norm>;
  rows[4].path_samples = with_residuals<rms_norm_paths>;
  rows[4].large_samples = with_residuals<large_rms_norm>;
  for (const size_t added : {3, 4}) rows[added].backward_bytes = add_norm_backward_bytes;
  return rows;
}

}  // namespace xlstm
