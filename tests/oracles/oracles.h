// Double-precision oracles: for every row of the op table, the same result computed by plain loops
// written straight from the equations, sharing no code with the kernels.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/op_info.h"

namespace xlstm::oracles {

// Inputs are contiguous; floating ones are float64. Outputs float64 (or int64) in the order of the
// op's row.
using Oracle = Tensors (*)(const Tensors& inputs, const OpAttributes& attributes);
using OracleRows = std::vector<std::pair<std::string, Oracle>>;

// The oracle of an op, or null.
Oracle find_oracle(const std::string& op);

}  // namespace xlstm::oracles
