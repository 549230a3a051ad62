#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "core/autograd.h"
#include "core/ops/elementwise.h"
#include "core/ops/mlstm.h"
#include "core/ops/op_rows.h"
#include "core/ops/view.h"
#include "kernels/mlstm/mlstm.h"

namespace xlstm {
namespace {

// Inputs q, k, v, i, f, C0, n0, m0, reset; attributes chunk_size, sigmoid_gate, no_normalizer,
// detach, soft_cap, eps, start_m,
// stabilizer_gradient. Outputs h, C, n, m.
ops::MlstmOptions options_of(const OpAttributes& a, ops::MlstmForm form) {
  ops::MlstmOptions o;
  o.form = form;
  o.chunk_size = a.get_int("chunk_size", 64);
  o.input_gate =
      a.has("sigmoid_gate") ? ops::MlstmInputGate::sigmoid : ops::MlstmInputGate::exponential;
  o.normalize = !a.has("no_normalizer");
  o.detach_normalizer = a.has("detach");
  o.soft_cap = a.get("soft_cap");
  o.eps = a.get("eps", 1e-6);
  o.start_m = a.get("start_m");
  o.stabilizer_gradient = a.has("stabilizer_gradient");
  return o;
}

Tensors as_outputs(const ops::MlstmResult& result) {
  return {result.h, result.final_state.C, result.final_state.n, result.final_state.m};
}

template <ops::MlstmForm form>
Tensors call(const Tensors& in, const OpAttributes& a) {
  return as_outputs(ops::mlstm(in[0], in[1], in[2], in[3], in[4], {in[5], in[6], in[7]}, in[8],
                               options_of(a, form)));
}

Tensors call_composed(const Tensors& in, const OpAttributes& a) {
  return as_outputs(ops::mlstm_composed(in[0], in[1], in[2], in[3], in[4], {in[5], in[6], in[7]},
                                        in[8], options_of(a, ops::MlstmForm::recurrent)));
}

// C and n mean C exp(m) and n exp(m); m itself is free.
Tensors comparable(const Tensors& outputs, const Tensors& unperturbed) {
  const Tensor factor = ops::exp(ops::sub(outputs[3], unperturbed[3]));
  return {outputs[0], ops::mul(outputs[1], ops::unsqueeze(ops::unsqueeze(factor, -1), -1)),
          ops::mul(outputs[2], ops::unsqueeze(factor, -1)), unperturbed[3]};
}

struct Sizes {
  int64_t B, T, H, K, V;
};

class SampleMaker {
 public:
  SampleMaker(DType dtype, Generator& generator) : dtype_(dtype), g_(generator) {}

  OpSample plain(const char* label, const Sizes& s, const OpAttributes& attributes) {
    return {label,
            {random({s.B, s.T, s.H, s.K}),
             random({s.B, s.T, s.H, s.K}),
             random({s.B, s.T, s.H, s.V}),
             random({s.B, s.T, s.H}),
             random({s.B, s.T, s.H}, 2),
             {},
             {},
             {},
             {}},
            attributes};
  }
  // The gates of trained models: most forget gates are open.
  OpSample open_gates(const char* label, const Sizes& s) {
    OpSample sample = plain(label, s, {});
    sample.inputs[4] = random({s.B, s.T, s.H}, 4);
    return sample;
  }
  // One decoding step, from a state.
  OpSample step(const char* label, const Sizes& s, const OpAttributes& attributes) {
    return {label,
            {random({s.B, s.H, s.K}), random({s.B, s.H, s.K}), random({s.B, s.H, s.V}),
             random({s.B, s.H}), random({s.B, s.H}, 2), random({s.B, s.H, s.K, s.V}),
             random({s.B, s.H, s.K}), random({s.B, s.H})},
            attributes};
  }
  OpSample with_state(const char* label, const Sizes& s, const OpAttributes& attributes) {
    OpSample sample = plain(label, s, attributes);
    sample.inputs[5] = random({s.B, s.H, s.K, s.V});
    sample.inputs[6] = random({s.B, s.H, s.K});
    sample.inputs[7] = random({s.B, s.H});
    return sample;
  }
  OpSample with_resets(const char* label, const Sizes& s, const OpAttributes& attributes) {
    OpSample sample = with_state(label, s, attributes);
    std::vector<uint8_t> reset(static_cast<size_t>(s.B * s.T), 0);
    for (size_t t = 2; t < reset.size(); t += 5) reset[t] = 1;
    sample.inputs[8] = Tensor::from(reset, {s.B, s.T});
    return sample;
  }

