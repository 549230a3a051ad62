#include "tests/oracles/oracles.h"

namespace xlstm::oracles {
namespace {

Tensors embedding(const Tensors& in, const OpAttributes&) {
  const int64_t D = in[1].size(1);
  Shape shape = in[0].shape();
  shape.push_back(D);
  const Tensor y = Tensor::empty(shape, DType::f64);
  for (int64_t t = 0; t < in[0].numel(); ++t)
    for (int64_t d = 0; d < D; ++d)
      y.data<double>()[t * D + d] = in[1].data<double>()[in[0].data<int64_t>()[t] * D + d];
  return {y};
}

}  // namespace

OracleRows embedding_oracles() {
  return {{"embedding", embedding}};
}

}  // namespace xlstm::oracles
