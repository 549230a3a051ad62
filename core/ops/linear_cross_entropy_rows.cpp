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

std::vector<OpSample> samples(SampleSize size, DType dtype, Generator& g) {
  // Every `skip`-th target is not counted; skip 0: all are.
  const auto with = [&](const char* label, const Shape& rows, int64_t D, int64_t n_vocab,
                        int64_t skip = 0, const OpAttributes& attributes = {}, double std = 1) {
    Shape shape = rows;
    shape.push_back(D);
    std::vector<int64_t> targets;
    for (int64_t i = 0; i < element_count(rows); ++i)
      targets.push_back(skip > 0 && i % skip == 0 ? -1 : (i * 5 + 2) % n_vocab);
    return OpSample{label,
                    {random_tensor(shape, dtype, g), random_tensor({n_vocab, D}, dtype, g, 0, std),
                     Tensor::from(targets, rows)},
                    attributes};
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
  return {{"linear_cross_entropy", "linear_cross_entropy",
           "Softmax cross-entropy of a linear head, chunk by chunk of rows", forward, composed,
           samples, flops, [](const OpSample& s) { return bytes_of(s.inputs); }}};
}

}  // namespace xlstm
