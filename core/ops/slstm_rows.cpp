#include <cmath>

#include "core/ops/op_rows.h"
#include "core/ops/slstm.h"
#include "core/ops/slstm_scale.h"
#include "kernels/slstm/slstm.h"

namespace xlstm {
namespace {

// Inputs: wx, R, bias, h, c, n, m, reset; attribute recompute_steps. Outputs: h, final h, c, n, m.
enum Input : size_t { kWx, kR, kBias, kH, kC, kN, kM, kReset };

template <auto Op>
Tensors run(const Tensors& in, const OpAttributes& attributes) {
  const ops::SlstmResult out =
      Op(in[kWx], in[kR], in[kBias], {in[kH], in[kC], in[kN], in[kM]}, in[kReset],
         {.recompute_steps = attributes.get_int("recompute_steps")});
  return {out.h, out.final_state.h, out.final_state.c, out.final_state.n, out.final_state.m};
}

struct Case {
  const char* label;
  int64_t B, T, H, D;
  bool bias, state, reset, strided;
  int64_t recompute_steps = 0;
};

// Marks the start of a document at (b + 3 t) % 5 == 2.
Tensor some_resets(int64_t B, int64_t T) {
  Tensor reset = Tensor::zeros({B, T}, DType::u8);
  for (int64_t b = 0; b < B; ++b)
    for (int64_t t = 0; t < T; ++t) reset.data<uint8_t>()[b * T + t] = (b + 3 * t) % 5 == 2;
  return reset;
}

OpSample make_sample(const Case& k, DType dtype, Generator& g) {
  OpSample sample;
  sample.label = k.label;
  // Strided: gates outermost, as a layer that computes them one after the other has them.
  Tensor wx = k.strided ? random_tensor({4, k.B, k.T, k.H, k.D}, dtype, g)
                        : random_tensor({k.B, k.T, 4, k.H, k.D}, dtype, g);
  if (k.strided) {
    const Shape s = wx.strides();
    wx = wx.strided_view({k.B, k.T, 4, k.H, k.D}, {s[1], s[2], s[0], s[3], s[4]});
  }
  const double r = k.D > 0 ? 1 / std::sqrt(static_cast<double>(k.D)) : 0;
  const Tensor R = random_tensor({k.H, k.D, 4, k.D}, dtype, g, 0, r);
  const Tensor bias = k.bias ? random_tensor({k.H, 4, k.D}, dtype, g) : Tensor{};
  Tensor h, c, n, m;
  if (k.state) {
    const Shape shape{k.B, k.H, k.D};
    h = random_tensor(shape, dtype, g, 0, 0.4);
    c = random_tensor(shape, dtype, g, 0, 0.4);
    n = Tensor::empty(shape, dtype);
    fill_uniform(n, 1, 2, g);
    m = random_tensor(shape, dtype, g);
  }
  sample.inputs = {wx, R, bias, h, c, n, m, k.reset ? some_resets(k.B, k.T) : Tensor{}};
  if (k.recompute_steps > 0)
    sample.attributes = {{"recompute_steps", static_cast<double>(k.recompute_steps)}};
  return sample;
}

std::vector<OpSample> samples(SampleSize size, DType dtype, Generator& g) {
  std::vector<OpSample> out;
  if (size == SampleSize::bench) {
    for (const Case& k : {Case{"B8 T256 H4 D64", 8, 256, 4, 64, true, false, false, false},
                          Case{"B8 T256 H4 D96", 8, 256, 4, 96, true, false, false, false},
                          Case{"B8 T256 H4 D32", 8, 256, 4, 32, true, false, false, false},
                          Case{"B16 T512 H4 D192", 16, 512, 4, 192, true, false, false, false},
                          Case{"B1 T1 H4 D64, a step", 1, 1, 4, 64, true, true, false, false}})
      out.push_back(make_sample(k, dtype, g));
    return out;
  }
  for (const Case& k : {Case{"B2 T5 H2 D3", 2, 5, 2, 3, true, false, false, false},
                        Case{"no bias", 1, 4, 1, 2, false, false, false, false},
                        Case{"one unit, one step", 1, 1, 1, 1, true, true, false, false},
                        Case{"initial state", 2, 4, 1, 3, true, true, false, false},
                        Case{"resets", 3, 6, 1, 2, true, true, true, false},
                        Case{"gates outermost", 2, 3, 2, 3, true, false, false, true},
                        Case{"odd sizes, resets", 9, 2, 1, 2, true, false, true, true},
                        Case{"wider than a register", 1, 2, 1, 17, false, true, false, false},
                        Case{"recomputed, resets", 3, 7, 2, 2, true, true, true, true, 3},
                        Case{"empty batch", 0, 3, 2, 2, true, false, false, false},
                        Case{"no steps", 2, 0, 2, 2, true, true, false, false}})
    out.push_back(make_sample(k, dtype, g));
  return out;
}

// Widths at which the cut of a head into blocks changes, and one that no cut serves; more rows than
// a block takes, and ends that fill none.
std::vector<LargeSample> path_samples() {
  std::vector<LargeSample> out;
  for (const Case& k :
       {Case{"B9 T11 H3 D64, resets", 9, 11, 3, 64, true, true, true, false},
        Case{"B3 T9 H2 D128, gates outermost", 3, 9, 2, 128, true, true, true, true},
        Case{"B2 T9 H2 D77", 2, 9, 2, 77, true, true, true, false},
        Case{"B9 T7 H2 D192, resets", 9, 7, 2, 192, true, true, true, false},
        Case{"B9 T7 H2 D96, recomputed", 9, 7, 2, 96, true, true, true, true, 3},
        Case{"B2 T7 H1 D131", 2, 7, 1, 131, false, true, true, true},
        Case{"B20 T5 H1 D384", 20, 5, 1, 384, true, false, false, false},
        Case{"B2 T5 H1 D896", 2, 5, 1, 896, true, true, true, false},
        Case{"B2 T3 H1 D1100", 2, 3, 1, 1100, true, true, true, false}})
    out.push_back({k.label, [k](DType dtype, Generator& g) { return make_sample(k, dtype, g); }});
  return out;
}

// Heads x units per head, batch and steps as in published timings of other implementations.
std::vector<LargeSample> large_samples() {
  std::vector<LargeSample> out;
  const auto add = [&out](int64_t B, int64_t T, int64_t H, int64_t D) {
    const std::string label = "B" + std::to_string(B) + " T" + std::to_string(T) + " H" +
                              std::to_string(H) + " D" + std::to_string(D);
    out.push_back(
        {label, [=](DType dtype, Generator& g) {
           OpSample sample = make_sample({"", B, T, H, D, true, false, false, false}, dtype, g);
           sample.label = label;
           return sample;
         }});
  };
  for (const auto& [H, D] : {std::pair<int64_t, int64_t>{12, 64}, {4, 192}, {1, 768}, {1, 1024}})
    for (const int64_t B : {1, 8, 16, 64}) add(B, 1024, H, D);
  for (const auto& [H, D] : {std::pair<int64_t, int64_t>{4, 256}, {8, 128}, {16, 64}})
    for (const int64_t B : {16, 64}) add(B, 1024, H, D);
  add(16, 2048, 12, 64);
  return out;
}

Tensors comparable(const Tensors& outputs, const Tensors& unperturbed) {
  return with_slstm_scale_of(outputs, unperturbed, 2);
}

double flops(const OpSample& sample) {
  const Tensor& wx = sample.inputs[kWx];
  const double units = static_cast<double>(wx.numel()) / 4;
  return units * (8 * static_cast<double>(wx.size(4)) + 40);
}

double bytes(const OpSample& sample) {
  const Tensor& wx = sample.inputs[kWx];
  return bytes_of(sample.inputs) +
         static_cast<double>(wx.numel() / 4 * size_of(wx.dtype()));  // h is written
}

}  // namespace

std::vector<OpInfo> slstm_rows() {
  OpInfo row{"slstm",
             "slstm",
             "The sLSTM recurrence: exponential input gate, sigmoid forget gate, stabilised state",
             run<ops::slstm>,
             run<ops::slstm_composed>,
             samples,
             flops,
             bytes,
             true,
             comparable,
             2e-5};
  row.wide_inputs = {kH, kC, kN, kM};
  row.large_samples = large_samples;
  row.path_samples = path_samples;
  row.variants = {
      {"portable", DeviceType::cpu},
      {"cluster", DeviceType::cuda,
       "Hopper, 16 bits, D a multiple of 8 and at most 768, rows 16 bytes apart",
       XLSTM_SLSTM_CLUSTER, true, 90},
      {"small", DeviceType::cuda, "16 bits, D at most 128", XLSTM_SLSTM_SMALL},
      {"spread", DeviceType::cuda, "16 bits, D at most 1024; float32, what the card holds at once",
       XLSTM_SLSTM_SPREAD},
      {"step", DeviceType::cuda, "", XLSTM_SLSTM_STEP}};
  return {row};
}

}  // namespace xlstm
