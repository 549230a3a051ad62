// How an Ending of DeviceUpdate is held against the host's.
#pragma once

#include "tests/catch.h"
#include "tests/optim/device_update_case.h"

namespace xlstm::optim::testing {

inline void check_against_host(const Ending& got, const Ending& want) {
  REQUIRE(got.outcomes.size() == want.outcomes.size());
  for (size_t i = 0; i < got.outcomes.size(); ++i) {
    CAPTURE(i);
    const DeviceUpdate::Outcome &a = got.outcomes[i], &b = want.outcomes[i];
    CHECK(a.skip == b.skip);
    CHECK(a.step == b.step);
    CHECK(a.n_skipped == b.n_skipped);
    CHECK(a.n_in_a_row == b.n_in_a_row);
    CHECK(static_cast<double>(a.loss_scale) == kScales[i + 1]);
    if (a.skip != 0) continue;
    CHECK(a.gradient_norm == Approx(b.gradient_norm).epsilon(1e-6));
    CHECK(a.loss == b.loss);
    CHECK(a.lr == b.lr);
    // The device's undoes the loss scale too.
    CHECK(static_cast<double>(a.grad_scale) * kScales[i] ==
          Approx(static_cast<double>(b.grad_scale)).epsilon(1e-6));
  }
  CHECK(got.copies_are_rounded);
  REQUIRE(got.numbers.size() == want.numbers.size());
  double worst = 0;
  for (size_t i = 0; i < got.numbers.size(); ++i)
    worst = std::max(worst, std::abs(got.numbers[i] - want.numbers[i]));
  CHECK(worst < 2e-6);  // of numbers of about 1
}

inline bool same_bits(const Ending& a, const Ending& b) {
  if (a.numbers != b.numbers || a.outcomes.size() != b.outcomes.size()) return false;
  for (size_t i = 0; i < a.outcomes.size(); ++i)
    if (std::memcmp(&a.outcomes[i], &b.outcomes[i], sizeof(a.outcomes[i])) != 0) return false;
  return true;
}

}  // namespace xlstm::optim::testing