 private:
  Tensor random(const Shape& shape, double mean = 0) {
    return random_tensor(shape, dtype_, g_, mean);
  }
  DType dtype_;
  Generator& g_;
};

// Unless asked, the gradient leaves out a term of the size of eps, so eps is tiny where gradients
// are compared with differences, and gates take no part where it is not.
std::vector<OpSample> samples(SampleSize size, DType dtype, Generator& g) {
  SampleMaker make(dtype, g);
  if (size == SampleSize::bench)
    return {make.plain("B8 T256 H4 K128 V128", {8, 256, 4, 128, 128}, {}),
            make.plain("B4 T256 H4 K96 V96", {4, 256, 4, 96, 96}, {}),
            make.plain("B1 T2048 H4 K64 V128", {1, 2048, 4, 64, 128}, {}),
            make.with_resets("B4 T512 H4 K64 V64, resets", {4, 512, 4, 64, 64}, {})};
  const std::pair<const std::string, double> tiny{"eps", 1e-13};
  std::vector<OpSample> all{
      make.plain("from zero", {2, 5, 2, 3, 2}, {tiny, {"chunk_size", 2}}),
      make.with_state("state", {1, 7, 2, 2, 3}, {tiny, {"chunk_size", 3}}),
      make.with_resets("resets", {2, 7, 1, 3, 2}, {tiny, {"chunk_size", 4}}),
      make.with_state("soft cap", {1, 5, 1, 2, 2}, {tiny, {"chunk_size", 2}, {"soft_cap", 1.5}}),
      make.with_state("sigmoid gate", {1, 5, 2, 2, 3},
                      {tiny, {"chunk_size", 2}, {"sigmoid_gate", 1}}),
      make.with_resets("no normaliser", {1, 6, 1, 3, 2},
                       {{"chunk_size", 2}, {"sigmoid_gate", 1}, {"no_normalizer", 1}}),
      make.plain("chunk longer than T", {1, 3, 1, 1, 1}, {tiny}),
      make.with_state("one step", {2, 1, 2, 3, 1}, {tiny}),
      make.with_state("no steps", {1, 0, 2, 2, 2}, {tiny}),
      make.plain("no rows", {0, 3, 1, 2, 2}, {tiny}),
      make.with_state("eps", {1, 4, 1, 2, 2}, {{"eps", 1e-6}, {"chunk_size", 2}}),
      make.with_state("detached", {1, 5, 1, 2, 2}, {tiny, {"chunk_size", 2}, {"detach", 1}})};
  all[5].differentiable = {0, 1, 2, 3, 4, 5};
  // Of what the gradient without the denominator is the true one.
  all[11].differentiable = {2, 5};
  all[10].differentiable = {0, 1, 2, 5, 6};
  all.push_back(make.with_state("partly a state", {1, 4, 2, 2, 2}, {tiny, {"chunk_size", 2}}));
  all.back().inputs[6] = all.back().inputs[7] = Tensor{};
  const std::pair<const std::string, double> large{"eps", 0.3}, exact{"stabilizer_gradient", 1};
  all.push_back(make.with_state("large eps", {1, 6, 2, 2, 2}, {large, exact, {"chunk_size", 2}}));
  all.push_back(
      make.with_resets("large eps, resets", {2, 7, 1, 2, 2}, {large, exact, {"chunk_size", 3}}));
  // Queries and keys of one side, so that rounding is not magnified by a q.n near 0.
  for (size_t last = all.size() - 2; last < all.size(); ++last)
    for (const size_t input : {size_t{0}, size_t{1}})
      all[last].inputs[input] = ops::add_scalar(all[last].inputs[input], 1.5);
  all.push_back(
      make.with_resets("no stabiliser at the start", {2, 7, 1, 2, 2},
                       {large, exact, {"chunk_size", 3}, {"start_m", ops::kNoStabilizer}}));
  all.back().inputs[7] = Tensor{};
  return all;
}

// Several chunks, the last one short, of one tile and of several along K and V, with documents that
// begin inside chunks; rows of vectors and rows that none fits. For all three forms.
std::vector<LargeSample> path_samples() {
  std::vector<LargeSample> out;
  // From the zero state, some tokens have a tiny denominator: gradients that 16 bits cannot give.
  static const OpAttributes tame{{"eps", 0.3}, {"stabilizer_gradient", 1}};
  const auto add = [&out](const char* label, auto make) {
    out.push_back({label, [=](DType dtype, Generator& g) {
                     SampleMaker maker(dtype, g);
                     OpSample sample = make(maker, label);
                     return sample;
                   }});
  };
  add("B2 T300 H2 K64 V72, resets", [](SampleMaker& make, const char* label) {
    OpSample sample = make.with_resets(label, {2, 300, 2, 64, 72}, tame);
    // Documents of 5 steps would leave nothing between chunks: one begins every 97.
    Tensor& reset = sample.inputs[8];
    reset.fill(0);
    for (int64_t t = 50; t < reset.numel(); t += 97) reset.data<uint8_t>()[t] = 1;
    return sample;
  });
  add("B1 T256 H2 K128 V128, state", [](SampleMaker& make, const char* label) {
    return make.with_state(label, {1, 256, 2, 128, 128}, {});
  });
  add("B1 T130 H2 K160 V272", [](SampleMaker& make, const char* label) {
    return make.plain(label, {1, 130, 2, 160, 272}, tame);
  });
  add("B3 T130 H8 K64 V64", [](SampleMaker& make, const char* label) {  // enough for sweeps
    return make.plain(label, {3, 130, 8, 64, 64}, tame);
  });
  add("B2 T200 H1 K33 V19", [](SampleMaker& make, const char* label) {
    return make.plain(label, {2, 200, 1, 33, 19}, tame);
  });
  add("B1 T200 H2 K64 V64, soft cap, large eps", [](SampleMaker& make, const char* label) {
    return make.with_state(label, {1, 200, 2, 64, 64},
                           {{"soft_cap", 15}, {"eps", 1}, {"stabilizer_gradient", 1}});
  });
  add("B1 T200 H2 K64 V64, sigmoid gate", [](SampleMaker& make, const char* label) {
    return make.with_state(label, {1, 200, 2, 64, 64}, {{"sigmoid_gate", 1}});
  });
  add("B1 T200 H2 K64 V64, no normaliser", [](SampleMaker& make, const char* label) {
    OpSample sample =
        make.with_state(label, {1, 200, 2, 64, 64}, {{"sigmoid_gate", 1}, {"no_normalizer", 1}});
    sample.differentiable = {0, 1, 2, 3, 4, 5};
    return sample;
  });
  return out;
}

Sizes sizes_of(const OpSample& s) {
  const Tensor &q = s.inputs[0], &v = s.inputs[2];
  return {q.size(0), q.size(1), q.size(2), q.size(3), v.size(3)};
}

template <ops::MlstmForm form>
double flops(const OpSample& sample) {
  const Sizes s = sizes_of(sample);
  const double tokens = static_cast<double>(s.B * s.T * s.H);
  const double state = static_cast<double>(s.K * s.V), sides = static_cast<double>(s.K + s.V);
  if (form == ops::MlstmForm::recurrent) return tokens * 6 * state;
  // Counted with chunks of 64 whatever the chunk, so that rates compare speed and not work.
  const int64_t L = form == ops::MlstmForm::parallel ? s.T : std::min<int64_t>(64, s.T);
  return tokens * (4 * state + static_cast<double>(L) * sides);
}

double bytes(const OpSample& sample) {
  const Sizes s = sizes_of(sample);
  const double h = static_cast<double>(s.B * s.T * s.H * s.V * size_of(sample.inputs[0].dtype()));
  const double C =
      static_cast<double>(s.B * s.H * s.K * s.V * size_of(wide_type(sample.inputs[0].dtype())));
  return bytes_of(sample.inputs) + h + C;
}

// Read: the inputs, h and its gradient; written: the gradients of the inputs.
double backward_bytes(const OpSample& sample) {
  const Sizes s = sizes_of(sample);
  const double h = static_cast<double>(s.B * s.T * s.H * s.V * size_of(sample.inputs[0].dtype()));
  return 2 * bytes_of(sample.inputs) + 2 * h;
}

// ---- one decoding step: inputs q, k, v, i, f, C, n, m; outputs h, C, n, m ----

Tensors step_in_place(const Tensors& in, const OpAttributes& a) {
  const autograd::NoGrad no_grad;
  ops::MlstmState state{in[5], in[6], in[7]};
  const Tensor h = ops::mlstm_step(in[0], in[1], in[2], in[3], in[4], state,
                                   options_of(a, ops::MlstmForm::chunkwise));
  return {h, state.C, state.n, state.m};
}
Tensors call_step(const Tensors& in, const OpAttributes& a) {
  Tensors copy = in;
  for (size_t i = 5; i < 8; ++i)
    if (copy[i].defined()) copy[i] = copy[i].clone();
  return step_in_place(copy, a);
}
Tensors call_step_composed(const Tensors& in, const OpAttributes& a) {
  const autograd::NoGrad no_grad;
  const auto in_time = [](const Tensor& x) { return ops::unsqueeze(x, 1); };
  const ops::MlstmResult out = ops::mlstm_composed(
      in_time(in[0]), in_time(in[1]), in_time(in[2]), in_time(in[3]), in_time(in[4]),
      {in[5], in[6], in[7]}, {}, options_of(a, ops::MlstmForm::recurrent));
  return {ops::select(out.h, 1, 0), out.final_state.C, out.final_state.n, out.final_state.m};
}

std::vector<OpSample> step_samples(SampleSize size, DType dtype, Generator& g) {
  SampleMaker make(dtype, g);
  if (size == SampleSize::bench)
    return {make.step("B1 H4 K128 V256", {1, 1, 4, 128, 256}, {}),
            make.step("B16 H4 K64 V64", {16, 1, 4, 64, 64}, {})};
  std::vector<OpSample> all{make.step("a state", {2, 1, 2, 3, 5}, {}),
                            make.step("soft cap", {1, 1, 3, 4, 2}, {{"soft_cap", 1.5}}),
                            make.step("large eps", {3, 1, 1, 1, 1}, {{"eps", 0.3}}),
                            make.step("sigmoid gate", {2, 1, 2, 2, 7}, {{"sigmoid_gate", 1}}),
                            make.step("wider than a block", {1, 1, 1, 33, 67}, {}),
                            make.step("from zero", {2, 1, 2, 2, 3}, {}),
                            make.step("no rows", {0, 1, 2, 2, 2}, {})};
  for (size_t i = 5; i < 8; ++i) all[5].inputs[i] = Tensor{};
  all[3].inputs[7] = Tensor{};  // there is no stabiliser with this gate
  return all;
}

std::vector<LargeSample> large_samples() {
  std::vector<LargeSample> out;
  for (const auto& [label, s] :
       {std::pair<const char*, Sizes>{"B32 T2048 H8 K256 V512", {32, 2048, 8, 256, 512}},
        {"B8 T8192 H8 K256 V512", {8, 8192, 8, 256, 512}},
        {"B32 T2048 H8 K128 V256", {32, 2048, 8, 128, 256}},
        {"B8 T8192 H8 K128 V256", {8, 8192, 8, 128, 256}},
        {"B32 T2048 H4 K128 V128", {32, 2048, 4, 128, 128}},
        {"B32 T2048 H16 K64 V64", {32, 2048, 16, 64, 64}}})
    out.push_back({label, [label = label, s = s](DType dtype, Generator& g) {
                     return SampleMaker(dtype, g).open_gates(label, s);
                   }});
  return out;
}
std::vector<LargeSample> step_paths() {
  std::vector<LargeSample> out;
  for (const auto& [label, s] :
       {std::pair<const char*, Sizes>{"B3 H4 K128 V256", {3, 1, 4, 128, 256}},
        {"B1 H1 K256 V512", {1, 1, 1, 256, 512}},
        {"B2 H2 K96 V70", {2, 1, 2, 96, 70}},
        {"B1 H1 K1100 V12", {1, 1, 1, 1100, 12}}})
    out.push_back({label, [label = label, s = s](DType dtype, Generator& g) {
                     return SampleMaker(dtype, g).step(label, s, {});
                   }});
  return out;
}
std::vector<LargeSample> large_steps() {
  std::vector<LargeSample> out;
  for (const auto& [H, K, V] : {std::tuple<int64_t, int64_t, int64_t>{8, 256, 512}, {4, 128, 256}})
    for (const int64_t B : {1, 8, 64, 256}) {
      const Sizes s{B, 1, H, K, V};
      const std::string label = "B" + std::to_string(B) + " H" + std::to_string(H) + " K" +
                                std::to_string(K) + " V" + std::to_string(V);
      out.push_back({label, [label, s](DType dtype, Generator& g) {
                       return SampleMaker(dtype, g).step(label.c_str(), s, {});
                     }});
    }
  return out;
}

OpInfo step_row() {
  OpInfo info{"mlstm_step",
              "mlstm",
              "One decoding step of the mLSTM, the state updated in place",
              call_step,
              call_step_composed,
              step_samples,
              [](const OpSample& s) {
                return 6 * static_cast<double>(s.inputs[0].numel() * s.inputs[2].size(2));
              },
              [](const OpSample& s) {
                const Tensors state(s.inputs.begin() + 5, s.inputs.end());
                return bytes_of(s.inputs) + bytes_of(state) + bytes_of({s.inputs[2]});
              },
              false,
              comparable};
  info.wide_inputs = {5, 6, 7};
  info.variants = {{"portable", DeviceType::cpu}, {"portable", DeviceType::cuda}};
  info.in_place = step_in_place;
  info.large_samples = large_steps;
  info.path_samples = step_paths;
  return info;
}

template <ops::MlstmForm form>
OpInfo row(const char* name, const char* summary) {
  OpInfo info{name,    "mlstm",     summary, call<form>, call_composed,
              samples, flops<form>, bytes,   true,       comparable};
  info.wide_inputs = {5, 6, 7};
  info.variants = {{"portable", DeviceType::cpu}};
  if (form == ops::MlstmForm::chunkwise)
    info.variants.push_back({"resident", DeviceType::cuda,
                             "Hopper, 16 bits, rows 16 bytes apart, T at least 1",
                             XLSTM_MLSTM_RESIDENT, true, 90});
  info.variants.push_back({"portable", DeviceType::cuda, "", XLSTM_MLSTM_PORTABLE});
  info.backward_bytes = backward_bytes;
  info.path_samples = path_samples;
  if (form == ops::MlstmForm::chunkwise) info.large_samples = large_samples;
  return info;
}

}  // namespace

std::vector<OpInfo> mlstm_rows() {
  return {row<ops::MlstmForm::chunkwise>("mlstm", "The mLSTM recurrence, chunkwise: linear in T"),
          row<ops::MlstmForm::parallel>("mlstm_parallel",
                                        "The mLSTM recurrence as one chunk per document"),
          row<ops::MlstmForm::recurrent>("mlstm_recurrent",
                                         "The mLSTM recurrence, one step after the other"),
          step_row()};
}

}  // namespace xlstm
