#include "core/ops/elementwise.h"
#include "core/ops/headwise_linear.h"
#include "core/ops/matmul.h"
#include "core/ops/view.h"

namespace xlstm::ops {

Tensor headwise_linear_composed(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const int64_t H = weight.size(0), O = weight.size(1), I = weight.size(2);
  Shape shape = x.shape();
  shape.pop_back();
  const int64_t N = element_count(shape);
  shape.push_back(H * O);
  const Tensor heads = permute(reshape(x, {N, H, I}), {1, 0, 2});
  const Tensor y = matmul(heads, transpose(weight, 1, 2));
  const Tensor joined = reshape(permute(y, {1, 0, 2}), shape);
  return bias.defined() ? add(joined, bias) : joined;
}

}  // namespace xlstm::ops
