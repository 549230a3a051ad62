#include "core/op_info.h"
#include "core/ops/adamw.h"
#include "core/ops/elementwise.h"
#include "core/ops/view.h"

namespace xlstm {
namespace {

// The updates write into their arguments; the rows give them copies and return these. With the
// attribute "copy" they also write the parameter in bfloat16, as mixed precision wants it.
Tensors adamw_in_place(const Tensors& in, const OpAttributes& a) {
  ops::AdamwOptions options{a.get("lr"),           a.get("beta1", 0.9), a.get("beta2", 0.95),
                            a.get("eps", 1e-8),    a.get("wd"),         a.get_int("step", 1),
                            a.get("grad_scale", 1)};
  Tensors out{in[0], in[2], in[3]};
  if (a.has("copy")) {
    options.copy = Tensor::empty(in[0].shape(), DType::bf16, in[0].device());
    out.push_back(options.copy);
  }
  ops::adamw_update(in[0], in[1], in[2], in[3], options);
  return out;
}
// In place of the copy, by how much it is not the rounded parameter: nothing. Between parameters
// that differ in their last bit it may differ by far more.
Tensors adamw(const Tensors& in, const OpAttributes& a) {
  Tensors out = adamw_in_place({in[0].clone(), in[1], in[2].clone(), in[3].clone()}, a);
  if (out.size() == 3) return out;
  const DType dtype = in[0].dtype();
  out[3] = ops::sub(ops::cast(out[3], dtype), ops::cast(ops::cast(out[0], DType::bf16), dtype));
  return out;
}

Tensors sgd_in_place(const Tensors& in, const OpAttributes& a) {
  ops::sgd_update(in[0], in[1], in[2],
                  {a.get("lr"), a.get("momentum"), a.get("wd"), a.get("grad_scale", 1),
                   a.get("nesterov") != 0});
  return {in[0], in[2]};
}
Tensors sgd(const Tensors& in, const OpAttributes& a) {
  return sgd_in_place({in[0].clone(), in[1], in[2].defined() ? in[2].clone() : Tensor{}}, a);
}

Tensors sum_of_squares(const Tensors& in, const OpAttributes&) {
  return {Tensor::scalar(ops::sum_of_squares(in[0]), DType::f64)};
}

Tensors clip_in_place(const Tensors& in, const OpAttributes& a) {
  ops::clip_by_value(in[0], a.get("limit"));
  return {in[0]};
}
Tensors clip_by_value(const Tensors& in, const OpAttributes& a) {
  return clip_in_place({in[0].clone()}, a);
}

Tensors flat(const Shape& shape, int64_t n_tensors, DType dtype, Generator& g) {
  Tensors out;
  for (int64_t i = 0; i < n_tensors; ++i) out.push_back(random_tensor(shape, dtype, g));
  return out;
}

// Parameter, gradient, first moment, and a second moment that is not negative.
Tensors adamw_inputs(const Shape& shape, DType dtype, Generator& g) {
  Tensors in = flat(shape, 3, dtype, g);
  in.push_back(Tensor::empty(shape, dtype));
  fill_uniform(in[3], 0, 2, g);
  return in;
}

std::vector<OpSample> adamw_samples(SampleSize size, DType dtype, Generator& g) {
  if (size == SampleSize::bench)
    return {{"16 million", adamw_inputs({16777216}, dtype, g), {{"lr", 1e-3}, {"wd", 0.1}}}};
  return {
      {"first step", adamw_inputs({3, 5}, dtype, g), {{"lr", 0.01}}},
      {"step 10, decay, scaled gradient",
       adamw_inputs({67}, dtype, g),
       {{"lr", 0.1}, {"wd", 0.1}, {"step", 10}, {"grad_scale", 0.25}}},
      {"step a million", adamw_inputs({2}, dtype, g), {{"lr", 0.1}, {"step", 1e6}}},
      {"betas 0", adamw_inputs({4}, dtype, g), {{"lr", 0.1}, {"beta1", 0}, {"beta2", 0}}},
      {"several blocks", adamw_inputs({40000}, dtype, g), {{"lr", 0.01}, {"wd", 0.1}}},
      {"empty", adamw_inputs({0}, dtype, g), {{"lr", 0.1}}},
  };
}

std::vector<OpSample> sgd_samples(SampleSize size, DType dtype, Generator& g) {
  if (size == SampleSize::bench)
    return {{"16 million", flat({16777216}, 3, dtype, g), {{"lr", 0.1}, {"momentum", 0.9}}}};
  Tensors plain = flat({3, 5}, 2, dtype, g);
  plain.push_back({});
  return {
      {"no momentum", plain, {{"lr", 0.1}, {"wd", 0.01}, {"grad_scale", 0.5}}},
      {"momentum", flat({67}, 3, dtype, g), {{"lr", 0.1}, {"momentum", 0.9}, {"wd", 0.01}}},
      {"nesterov", flat({7}, 3, dtype, g), {{"lr", 0.1}, {"momentum", 0.9}, {"nesterov", 1}}},
      {"several blocks", flat({40000}, 3, dtype, g), {{"lr", 0.1}, {"momentum", 0.5}}},
      {"empty", flat({0, 3}, 3, dtype, g), {{"lr", 0.1}, {"momentum", 0.9}}},
  };
}

std::vector<OpSample> one_tensor_samples(SampleSize size, DType dtype, Generator& g) {
  const OpAttributes limit{{"limit", 0.7}};
  if (size == SampleSize::bench) return {{"16 million", flat({16777216}, 1, dtype, g), limit}};
  return {
      {"one", flat({}, 1, dtype, g), limit},
      {"small", flat({3, 7}, 1, dtype, g), limit},
      {"several blocks", flat({70001}, 1, dtype, g), limit},
      {"empty", flat({0}, 1, dtype, g), limit},
  };
}

std::vector<LargeSample> adamw_path_samples() {
  return {{"300001 elements, bfloat16 copy", [](DType dtype, Generator& g) {
             return OpSample{"300001 elements, bfloat16 copy",
                             adamw_inputs({300001}, dtype, g),
                             {{"lr", 1e-3}, {"wd", 0.1}, {"step", 3}, {"copy", 1}}};
           }}};
}
std::vector<LargeSample> sgd_path_samples() {
  return {{"300001 elements", [](DType dtype, Generator& g) {
             return OpSample{"300001 elements",
                             flat({300001}, 3, dtype, g),
                             {{"lr", 0.1}, {"momentum", 0.9}, {"nesterov", 1}}};
           }}};
}
std::vector<LargeSample> one_tensor_path_samples() {
  return {{"3000001 elements", [](DType dtype, Generator& g) {
             return OpSample{"3000001 elements", flat({3000001}, 1, dtype, g), {{"limit", 0.7}}};
           }}};
}

std::vector<LargeSample> large_adamw() {
  const auto sample = [](const char* label, const OpAttributes& attributes) {
    return LargeSample{
        label, [=](DType dtype, Generator& g) {
          return OpSample{label, adamw_inputs({int64_t{1} << 27}, dtype, g), attributes};
        }};
  };
  return {sample("134 million", {{"lr", 1e-3}, {"wd", 0.1}}),
          sample("134 million, bfloat16 copy as in training",
                 {{"lr", 1e-3}, {"wd", 0.1}, {"grad_scale", 0.5}, {"copy", 1}})};
}
std::vector<LargeSample> large_one_tensor() {
  return {
      {"134 million", [](DType dtype, Generator& g) {
         return OpSample{"134 million", flat({int64_t{1} << 27}, 1, dtype, g), {{"limit", 0.7}}};
       }}};
}

double n_elements(const OpSample& s) {
  return static_cast<double>(s.inputs[0].numel());
}
double bytes_in(const OpSample& s) {
  return bytes_of(s.inputs);
}

}  // namespace

std::vector<OpInfo> adamw_rows() {
  std::vector<OpInfo> rows = {
      {"adamw_update", "adamw", "One AdamW step in place", adamw, nullptr, adamw_samples,
       [](const OpSample& s) { return 14 * n_elements(s); },
       [](const OpSample& s) {
         const double copy = s.attributes.has("copy") ? 2 * n_elements(s) : 0;
         return 7.0 / 4.0 * bytes_in(s) + copy;
       },
       false},
      {"sgd_update", "adamw", "One SGD step in place, with momentum", sgd, nullptr, sgd_samples,
       [](const OpSample& s) { return 6 * n_elements(s); },
       [](const OpSample& s) { return 5.0 / 3.0 * bytes_in(s); }, false},
      {"sum_of_squares", "adamw", "Sum of squares in double, in a fixed order", sum_of_squares,
       nullptr, one_tensor_samples, [](const OpSample& s) { return 2 * n_elements(s); }, bytes_in,
       false},
      {"clip_by_value", "adamw", "Limits every element, in place", clip_by_value, nullptr,
       one_tensor_samples, n_elements, [](const OpSample& s) { return 2 * bytes_in(s); }, false},
  };
  for (OpInfo& row : rows) row.all_wide = true;
  rows[0].in_place = adamw_in_place;
  rows[0].large_samples = large_adamw;
  rows[2].large_samples = rows[3].large_samples = large_one_tensor;
  rows[0].path_samples = adamw_path_samples;
  rows[1].path_samples = sgd_path_samples;
  rows[2].path_samples = rows[3].path_samples = one_tensor_path_samples;
  rows[1].in_place = sgd_in_place;
  rows[3].in_place = clip_in_place;
  return rows;
}

}  // namespace xlstm
