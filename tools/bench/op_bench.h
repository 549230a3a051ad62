// Benchmarks of the op table's rows.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/op_info.h"
#include "tools/bench/meter.h"
#include "tools/bench/result.h"

namespace xlstm::bench {

enum class Sizes { small, large, all };

struct OpBenchOptions {
  std::string filter;  // "OP" or "OP | SAMPLE", parts of the names; empty: all
  // To run where the op has it, and that must have run; empty: the op's choice. "reference" times
  // the composed twins.
  std::string variant;
  DType dtype = DType::f32;
  Sizes sizes = Sizes::small;
  bool verify = true;
  double seconds = 0.3;  // of repeats, per row
};

struct Listed {
  const OpInfo* op;
  std::string sample;
  bool is_large;
};

// What the options choose, without making the samples' values if they are large. Views, which do
// nothing, are left out.
std::vector<Listed> list_ops(const OpBenchOptions& options);

// One or two rows a sample, forward and backward, each given to `done` as soon as it is there. A
// row that cannot run, has a wrong result or ran another variant says so in `failure`. A forward
// row is verified and timed without a tape, a backward row with one; a variant that has no backward
// gives none.
void bench_ops(const OpBenchOptions& options, Meter& meter,
               const std::function<void(const Row&)>& done);

}  // namespace xlstm::bench
