#include "core/ops/view.h"

#include "core/autograd.h"
#include "core/ops/activation.h"
#include "core/ops/elementwise.h"
#include "core/ops/kernel_call.h"
#include "core/ops/reduce.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

Tensor counting(const Shape& shape, DType dtype = DType::f64) {
  std::vector<double> values(static_cast<size_t>(element_count(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i) / 8;
  Tensor t = Tensor::empty(shape, dtype);
  t.copy_from(Tensor::from(values, shape));
  return t;
}

bool shares_memory(const Tensor& a, const Tensor& b) {
  return a.impl()->storage == b.impl()->storage;
}

TEST_CASE("reshape is a view exactly where strides allow it") {
  const Tensor x = counting({4, 6});
  CHECK(shares_memory(ops::reshape(x, {2, 2, 3, 2}), x));
  const Tensor columns = ops::slice(x, 1, 0, 4);  // rows have gaps
  CHECK(shares_memory(ops::reshape(columns, {2, 2, 2, 2}), x));
  CHECK_FALSE(shares_memory(ops::reshape(columns, {16}), x));
  const Tensor turned = ops::transpose(x, 0, 1);
  CHECK(shares_memory(ops::reshape(turned, {2, 3, 4}), x));
  CHECK_FALSE(shares_memory(ops::reshape(turned, {24}), x));
  CHECK(ops::reshape(turned, {24}).to_vector<double>() == turned.to_vector<double>());
  CHECK(ops::reshape(columns, {2, 2, 2, 2}).to_vector<double>() == columns.to_vector<double>());
}

TEST_CASE("rows are viewed where they are dense, and copied where they repeat or have gaps") {
  const Tensor x = counting({2, 3, 8});
  const Tensor half = ops::slice(x, 2, 4, 8);
  const Tensor rows = ops::as_rows(half);
  CHECK(shares_memory(rows, x));
  CHECK(rows.shape() == Shape{6, 4});
  CHECK(rows.strides() == Shape{8, 1});
  const Tensor repeated = ops::expand(counting({4}), {3, 4});
  CHECK(ops::as_rows(repeated).to_vector<double>() == repeated.to_vector<double>());
  CHECK(ops::as_rows(repeated).stride(0) == 4);
  const Tensor turned = ops::transpose(x, 1, 2);
  CHECK(ops::as_rows(turned).to_vector<double>() == turned.to_vector<double>());
}

TEST_CASE(
    "a split's gradient is the same whether its pieces' gradients lie side by side or apart") {
  Tensor x = counting({3, 8});
  x.set_requires_grad(true);
  for (const bool up_first : {false, true}) {
    x.set_grad({});
    const Tensors parts = ops::split(ops::scale(x, 2), {4, 4}, -1);
    const Tensor y =
        ops::gated(parts[up_first ? 1 : 0], parts[up_first ? 0 : 1], ops::Activation::silu);
    autograd::backward(ops::sum(y));
    // The same through copies of the pieces, which lie apart.
    Tensor z = x.detach();
    z.set_requires_grad(true);
    const Tensors apart = ops::split(ops::scale(z, 2), {4, 4}, -1);
    const Tensor w = ops::gated(ops::add_scalar(apart[up_first ? 1 : 0], 0),
                                ops::add_scalar(apart[up_first ? 0 : 1], 0), ops::Activation::silu);
    autograd::backward(ops::sum(w));
    CHECK(x.grad().to_vector<double>() == z.grad().to_vector<double>());
  }
}

TEST_CASE("a piece of a split that nobody used has gradient 0") {
  Tensor x = counting({2, 5});
  x.set_requires_grad(true);
  autograd::backward(ops::sum(ops::split(x, {2, 3}, 1)[1]));
  CHECK(x.grad().to_vector<double>() == std::vector<double>{0, 0, 1, 1, 1, 0, 0, 1, 1, 1});
}

TEST_CASE("casts round as the type does and carry the gradient back") {
  Tensor x = Tensor::from(std::vector<float>{1.00390625f, -2.5f, 3.14159274f}, {3});
  x.set_requires_grad(true);
  const Tensor y = ops::cast(ops::cast(x, DType::bf16), DType::f32);
  CHECK(y.to_vector<float>() == std::vector<float>{1, -2.5f, 3.140625f});
  autograd::backward(ops::sum(ops::scale(y, 2)));
  CHECK(x.grad().to_vector<float>() == std::vector<float>{2, 2, 2});
  CHECK_FALSE(ops::cast(x, DType::i64).requires_grad());
}

TEST_CASE("shapes that do not fit are refused") {
  const Tensor x = counting({2, 3});
  CHECK_THROWS_AS(ops::reshape(x, {4}), ShapeError);
  CHECK_THROWS_AS(ops::reshape(x, {-1, -1}), ShapeError);
  CHECK_THROWS_AS(ops::reshape(x, {4, -1}), ShapeError);
  CHECK_THROWS_AS(ops::reshape(counting({0, 3}), {0, -1}), ShapeError);
  CHECK_THROWS_AS(ops::permute(x, {0, 0}), ShapeError);
  CHECK_THROWS_AS(ops::permute(x, {0}), ShapeError);
  CHECK_THROWS_AS(ops::transpose(x, 0, 2), ShapeError);
  CHECK_THROWS_AS(ops::slice(x, 0, 1, 3), ShapeError);
  CHECK_THROWS_AS(ops::slice(x, 0, 2, 1), ShapeError);
  CHECK_THROWS_AS(ops::select(x, 1, 3), ShapeError);
  CHECK_THROWS_AS(ops::squeeze(x, 0), ShapeError);
  CHECK_THROWS_AS(ops::expand(x, {2, 4}), ShapeError);
  CHECK_THROWS_AS(ops::expand(x, {1, 3}), ShapeError);
  CHECK_THROWS_AS(ops::split(x, {1, 3}, 1), ShapeError);
  CHECK_THROWS_AS(ops::split(x, {1, 1}, 1), ShapeError);
  CHECK_THROWS_AS(ops::split(x, {-1, 4}, 1), ShapeError);
  CHECK_THROWS_AS(ops::concat({x, counting({3, 3})}, 1), ShapeError);
  CHECK_THROWS_AS(ops::concat({x, counting({2, 3}, DType::f32)}, 1), ShapeError);
  CHECK_THROWS_AS(ops::concat({}, 0), ShapeError);
  CHECK_THROWS_AS(ops::sum_to(x, {3, 2}), ShapeError);
  CHECK_THROWS_AS(ops::mean(counting({0})), ShapeError);
  CHECK_THROWS_AS(ops::max(counting({0, 2}), 0), ShapeError);
}

}  // namespace
}  // namespace xlstm
