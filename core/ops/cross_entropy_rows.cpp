#include "core/op_info.h"
#include "core/ops/cross_entropy.h"

namespace xlstm {
namespace {

Tensors outputs_of(const ops::CrossEntropyResult& result) {
  return {result.loss, result.n_targets};
}

Tensors cross_entropy(const Tensors& in, const OpAttributes& a) {
  return outputs_of(ops::cross_entropy(in[0], in[1], a.get("cap"), a.get_int("ignore", -1)));
}
Tensors cross_entropy_composed(const Tensors& in, const OpAttributes& a) {
  return outputs_of(
      ops::cross_entropy_composed(in[0], in[1], a.get("cap"), a.get_int("ignore", -1)));
}

// Every `skip`-th target is `ignore`; skip 0: none.
Tensors inputs_of(const Shape& shape, DType dtype, Generator& g, double std = 1, int64_t skip = 0,
                  int64_t ignore = -1) {
  const Shape rows(shape.begin(), shape.end() - 1);
  std::vector<int64_t> targets;
  for (int64_t i = 0; i < element_count(rows); ++i)
    targets.push_back(skip > 0 && i % skip == 0 ? ignore : (i * 5 + 2) % shape.back());
  return {random_tensor(shape, dtype, g, 0, std), Tensor::from(targets, rows)};
}

std::vector<OpSample> samples(SampleSize size, DType dtype, Generator& g) {
  if (size == SampleSize::bench)
    return {{"B1 T512 vocabulary 50304", inputs_of({512, 50304}, dtype, g), {}},
            {"the same, soft cap 30", inputs_of({512, 50304}, dtype, g), {{"cap", 30}}}};
  return {
      {"B2 T3 vocabulary 5", inputs_of({2, 3, 5}, dtype, g), {}},
      {"some ignored", inputs_of({7, 4}, dtype, g, 1, 3), {}},
      {"id 2 ignored", inputs_of({5, 6}, dtype, g, 1, 2, 2), {{"ignore", 2}}},
      {"all ignored", inputs_of({3, 4}, dtype, g, 1, 1), {}},
      {"soft cap", inputs_of({4, 5}, dtype, g, 3), {{"cap", 2.5}}},
      {"one class", inputs_of({3, 1}, dtype, g), {}},
      {"one row without leading dimensions", inputs_of({37}, dtype, g), {}},
      {"far apart logits", inputs_of({3, 5}, dtype, g, 30), {}},
      {"equal logits", inputs_of({3, 5}, dtype, g, 0), {}},
      {"no rows", inputs_of({0, 4}, dtype, g), {}},
  };
}

// A warp a row and a block a row, by vectors and one number at a time, with every kind of cap.
std::vector<LargeSample> path_samples() {
  const auto sample = [](const char* label, const Shape& shape, double std, double cap) {
    return LargeSample{label, [=](DType dtype, Generator& g) {
                         return OpSample{label, inputs_of(shape, dtype, g, std, 5), {{"cap", cap}}};
                       }};
  };
  return {sample("40 x 512", {40, 512}, 1, 0),
          sample("40 x 512, soft cap 15", {40, 512}, 10, 15),
          sample("37 x 515", {37, 515}, 1, 0),
          sample("9 x 5120", {9, 5120}, 1, 0),
          sample("9 x 5120, soft cap 30", {9, 5120}, 20, 30),
          sample("9 x 5120, soft cap 100", {9, 5120}, 20, 100),
          sample("5 x 3001, soft cap 0.5", {5, 3001}, 1, 0.5),
          sample("5 x 3001", {5, 3001}, 1, 0)};
}

std::vector<LargeSample> large_samples() {
  const auto sample = [](const char* label, const OpAttributes& attributes) {
    return LargeSample{label, [=](DType dtype, Generator& g) {
                         return OpSample{label, inputs_of({16384, 50304}, dtype, g), attributes};
                       }};
  };
  return {sample("16384 x 50304", {}), sample("16384 x 50304, soft cap 30", {{"cap", 30}})};
}

}  // namespace

std::vector<OpInfo> cross_entropy_rows() {
  std::vector<OpInfo> rows = {
      {"cross_entropy", "cross_entropy",
       "Softmax cross-entropy with a soft cap, mean over the counted targets", cross_entropy,
       cross_entropy_composed, samples,
       [](const OpSample& s) { return 4 * static_cast<double>(s.inputs[0].numel()); },
       [](const OpSample& s) { return bytes_of(s.inputs); }}};
  rows[0].large_samples = large_samples;
  rows[0].path_samples = path_samples;
  return rows;
}

}  // namespace xlstm
