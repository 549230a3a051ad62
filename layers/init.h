// How parameters start. Equations: xLSTM paper and official code, collected in docs/model.md.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/random.h"
#include "core/tensor.h"

namespace xlstm::layers::init {

// Fills a tensor; draws from the generator only if the values are random.
using Initializer = std::function<void(Tensor, Generator&)>;

Initializer constant(double value);
Initializer normal(double mean, double std);
Initializer uniform(double bound);                  // U(-bound, bound)
Initializer linspace(double first, double last);    // over a vector; one element gets `first`
Initializer small(int64_t width);                   // N(0, variance 2 / (5 width))
Initializer wang(int64_t width, int64_t n_blocks);  // N(0, std 2 / (n_blocks sqrt(width)))

// The depthwise convolution's weight and bias: U(+-1/sqrt(kernel_size)).
Initializer convolution(int64_t kernel_size);

// The sLSTM bias [H, 4, D], gates in the order i, f, z, o. `kind`:
//   powerlaw_blockdependent  b_f[k] = 5 - 12 (k / (D-1))^(0.3 + 1.3 rho), rho = block / (blocks -
//   1) small_init               b_f = linspace(3, 6) zeros standard                 all gates
//   U(+-1/sqrt(H D))
// with b_i = b_z = b_o = 0 in the first three. ConfigError for any other name.
Initializer slstm_bias(const std::string& kind, int64_t block_index, int64_t n_blocks);
// The recurrent matrix [H, D, 4, D]: "zeros", or "standard" for U(+-1/sqrt(H D)).
Initializer slstm_recurrent(const std::string& kind);

}  // namespace xlstm::layers::init
