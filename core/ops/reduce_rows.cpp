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

// x of a shape, with attributes.
LargeSample of_shape(const char* label, const Shape& shape, const OpAttributes& attributes) {
  return {label, [=](DType dtype, Generator& g) {
            return OpSample{label, {random_tensor(shape, dtype, g)}, attributes};
          }};
}

// Vectors along the summed dimension and across it, dimensions longer than a block's threads, and
// with `all` few cells of so many elements that several blocks share one.
std::vector<LargeSample> along_path_samples() {
  return {of_shape("last of 37x2048", {37, 2048}, {{"dim", 1}}),
          of_shape("first of 2048x64", {2048, 64}, {{"dim", 0}}),
          of_shape("first of 1500x7", {1500, 7}, {{"dim", 0}}),
          of_shape("middle of 3x700x520", {3, 700, 520}, {{"dim", 1}}),
          of_shape("last of 5x3001", {5, 3001}, {{"dim", 1}})};
}
std::vector<LargeSample> sum_path_samples() {
  std::vector<LargeSample> out = along_path_samples();
  out.push_back(of_shape("all of 100x2000", {100, 2000}, {}));
  out.push_back(of_shape("all of 70001", {70001}, {}));
  out.push_back(of_shape("first of 40000x8", {40000, 8}, {{"dim", 0}}));
  return out;
}
std::vector<LargeSample> sum_to_path_samples() {
  return {of_shape("40000x8 to a row", {40000, 8}, {{"keep1", 1}, {"drop", 1}}),
          of_shape("300x512 to a column", {300, 512}, {{"keep0", 1}}),
          of_shape("5x300x64 to 300x1", {5, 300, 64}, {{"keep1", 1}, {"drop", 1}})};
}

std::vector<LargeSample> large_along() {
  return {of_shape("last of 32768x2048", {32768, 2048}, {{"dim", 1}}),
          of_shape("first of 32768x2048", {32768, 2048}, {{"dim", 0}})};
}
std::vector<LargeSample> large_sum() {
  std::vector<LargeSample> out = large_along();
  out.push_back(of_shape("all of 32768x2048", {32768, 2048}, {}));
  return out;
}
std::vector<LargeSample> large_sum_to() {
  return {of_shape("32768x2048 to a row", {32768, 2048}, {{"keep1", 1}, {"drop", 1}})};
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
  std::vector<OpInfo> rows = {
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
  rows[0].path_samples = rows[1].path_samples = sum_path_samples;
  rows[2].path_samples = rows[3].path_samples = along_path_samples;
  rows[4].path_samples = sum_to_path_samples;
  rows[0].large_samples = large_sum;
  rows[2].large_samples = rows[3].large_samples = large_along;
  rows[4].large_samples = large_sum_to;
  return rows;
}

}  // namespace xlstm
