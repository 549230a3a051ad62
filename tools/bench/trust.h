// Whether the kernels of an op compute the right thing on a device: the self-test.
//
// Every sample of the op's row (`samples` and `path_samples`) runs on every kernel variant that
// computes it, without a tape and with one, twice: results and gradients must agree with the
// reference of check.h, and the second call with the first bit by bit.
//
// An error above the tolerance is still allowed if the arithmetic itself cannot do better. Where an
// op has a composed twin, that is measured with it: twice the error of the twin in the same type on
// the same device, tensor by tensor. Where there is none, eight times the change of the exact
// result when inputs move by half a unit in their last place.
#pragma once

#include <map>
#include <string>

#include "tools/bench/check.h"

namespace xlstm::bench {

struct Verdict {
  int64_t n_samples = 0, n_wrong = 0;
  int64_t n_excused = 0;                    // samples above the tolerance that were allowed
  double forward = 0, backward = 0;         // the largest errors
  std::map<std::string, int64_t> variants;  // samples that each kernel variant computed
  std::string complaint;                    // of the first wrong sample; empty: trusted
  bool trusted() const { return n_wrong == 0 && complaint.empty(); }
};

Verdict verdict_of(const OpInfo& op, DType dtype, Device device);

// The allowance of a sample beyond the tolerance, as described above; at most kMostExcused for a
// tensor. All zeros if the twin is itself wrong in float32 on that device.
//
// Rounding that amounts to more is not a kernel's to excuse: a result that is off by a quarter of
// its norm is of no use to its reader, and errors of the formula (a term left out, a wrong row) are
// of this size or larger, whoever makes them.
constexpr double kMostExcused = 0.25;
Errors excused(const OpInfo& op, const OpSample& drawn, DType dtype, Device device,
               const Reference& reference);

// "small 12, step 20"
std::string text_of(const std::map<std::string, int64_t>& variants);

}  // namespace xlstm::bench
