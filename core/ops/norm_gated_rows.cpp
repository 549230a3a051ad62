#include "core/error.h"
#include "core/op_info.h"
#include "core/ops/norm.h"
#include "core/ops/op_rows.h"

namespace xlstm {
namespace {

// Inputs: x, gate, weight, bias, skip, skip_weight; those at the end may be left out.
ops::NormGate gate_of(const Tensors& in, const OpAttributes& a) {
  const bool skips = in.size() > 4;
  return {in[1], a.get("silu") != 0 ? ops::Activation::silu : ops::Activation::sigmoid,
          skips ? in[4] : Tensor{}, skips ? in[5] : Tensor{}};
}
template <auto op>
Tensors gated(const Tensors& in, const OpAttributes& a) {
  return {op(in[0], gate_of(in, a), in[2], in.size() > 3 ? in[3] : Tensor{}, a.get_int("heads"),
             a.get("eps"),
             a.get("one_plus") != 0 ? ops::NormScale::one_plus : ops::NormScale::plain)};
}

// What a gated norm adds to xhat * scale.
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

// Runs that lanes hold once to eight times or in part, and that are read again; gates and skips.
std::vector<LargeSample> gated_paths() {
  struct Path {
    int64_t rows, heads, width;
    Beside beside;
    bool silu;
  };
  std::vector<LargeSample> out;
  for (const Path& k :
       {Path{300, 4, 64, Beside::nothing, false}, Path{33, 8, 64, Beside::skip, true},
        Path{9, 4, 384, Beside::skip, true}, Path{9, 8, 512, Beside::nothing, false},
        Path{9, 2, 512, Beside::bias, false}, Path{5, 4, 1024, Beside::skip, true},
        Path{5, 2, 2048, Beside::skip, false}, Path{3, 1, 5000, Beside::bias, true},
        Path{9, 3, 33, Beside::skip, true}, Path{9, 1, 1025, Beside::skip, true},
        Path{3, 2, 8, Beside::bias, false}}) {
    const char* beside = k.beside == Beside::skip   ? ", skip"
                         : k.beside == Beside::bias ? ", bias"
                                                    : "";
    const std::string label = detail::concat(k.rows, " rows, H", k.heads, " V", k.width,
                                             k.silu ? ", SiLU" : ", sigmoid", beside);
    out.push_back({label, [k, label](DType dtype, Generator& g) {
                     return OpSample{label,
                                     gated_inputs({k.rows, k.heads * k.width}, k.beside, dtype, g),
                                     gate_attributes(static_cast<double>(k.heads), k.silu)};
                   }});
  }
  return out;
}

double flops(const OpSample& s) {
  return 16 * static_cast<double>(s.inputs[0].numel());
}
double bytes(const OpSample& s) {
  return bytes_of(s.inputs) + bytes_of({s.inputs[0]});
}

}  // namespace

std::vector<OpInfo> norm_gated_rows() {
  OpInfo row{"multi_head_norm_gated",
             "norm",
             "LayerNorm over each head's features, a gate on it",
             gated<ops::multi_head_norm_gated>,
             gated<ops::multi_head_norm_gated_composed>,
             gated_samples,
             flops,
             bytes};
  row.float_tolerance = 1e-6;
  row.large_samples = large_gated;
  row.path_samples = gated_paths;
  return {row};
}

}  // namespace xlstm
