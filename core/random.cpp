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

struct Pair {
  double first, second;
};

// Element 2c and 2c + 1 are f(four words of counter first_counter + c).
template <class T, class F>
void fill_dense(const Tensor& tensor, uint64_t seed, uint64_t first_counter, F f) {
  T* out = tensor.data<T>();
  const int64_t n = tensor.numel();
#pragma omp parallel for schedule(static) if (n > 16384)
  for (int64_t c = 0; c < (n + 1) / 2; ++c) {
    const Pair pair = f(kernels::philox(seed, first_counter + static_cast<uint64_t>(c), 0));
    out[2 * c] = static_cast<T>(pair.first);
    if (2 * c + 1 < n) out[2 * c + 1] = static_cast<T>(pair.second);
  }
}

template <class F>
void fill_pairs(const Tensor& tensor, Generator& generator, const char* what, F f) {
  require<ShapeError>(is_floating(tensor.dtype()), what, ": expected a floating tensor, got ",
                      name_of(tensor.dtype()));
  const uint64_t first = generator.reserve(2 * tensor.numel());
  Tensor target = tensor;
  if (tensor.dtype() == DType::f32 && tensor.is_contiguous() && tensor.device() == kCpu) {
    fill_dense<float>(tensor, generator.seed, first, f);
    target.bump_version();
  } else {
    const Tensor values = Tensor::empty(tensor.shape(), DType::f64);
    fill_dense<double>(values, generator.seed, first, f);
    target.copy_from(values);
  }
}

}  // namespace

uint64_t Generator::reserve(int64_t n_numbers) {
  const uint64_t first = offset;
  offset += static_cast<uint64_t>((n_numbers + 3) / 4);
  return first;
}

void fill_uniform(Tensor tensor, double low, double high, Generator& generator) {
  fill_pairs(tensor, generator, "fill_uniform", [=](const kernels::Philox4& r) {
    return Pair{low + (high - low) * uniform_53(r.x[0], r.x[1]),
                low + (high - low) * uniform_53(r.x[2], r.x[3])};
  });
}

void fill_normal(Tensor tensor, double mean, double std, Generator& generator) {
  fill_pairs(tensor, generator, "fill_normal", [=](const kernels::Philox4& r) {
    // Box and Muller; 1 - u keeps the logarithm finite.
    const double radius = std * std::sqrt(-2.0 * std::log(1.0 - uniform_53(r.x[0], r.x[1])));
    const double angle = 2.0 * std::numbers::pi * uniform_53(r.x[2], r.x[3]);
    return Pair{mean + radius * std::cos(angle), mean + radius * std::sin(angle)};
  });
}

}  // namespace xlstm
