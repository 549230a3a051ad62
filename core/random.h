// Random numbers: counter-based Philox, so a generator's whole state is a seed and an offset, and
// random tensors do not depend on the number of threads.
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace xlstm {

struct Generator {
  uint64_t seed = 0;
  uint64_t offset = 0;  // counters used so far; one counter gives four 32-bit numbers
  // Unless null, where a kernel finds what to add to the offset when it runs, in memory of its
  // device: a captured step draws new numbers at every replay.
  const uint64_t* base = nullptr;

  // Reserves counters for n numbers and returns the first.
  uint64_t reserve(int64_t n_numbers);
  bool operator==(const Generator& other) const {
    return seed == other.seed && offset == other.offset;
  }
};

// Fill a floating tensor with independent numbers. Errors: ShapeError for other element types.
void fill_uniform(Tensor tensor, double low, double high, Generator& generator);
void fill_normal(Tensor tensor, double mean, double std, Generator& generator);

}  // namespace xlstm
