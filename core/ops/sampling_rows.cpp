#include "core/op_info.h"
#include "core/ops/sampling.h"

namespace xlstm {
namespace {

Tensors sample(const Tensors& in, const OpAttributes& a) {
  const ops::SamplingOptions options{a.get("temperature", 1), a.get_int("top_k"),
                                     a.get_int("n_valid"),
                                     static_cast<uint64_t>(a.get_int("seed"))};
  return {ops::sample(in[0], options, a.get_int("position"), in[1])};
}

Tensors inputs_of(int64_t B, int64_t n_vocab, bool streams, DType dtype, Generator& g) {
  std::vector<int64_t> names;
  for (int64_t b = 0; b < B; ++b) names.push_back(100 + 17 * b);
  return {random_tensor({B, n_vocab}, dtype, g, 0, 2),
          streams ? Tensor::from(names, {B}) : Tensor{}};
}

// Multiples of a half, so that many logits are equal.
Tensors ties(int64_t B, int64_t n_vocab, DType dtype, Generator& g) {
  Tensors in = inputs_of(B, n_vocab, false, dtype, g);
  std::vector<double> x = in[0].to_vector<double>();
  for (double& value : x) value = static_cast<double>(static_cast<int64_t>(value * 2)) / 2;
  in[0].copy_from(Tensor::from(x, {B, n_vocab}));
  return in;
}

std::vector<OpSample> samples(SampleSize size, DType dtype, Generator& g) {
  if (size == SampleSize::bench)
    return {{"B8 vocabulary 50304", inputs_of(8, 50304, false, dtype, g), {}},
            {"the same, top 50", inputs_of(8, 50304, false, dtype, g), {{"top_k", 50}}}};
  return {
      {"B5 vocabulary 7", inputs_of(5, 7, false, dtype, g), {{"seed", 1}}},
      {"streams and a position", inputs_of(9, 11, true, dtype, g), {{"seed", 2}, {"position", 5}}},
      {"cold", inputs_of(9, 300, false, dtype, g), {{"temperature", 0.2}, {"seed", 3}}},
      {"greedy with ties", ties(6, 301, dtype, g), {{"temperature", 0}}},
      {"top 3 with ties", ties(40, 29, dtype, g), {{"top_k", 3}, {"seed", 4}}},
      {"top 290 of 600", inputs_of(6, 600, false, dtype, g), {{"top_k", 290}, {"seed", 5}}},
      {"padded vocabulary", inputs_of(20, 13, false, dtype, g), {{"n_valid", 4}, {"seed", 6}}},
      {"one token", inputs_of(3, 1, true, dtype, g), {}},
      {"no rows", inputs_of(0, 5, false, dtype, g), {}},
  };
}

// Vocabularies of several passes of a block.
std::vector<LargeSample> path_samples() {
  const auto sample = [](const char* label, const OpAttributes& attributes) {
    return LargeSample{label, [=](DType dtype, Generator& g) {
                         return OpSample{label, inputs_of(4, 9001, false, dtype, g), attributes};
                       }};
  };
  return {sample("B4 vocabulary 9001", {{"seed", 7}}),
          sample("the same, top 50", {{"top_k", 50}, {"seed", 8}}),
          sample("the same, greedy", {{"temperature", 0}})};
}

}  // namespace

std::vector<OpInfo> sampling_rows() {
  std::vector<OpInfo> rows = {
      {"sample", "sampling", "Draws the next token: temperature, top-k, greedy", sample, nullptr,
       samples, [](const OpSample& s) { return 4 * static_cast<double>(s.inputs[0].numel()); },
       [](const OpSample& s) { return bytes_of(s.inputs); }, false}};
  rows[0].path_samples = path_samples;
  rows[0].large_samples = [] {
    return std::vector<LargeSample>{
        {"B64 vocabulary 50304", [](DType dtype, Generator& g) {
           return OpSample{"B64 vocabulary 50304", inputs_of(64, 50304, false, dtype, g), {}};
         }}};
  };
  return rows;
}

}  // namespace xlstm
