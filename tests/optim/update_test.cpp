#include "optim/update.h"

#include <cmath>
#include <limits>

#include "core/op_info.h"
#include "optim/clip.h"
#include "tests/catch.h"

namespace xlstm::optim {
namespace {

Parameters two(DType dtype = DType::f32) {
  Generator generator{3, 0};
  Parameters out = make_parameters({{"a.weight", random_tensor({3, 4}, dtype, generator)},
                                    {"b.weight", random_tensor({2}, dtype, generator)}});
  for (Parameter& p : out) {
    p.value.set_requires_grad(true);
    p.value.set_grad(Tensor::zeros(p.value.shape(), dtype));
  }
  return out;
}

// Gradients 3 and 4 in one place each: their norm is 5.
void set_three_four(Parameters& parameters) {
  for (Parameter& p : parameters) p.value.grad().fill(0);
  parameters[0].value.grad().strided_view({1}, {1}, 7).fill(3);
  parameters[1].value.grad().strided_view({1}, {1}, 1).fill(-4);
}

std::vector<double> everything(const Optimizer& optimizer) {
  std::vector<double> out;
  for (const Parameter& p : optimizer.parameters())
    for (const double value : p.value.to_vector<double>()) out.push_back(value);
  for (const auto& [name, tensor] : optimizer.state())
    for (const double value : tensor.to_vector<double>()) out.push_back(value);
  return out;
}

TEST_CASE("the norm is over all gradients; the clip scale brings it to the limit") {
  Parameters parameters = two();
  set_three_four(parameters);
  CHECK(gradient_norm(parameters) == 5);
  CHECK(clip_scale(5, 1) == Approx(0.2));
  CHECK(clip_scale(5, 5) == 1);
  CHECK(clip_scale(5, 10) == 1);
  CHECK(clip_scale(5, 0) == 1);
  CHECK(clip_scale(0, 1) == 1);
  CHECK_THROWS_AS(clip_scale(1, -1), ConfigError);
  CHECK_THROWS_AS(clip_scale(1, NAN), ConfigError);
  parameters[0].value.set_grad({});
  CHECK(gradient_norm(parameters) == 4);
}

TEST_CASE("clipping by value works in place, on any strides") {
  Parameters parameters = two();
  set_three_four(parameters);
  const Tensor memory = Tensor::full({4, 3}, 9);
  parameters[0].value.set_grad(memory.strided_view({3, 4}, {1, 3}));
  clip_gradient_values(parameters, 0.5);
  CHECK(memory.to_vector<double>() == std::vector<double>(12, 0.5));
  CHECK(parameters[1].value.grad().to_vector<double>() == std::vector<double>{0, -0.5});
  CHECK_THROWS_AS(clip_gradient_values(parameters, 0), ConfigError);
}

TEST_CASE("an update clips the averaged gradient by its norm") {
  Parameters parameters = two(DType::f64);
  for (Parameter& p : parameters) p.value.fill(0);
  set_three_four(parameters);
  Sgd optimizer(parameters, {});
  StepGuard guard;
  // The sum over two batches: the average has norm 2.5 and is scaled to norm 1.
  const UpdateResult result = update(optimizer, guard, 1.0, 0.5, {1, 0, 2});
  CHECK(result.updated);
  CHECK(result.gradient_norm == Approx(2.5));
  CHECK(result.grad_scale == Approx(0.2));
  CHECK(parameters[0].value.to_vector<double>()[7] == Approx(-0.5 * 3 / 5));
  CHECK(parameters[1].value.to_vector<double>()[1] == Approx(0.5 * 4 / 5));
}

TEST_CASE("accumulating n batches is the same as one batch with their mean gradient") {
  Parameters once = two(DType::f64), summed = two(DType::f64);
  AdamW a(once, {}), b(summed, {});
  StepGuard guard;
  for (int step = 0; step < 3; ++step) {
    Generator generator{static_cast<uint64_t>(step), 0};
    for (size_t i = 0; i < 2; ++i) {
      const Tensor grad = random_tensor(once[i].value.shape(), DType::f64, generator);
      once[i].value.grad().copy_from(grad);
      Tensor sum = summed[i].value.grad();
      for (int64_t j = 0; j < grad.numel(); ++j) sum.data<double>()[j] = 4 * grad.data<double>()[j];
    }
    update(a, guard, 1, 0.01, {0.7, 0, 1});
    update(b, guard, 1, 0.01, {0.7, 0, 4});
  }
  const auto x = everything(a), y = everything(b);
  for (size_t i = 0; i < x.size(); ++i) CHECK(x[i] == Approx(y[i]).epsilon(1e-14));
}

TEST_CASE("an update clips by value what is averaged") {
  Parameters parameters = two(DType::f64);
  for (Parameter& p : parameters) p.value.fill(0);
  set_three_four(parameters);
  Sgd optimizer(parameters, {});
  StepGuard guard;
  update(optimizer, guard, 1.0, 1.0, {0, 1.75, 2});  // averages 1.5 and -2
  CHECK(parameters[0].value.to_vector<double>()[7] == Approx(-1.5));
  CHECK(parameters[1].value.to_vector<double>()[1] == Approx(1.75));
}

TEST_CASE("a bad number in any gradient leaves weights and moments untouched") {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    for (const UpdateConfig& config : {UpdateConfig{1, 0, 1}, UpdateConfig{0, 1, 1}}) {
      Parameters parameters = two();
      AdamW optimizer(parameters, {});
      StepGuard guard(1000);
      set_three_four(parameters);
      REQUIRE(update(optimizer, guard, 1, 0.1, config).updated);
      const std::vector<double> before = everything(optimizer);
      int64_t n_injected = 0;
      for (size_t i = 0; i < parameters.size(); ++i) {
        for (int64_t j = 0; j < parameters[i].value.numel(); ++j) {
          set_three_four(parameters);
          parameters[i].value.grad().strided_view({1}, {1}, j).fill(bad);
          CHECK_FALSE(update(optimizer, guard, 1, 0.1, config).updated);
          CHECK(everything(optimizer) == before);
          CHECK(guard.n_skipped() == ++n_injected);
          const auto found = find_bad_gradients(parameters);
          REQUIRE(found.size() == 1);
          CHECK(found[0].name == parameters[i].name);
          CHECK(found[0].first_index == j);
          CHECK(found[0].count == 1);
        }
      }
      CHECK(optimizer.step_count() == 1);
    }
  }
}

TEST_CASE("a bad loss alone skips the update too") {
  Parameters parameters = two();
  set_three_four(parameters);
  AdamW optimizer(parameters, {});
  StepGuard guard;
  const std::vector<double> before = everything(optimizer);
  CHECK_FALSE(update(optimizer, guard, NAN, 0.1).updated);
  CHECK(everything(optimizer) == before);
  CHECK_THAT(guard.report(), test::contains("every gradient is finite"));
}

TEST_CASE("the report names the tensors; skips in a row end the run; a good step forgives") {
  Parameters parameters = two();
  Sgd optimizer(parameters, {});
  StepGuard guard(3);
  const auto spoil = [&] {
    set_three_four(parameters);
    parameters[0].value.grad().strided_view({2}, {1}, 5).fill(NAN);
  };
  spoil();
  CHECK_FALSE(update(optimizer, guard, 1, 0.1).updated);
  CHECK_THAT(guard.report(),
             test::contains("not finite in 1 of 2 gradients: a.weight[5] = nan (2 such)"));
  CHECK_FALSE(update(optimizer, guard, 1, 0.1).updated);
  set_three_four(parameters);
  CHECK(update(optimizer, guard, 1, 0.1).updated);
  CHECK(guard.n_in_a_row() == 0);
  spoil();
  update(optimizer, guard, 1, 0.1);
  update(optimizer, guard, 1, 0.1);
  const std::vector<double> before = everything(optimizer);
  CHECK_THROWS_WITH(update(optimizer, guard, 1, 0.1), test::contains("a.weight[5]"));
  CHECK(everything(optimizer) == before);
  CHECK(guard.n_skipped() == 5);
}

TEST_CASE("a norm that overflows in double is said so") {
  Parameters parameters = two(DType::f64);
  parameters[0].value.grad().fill(1e200);
  Sgd optimizer(parameters, {});
  StepGuard guard;
  CHECK_FALSE(update(optimizer, guard, 1, 0.1).updated);
  CHECK_THAT(guard.report(), test::contains("their squares overflow"));
}

TEST_CASE("the guard's counters survive a checkpoint") {
  const Parameters parameters = two();
  StepGuard guard(3);
  guard.restore(7, 2);
  CHECK_THROWS_AS(guard.allows(NAN, 1, parameters), NonFiniteError);
  CHECK(guard.n_skipped() == 8);
  CHECK_THROWS_AS(guard.restore(1, 2), FormatError);
  CHECK_THROWS_AS(guard.restore(1, -1), FormatError);
  CHECK_THROWS_AS(StepGuard(0), ConfigError);
}

TEST_CASE("limits that make no sense are refused") {
  Parameters parameters = two();
  Sgd optimizer(parameters, {});
  StepGuard guard;
  CHECK_THROWS_AS(update(optimizer, guard, 1, 0.1, {1, 1, 1}), ConfigError);
  CHECK_THROWS_AS(update(optimizer, guard, 1, 0.1, {-1, 0, 1}), ConfigError);
  CHECK_THROWS_AS(update(optimizer, guard, 1, 0.1, {NAN, 0, 1}), ConfigError);
  CHECK_THROWS_AS(update(optimizer, guard, 1, 0.1, {1, 0, 0}), ConfigError);
}

}  // namespace
}  // namespace xlstm::optim
