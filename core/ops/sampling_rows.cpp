#include "core/op_info.h"
#include "core/ops/sampling.h"

namespace xlstm {
namespace {

// Inputs logits, streams, seen; the tokens, and after them `seen` as it is left.
Tensors sample_in_place(const Tensors& in, const OpAttributes& a) {
  const ops::SamplingOptions options{.temperature = a.get("temperature", 1),
                                     .top_k = a.get_int("top_k"),
                                     .n_valid = a.get_int("n_valid"),
                                     .seed = static_cast<uint64_t>(a.get_int("seed")),
                                     .top_p = a.get("top_p", 1),
                                     .min_p = a.get("min_p"),
                                     .repetition_penalty = a.get("repetition_penalty", 1)};
  Tensors out = {ops::sample(in[0], options, a.get_int("position"), in[1], nullptr, in[2])};
  if (in[2].defined()) out.push_back(in[2]);
  return out;
}

Tensors sample(const Tensors& in, const OpAttributes& a) {
  return sample_in_place({in[0], in[1], in[2].defined() ? in[2].clone() : in[2]}, a);
}

Tensors inputs_of(int64_t B, int64_t n_vocab, bool streams, DType dtype, Generator& g) {
  std::vector<int64_t> names;
  for (int64_t b = 0; b < B; ++b) names.push_back(100 + 17 * b);
  return {random_tensor({B, n_vocab}, dtype, g, 0, 2),
          streams ? Tensor::from(names, {B}) : Tensor{}, Tensor{}};
}

// Every third token was seen.
Tensors seen_before(Tensors in) {
  const Tensor seen = Tensor::zeros(in[0].shape(), DType::u8);
  for (int64_t i = 0; i < seen.numel(); i += 3) seen.data<uint8_t>()[i] = 1;
  in[2] = seen;
  return in;
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
            {"the same, top 50", inputs_of(8, 50304, false, dtype, g), {{"top_k", 50}}},
            {"the same, top 0.9 of the probability",
             inputs_of(8, 50304, false, dtype, g),
             {{"top_p", 0.9}}}};
  return {
      {"B5 vocabulary 7", inputs_of(5, 7, false, dtype, g), {{"seed", 1}}},
      {"streams and a position", inputs_of(9, 11, true, dtype, g), {{"seed", 2}, {"position", 5}}},
      {"cold", inputs_of(9, 300, false, dtype, g), {{"temperature", 0.2}, {"seed", 3}}},
      {"greedy with ties", ties(6, 301, dtype, g), {{"temperature", 0}}},
      {"top 3 with ties", ties(40, 29, dtype, g), {{"top_k", 3}, {"seed", 4}}},
      {"top 290 of 600", inputs_of(6, 600, false, dtype, g), {{"top_k", 290}, {"seed", 5}}},
      {"padded vocabulary", inputs_of(20, 13, false, dtype, g), {{"n_valid", 4}, {"seed", 6}}},
      {"top 0.7 of the probability",
       inputs_of(30, 60, false, dtype, g),
       {{"top_p", 0.7}, {"seed", 7}}},
      {"the same with ties, of the top 20",
       ties(40, 50, dtype, g),
       {{"top_k", 20}, {"top_p", 0.8}, {"seed", 8}}},
      {"only the likeliest", inputs_of(5, 40, false, dtype, g), {{"top_p", 0}, {"seed", 9}}},
      {"a fifth as likely as the likeliest",
       ties(30, 60, dtype, g),
       {{"min_p", 0.2}, {"temperature", 1.5}, {"seed", 10}}},
      {"a penalty",
       seen_before(inputs_of(20, 33, true, dtype, g)),
       {{"repetition_penalty", 3}, {"seed", 11}}},
      {"a penalty, greedy",
       seen_before(inputs_of(20, 33, false, dtype, g)),
       {{"repetition_penalty", 3}, {"temperature", 0}}},
      {"all at once",
       seen_before(inputs_of(30, 90, true, dtype, g)),
       {{"repetition_penalty", 1.3},
        {"temperature", 0.9},
        {"top_k", 60},
        {"top_p", 0.9},
        {"min_p", 0.02},
        {"n_valid", 80},
        {"position", 3},
        {"seed", 12}}},
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
          sample("the same, top 0.9 of the probability", {{"top_p", 0.9}, {"seed", 9}}),
          sample("the same, of the top 5000", {{"top_k", 5000}, {"top_p", 0.95}, {"seed", 10}}),
          sample("the same, greedy", {{"temperature", 0}})};
}

}  // namespace

std::vector<OpInfo> sampling_rows() {
  std::vector<OpInfo> rows = {
      {"sample", "sampling",
       "Draws the next token: penalty, temperature, top-k, top-p, min-p, greedy", sample, nullptr,
       samples, [](const OpSample& s) { return 4 * static_cast<double>(s.inputs[0].numel()); },
       [](const OpSample& s) { return bytes_of(s.inputs); }, false}};
  rows[0].in_place = sample_in_place;
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
