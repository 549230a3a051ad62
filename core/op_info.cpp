#include "core/op_info.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/ops/op_rows.h"
#include "core/variant_log.h"

namespace xlstm {

double OpAttributes::get(const std::string& name, double fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? fallback : found->second;
}

int64_t OpAttributes::get_int(const std::string& name, int64_t fallback) const {
  return static_cast<int64_t>(get(name, static_cast<double>(fallback)));
}

const std::vector<OpInfo>& op_table() {
  static const std::vector<OpInfo> table = [] {
    std::vector<OpInfo> all;
    for (const auto rows : kOpGroups)
      for (const OpInfo& row : rows()) all.push_back(row);
    return all;
  }();
  return table;
}

const OpInfo* find_op(const std::string& name) {
  for (const OpInfo& row : op_table())
    if (name == row.name) return &row;
  return nullptr;
}

std::vector<int64_t> differentiable_inputs(const OpInfo& op, const OpSample& sample) {
  if (!op.has_gradient) return {};
  if (!sample.differentiable.empty()) return sample.differentiable;
  std::vector<int64_t> indices;
  for (size_t i = 0; i < sample.inputs.size(); ++i)
    if (sample.inputs[i].defined() && is_floating(sample.inputs[i].dtype()))
      indices.push_back(static_cast<int64_t>(i));
  return indices;
}

OpWork work_of(const OpInfo& op, const OpSample& sample, Pass pass) {
  OpWork work{op.flops(sample), op.bytes(sample)};
  if (pass == Pass::forward) return work;
  Tensors gradients;
  for (const int64_t i : differentiable_inputs(op, sample))
    gradients.push_back(sample.inputs[static_cast<size_t>(i)]);
  work.flops = op.backward_flops != nullptr ? op.backward_flops(sample) : 2 * work.flops;
  work.bytes =
      op.backward_bytes != nullptr ? op.backward_bytes(sample) : work.bytes + bytes_of(gradients);
  return work;
}

namespace {

// New memory for x in another type and place, with gaps and the order of dimensions as x has them.
Tensor with_strides_of(const Tensor& x, DType dtype, Device device) {
  int64_t extent = 1;
  bool repeats = false;
  for (int64_t d = 0; d < x.dim(); ++d) {
    extent += (x.size(d) - 1) * x.stride(d);
    repeats = repeats || (x.stride(d) <= 0 && x.size(d) > 1);
  }
  if (x.is_contiguous() || x.numel() == 0 || repeats)
    return Tensor::empty(x.shape(), dtype, device);
  return Tensor::zeros({extent}, dtype, device).strided_view(x.shape(), x.strides());
}

}  // namespace

OpSample placed(const OpInfo& op, const OpSample& sample, DType dtype, Device device) {
  OpSample out = sample;
  for (size_t i = 0; i < out.inputs.size(); ++i) {
    Tensor& input = out.inputs[i];
    if (!input.defined()) continue;
    const bool is_wide = op.all_wide || std::find(op.wide_inputs.begin(), op.wide_inputs.end(),
                                                  static_cast<int64_t>(i)) != op.wide_inputs.end();
    const DType to = !is_floating(input.dtype()) ? input.dtype()
                     : is_wide                   ? wide_type(dtype)
                                                 : dtype;
    const Tensor values = input.to(device);
    input = with_strides_of(input, to, device);
    input.copy_from(values);
  }
  return out;
}

std::vector<KernelVariant> variants_of(const OpInfo& op, DeviceType device) {
  if (op.variants.empty()) return {{"portable", device}};
  std::vector<KernelVariant> out;
  for (const KernelVariant& variant : op.variants)
    if (variant.device == device) out.push_back(variant);
  return out;
}

bool force_reference() {
  const char* value = std::getenv("XLSTM_FORCE_REFERENCE");
  const bool forced = value != nullptr && std::strcmp(value, "1") == 0;
  if (forced) note_variant("reference");
  return forced;
}

Tensor random_tensor(const Shape& shape, DType dtype, Generator& generator, double mean,
                     double std) {
  Tensor t = Tensor::empty(shape, dtype);
  fill_normal(t, mean, std, generator);
  return t;
}

double numel_of(const Tensors& tensors) {
  double n = 0;
  for (const Tensor& t : tensors)
    if (t.defined()) n += static_cast<double>(t.numel());
  return n;
}

double bytes_of(const Tensors& tensors) {
  double n = 0;
  for (const Tensor& t : tensors)
    if (t.defined()) n += static_cast<double>(t.numel() * size_of(t.dtype()));
  return n;
}

}  // namespace xlstm
