#include "core/ops/op_rows.h"
#include "core/ops/reduce.h"

namespace xlstm {
namespace {

Tensors call_sum(const Tensors& in, const OpAttributes& a) {
  if (!a.has("dim")) return {ops::sum(in[0])};
  return {ops::sum(in[0], a.get_int("dim"), a.get("keep") != 0)};
}
Tensors call_mean(const Tensors& in, const OpAttributes& a) {
  if (!a.has("dim")) return {ops::mean(in[0])};
  return {ops::mean(in[0], a.get_int("dim"), a.get("keep") != 0)};
}
Tensors call_max(const Tensors& in, const OpAttributes& a) {
  return {ops::max(in[0], a.get_int("dim"), a.get("keep") != 0)};
}
Tensors call_cumsum(const Tensors& in, const OpAttributes& a) {
  return {ops::cumsum(in[0], a.get_int("dim"))};
}
// The shape to sum to: dimension d is kept where the attribute "keep<d>" is 1, else becomes 1;
// `drop` leading dimensions go.
Tensors call_sum_to(const Tensors& in, const OpAttributes& a) {
  Shape shape = in[0].shape();
  for (size_t d = 0; d < shape.size(); ++d)
    if (!a.has("keep" + std::to_string(d))) shape[d] = 1;
  shape.erase(shape.begin(), shape.begin() + a.get_int("drop"));
  return {ops::sum_to(in[0], shape)};
}

std::vector<OpSample> along_samples(SampleSize size, DType dtype, Generator& g) {
  const auto x = [&](const Shape& shape) { return Tensors{random_tensor(shape, dtype, g)}; };
  if (size == SampleSize::bench)
    return {{"last of 2048x1024", x({2048, 1024}), {{"dim", 1}}},
            {"first of 2048x1024", x({2048, 1024}), {{"dim", 0}}}};
  return {{"last", x({3, 17}), {{"dim", -1}}},
          {"first", x({11, 3}), {{"dim", 0}, {"keep", 1}}},
          {"middle", x({2, 5, 3}), {{"dim", 1}}},
          {"vector", x({37}), {{"dim", 0}}},
          {"size one", x({3, 1, 2}), {{"dim", -2}, {"keep", 1}}},
          {"empty", x({3, 0}), {{"dim", 0}}}};
}

std::vector<OpSample> sum_samples(SampleSize size, DType dtype, Generator& g) {
  std::vector<OpSample> out = along_samples(size, dtype, g);
  if (size == SampleSize::bench) {
    out.push_back({"all of 2048x1024", {random_tensor({2048, 1024}, dtype, g)}, {}});
  } else {
    out.push_back({"all", {random_tensor({3, 5, 2}, dtype, g)}, {}});
    out.push_back({"scalar", {random_tensor({}, dtype, g)}, {}});
  }
  return out;
}

std::vector<OpSample> sum_to_samples(SampleSize size, DType dtype, Generator& g) {
  const auto x = [&](const Shape& shape) { return Tensors{random_tensor(shape, dtype, g)}; };
  if (size == SampleSize::bench)
    return {{"2048x1024 to a row", x({2048, 1024}), {{"keep1", 1}, {"drop", 1}}}};
  return {{"row", x({4, 3, 5}), {{"keep2", 1}, {"drop", 2}}},
          {"column", x({4, 3}), {{"keep0", 1}}},
          {"outer and inner", x({2, 3, 4, 5}), {{"keep1", 1}, {"keep2", 1}}},
          {"scalar", x({3, 2}), {{"drop", 2}}},
          {"nothing to do", x({3, 2}), {{"keep0", 1}, {"keep1", 1}}},
          {"empty", x({0, 2}), {{"keep1", 1}}}};
}

double additions(const OpSample& sample) {
  return numel_of(sample.inputs);
}
double read_once(const OpSample& sample) {
  return bytes_of(sample.inputs);
}
double read_and_write(const OpSample& sample) {
  return 2 * bytes_of(sample.inputs);
}

}  // namespace

std::vector<OpInfo> reduce_rows() {
  return {
      {"sum", "reduce", "Sum of all elements, or over one dimension", call_sum, nullptr,
       sum_samples, additions, read_once},
      {"mean", "reduce", "Mean of all elements, or over one dimension", call_mean, nullptr,
       sum_samples, additions, read_once},
      {"max", "reduce", "Maximum over one dimension", call_max, nullptr, along_samples, additions,
       read_once},
      {"cumsum", "reduce", "Running sums along one dimension", call_cumsum, nullptr, along_samples,
       additions, read_and_write},
      {"sum_to", "reduce", "Sum over the dimensions that broadcasting had repeated", call_sum_to,
       nullptr, sum_to_samples, additions, read_once},
  };
}

}  // namespace xlstm
