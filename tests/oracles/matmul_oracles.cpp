#include <algorithm>

#include "tests/oracles/indices.h"
#include "tests/oracles/oracle_rows.h"

namespace xlstm::oracles {
namespace {

Tensors matmul(const Tensors& in, const OpAttributes& attributes) {
  const bool ta = attributes.has("transpose_a"), tb = attributes.has("transpose_b");
  const Tensor &a = in[0], &b = in[1];
  const int64_t M = a.size(ta ? -1 : -2), K = a.size(ta ? -2 : -1), N = b.size(tb ? -2 : -1);
  const size_t lead = std::max(a.shape().size(), b.shape().size()) - 2;
  Shape shape(lead, 1);
  for (size_t d = 0; d < lead; ++d) {
    const size_t from_right = lead - d + 2;
    for (const Tensor* x : {&a, &b})
      if (from_right <= x->shape().size() && x->shape()[x->shape().size() - from_right] != 1)
        shape[d] = x->shape()[x->shape().size() - from_right];
  }
  shape.push_back(M);
  shape.push_back(N);
  const Tensor y = Tensor::zeros(shape, DType::f64);
  for_each_index(shape, [&](const Shape& i) {
    Shape ia = i, ib = i;
    for (int64_t k = 0; k < K; ++k) {
      ia[lead + (ta ? 1 : 0)] = i[lead];
      ia[lead + (ta ? 0 : 1)] = k;
      ib[lead + (tb ? 1 : 0)] = k;
      ib[lead + (tb ? 0 : 1)] = i[lead + 1];
      at(y, i) += at(a, ia) * at(b, ib);
    }
  });
  return {y};
}

Tensors linear(const Tensors& in, const OpAttributes&) {
  const Tensor &x = in[0], &w = in[1];
  Shape shape = x.shape();
  shape.back() = w.size(0);
  const Tensor y = Tensor::zeros(shape, DType::f64);
  for_each_index(shape, [&](const Shape& i) {
    Shape from = i;
    double sum = in[2].defined() ? in[2].data<double>()[i.back()] : 0;
    for (int64_t k = 0; k < w.size(1); ++k) {
      from.back() = k;
      sum += at(x, from) * at(w, {i.back(), k});
    }
    at(y, i) = sum;
  });
  return {y};
}

}  // namespace

OracleRows matmul_oracles() {
  return {{"matmul", matmul}, {"linear", linear}};
}

}  // namespace xlstm::oracles
