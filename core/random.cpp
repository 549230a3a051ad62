#include "core/random.h"

#include <cmath>
#include <numbers>

#include "kernels/common/philox.h"

namespace xlstm {
namespace {

// 53 bits from two words: fine enough for double tensors, and the same numbers for float ones.
double uniform_53(uint32_t high, uint32_t low) {
  const uint64_t bits = (uint64_t{high} << 32 | low) >> 11;
  return static_cast<double>(bits) * 0x1.0p-53;
}

// f(i) gives element i.
template <class F>
void fill_with(const Tensor& tensor, const char* what, F f) {
  require<ShapeError>(is_floating(tensor.dtype()), what, ": expected a floating tensor, got ",
                      name_of(tensor.dtype()));
  Tensor values = Tensor::empty(tensor.shape(), DType::f64);
  double* out = values.data<double>();
  const int64_t n = values.numel();
#pragma omp parallel for schedule(static) if (n > 65536)
  for (int64_t i = 0; i < n; ++i) out[i] = f(i);
  Tensor target = tensor;
  target.copy_from(values);
}

}  // namespace

uint64_t Generator::reserve(int64_t n_numbers) {
  const uint64_t first = offset;
  offset += static_cast<uint64_t>((n_numbers + 3) / 4);
  return first;
}

void fill_uniform(Tensor tensor, double low, double high, Generator& generator) {
  const uint64_t first = generator.reserve(4 * tensor.numel());
  const uint64_t seed = generator.seed;
  fill_with(tensor, "fill_uniform", [=](int64_t i) {
    const auto r = kernels::philox(seed, first + static_cast<uint64_t>(i), 0);
    return low + (high - low) * uniform_53(r.x[0], r.x[1]);
  });
}

void fill_normal(Tensor tensor, double mean, double std, Generator& generator) {
  const uint64_t first = generator.reserve(4 * tensor.numel());
  const uint64_t seed = generator.seed;
  fill_with(tensor, "fill_normal", [=](int64_t i) {
    const auto r = kernels::philox(seed, first + static_cast<uint64_t>(i), 0);
    // Box and Muller; 1 - u keeps the logarithm finite.
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform_53(r.x[0], r.x[1])));
    return mean + std * radius * std::cos(2.0 * std::numbers::pi * uniform_53(r.x[2], r.x[3]));
  });
}

}  // namespace xlstm
