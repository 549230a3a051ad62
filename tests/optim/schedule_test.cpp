#include "optim/schedule.h"

#include <cmath>
#include <limits>

#include "core/error.h"
#include "tests/catch.h"

namespace xlstm::optim {
namespace {

TEST_CASE("warm-up rises to the peak and wastes no update") {
  const ScheduleConfig config{Decay::cosine, 0.4, 0.1, 4, 20, 0};
  CHECK(learning_rate(config, 0) == Approx(0.1));
  CHECK(learning_rate(config, 1) == Approx(0.2));
  CHECK(learning_rate(config, 3) == Approx(0.4));
  CHECK(learning_rate(config, 4) == Approx(0.4));
}

TEST_CASE("each decay goes from the peak to the least rate by its formula") {
  // Decay from update 10 to update 110.
  ScheduleConfig config{Decay::linear, 1.0, 0.01, 10, 110, 0};
  CHECK(learning_rate(config, 60) == Approx(0.505));
  config.decay = Decay::cosine;
  CHECK(learning_rate(config, 60) == Approx(0.505));
  CHECK(learning_rate(config, 35) == Approx(0.01 + 0.99 * (1 + std::sqrt(0.5)) / 2));
  config.decay = Decay::exponential;
  CHECK(learning_rate(config, 60) == Approx(0.1));
  for (const Decay decay : {Decay::linear, Decay::cosine, Decay::exponential}) {
    config.decay = decay;
    CHECK(learning_rate(config, 10) == Approx(1.0));
    CHECK(learning_rate(config, 109) > 0.01);
    CHECK(learning_rate(config, 110) == 0.01);
    CHECK(learning_rate(config, 100000) == 0.01);
    for (int64_t step = 10; step < 110; ++step)
      CHECK(learning_rate(config, step + 1) < learning_rate(config, step));
  }
  const ScheduleConfig constant{Decay::constant, 0.3, 0, 2, 0, 0};
  CHECK(learning_rate(constant, 0) == Approx(0.15));
  CHECK(learning_rate(constant, 1000000) == 0.3);
}

TEST_CASE("a published 7B schedule: warm-up, exponential decay, cool-down to zero") {
  const ScheduleConfig config{Decay::exponential, 4e-4, 4e-5, 3000, 505000, 7000};
  CHECK(learning_rate(config, 3000) == Approx(4e-4));
  for (const int64_t step : {int64_t{50000}, int64_t{250500}, int64_t{497999}})
    CHECK(learning_rate(config, step) ==
          Approx(4e-4 * std::pow(0.1, (static_cast<double>(step) - 3000) / 495000)));
  CHECK(learning_rate(config, 498000) == Approx(4e-5));
  CHECK(learning_rate(config, 501500) == Approx(2e-5));
  CHECK(learning_rate(config, 504999) == Approx(4e-5 / 7000));
  CHECK(learning_rate(config, 505000) == 0);
}

TEST_CASE("a constant rate with a cool-down, and phases of length zero") {
  const ScheduleConfig config{Decay::constant, 1.0, 0, 0, 10, 4};
  CHECK(learning_rate(config, 0) == 1);
  CHECK(learning_rate(config, 5) == 1);
  CHECK(learning_rate(config, 6) == 1);
  CHECK(learning_rate(config, 8) == Approx(0.5));
  CHECK(learning_rate(config, 10) == 0);
  // Warm-up and cool-down fill the run: no decay between them.
  const ScheduleConfig full{Decay::cosine, 1.0, 0.5, 5, 10, 5};
  for (int64_t step = 0; step < 12; ++step) CHECK(std::isfinite(learning_rate(full, step)));
  CHECK(learning_rate(full, 4) == 1);
  CHECK(learning_rate(full, 5) == Approx(0.5));
}

TEST_CASE("schedules that make no sense are refused") {
  const ScheduleConfig good{Decay::cosine, 1e-3, 0, 10, 100, 10};
  CHECK_NOTHROW(good.validate());
  const auto refused = [&](auto change) {
    ScheduleConfig config = good;
    change(config);
    CHECK_THROWS_AS(config.validate(), ConfigError);
  };
  refused([](ScheduleConfig& c) { c.lr = -1; });
  refused([](ScheduleConfig& c) { c.lr = NAN; });
  refused([](ScheduleConfig& c) { c.min_lr = 1; });
  refused([](ScheduleConfig& c) { c.min_lr = NAN; });
  refused([](ScheduleConfig& c) { c.warmup_steps = -1; });
  refused([](ScheduleConfig& c) { c.warmup_steps = 91; });
  refused([](ScheduleConfig& c) { c.cooldown_steps = std::numeric_limits<int64_t>::max(); });
  refused([](ScheduleConfig& c) { c.total_steps = 0; });
  refused([](ScheduleConfig& c) { c.decay = Decay::exponential; });
  CHECK_THROWS_AS(learning_rate(good, -1), ConfigError);
  CHECK(parse_decay("exponential") == Decay::exponential);
  CHECK_THROWS_AS(parse_decay("step"), ConfigError);
}

}  // namespace
}  // namespace xlstm::optim
