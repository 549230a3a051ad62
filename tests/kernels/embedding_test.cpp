#include "kernels/embedding/embedding.h"

#include <omp.h>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/embedding.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

Tensor ids(const std::vector<int64_t>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())});
}

TEST_CASE("a gradient row is the sum over the token's positions, other rows are 0") {
  Tensor weight = Tensor::zeros({4, 2}, DType::f64);
  weight.set_requires_grad(true);
  const Tensor y = ops::embedding(ids({3, 1, 3}), weight);
  autograd::backward(y, Tensor::from(std::vector<double>{1, 2, 10, 20, 100, 200}, {3, 2}));
  CHECK(weight.grad().to_vector<double>() == std::vector<double>{0, 0, 10, 20, 0, 0, 101, 202});
}

TEST_CASE("ten thousand equal gradients of one token are summed exactly") {
  // In float, adding 0.1 ten thousand times one by one ends near 999.9.
  Tensor weight = Tensor::zeros({3, 2});
  weight.set_requires_grad(true);
  const Tensor y = ops::embedding(Tensor::zeros({10000}, DType::i64), weight);
  autograd::backward(y, Tensor::full({10000, 2}, 0.1));
  CHECK(weight.grad().to_vector<float>()[0] == Approx(1000.0).epsilon(1e-7));
}

TEST_CASE("the table's gradient is the same for any number of threads") {
  const int before = omp_get_max_threads();
  std::vector<std::vector<float>> grads;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    Generator generator{9, 0};
    Tensor weight = random_tensor({500, 160}, DType::f32, generator);
    weight.set_requires_grad(true);
    std::vector<int64_t> tokens;
    for (int64_t t = 0; t < 2000; ++t) tokens.push_back(t * t % 97 * (t % 5));
    autograd::backward(ops::embedding(ids(tokens), weight),
                       random_tensor({2000, 160}, DType::f32, generator));
    grads.push_back(weight.grad().to_vector<float>());
  }
  omp_set_num_threads(before);
  CHECK(grads[0] == grads[1]);
  CHECK(grads[0] == grads[2]);
}

TEST_CASE("backward uses the tokens of the forward pass even if their buffer was refilled") {
  Tensor weight = Tensor::zeros({3, 1}, DType::f64), tokens = ids({0, 2});
  weight.set_requires_grad(true);
  const Tensor y = ops::embedding(tokens, weight);
  tokens.fill(1);
  autograd::backward(y, Tensor::full({2, 1}, 1, DType::f64));
  CHECK(weight.grad().to_vector<double>() == std::vector<double>{1, 0, 1});
}

TEST_CASE("a token outside the table is named") {
  const Tensor weight = Tensor::zeros({4, 2});
  CHECK_THROWS_WITH(ops::embedding(ids({1, 4}), weight),
                    test::contains("got 4 at position 1, expected 0 to 3"));
  CHECK_THROWS_AS(ops::embedding(ids({-1}), weight), ShapeError);
  CHECK_THROWS_AS(ops::embedding(Tensor::zeros({2}), weight), ShapeError);
  CHECK_THROWS_AS(ops::embedding(ids({0}), Tensor::zeros({4})), ShapeError);
  CHECK_THROWS_AS(ops::embedding(ids({0}), Tensor::zeros({0, 3})), ShapeError);
}

TEST_CASE("the embedding kernels name what is wrong with their arguments") {
  const int64_t tokens[2] = {0, 5};
  float table[8] = {}, y[4] = {};
  xlstm_embedding_fwd_args args{XLSTM_F32, XLSTM_F32, 2, 4, 2, tokens, table, 2, y, 2};
  CHECK(xlstm_embedding_fwd_cpu(&args, {}) == XLSTM_BAD_VALUE);
  args.n_tokens = 1;
  CHECK(xlstm_embedding_fwd_cpu(&args, {}) == XLSTM_OK);
  args.dtype = XLSTM_F16;
  CHECK(xlstm_embedding_fwd_cpu(&args, {}) == XLSTM_BAD_DTYPE);
  args.D = -1;
  CHECK(xlstm_embedding_fwd_cpu(&args, {}) == XLSTM_BAD_SIZE);
  xlstm_embedding_bwd_args backward{XLSTM_F32, XLSTM_F32, 1, 4, 2, tokens, y, 2, table};
  CHECK(xlstm_embedding_bwd_cpu(&backward, {}) == XLSTM_WORKSPACE_TOO_SMALL);
  backward.dweight = nullptr;
  CHECK(xlstm_embedding_bwd_cpu(&backward, {}) == XLSTM_NULL_POINTER);
}

}  // namespace
}  // namespace xlstm
