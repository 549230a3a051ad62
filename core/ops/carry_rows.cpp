#include "core/op_info.h"
#include "core/ops/carry.h"

namespace xlstm {
namespace {

// Inputs from, to, usable; both are written.
Tensors store_in_place(const Tensors& in, const OpAttributes&) {
  ops::carry_store(in[0], in[1], in[2]);
  return {in[1], in[2]};
}
Tensors store(const Tensors& in, const OpAttributes& a) {
  return store_in_place({in[0], in[1].clone(), in[2].clone()}, a);
}

// Inputs x, fresh, usable; x is written.
Tensors restart_in_place(const Tensors& in, const OpAttributes& a) {
  ops::carry_restart(in[0], in[1], in[2], a.get("start"));
  return {in[0]};
}
Tensors restart(const Tensors& in, const OpAttributes& a) {
  return restart_in_place({in[0].clone(), in[1], in[2]}, a);
}

// 1 in every `every`-th place, counted from `first`.
Tensor marks(int64_t n, int64_t first, int64_t every) {
  const Tensor bytes = Tensor::zeros({n}, DType::u8);
  for (int64_t i = first; i < n; i += every) bytes.data<uint8_t>()[i] = 1;
  return bytes;
}

// Numbers that are not finite have tests of their own: comparisons want finite ones.
Tensors store_inputs(const Shape& shape, DType dtype, Generator& g) {
  return {random_tensor(shape, dtype, g), random_tensor(shape, dtype, g), marks(shape[0], 0, 2)};
}
Tensors restart_inputs(const Shape& shape, DType dtype, Generator& g) {
  return {random_tensor(shape, dtype, g), marks(shape[0], 1, 3), marks(shape[0], 0, 2)};
}

using Inputs = Tensors (*)(const Shape& shape, DType dtype, Generator& generator);

std::vector<OpSample> samples_of(Inputs inputs, SampleSize size, DType dtype, Generator& g) {
  if (size == SampleSize::bench)
    return {{"B16 H4 K256 V256", inputs({16, 4, 256, 256}, dtype, g), {}}};
  return {{"B5 of 3 x 4", inputs({5, 3, 4}, dtype, g), {{"start", -1e4}}},
          {"B7 of one number", inputs({7}, dtype, g), {{"start", 0.5}}},
          {"one row", inputs({1, 9}, dtype, g), {}},
          {"rows of nothing", inputs({3, 0}, dtype, g), {}},
          {"no rows", inputs({0, 3}, dtype, g), {}}};
}
std::vector<OpSample> store_samples(SampleSize size, DType dtype, Generator& g) {
  return samples_of(store_inputs, size, dtype, g);
}
std::vector<OpSample> restart_samples(SampleSize size, DType dtype, Generator& g) {
  return samples_of(restart_inputs, size, dtype, g);
}

// Whole packs over several blocks, and rows that are not aligned.
template <Inputs inputs>
std::vector<LargeSample> path_samples() {
  return {{"B3 of 40 x 64",
           [](DType dtype, Generator& g) {
             return OpSample{"B3 of 40 x 64", inputs({3, 40, 64}, dtype, g), {{"start", -1}}};
           }},
          {"B6 of 5003", [](DType dtype, Generator& g) {
             return OpSample{"B6 of 5003", inputs({6, 5003}, dtype, g), {{"start", 2}}};
           }}};
}

double no_flops(const OpSample&) {
  return 0;
}

}  // namespace

std::vector<OpInfo> carry_rows() {
  std::vector<OpInfo> rows = {
      {"carry_store", "carry", "Keeps a recurrent state and notes the rows that are not finite",
       store, nullptr, store_samples, no_flops,
       [](const OpSample& s) { return 2 * bytes_of({s.inputs[0]}) + bytes_of({s.inputs[2]}); },
       false},
      {"carry_restart", "carry", "Puts the rows of a state that begin anew at the start", restart,
       nullptr, restart_samples, no_flops, [](const OpSample& s) { return bytes_of(s.inputs); },
       false}};
  rows[0].in_place = store_in_place;
  rows[1].in_place = restart_in_place;
  rows[0].path_samples = path_samples<store_inputs>;
  rows[1].path_samples = path_samples<restart_inputs>;
  return rows;
}

}  // namespace xlstm
