#include "core/autograd.h"

#include <utility>

#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

// y = a * x * x elementwise, written as an op would be.
Tensor square_times(const Tensor& x, double a) {
  Tensor y = Tensor::empty(x.shape(), DType::f64);
  for (int64_t i = 0; i < x.numel(); ++i)
    y.data<double>()[i] = a * x.data<double>()[i] * x.data<double>()[i];
  if (autograd::must_record({x})) {
    autograd::record("square_times", {x}, {y},
                     [saved = autograd::Saved(x, "square_times"), a](const Tensors& g) {
                       const Tensor x0 = saved.get();
                       Tensor dx = Tensor::empty(x0.shape(), DType::f64);
                       for (int64_t i = 0; i < x0.numel(); ++i)
                         dx.data<double>()[i] =
                             2 * a * x0.data<double>()[i] * g[0].data<double>()[i];
                       return Tensors{dx};
                     });
  }
  return y;
}

Tensor leaf(double value) {
  Tensor x = Tensor::scalar(value, DType::f64);
  x.set_requires_grad(true);
  return x;
}

TEST_CASE("gradients of a chain, of a fork, and of two sweeps add up") {
  Tensor x = leaf(3);
  autograd::backward(square_times(square_times(x, 1), 2));  // 2 x^4
  CHECK(x.grad().item() == Approx(8 * 27));
  autograd::backward(square_times(x, 1));
  CHECK(x.grad().item() == Approx(8 * 27 + 6));
}

TEST_CASE("a saved tensor that was written afterwards is noticed") {
  Tensor x = leaf(3);
  const Tensor y = square_times(x, 1);
  x.fill(4);
  CHECK_THROWS_AS(autograd::backward(y), AutogradError);
}

TEST_CASE("NoGrad keeps ops off the tape") {
  Tensor x = leaf(3);
  Tensor y;
  {
    const autograd::NoGrad no_grad;
    y = square_times(x, 1);
  }
  CHECK_FALSE(y.requires_grad());
  CHECK_THROWS_AS(autograd::backward(y), AutogradError);
}

TEST_CASE("the tape is consumed by backward") {
  Tensor x = leaf(3);
  const Tensor y = square_times(x, 1);
  autograd::backward(y);
  CHECK_THROWS_AS(autograd::backward(y), AutogradError);
}

TEST_CASE("a weight used twice, and backward twice, adds up whether or not its gradient exists") {
  const Tensor x = Tensor::from<double>({1, 2, 3, 4, 5, 6}, {3, 2});
  const auto run = [&](Tensor& w) {
    autograd::backward(ops::sum(ops::add(ops::linear(x, w), ops::linear(x, w))));
  };
  Tensor fresh = Tensor::from<double>({1, 2, 3, 4}, {2, 2}), given = fresh.clone();
  fresh.set_requires_grad(true);
  given.set_requires_grad(true);
  given.set_grad(Tensor::full({2, 2}, 10, DType::f64));
  const uint64_t before = given.grad().version();
  run(fresh);
  run(fresh);
  run(given);
  CHECK(fresh.grad().to_vector<double>() == std::vector<double>{36, 48, 36, 48});
  CHECK(given.grad().to_vector<double>() == std::vector<double>{28, 34, 28, 34});
  CHECK(given.grad().version() > before);
}

TEST_CASE("a leaf takes the gradient that was made for it, and copies one that others hold") {
  const auto allocations_of_backward = [](const Tensor& y) {
    const Tensor grad = Tensor::full(y.shape(), 1, DType::f64);
    const int64_t before = memory_stats().n_allocations;
    autograd::backward(y, grad);
    return memory_stats().n_allocations - before;
  };
  Tensor x = leaf(3);
  CHECK(allocations_of_backward(square_times(x, 1)) == 1);
  CHECK(x.grad().item() == 6);

  Tensor a = leaf(1), b = leaf(2);  // both receive the gradient of the sum
  CHECK(allocations_of_backward(ops::add(a, b)) == 2);
  a.grad().fill(5);
  CHECK(b.grad().item() == 1);

  Tensor wide = Tensor::full({4}, 1, DType::f64), c = leaf(1);
  const Tensor y = c.clone();
  autograd::record("part_of_more", {c}, {y}, [&wide](const Tensors&) {
    return Tensors{ops::select(std::exchange(wide, {}), 0, 2)};
  });
  autograd::backward(y);
  CHECK(c.grad().impl()->storage->bytes == 8);
}

TEST_CASE("a tape of a million steps is destroyed without deep recursion") {
  Tensor y = leaf(1);
  for (int i = 0; i < 1000000; ++i) y = square_times(y, 1);
  y = Tensor();
  SUCCEED();
}

TEST_CASE("checkpointing gives the same gradients and rewinds the generator") {
  const auto draw = [](const Tensor& x, Generator& generator) {
    Tensor r = Tensor::empty({}, DType::f64);
    fill_uniform(r, 1, 2, generator);
    return square_times(square_times(x, r.item()), 1);
  };
  Tensor plain = leaf(1.5), saved = leaf(1.5);
  Generator a{7, 0}, b{7, 0};
  autograd::backward(draw(plain, a));
  const Tensors out =
      autograd::checkpoint([&](const Tensors& in) { return Tensors{draw(in[0], b)}; }, {saved}, &b);
  fill_uniform(Tensor::empty({5}), 0, 1, b);  // the stream moves on before backward
  const Generator moved = b;
  autograd::backward(out[0]);
  CHECK(saved.grad().item() == plain.grad().item());
  CHECK(b == moved);
}

TEST_CASE("a mark is passed when everything after it is done, checkpoints included") {
  for (const bool checkpointed : {false, true}) {
    CAPTURE(checkpointed);
    // y_k = w_k y_{k-1}^2; every weight is used in its own stage alone, the first also at the end.
    std::vector<Tensor> weights;
    for (int k = 0; k < 4; ++k) weights.push_back(leaf(1.0 + 0.1 * k));
    autograd::Marks marks;
    std::vector<int> order;
    std::vector<double> seen;
    Tensor y = leaf(0.9);
    for (size_t k = 0; k < weights.size(); ++k) {
      marks.add([&, k] {
        order.push_back(static_cast<int>(k));
        const Tensor grad = weights[k].grad();
        seen.push_back(grad.defined() ? grad.item() : 0);
      });
      const auto stage = [w = weights[k]](const Tensors& in) {
        return Tensors{ops::mul(square_times(in[0], 1), w)};
      };
      y = checkpointed ? autograd::checkpoint(stage, {y})[0] : stage({y})[0];
    }
    autograd::backward(ops::mul(y, weights[0]), {}, &marks);
    CHECK(order == std::vector<int>{3, 2, 1, 0});
    for (size_t i = 0; i < 4; ++i) {
      const double final = weights[3 - i].grad().item();
      CHECK(seen[i] == final);
      CHECK(final != 0);
    }
  }
}

TEST_CASE("marks of what has no gradient are passed as well, once") {
  autograd::Marks marks;
  int n = 0;
  marks.add([&] { ++n; });
  const Tensor y = square_times(leaf(2), 1);
  marks.add([&] { ++n; });
  autograd::backward(y, {}, &marks);
  CHECK(n == 2);
  autograd::backward(square_times(leaf(2), 1), {}, &marks);
  CHECK(n == 2);
}

}  // namespace
}  // namespace xlstm
