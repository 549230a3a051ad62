// States of the sLSTM for comparisons.
#pragma once

#include <cmath>
#include <vector>

#include "core/tensor.h"

namespace xlstm {

// c and n mean something only together with m, which stands behind them from `c` on in a list of
// results: brings them to the scale of the other list's m.
inline Tensors with_slstm_scale_of(const Tensors& results, const Tensors& others, size_t c) {
  const size_t m = c + 2;
  Tensors out = results;
  const std::vector<double> from = results[m].to_vector<double>(),
                            to = others[m].to_vector<double>();
  for (const size_t which : {c, c + 1}) {
    std::vector<double> values = results[which].to_vector<double>();
    for (size_t i = 0; i < values.size(); ++i) values[i] *= std::exp(from[i] - to[i]);
    out[which] = Tensor::from(values, results[which].shape());
  }
  out[m] = others[m];
  return out;
}

}  // namespace xlstm
