#include "optim/device_update.h"

#include "tests/optim/device_update_check.h"

namespace xlstm::optim {
namespace {

using testing::Course;

void at_once(int64_t, const std::function<void()>& launch) {
  launch();
}

TEST_CASE("an update decided on its own goes as the host's, scaled loss or not") {
  for (const bool adamw : {true, false}) {
    CAPTURE(adamw);
    const testing::Ending want = testing::run_on_host(adamw);
    CHECK(want.outcomes.back().step == 5);
    CHECK(want.outcomes.back().n_skipped == 3);
    testing::check_against_host(testing::run(kCpu, adamw, at_once), want);
  }
}

TEST_CASE("the loss scale stays between 1 and the largest, and may be off") {
  Course course(kCpu);
  AdamW optimizer(course.parameters, {});
  DeviceUpdate update(
      optimizer,
      {.loss_scale = {.dynamic = true, .initial = 2, .largest = 4, .growth_interval = 1}});
  testing::set_rates(update, 0);
  const auto scale_after = [&](double gradient) {
    course.gradients.fill(gradient);
    update.launch(course.loss);
    return update.loss_scale().item();
  };
  CHECK(scale_after(1) == 4);
  CHECK(scale_after(1) == 4);
  CHECK(scale_after(NAN) == 2);
  CHECK(scale_after(NAN) == 1);
  CHECK(scale_after(NAN) == 1);
  // Only the third could not be helped by a smaller scale.
  CHECK(update.read().n_in_a_row == 1);
  CHECK(update.read().n_skipped == 3);
  course.loss.fill(NAN);
  update.restore(0, 0, 0, 0, 4);
  scale_after(1);
  CHECK(update.read().n_in_a_row == 1);
  course.loss.fill(1);
  update.restore(7, 5, 2, 0, 4);
  CHECK(update.read().step == 7);
  CHECK(update.read().n_skipped == 5);
  CHECK(update.loss_scale().item() == 4);
  DeviceUpdate plain(optimizer, {});
  testing::set_rates(plain, 0);
  course.gradients.fill(1);
  plain.launch(course.loss);
  CHECK(plain.loss_scale().item() == 1);
}

TEST_CASE("a step beyond the table of rates takes the last one") {
  Course course(kCpu);
  Sgd optimizer(course.parameters, {});
  DeviceUpdate update(optimizer, {});
  course.gradients.fill(1);
  testing::set_rates(update, 0);
  std::vector<float> rates;
  for (int i = 0; i < XLSTM_UPDATE_RATES + 2; ++i) {
    update.launch(course.loss);
    rates.push_back(update.read().lr);
  }
  for (int i = 0; i < XLSTM_UPDATE_RATES + 2; ++i)
    CHECK(rates[static_cast<size_t>(i)] ==
          static_cast<float>(testing::rate_of(std::min(i, XLSTM_UPDATE_RATES - 1))));
}

TEST_CASE("parameters that lie one behind the other, with all that goes with them, are one piece") {
  Course course(kCpu);
  const auto n_pieces = [](const Parameters& parameters) {
    return AdamW(parameters, {}).flat_gradients().size();
  };
  // All three decay alike only if the vector's rule is set aside.
  for (Parameter& p : course.parameters) p.decay = true;
  CHECK(n_pieces(course.parameters) == 1);
  CHECK(AdamW(course.parameters, {}).flat_gradients()[0].numel() == 64 + 128 + 70);

  Parameters other_decay = course.parameters;
  other_decay[1].decay = false;
  CHECK(n_pieces(other_decay) == 3);
  Parameters other_order = course.parameters;
  std::swap(other_order[0], other_order[1]);
  CHECK(n_pieces(other_order) == 3);
  const Parameters with_gap = {course.parameters[0], course.parameters[2]};
  CHECK(n_pieces(with_gap) == 2);
  Tensor middle = course.parameters[1].value;
  const Tensor copy = middle.low_precision(), grad = middle.grad();
  middle.set_low_precision({});
  CHECK(n_pieces(course.parameters) == 3);
  middle.set_low_precision(copy);
  middle.set_grad(grad.clone());
  CHECK(n_pieces(course.parameters) == 3);
  middle.set_grad({});
  CHECK(n_pieces(course.parameters) == 2);
}

TEST_CASE("one piece or many: the same bits") {
  for (const bool adamw : {true, false}) {
    std::vector<double> first;
    for (const bool split : {false, true}) {
      Course course(kCpu);
      for (Parameter& p : course.parameters) p.decay = true;
      if (split) course.parameters[1].value.set_grad(course.parameters[1].value.grad().clone());
      const auto optimizer = course.optimizer(adamw);
      CHECK(optimizer->flat_gradients().size() == (split ? 3 : 1));
      for (int64_t i = 0; i < 2; ++i) {
        course.prepare(i, 1);
        optimizer->step(0.1, 0.5);
      }
      testing::Ending ending;
      testing::collect(*optimizer, ending);
      CHECK(ending.copies_are_rounded);
      if (!split) first = ending.numbers;
      CHECK(ending.numbers == first);
    }
  }
}

TEST_CASE("a loss of another kind, and gradients that have moved, are refused") {
  Course course(kCpu);
  AdamW optimizer(course.parameters, {});
  DeviceUpdate update(optimizer, {});
  testing::set_rates(update, 0);
  CHECK_THROWS_AS(update.launch(Tensor{}), ShapeError);
  CHECK_THROWS_AS(update.launch(Tensor::zeros({2})), ShapeError);
  CHECK_THROWS_AS(update.launch(Tensor::zeros({}, DType::f64)), ShapeError);
  course.parameters[1].value.set_grad(course.parameters[1].value.grad().clone());
  CHECK_THROWS_AS(update.launch(course.loss), ShapeError);
  CHECK_THROWS_AS(DeviceUpdate(optimizer, {.max_norm = -1, .loss_scale = {}}), ConfigError);
  CHECK_THROWS_AS(DeviceUpdate(optimizer, {.loss_scale = {.dynamic = true, .backoff = 1}}),
                  ConfigError);
}

}  // namespace
}  // namespace xlstm::optim
