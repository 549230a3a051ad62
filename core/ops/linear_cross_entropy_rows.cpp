#include <cmath>

#include "core/ops/linear_cross_entropy.h"
#include "core/ops/op_rows.h"

namespace xlstm {
namespace {

ops::LinearCrossEntropyOptions options_of(const OpAttributes& a) {
  return {a.get("cap"), a.get_int("ignore", -1), a.get_int("chunk")};
}

Tensors forward(const Tensors& in, const OpAttributes& a) {
  return {ops::linear_cross_entropy(in[0], in[1], in[2], options_of(a))};
}
Tensors composed(const Tensors& in, const OpAttributes& a) {
  return {ops::linear_cross_entropy_composed(in[0], in[1], in[2], options_of(a))};
}

// Every `skip`-th target is not counted; skip 0: all are.
OpSample make_sample(const char* label, const Shape& rows, int64_t D, int64_t n_vocab, int64_t skip,
                     const OpAttributes& attributes, double std, DType dtype, Generator& g) {
  Shape shape = rows;
  shape.push_back(D);
  std::vector<int64_t> targets;
  for (int64_t i = 0; i < element_count(rows); ++i)
    targets.push_back(skip > 0 && i % skip == 0 ? -1 : (i * 5 + 2) % n_vocab);
  return {label,
          {random_tensor(shape, dtype, g), random_tensor({n_vocab, D}, dtype, g, 0, std),
           Tensor::from(targets, rows)},
          attributes};
}

std::vector<LargeSample> path_samples() {
  const auto with = [](const char* label, int64_t rows, int64_t D, int64_t n_vocab,
                       const OpAttributes& attributes) {
    const double std = 2 / std::sqrt(static_cast<double>(D));
    return LargeSample{label, [=](DType dtype, Generator& g) {
                         return make_sample(label, {rows}, D, n_vocab, 7, attributes, std, dtype,
                                            g);
                       }};
  };
  return {with("70 rows of 64, vocabulary 512, chunks of 32", 70, 64, 512, {{"chunk", 32}}),
          with("40 rows of 128, vocabulary 3000", 40, 128, 3000, {}),
          with("40 rows of 128, vocabulary 3000, soft cap 30", 40, 128, 3000,
               {{"cap", 30}, {"chunk", 16}})};
}

// Whole batches of large models: 5 to 3 TFLOP forward, with chunks of logits of at most 1 GiB.
std::vector<LargeSample> large_samples() {
  const auto with = [](const char* label, int64_t rows, int64_t D, const OpAttributes& attributes) {
    const double std = 1 / std::sqrt(static_cast<double>(D));
    return LargeSample{label, [=](DType dtype, Generator& g) {
                         return make_sample(label, {rows}, D, 50304, 0, attributes, std, dtype, g);
                       }};
  };
  return {with("65536 rows of 768, vocabulary 50304", 65536, 768, {}),
          with("16384 rows of 2048, vocabulary 50304, soft cap 30", 16384, 2048, {{"cap", 30}})};
}

std::vector<OpSample> samples(SampleSize size, DType dtype, Generator& g) {
  const auto with = [&](const char* label, const Shape& rows, int64_t D, int64_t n_vocab,
                        int64_t skip = 0, const OpAttributes& attributes = {}, double std = 1) {
    return make_sample(label, rows, D, n_vocab, skip, attributes, std, dtype, g);
  };
  if (size == SampleSize::bench)
    return {with("2048 rows of 512, vocabulary 50304", {2048}, 512, 50304),
            with("the same, soft cap 30", {2048}, 512, 50304, 0, {{"cap", 30}})};
  return {with("B2 T3 D4 vocabulary 5", {2, 3}, 4, 5),
          with("chunks of 2, the last one shorter", {7}, 3, 5, 0, {{"chunk", 2}}),
          with("chunks of 3 that fit", {2, 3}, 3, 4, 0, {{"chunk", 3}}),
          with("chunks of one row, some not counted", {5}, 2, 3, 2, {{"chunk", 1}}),
          with("some not counted", {8}, 3, 4, 3, {{"chunk", 4}}),
          with("nothing counted", {3}, 2, 4, 1, {{"chunk", 2}}),
          with("soft cap", {5}, 3, 4, 0, {{"cap", 2.5}, {"chunk", 2}}, 2),
          with("id 2 not counted", {6}, 2, 5, 0, {{"ignore", 2}, {"chunk", 4}}),
          with("far apart logits", {3}, 4, 5, 0, {}, 15),
          with("one row without leading dimensions", {}, 3, 7),
          with("one class", {3}, 2, 1),
          with("width 1", {3}, 1, 4),
          with("no rows", {0}, 3, 4)};
}

double flops(const OpSample& s) {
  return 2 * static_cast<double>(s.inputs[0].numel()) * static_cast<double>(s.inputs[1].size(0));
}

}  // namespace

std::vector<OpInfo> linear_cross_entropy_rows() {
  OpInfo row{"linear_cross_entropy",
             "linear_cross_entropy",
             "Softmax cross-entropy of a linear head, chunk by chunk of rows",
             forward,
             composed,
             samples,
             flops,
             [](const OpSample& s) { return bytes_of(s.inputs); }};
  // The gradients were made with the loss, chunk by chunk; what is left is to scale them.
  row.backward_flops = [](const OpSample& s) {
    return static_cast<double>(s.inputs[0].numel() + s.inputs[1].numel());
  };
  row.backward_bytes = [](const OpSample& s) { return 2 * bytes_of({s.inputs[0], s.inputs[1]}); };
  row.large_samples = large_samples;
  row.path_samples = path_samples;
  row.variants = {{"blas", DeviceType::cpu},
                  {"portable", DeviceType::cpu},
                  {"cublaslt", DeviceType::cuda},
                  {"portable", DeviceType::cuda}};
  return {row};
}

}  // namespace xlstm
