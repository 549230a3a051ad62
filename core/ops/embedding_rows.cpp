#include "core/op_info.h"
#include "core/ops/embedding.h"

namespace xlstm {
namespace {

Tensors embedding(const Tensors& in, const OpAttributes&) {
  return {ops::embedding(in[0], in[1])};
}

// Tokens that repeat, and some of the table that no token names.
Tensors inputs_of(const Shape& shape, int64_t n_vocab, int64_t D, DType dtype, Generator& g) {
  const int64_t n = element_count(shape);
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < n; ++i) tokens.push_back(i * i * 7 % n_vocab);
  return {Tensor::from(tokens, shape), random_tensor({n_vocab, D}, dtype, g)};
}

std::vector<OpSample> samples(SampleSize size, DType dtype, Generator& g) {
  if (size == SampleSize::bench)
    return {{"B8 T1024 D768 vocabulary 50304", inputs_of({8, 1024}, 50304, 768, dtype, g), {}}};
  return {
      {"B2 T5 D3 vocabulary 7", inputs_of({2, 5}, 7, 3, dtype, g), {}},
      {"one token many times", inputs_of({9}, 1, 2, dtype, g), {}},
      {"wider than one piece", inputs_of({4}, 3, 67, dtype, g), {}},
      {"a scalar token", inputs_of({}, 3, 2, dtype, g), {}},
      {"no tokens", inputs_of({0, 4}, 3, 2, dtype, g), {}},
      {"no features", inputs_of({2}, 3, 0, dtype, g), {}},
  };
}

// Tokens by the hundred, so that sorted ones cross windows, and rows by vectors and without.
std::vector<LargeSample> path_samples() {
  const auto sample = [](const char* label, int64_t n, int64_t n_vocab, int64_t D) {
    return LargeSample{label, [=](DType dtype, Generator& g) {
                         return OpSample{label, inputs_of({n}, n_vocab, D, dtype, g), {}};
                       }};
  };
  return {sample("500 tokens, D768, vocabulary 1003", 500, 1003, 768),
          sample("500 tokens, D96, vocabulary 3", 500, 3, 96),
          sample("300 tokens, D77, vocabulary 50", 300, 50, 77)};
}

std::vector<LargeSample> large_samples() {
  return {{"65536 tokens, D2048, vocabulary 50304", [](DType dtype, Generator& g) {
             return OpSample{"65536 tokens, D2048, vocabulary 50304",
                             inputs_of({32, 2048}, 50304, 2048, dtype, g),
                             {}};
           }}};
}

double output_bytes(const OpSample& s) {
  return static_cast<double>(s.inputs[0].numel() * s.inputs[1].size(1) *
                             size_of(s.inputs[1].dtype()));
}

}  // namespace

std::vector<OpInfo> embedding_rows() {
  OpInfo row{"embedding",
             "embedding",
             "Rows of a table, picked by token",
             embedding,
             nullptr,
             samples,
             [](const OpSample&) { return 0.0; },
             [](const OpSample& s) { return 2 * output_bytes(s) + bytes_of({s.inputs[0]}); }};
  // Every row of the table gets a gradient, most of them zeros.
  row.backward_flops = [](const OpSample& s) {
    return output_bytes(s) / static_cast<double>(size_of(s.inputs[1].dtype()));
  };
  row.backward_bytes = [](const OpSample& s) { return output_bytes(s) + bytes_of(s.inputs); };
  row.large_samples = large_samples;
  row.path_samples = path_samples;
  return {row};
}

}  // namespace xlstm
