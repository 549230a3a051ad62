#include "core/op_info.h"
#include "core/ops/dropout.h"

namespace xlstm {
namespace {

Tensors dropout(const Tensors& in, const OpAttributes& a) {
  Generator generator{static_cast<uint64_t>(a.get_int("seed")),
                      static_cast<uint64_t>(a.get_int("offset"))};
  return {ops::dropout(in[0], a.get("p"), generator)};
}

std::vector<OpSample> samples(SampleSize size, DType dtype, Generator& g) {
  if (size == SampleSize::bench)
    return {{"B8 T1024 D1024, p 0.1",
             {random_tensor({8, 1024, 1024}, dtype, g)},
             {{"p", 0.1}, {"seed", 3}}}};
  return {
      {"p 0.3", {random_tensor({3, 7}, dtype, g)}, {{"p", 0.3}, {"seed", 1}}},
      {"p 0.9, later in the stream",
       {random_tensor({2, 3, 5}, dtype, g)},
       {{"p", 0.9}, {"seed", 2}, {"offset", 1000}}},
      {"p 0", {random_tensor({5}, dtype, g)}, {{"p", 0}}},
      {"one number", {random_tensor({}, dtype, g)}, {{"p", 0.5}, {"seed", 4}}},
      {"empty", {random_tensor({0, 3}, dtype, g)}, {{"p", 0.5}}},
  };
}

std::vector<LargeSample> path_samples() {
  return {{"50003 elements, p 0.1", [](DType dtype, Generator& g) {
             return OpSample{"50003 elements, p 0.1",
                             {random_tensor({50003}, dtype, g)},
                             {{"p", 0.1}, {"seed", 3}}};
           }}};
}

std::vector<LargeSample> large_samples() {
  return {{"65536 x 2048, p 0.1", [](DType dtype, Generator& g) {
             return OpSample{"65536 x 2048, p 0.1",
                             {random_tensor({65536, 2048}, dtype, g)},
                             {{"p", 0.1}, {"seed", 3}}};
           }}};
}

}  // namespace

std::vector<OpInfo> dropout_rows() {
  std::vector<OpInfo> rows = {
      {"dropout", "dropout", "Zeroes elements at random and scales the rest by 1 / (1 - p)",
       dropout, nullptr, samples,
       [](const OpSample& s) { return static_cast<double>(s.inputs[0].numel()); },
       [](const OpSample& s) { return 2 * bytes_of(s.inputs); }}};
  // The mask is drawn again, so x is not read.
  rows[0].backward_flops = rows[0].flops;
  rows[0].backward_bytes = rows[0].bytes;
  rows[0].large_samples = large_samples;
  rows[0].path_samples = path_samples;
  return rows;
}

}  // namespace xlstm
