// Proofs of docs/reliability.md: how many points a case tries, and the line of figures it leaves.
//
// In `make test` a case tries a few points; with XLSTM_PROOF=long (`make reliability`) as many as
// the promise names. Either way it prints "promise NN | what | points | failures | figure".
//
// XLSTM_PROOF_DEVICE=cuda: the runs of tests/reliability train on GPUs, in bf16-mixed, with CUDA
// graphs, and NCCL between ranks, one GPU each. A process takes seconds to start there, so cases
// have counts of their own. What does not concern the device is left out. Ranks for which there
// are not enough GPUs are skipped; without any GPU every case fails.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

#include "tests/catch.h"

namespace xlstm::proof {

inline bool is_long() {
  const char* asked = std::getenv("XLSTM_PROOF");
  return asked != nullptr && std::string(asked) == "long";
}

// "cpu" or "cuda".
inline std::string asked_device() {
  const char* asked = std::getenv("XLSTM_PROOF_DEVICE");
  return asked == nullptr ? "cpu" : asked;
}
inline bool on_cuda() {
  return asked_device() == "cuda";
}

// So many points, or as many as the promise names, of which a GPU may have a number of its own.
inline int n_points(int quick, int full, int full_on_cuda = 0) {
  if (!is_long()) return quick;
  return on_cuda() && full_on_cuda > 0 ? full_on_cuda : full;
}

// Moments are drawn from it; XLSTM_PROOF_SEED draws others.
inline std::mt19937_64 random_source() {
  const char* seed = std::getenv("XLSTM_PROOF_SEED");
  return std::mt19937_64(seed == nullptr ? 1 : std::strtoull(seed, nullptr, 10));
}

class Promise {
 public:
  Promise(int number, const std::string& what)
      : number_(number), what_(what + (on_cuda() ? ", on cuda" : "")) {}
  ~Promise() {
    std::printf("promise %02d | %s | %lld | %lld | %s\n", number_, what_.c_str(),
                static_cast<long long>(n_points_), static_cast<long long>(n_failures_),
                figure_.c_str());
    std::fflush(stdout);
  }
  Promise(const Promise&) = delete;
  Promise& operator=(const Promise&) = delete;

  // One point, which held or did not; `why` is shown if not.
  void point(bool holds, const std::string& why) {
    ++n_points_;
    if (!holds) ++n_failures_;
    INFO(why);
    CHECK(holds);
  }
  void points(int64_t n) { n_points_ += n; }  // that a REQUIRE has seen hold
  void figure(const std::string& text) { figure_ = text; }

 private:
  int number_;
  std::string what_, figure_;
  int64_t n_points_ = 0, n_failures_ = 0;
};

}  // namespace xlstm::proof
