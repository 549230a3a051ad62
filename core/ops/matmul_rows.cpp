#include "core/ops/linear_few.h"
#include "core/ops/matmul.h"
#include "core/ops/op_rows.h"
#include "core/ops/view.h"

namespace xlstm {
namespace {

Tensors call_matmul(const Tensors& in, const OpAttributes& a) {
  // "transpose_a", "transpose_b": the input is stored the other way round and read as a view.
  const auto turned = [](const Tensor& x, bool turn) {
    if (!turn) return x;
    return ops::transpose(x, -1, -2);
  };
  return {ops::matmul(turned(in[0], a.has("transpose_a")), turned(in[1], a.has("transpose_b")))};
}

Tensors call_linear(const Tensors& in, const OpAttributes&) {
  return {ops::linear(in[0], in[1], in[2])};
}

std::vector<OpSample> matmul_samples(SampleSize size, DType dtype, Generator& g) {
  const auto pair = [&](const char* label, const Shape& a, const Shape& b,
                        const OpAttributes& attributes = {}) {
    return OpSample{label, {random_tensor(a, dtype, g), random_tensor(b, dtype, g)}, attributes};
  };
  if (size == SampleSize::bench)
    return {pair("2048x512x2048", {2048, 512}, {512, 2048}),
            pair("batch 32 of 64x64x64", {32, 64, 64}, {32, 64, 64})};
  return {pair("3x5x2", {3, 5}, {5, 2}),
          pair("one by one", {1, 1}, {1, 1}),
          pair("row by column", {1, 7}, {7, 1}),
          pair("column by row", {5, 1}, {1, 3}),
          pair("left stored transposed", {5, 3}, {5, 2}, {{"transpose_a", 1}}),
          pair("right stored transposed", {3, 5}, {2, 5}, {{"transpose_b", 1}}),
          pair("both stored transposed", {2, 5, 3}, {2, 4, 5},
               {{"transpose_a", 1}, {"transpose_b", 1}}),
          pair("batch", {2, 3, 2, 5}, {2, 3, 5, 3}),
          pair("batch on the left", {2, 3, 4}, {4, 2}),
          pair("batch on the right", {3, 4}, {2, 4, 2}),
          pair("batches broadcast", {2, 1, 3, 2}, {3, 2, 4}),
          pair("empty rows", {0, 3}, {3, 2}),
          pair("empty batch", {0, 2, 3}, {3, 2}),
          pair("nothing to sum", {3, 0}, {0, 2})};
}

std::vector<OpSample> linear_samples(SampleSize size, DType dtype, Generator& g) {
  const auto with = [&](const char* label, const Shape& x, int64_t O, bool bias) {
    const int64_t I = x.back();
    return OpSample{label,
                    {random_tensor(x, dtype, g), random_tensor({O, I}, dtype, g),
                     bias ? random_tensor({O}, dtype, g) : Tensor{}},
                    {}};
  };
  if (size == SampleSize::bench)
    return {with("2048x512 to 2048", {2048, 512}, 2048, true),
            with("2048x256 to 4096", {2048, 256}, 4096, false),
            with("one row of 1024 to 1024", {1, 1024}, 1024, false)};
  return {with("bias", {2, 3, 5}, 4, true),    with("no bias", {7, 3}, 2, false),
          with("one row", {1, 11}, 3, true),   with("vector", {5}, 3, true),
          with("one to one", {3, 1}, 1, true), with("more rows than a vector", {19, 2}, 17, true),
          with("empty", {0, 3}, 2, true),      with("no inputs", {2, 0}, 3, true)};
}

std::vector<LargeSample> matmul_path_samples() {
  const auto pair = [](const char* label, const Shape& a, const Shape& b,
                       const OpAttributes& attributes) {
    return LargeSample{label, [=](DType dtype, Generator& g) {
                         return OpSample{label,
                                         {random_tensor(a, dtype, g), random_tensor(b, dtype, g)},
                                         attributes};
                       }};
  };
  return {pair("256x192x320", {256, 192}, {192, 320}, {}),
          pair("batch 6 of 64x72x64", {6, 64, 72}, {6, 72, 64}, {}),
          pair("both stored transposed, 128x96x64", {96, 128}, {64, 96},
               {{"transpose_a", 1}, {"transpose_b", 1}}),
          pair("3x40 on the left of 65x33", {3, 40, 65}, {65, 33}, {})};
}

// Few rows, read by vectors or one number at a time, with one and with two blocks of rows of the
// weight; and many.
std::vector<LargeSample> linear_path_samples() {
  std::vector<LargeSample> out;
  const auto add = [&out](int64_t rows, int64_t I, int64_t O, bool bias) {
    const std::string label = std::to_string(rows) + "x" + std::to_string(I) + " to " +
                              std::to_string(O) + (bias ? ", bias" : "");
    out.push_back({label, [=](DType dtype, Generator& g) {
                     return OpSample{
                         label,
                         {random_tensor({rows, I}, dtype, g), random_tensor({O, I}, dtype, g),
                          bias ? random_tensor({O}, dtype, g) : Tensor{}},
                         {}};
                   }});
  };
  add(1, 768, 512, true);
  add(8, 768, 520, false);
  add(16, 1024, 768, true);
  add(3, 77, 33, true);
  add(17, 256, 320, true);
  add(200, 256, 384, true);
  return out;
}

std::vector<LargeSample> large_matmul() {
  const char* label = "8192x8192x8192";
  return {{label, [label](DType dtype, Generator& g) {
             return OpSample{
                 label,
                 {random_tensor({8192, 8192}, dtype, g), random_tensor({8192, 8192}, dtype, g)},
                 {}};
           }}};
}

// The products of language models: width 768 to 4096, feed-forward, head; and decoding.
std::vector<LargeSample> large_linear() {
  std::vector<LargeSample> out;
  const auto add = [&out](int64_t rows, int64_t I, int64_t O) {
    const std::string label =
        std::to_string(rows) + "x" + std::to_string(I) + " to " + std::to_string(O);
    out.push_back({label, [=](DType dtype, Generator& g) {
                     return OpSample{label,
                                     {random_tensor({rows, I}, dtype, g),
                                      random_tensor({O, I}, dtype, g), Tensor{}},
                                     {}};
                   }});
  };
  add(32768, 768, 768);
  add(32768, 768, 3072);
  add(32768, 2048, 2048);
  add(32768, 2048, 5504);
  add(32768, 4096, 4096);
  add(32768, 1024, 50304);
  add(1, 4096, 4096);
  add(16, 4096, 4096);
  return out;
}

// Multiplications and additions: twice the product of all sizes.
double matmul_flops(const OpSample& sample) {
  const Tensor &a = sample.inputs[0], &b = sample.inputs[1];
  const double n_a = static_cast<double>(a.numel()), n_b = static_cast<double>(b.numel());
  if (n_a == 0 || n_b == 0) return 0;
  const bool ta = sample.attributes.has("transpose_a"), tb = sample.attributes.has("transpose_b");
  const double M = static_cast<double>(a.size(ta ? -1 : -2)),
               K = static_cast<double>(a.size(ta ? -2 : -1));
  const double N = static_cast<double>(b.size(tb ? -2 : -1));
  return 2 * M * K * N * std::max(n_a / (M * K), n_b / (K * N));
}
double linear_flops(const OpSample& sample) {
  return 2 * static_cast<double>(sample.inputs[0].numel()) *
         static_cast<double>(sample.inputs[1].size(0));
}
double matmul_bytes(const OpSample& sample) {
  const Tensor &a = sample.inputs[0], &b = sample.inputs[1];
  const double inner = static_cast<double>(a.size(sample.attributes.has("transpose_a") ? -2 : -1));
  const double results = inner > 0 ? matmul_flops(sample) / (2 * inner) : 0;
  return bytes_of({a, b}) + results * static_cast<double>(size_of(a.dtype()));
}
double linear_bytes(const OpSample& sample) {
  const Tensor& x = sample.inputs[0];
  const double rows = x.size(-1) > 0 ? static_cast<double>(x.numel() / x.size(-1)) : 0;
  return bytes_of(sample.inputs) + rows * static_cast<double>(sample.inputs[1].size(0)) *
                                       static_cast<double>(size_of(x.dtype()));
}

}  // namespace

std::vector<OpInfo> matmul_rows() {
  std::vector<OpInfo> rows = {
      {"matmul", "matmul", "Matrix product of batches", call_matmul, nullptr, matmul_samples,
       matmul_flops, matmul_bytes},
      {"linear", "matmul", "Linear map x W^T + bias", call_linear, nullptr, linear_samples,
       linear_flops, linear_bytes},
  };
  rows[0].large_samples = large_matmul;
  rows[1].large_samples = large_linear;
  rows[0].path_samples = matmul_path_samples;
  rows[1].path_samples = linear_path_samples;
  const KernelVariant blas{"blas", DeviceType::cpu}, cublaslt{"cublaslt", DeviceType::cuda};
  rows[0].variants = {blas, cublaslt};
  rows[1].variants = {blas,
                      {"few_rows", DeviceType::cuda, "16 bits, 1 to 16 rows, no gradient",
                       ops::kLinearFewRows, false},
                      {"cublaslt", DeviceType::cuda, "", ops::kLinearCublaslt}};
  return rows;
}

}  // namespace xlstm
