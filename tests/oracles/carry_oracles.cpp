#include <cmath>

#include "tests/oracles/oracles.h"

namespace xlstm::oracles {
namespace {

Tensors store(const Tensors& in, const OpAttributes&) {
  const std::vector<double> from = in[0].to_vector<double>();
  std::vector<uint8_t> usable = in[2].to_vector<uint8_t>();
  for (size_t i = 0; i < from.size(); ++i)
    if (!std::isfinite(from[i])) usable[i / (from.size() / usable.size())] = 0;
  return {Tensor::from(from, in[0].shape()), Tensor::from(usable, in[2].shape())};
}

Tensors restart(const Tensors& in, const OpAttributes& a) {
  std::vector<double> x = in[0].to_vector<double>();
  const std::vector<uint8_t> fresh = in[1].to_vector<uint8_t>();
  const std::vector<uint8_t> usable = in[2].to_vector<uint8_t>();
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t row = i / (x.size() / fresh.size());
    if (fresh[row] == 1 || usable[row] == 0) x[i] = a.get("start");
  }
  return {Tensor::from(x, in[0].shape())};
}

}  // namespace

OracleRows carry_oracles() {
  return {{"carry_store", store}, {"carry_restart", restart}};
}

}  // namespace xlstm::oracles
