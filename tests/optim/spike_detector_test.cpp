#include "optim/spike_detector.h"

#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <set>

#include "tests/catch.h"

namespace xlstm::optim {
namespace {

// A loss curve: a fall from 10 to 3, with noise of 2 % of it.
double clean_loss(int64_t step, std::mt19937_64& random) {
  std::normal_distribution<double> noise(0, 0.02);
  const double loss = 3 + 7 * std::exp(-static_cast<double>(step) / 2000);
  return loss * (1 + noise(random));
}

TEST_CASE("every spike is flagged, also one soon after another, and nothing else is") {
  int64_t n_found = 0, n_planted = 0, n_false = 0;
  for (const uint64_t seed : {1, 2, 3, 4, 5}) {
    std::mt19937_64 random(seed);
    SpikeDetector detector(6);
    const std::set<int64_t> planted = {200, 201, 205, 400, 900, 1500, 1501, 4000, 9999};
    for (int64_t step = 0; step < 10000; ++step) {
      double loss = clean_loss(step, random);
      if (planted.contains(step)) loss *= 1.3;
      const bool flagged = detector.is_spike(detector.add(loss));
      if (planted.contains(step)) {
        ++n_planted;
        n_found += flagged ? 1 : 0;
      } else {
        n_false += flagged ? 1 : 0;
      }
    }
  }
  std::printf("%d of %d spikes found, %d false alarms in 50,000 steps\n", static_cast<int>(n_found),
              static_cast<int>(n_planted), static_cast<int>(n_false));
  CHECK(n_found == n_planted);
  CHECK(n_planted == 45);
  CHECK(n_false <= 5);
}

TEST_CASE("clean noise raises at most one alarm in 10,000 steps") {
  constexpr int64_t kSteps = 1000000;
  std::mt19937_64 random(11);
  // Gradient norms have a long tail upwards: the logarithm varies evenly.
  std::lognormal_distribution<double> norm(0, 0.1);
  SpikeDetector of_loss(6), of_norm(6);
  int64_t n_loss = 0, n_norm = 0;
  for (int64_t step = 0; step < kSteps; ++step) {
    n_loss += of_loss.is_spike(of_loss.add(clean_loss(step, random))) ? 1 : 0;
    n_norm += of_norm.is_spike(of_norm.add(norm(random))) ? 1 : 0;
  }
  std::printf("false alarms in %d steps: loss %d, gradient norm %d\n", static_cast<int>(kSteps),
              static_cast<int>(n_loss), static_cast<int>(n_norm));
  CHECK(n_loss <= kSteps / 10000);
  CHECK(n_norm <= kSteps / 10000);
}

TEST_CASE("the score is that of the definition, and a window has to be full") {
  SpikeDetector detector(6);
  for (int i = 0; i < SpikeDetector::kWindow; ++i) CHECK(detector.add(i % 2 == 0 ? 1 : 3) == 0);
  // Mean 2, deviation 1.
  CHECK(std::abs(detector.add(6) - 4) < 1e-12);
}

TEST_CASE("a loss that stays high becomes the usual one") {
  std::mt19937_64 random(5);
  std::normal_distribution<double> noise(0, 0.05);
  SpikeDetector detector(6);
  for (int i = 0; i < 500; ++i) detector.add(3 + noise(random));
  int64_t n_flagged = 0;
  for (int i = 0; i < 500; ++i)
    n_flagged += detector.is_spike(detector.add(4 + noise(random))) ? 1 : 0;
  CHECK(n_flagged >= 1);
  CHECK(n_flagged < SpikeDetector::kWindow);
}

TEST_CASE("a detector with the window of another goes on as that one would") {
  for (const int n_before : {0, 1, 127, 128, 300}) {
    std::mt19937_64 random(7);
    SpikeDetector whole(6), after(6);
    for (int i = 0; i < n_before; ++i) whole.add(clean_loss(i, random));
    after.restore(whole.recent());
    for (int i = 0; i < 200; ++i) {
      const double loss = clean_loss(i, random) * (i == 150 ? 2 : 1);
      REQUIRE(after.add(loss) == whole.add(loss));
    }
    CHECK(after.recent() == whole.recent());
  }
  SpikeDetector detector(6);
  detector.restore(std::vector<double>(1000, 1));  // of a later version, say
  CHECK(static_cast<int64_t>(detector.recent().size()) == SpikeDetector::kWindow);
}

TEST_CASE("values that do not vary or are not finite raise no alarm") {
  SpikeDetector detector(6);
  for (int i = 0; i < 300; ++i) CHECK_FALSE(detector.is_spike(detector.add(1 + (i % 2) * 1e-9)));
  CHECK(detector.add(std::numeric_limits<double>::quiet_NaN()) == 0);
  CHECK(detector.add(std::numeric_limits<double>::infinity()) == 0);
  CHECK(detector.is_spike(detector.add(1.1)));
  SpikeDetector of_zeros(6);
  for (int i = 0; i < 200; ++i) CHECK(of_zeros.add(0) == 0);
}

}  // namespace
}  // namespace xlstm::optim
