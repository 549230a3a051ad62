#include "core/ops/linear_cross_entropy.h"

#include <algorithm>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/cross_entropy_pass.h"
#include "core/ops/elementwise.h"
#include "core/ops/kernel_call.h"
#include "core/ops/matmul.h"
#include "core/ops/matrix_product.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"

namespace xlstm::ops {
namespace {

constexpr const char* kName = "linear_cross_entropy";
constexpr int64_t kChunkBytes = int64_t{256} << 20, kChunkBytesOnCuda = int64_t{1} << 30;
constexpr int64_t kRowStep = 128;

// float16 has few bits left for probabilities below 6e-5, so the gradients are taken of the loss
// times this and divided again in float32.
double kept_scale(DType dtype) {
  return dtype == DType::f16 ? 128 : 1;
}

void check(const Tensor& hidden, const Tensor& weight, const Tensor& targets,
           const LinearCrossEntropyOptions& options) {
  require<ShapeError>(hidden.defined() && hidden.dim() >= 1 && weight.defined() &&
                          weight.dim() == 2 && targets.defined() &&
                          hidden.size(-1) == weight.size(1),
                      kName, ": shapes do not fit, got hidden ",
                      hidden.defined() ? to_string(hidden.shape()) : "nothing", " and weight ",
                      weight.defined() ? to_string(weight.shape()) : "nothing",
                      ", expected [..., D] and [n_vocab, D] beside targets [...]");
  require_computes(hidden, kName, "hidden");
  require_weight(weight, weight.shape(), hidden.dtype(), kName, "weight");
  require<ConfigError>(options.chunk_rows >= 0, kName, ": chunk_rows must not be negative, got ",
                       options.chunk_rows, " (0: chosen by size)");
  check_targets(targets, Shape(hidden.shape().begin(), hidden.shape().end() - 1), weight.size(0),
                options.soft_cap, options.ignore_index, kName);
}

int64_t rows_per_chunk(int64_t n_vocab, DType wide, Device device, int64_t wanted) {
  if (wanted > 0) return wanted;
  const int64_t bytes = device == kCpu ? kChunkBytes : kChunkBytesOnCuda;
  const int64_t fit = bytes / (std::max<int64_t>(1, n_vocab) * size_of(wide));
  return std::max(kRowStep, fit / kRowStep * kRowStep);
}

// Elements [first, first + n) of the first dimension.
Tensor part(const Tensor& x, int64_t first, int64_t n) {
  Shape shape = x.shape();
  shape[0] = n;
  return x.strided_view(shape, x.strides(), first * x.stride(0));
}

struct Pass {
  Tensor loss;     // mean over the counted rows
  Tensor counted;  // their number, at least 1, in the wide type
  // Gradients of kept_scale times the summed loss, in the wide type; undefined if not wanted.
  Tensor dhidden, dweight;
};

// hidden [rows, D] and weight of one type.
Pass run(const Tensor& hidden, const Tensor& weight, const Tensor& targets,
         const LinearCrossEntropyOptions& options, bool wants_hidden, bool wants_weight) {
  const autograd::NoGrad no_grad;
  const DType dtype = hidden.dtype(), wide = wide_type(dtype);
  const Device device = hidden.device();
  const int64_t rows = hidden.size(0), n_vocab = weight.size(0);
  const int64_t step = std::min(std::max<int64_t>(1, rows),
                                rows_per_chunk(n_vocab, wide, device, options.chunk_rows));
  const int64_t n_chunks = (rows + step - 1) / step;
  const bool wants_gradient = wants_hidden || wants_weight;
  Pass pass;
  if (wants_hidden) pass.dhidden = Tensor::empty(hidden.shape(), wide, device);
  if (wants_weight && rows == 0) pass.dweight = Tensor::zeros(weight.shape(), wide, device);
  if (wants_weight && rows > 0) pass.dweight = Tensor::empty(weight.shape(), wide, device);
  const Tensor logits = Tensor::empty({std::min(step, rows), n_vocab}, wide, device);
  const Tensor gradient = wants_gradient && dtype != wide
                              ? Tensor::empty(logits.shape(), dtype, device)
                              : logits;  // the gradient takes the place of the logits
  const Tensor unit = Tensor::full({}, kept_scale(dtype), wide, device);
  const Tensor losses = Tensor::empty({n_chunks}, wide, device);
  const Tensor counts = Tensor::empty({n_chunks}, DType::i64, device);
  for (int64_t chunk = 0; chunk < n_chunks; ++chunk) {
    const int64_t first = chunk * step, n = std::min(step, rows - first);
    const Tensor x = part(hidden, first, n), z = part(logits, 0, n);
    multiply_into(x, transposed(weight), 0, z);
    CrossEntropyRows statistics{
        part(targets, first, n), options.ignore_index, options.soft_cap, {}, {}};
    cross_entropy_forward(z, statistics, part(losses, chunk, 1), part(counts, chunk, 1));
    if (!wants_gradient) continue;
    const Tensor dz = part(gradient, 0, n);
    cross_entropy_backward(z, statistics, {}, unit, dz);
    if (wants_hidden) multiply_into(dz, weight, 0, part(pass.dhidden, first, n));
    if (wants_weight) multiply_into(transposed(dz), x, chunk == 0 ? 0 : 1, pass.dweight);
  }
  // The chunks' means, weighted by what they counted.
  const Tensor counted = cast(counts, wide);
  pass.counted = maximum(sum(counted), Tensor::full({}, 1, wide, device));
  pass.loss = sum(mul(losses, div(counted, pass.counted)));
  return pass;
}

}  // namespace

Tensor linear_cross_entropy(const Tensor& hidden, const Tensor& weight, const Tensor& targets,
                            const LinearCrossEntropyOptions& options) {
  const OpScope scope(kName, {hidden, weight, targets});
  check(hidden, weight, targets, options);
  if (force_reference()) return linear_cross_entropy_composed(hidden, weight, targets, options);
  const Tensors inputs{hidden, weight};
  const bool recorded = autograd::must_record(inputs);
  const Tensor narrow_weight = in_type(weight, hidden.dtype());
  const Tensor ids = dense(targets);
  const Pass pass =
      run(as_rows(hidden), narrow_weight, ids.strided_view({ids.numel()}, {1}), options,
          recorded && hidden.requires_grad(), recorded && weight.requires_grad());
  if (recorded) {
    autograd::record(kName, inputs, {pass.loss},
                     [dhidden = pass.dhidden, dweight = pass.dweight, shape = hidden.shape(),
                      dtype = hidden.dtype(), weight_dtype = weight.dtype(),
                      divisor = scale(pass.counted, kept_scale(hidden.dtype()))](const Tensors& g) {
                       Tensors grads(2);
                       if (!g[0].defined()) return grads;
                       const Tensor factor = div(g[0], divisor);
                       if (dhidden.defined())
                         grads[0] = cast(reshape(mul(dhidden, factor), shape), dtype);
                       if (dweight.defined()) grads[1] = cast(mul(dweight, factor), weight_dtype);
                       return grads;
                     });
  }
  return pass.loss;
}

Tensor linear_cross_entropy_composed(const Tensor& hidden, const Tensor& weight,
                                     const Tensor& targets,
                                     const LinearCrossEntropyOptions& options) {
  return cross_entropy_composed(linear_wide(hidden, weight), targets, options.soft_cap,
                                options.ignore_index)
      .loss;
}

}  // namespace xlstm::ops
