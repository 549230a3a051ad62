#include "core/ops/headwise_linear.h"
#include "core/ops/op_rows.h"

namespace xlstm {
namespace {

// Inputs: x, weight, bias.
template <auto Op>
Tensors run(const Tensors& in, const OpAttributes&) {
  return {Op(in[0], in[1], in[2])};
}

struct Case {
  const char* label;
  Shape leading;
  int64_t H, I, O;
  bool bias;
};

OpSample make_sample(const Case& k, DType dtype, Generator& g) {
  Shape shape = k.leading;
  shape.push_back(k.H * k.I);
  return {k.label,
          {random_tensor(shape, dtype, g), random_tensor({k.H, k.O, k.I}, dtype, g),
           k.bias ? random_tensor({k.H * k.O}, dtype, g) : Tensor{}},
          {}};
}

std::vector<LargeSample> large_samples() {
  std::vector<LargeSample> out;
  for (const Case& k : {Case{"65536 x 2048, blocks of 4", {65536}, 512, 4, 4, false},
                        Case{"65536 x 768, 4 heads", {65536}, 4, 192, 192, false}})
    out.push_back({k.label, [k](DType dtype, Generator& g) { return make_sample(k, dtype, g); }});
  return out;
}

// Small blocks by vectors, in several runs of rows; larger ones by tiles, whole and partial.
std::vector<LargeSample> path_samples() {
  std::vector<LargeSample> out;
  for (const Case& k : {Case{"300 x 256, blocks of 4", {300}, 64, 4, 4, true},
                        Case{"37 x 128, blocks of 8", {37}, 16, 8, 8, true},
                        Case{"37 x 64, blocks of 2", {37}, 32, 2, 2, false},
                        Case{"70 x 768, blocks of 192", {70}, 4, 192, 192, true},
                        Case{"70 x 130, blocks of 65 x 33", {70}, 2, 65, 33, true},
                        Case{"1 x 256, blocks of 4", {1}, 64, 4, 4, false},
                        Case{"3 x 256, blocks of 64", {3}, 4, 64, 64, true}})
    out.push_back({k.label, [k](DType dtype, Generator& g) { return make_sample(k, dtype, g); }});
  return out;
}

std::vector<OpSample> samples(SampleSize size, DType dtype, Generator& g) {
  const std::vector<Case> check{{"blocks of 4", {3, 2}, 5, 4, 4, true},
                                {"blocks of 4, whole registers", {9}, 8, 4, 4, false},
                                {"blocks of 2", {5}, 3, 2, 2, true},
                                {"blocks of 8", {2, 1}, 3, 8, 8, true},
                                {"blocks of 3 x 5", {4}, 2, 3, 5, true},
                                {"one row of one block", {}, 1, 7, 7, true},
                                {"one unit per head", {3}, 4, 1, 1, false},
                                {"no rows", {2, 0}, 2, 4, 4, true},
                                {"no rows, products", {0}, 2, 3, 4, true}};
  const std::vector<Case> bench{{"B8 T256 E1024, blocks of 4", {8, 256}, 256, 4, 4, false},
                                {"B8 T256 D256, 4 heads", {8, 256}, 4, 64, 64, false},
                                {"B8 T256 D768, 4 heads", {8, 256}, 4, 192, 192, false},
                                {"one token, E1024, blocks of 4", {1, 1}, 256, 4, 4, false}};
  std::vector<OpSample> out;
  for (const Case& k : size == SampleSize::check ? check : bench)
    out.push_back(make_sample(k, dtype, g));
  return out;
}

double output_numel(const OpSample& sample) {
  const Tensor &x = sample.inputs[0], &w = sample.inputs[1];
  return static_cast<double>(x.numel()) / static_cast<double>(w.size(2)) *
         static_cast<double>(w.size(1));
}

double flops(const OpSample& sample) {
  return 2 * output_numel(sample) * static_cast<double>(sample.inputs[1].size(2));
}

double bytes(const OpSample& sample) {
  return bytes_of(sample.inputs) +
         output_numel(sample) * static_cast<double>(size_of(sample.inputs[0].dtype()));
}

}  // namespace

std::vector<OpInfo> headwise_linear_rows() {
  OpInfo row{"headwise_linear",
             "headwise_linear",
             "Block-diagonal linear map, one weight per head",
             run<ops::headwise_linear>,
             run<ops::headwise_linear_composed>,
             samples,
             flops,
             bytes};
  row.large_samples = large_samples;
  row.path_samples = path_samples;
  return {row};
}

}  // namespace xlstm
