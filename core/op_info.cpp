#include "core/op_info.h"

#include <cstdlib>
#include <cstring>

#include "core/ops/op_rows.h"

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

bool force_reference() {
  const char* value = std::getenv("XLSTM_FORCE_REFERENCE");
  return value != nullptr && std::strcmp(value, "1") == 0;
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
