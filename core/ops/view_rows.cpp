#include "core/ops/op_rows.h"
#include "core/ops/view.h"

namespace xlstm {
namespace {

// A list among the attributes: name0, name1, ...
std::vector<int64_t> list(const OpAttributes& a, const std::string& name) {
  std::vector<int64_t> out;
  for (int i = 0; a.has(name + std::to_string(i)); ++i)
    out.push_back(a.get_int(name + std::to_string(i)));
  return out;
}

Tensors call_reshape(const Tensors& in, const OpAttributes& a) {
  return {ops::reshape(in[0], list(a, "d"))};
}
Tensors call_transpose(const Tensors& in, const OpAttributes& a) {
  return {ops::transpose(in[0], a.get_int("dim0"), a.get_int("dim1"))};
}
Tensors call_permute(const Tensors& in, const OpAttributes& a) {
  return {ops::permute(in[0], list(a, "d"))};
}
Tensors call_slice(const Tensors& in, const OpAttributes& a) {
  return {ops::slice(in[0], a.get_int("dim"), a.get_int("start"), a.get_int("stop"))};
}
Tensors call_select(const Tensors& in, const OpAttributes& a) {
  return {ops::select(in[0], a.get_int("dim"), a.get_int("index"))};
}
Tensors call_unsqueeze(const Tensors& in, const OpAttributes& a) {
  return {ops::unsqueeze(in[0], a.get_int("dim"))};
}
Tensors call_squeeze(const Tensors& in, const OpAttributes& a) {
  return {ops::squeeze(in[0], a.get_int("dim"))};
}
Tensors call_expand(const Tensors& in, const OpAttributes& a) {
  return {ops::expand(in[0], list(a, "d"))};
}
Tensors call_split(const Tensors& in, const OpAttributes& a) {
  return ops::split(in[0], list(a, "s"), a.get_int("dim"));
}
Tensors call_contiguous(const Tensors& in, const OpAttributes&) {
  return {ops::contiguous(ops::transpose(in[0], 0, -1))};
}
Tensors call_concat(const Tensors& in, const OpAttributes& a) {
  return {ops::concat(in, a.get_int("dim"))};
}
Tensors call_stack(const Tensors& in, const OpAttributes& a) {
  return {ops::stack(in, a.get_int("dim"))};
}
Tensors call_cast(const Tensors& in, const OpAttributes&) {
  return {ops::cast(in[0], DType::f64)};
}

// One input of every shape, with attributes.
struct Case {
  const char* label;
  std::vector<Shape> shapes;
  OpAttributes attributes;
};

std::vector<OpSample> drawn(const std::vector<Case>& cases, DType dtype, Generator& g) {
  std::vector<OpSample> out;
  for (const Case& c : cases) {
    OpSample sample{c.label, {}, c.attributes};
    for (const Shape& shape : c.shapes) sample.inputs.push_back(random_tensor(shape, dtype, g));
    out.push_back(sample);
  }
  return out;
}

using Cases = std::vector<Case> (*)(bool bench);

template <Cases cases>
std::vector<OpSample> samples(SampleSize size, DType dtype, Generator& g) {
  return drawn(cases(size == SampleSize::bench), dtype, g);
}

std::vector<Case> reshape_cases(bool bench) {
  if (bench) return {{"8x256x1024", {{8, 256, 1024}}, {{"d0", 2048}, {"d1", -1}}}};
  return {{"join", {{2, 3, 5}}, {{"d0", 6}, {"d1", -1}}},
          {"cut", {{12, 2}}, {{"d0", 3}, {"d1", 4}, {"d2", 2}}},
          {"regroup with ones", {{4, 1, 6}}, {{"d0", 1}, {"d1", 8}, {"d2", 3}, {"d3", 1}}},
          {"same", {{3, 2}}, {{"d0", 3}, {"d1", 2}}},
          {"empty", {{0, 4}}, {{"d0", 2}, {"d1", 0}}}};
}
std::vector<Case> transpose_cases(bool bench) {
  if (bench) return {{"8x256x1024", {{8, 256, 1024}}, {{"dim0", 0}, {"dim1", 1}}}};
  return {{"matrix", {{3, 5}}, {{"dim0", 0}, {"dim1", 1}}},
          {"outer", {{2, 3, 5}}, {{"dim0", -3}, {"dim1", -1}}},
          {"empty", {{0, 5}}, {{"dim0", 0}, {"dim1", 1}}}};
}
std::vector<Case> permute_cases(bool bench) {
  if (bench) return {{"8x256x1024", {{8, 256, 1024}}, {{"d0", 1}, {"d1", 0}, {"d2", 2}}}};
  return {{"cycle", {{2, 3, 4}}, {{"d0", 2}, {"d1", 0}, {"d2", -2}}},
          {"empty", {{2, 0}}, {{"d0", 1}, {"d1", 0}}}};
}
std::vector<Case> slice_cases(bool bench) {
  if (bench)
    return {{"half of 2048x1024", {{2048, 1024}}, {{"dim", 1}, {"start", 0}, {"stop", 512}}}};
  return {{"middle of the last", {{3, 7}}, {{"dim", -1}, {"start", 2}, {"stop", 5}}},
          {"end of the first", {{5, 2}}, {{"dim", 0}, {"start", 4}, {"stop", 5}}},
          {"nothing", {{5, 2}}, {{"dim", 0}, {"start", 5}, {"stop", 5}}},
          {"empty", {{0, 4}}, {{"dim", 1}, {"start", 1}, {"stop", 3}}}};
}
std::vector<Case> select_cases(bool bench) {
  if (bench) return {{"a row of 2048x1024", {{2048, 1024}}, {{"dim", 0}, {"index", 7}}}};
  return {{"column", {{3, 4}}, {{"dim", 1}, {"index", 2}}},
          {"from the end", {{3, 4, 2}}, {{"dim", 0}, {"index", -1}}},
          {"empty", {{3, 0}}, {{"dim", 0}, {"index", 1}}}};
}
std::vector<Case> unsqueeze_cases(bool bench) {
  if (bench) return {{"2048x1024", {{2048, 1024}}, {{"dim", 1}}}};
  return {{"last", {{3, 4}}, {{"dim", -1}}},
          {"first", {{3}}, {{"dim", 0}}},
          {"scalar", {Shape{}}, {{"dim", 0}}},
          {"empty", {{0}}, {{"dim", 1}}}};
}
std::vector<Case> squeeze_cases(bool bench) {
  if (bench) return {{"2048x1x1024", {{2048, 1, 1024}}, {{"dim", 1}}}};
  return {{"middle", {{3, 1, 4}}, {{"dim", 1}}},
          {"to a scalar", {{1}}, {{"dim", 0}}},
          {"empty", {{0, 1}}, {{"dim", -1}}}};
}
std::vector<Case> expand_cases(bool bench) {
  if (bench) return {{"a row to 2048x1024", {{1024}}, {{"d0", 2048}, {"d1", 1024}}}};
  return {{"rows", {{4}}, {{"d0", 3}, {"d1", 4}}},
          {"middle", {{2, 1, 3}}, {{"d0", 2}, {"d1", 5}, {"d2", 3}}},
          {"scalar", {Shape{}}, {{"d0", 2}, {"d1", 3}}},
          {"empty", {{1, 3}}, {{"d0", 0}, {"d1", 3}}},
          {"empty input", {{0, 3}}, {{"d0", 2}, {"d1", 0}, {"d2", 3}}}};
}
std::vector<Case> split_cases(bool bench) {
  if (bench)
    return {{"halves of 2048x1024", {{2048, 1024}}, {{"s0", 512}, {"s1", 512}, {"dim", -1}}}};
  return {{"last", {{3, 7}}, {{"s0", 2}, {"s1", 4}, {"s2", 1}, {"dim", -1}}},
          {"first, one piece empty", {{5, 2}}, {{"s0", 3}, {"s1", 0}, {"s2", 2}, {"dim", 0}}},
          {"whole", {{2, 3}}, {{"s0", 3}, {"dim", 1}}},
          {"empty", {{0, 3}}, {{"s0", 1}, {"s1", 2}, {"dim", 1}}}};
}
std::vector<Case> contiguous_cases(bool bench) {
  if (bench) return {{"8x256x1024, ends swapped", {{8, 256, 1024}}, {}}};
  return {{"matrix", {{3, 5}}, {}}, {"three dimensions", {{2, 3, 4}}, {}}, {"empty", {{0, 2}}, {}}};
}
std::vector<Case> concat_cases(bool bench) {
  if (bench) return {{"2048x512 twice", {{2048, 512}, {2048, 512}}, {{"dim", 1}}}};
  return {{"last", {{3, 2}, {3, 5}}, {{"dim", -1}}},
          {"first, three", {{1, 2}, {2, 2}, {3, 2}}, {{"dim", 0}}},
          {"one is empty", {{0, 2}, {2, 2}}, {{"dim", 0}}},
          {"alone", {{2, 2}}, {{"dim", 1}}}};
}
std::vector<Case> stack_cases(bool bench) {
  if (bench) return {{"1024x1024 twice", {{1024, 1024}, {1024, 1024}}, {{"dim", 1}}}};
  return {{"first", {{3, 2}, {3, 2}}, {{"dim", 0}}},
          {"last", {{3}, {3}, {3}}, {{"dim", -1}}},
          {"empty", {{0, 2}, {0, 2}}, {{"dim", 1}}}};
}
std::vector<Case> cast_cases(bool bench) {
  if (bench) return {{"2048x1024", {{2048, 1024}}, {}}};
  return {{"matrix", {{3, 5}}, {}}, {"empty", {{0}}, {}}};
}

// Of a size at which copies go by vectors, and transposes by whole and by partial tiles.
template <Cases cases>
std::vector<LargeSample> path_samples() {
  std::vector<LargeSample> out;
  for (const Case& c : cases(false))
    out.push_back({c.label, [c](DType dtype, Generator& g) { return drawn({c}, dtype, g)[0]; }});
  return out;
}
std::vector<Case> contiguous_paths(bool) {
  return {{"72x130, swapped", {{72, 130}}, {}}, {"64x5x192, ends swapped", {{64, 5, 192}}, {}}};
}
std::vector<Case> concat_paths(bool) {
  return {{"37x512 and 37x64", {{37, 512}, {37, 64}}, {{"dim", 1}}},
          {"64x65 below 3x65", {{64, 65}, {3, 65}}, {{"dim", 0}}}};
}
std::vector<Case> stack_paths(bool) {
  return {{"last, 64x72 three times", {{64, 72}, {64, 72}, {64, 72}}, {{"dim", -1}}},
          {"middle, 64x512 twice", {{64, 512}, {64, 512}}, {{"dim", 1}}}};
}
std::vector<Case> cast_paths(bool) {
  return {{"50003 elements", {{50003}}, {}}};
}
std::vector<Case> split_paths(bool) {
  return {{"37x640", {{37, 640}}, {{"s0", 512}, {"s1", 64}, {"s2", 64}, {"dim", -1}}}};
}

double nothing(const OpSample&) {
  return 0;
}
double copied(const OpSample& sample) {
  return 2 * bytes_of(sample.inputs);
}

}  // namespace

std::vector<OpInfo> view_rows() {
  const auto view = [](const char* name, const char* summary, auto call, auto cases) {
    OpInfo row{name, "view", summary, call, nullptr, cases, nothing, nothing};
    row.any_type = true;
    row.variants = {{"view", DeviceType::cpu}, {"view", DeviceType::cuda}};
    return row;
  };
  const auto copy = [](const char* name, const char* summary, auto call, auto cases, auto paths) {
    OpInfo row{name, "view", summary, call, nullptr, cases, nothing, copied};
    row.any_type = true;
    row.variants = {{"copy", DeviceType::cpu}, {"copy", DeviceType::cuda}};
    row.path_samples = paths;
    return row;
  };
  std::vector<OpInfo> rows = {
      view("reshape", "The same elements under another shape", call_reshape,
           samples<reshape_cases>),
      view("transpose", "Two dimensions swapped", call_transpose, samples<transpose_cases>),
      view("permute", "Dimensions in another order", call_permute, samples<permute_cases>),
      view("slice", "A range of one dimension", call_slice, samples<slice_cases>),
      view("select", "One index of a dimension", call_select, samples<select_cases>),
      view("unsqueeze", "A new dimension of size 1", call_unsqueeze, samples<unsqueeze_cases>),
      view("squeeze", "A dimension of size 1 dropped", call_squeeze, samples<squeeze_cases>),
      view("expand", "Dimensions repeated without a copy", call_expand, samples<expand_cases>),
      view("split", "A dimension cut into pieces", call_split, samples<split_cases>),
      copy("contiguous", "A dense copy of a strided view", call_contiguous,
           samples<contiguous_cases>, path_samples<contiguous_paths>),
      copy("concat", "Tensors joined along a dimension", call_concat, samples<concat_cases>,
           path_samples<concat_paths>),
      copy("stack", "Tensors joined along a new dimension", call_stack, samples<stack_cases>,
           path_samples<stack_paths>),
      copy("cast", "Another element type (to float64 in this row)", call_cast, samples<cast_cases>,
           path_samples<cast_paths>),
  };
  rows[8].path_samples = path_samples<split_paths>;  // its gradient is a copy
  return rows;
}

}  // namespace xlstm
