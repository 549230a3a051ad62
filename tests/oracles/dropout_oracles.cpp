#include "tests/oracles/oracles.h"
#include "tests/oracles/philox_oracle.h"

namespace xlstm::oracles {
namespace {

Tensors dropout(const Tensors& in, const OpAttributes& a) {
  const Tensor y = in[0].clone();
  const double p = a.get("p");
  for (int64_t i = 0; i < y.numel(); ++i) {
    const uint64_t counter = static_cast<uint64_t>(a.get_int("offset") + i / 4);
    const auto words = philox_words(static_cast<uint64_t>(a.get_int("seed")), counter, 0);
    const double u = static_cast<double>(words[static_cast<size_t>(i % 4)] / 256) / 16777216.0;
    y.data<double>()[i] *= u < p ? 0.0 : 1 / (1 - p);
  }
  return {y};
}

}  // namespace

OracleRows dropout_oracles() {
  return {{"dropout", dropout}};
}

}  // namespace xlstm::oracles
