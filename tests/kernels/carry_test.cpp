// Finite numbers are in the op table; here is what is not finite, and what is refused.
#include "core/ops/carry.h"

#include <cmath>
#include <limits>

#include "kernels/carry/carry.h"
#include "tests/devices.h"

namespace xlstm {
namespace {

using Limits = std::numeric_limits<float>;

void check_row(Device device, DType dtype, int64_t columns, float bad, int64_t place) {
  // The largest number is finite, and stays so in a sum.
  const float good = dtype == DType::f16 ? 65504.0f : 0x1.fep127f;
  std::vector<float> values(static_cast<size_t>(4 * columns), good);
  values[static_cast<size_t>(2 * columns + place)] = bad;
  const Tensor from = Tensor::empty({4, columns}, dtype, device);
  Tensor(from).copy_from(Tensor::from(values, {4, columns}).to(device));
  const Tensor to = Tensor::zeros({4, columns}, dtype, device);
  const Tensor usable = Tensor::from(std::vector<uint8_t>{1, 0, 1, 1}, {4}).to(device);
  ops::carry_store(from, to, usable);
  CHECK(usable.to(kCpu).to_vector<uint8_t>() == std::vector<uint8_t>{1, 0, 0, 1});
  const std::vector<float> stored = to.to(kCpu).to_vector<float>();
  for (size_t i = 0; i < values.size(); ++i)
    REQUIRE((stored[i] == values[i] || (std::isnan(stored[i]) && std::isnan(values[i]))));

  const Tensor fresh = Tensor::from(std::vector<uint8_t>{0, 0, 0, 7}, {4}).to(device);
  ops::carry_restart(to, fresh, usable, -3);
  const std::vector<float> begun = to.to(kCpu).to_vector<float>();
  for (int64_t i = 0; i < 4 * columns; ++i)
    REQUIRE(begun[static_cast<size_t>(i)] == (i < columns ? good : -3));
}

TEST_CASE("a row with a number that is not finite is noted, in whatever place it stands") {
  test::for_each_device([](Device device) {
    const std::vector<DType> types = device == kCpu
                                         ? std::vector{DType::f32, DType::f64}
                                         : std::vector{DType::f32, DType::bf16, DType::f16};
    for (const DType dtype : types)
      for (const int64_t columns : {1, 8, 37, 4096, 5001})
        for (const float bad : {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()})
          for (const int64_t place : {int64_t{0}, columns / 2, columns - 1}) {
            CAPTURE(name_of(dtype), columns, bad, place);
            check_row(device, dtype, columns, bad, place);
          }
  });
}

TEST_CASE("states that do not fit are refused") {
  const Tensor state = Tensor::zeros({3, 4}), bytes = Tensor::zeros({3}, DType::u8);
  CHECK_NOTHROW(ops::carry_store(state, Tensor::zeros({3, 4}), bytes));
  CHECK_THROWS_AS(ops::carry_store(state, Tensor::zeros({4, 3}), bytes), ShapeError);
  CHECK_THROWS_AS(ops::carry_store(state, Tensor::zeros({3, 4}, DType::f64), bytes), ShapeError);
  CHECK_THROWS_AS(ops::carry_store(state, {}, bytes), ShapeError);
  CHECK_THROWS_AS(ops::carry_store(state, Tensor::zeros({3, 4}), {}), ShapeError);
  CHECK_THROWS_AS(ops::carry_store(Tensor::scalar(1), Tensor::scalar(1), bytes), ShapeError);
  CHECK_THROWS_AS(ops::carry_store(state, state.strided_view({3, 4}, {0, 1}), bytes), ShapeError);
  CHECK_THROWS_AS(ops::carry_restart(state, bytes, Tensor::zeros({2}, DType::u8), 0), ShapeError);
  CHECK_THROWS_AS(ops::carry_restart(state, Tensor::zeros({3}), bytes, 0), ShapeError);
  CHECK_THROWS_AS(ops::carry_restart(state, bytes, bytes, INFINITY), ConfigError);
}

TEST_CASE("the kernels refuse missing bytes and a start that is not finite") {
  float x[6] = {}, y[6] = {};
  uint8_t bytes[2] = {};
  xlstm_carry_store_args store{XLSTM_F32, 2, 3, x, y, nullptr};
  CHECK(xlstm_carry_store_cpu(&store, {}) == XLSTM_NULL_POINTER);
  store.usable = bytes;
  CHECK(xlstm_carry_store_cpu(&store, {}) == XLSTM_OK);
  xlstm_carry_restart_args restart{XLSTM_F32, 2, 3, x, nullptr, bytes, 0};
  CHECK(xlstm_carry_restart_cpu(&restart, {}) == XLSTM_NULL_POINTER);
  restart.fresh = bytes, restart.usable = nullptr;
  CHECK(xlstm_carry_restart_cpu(&restart, {}) == XLSTM_NULL_POINTER);
  restart.usable = bytes;
  for (const double start : {static_cast<double>(NAN), static_cast<double>(-INFINITY)}) {
    restart.start = start;
    CHECK(xlstm_carry_restart_cpu(&restart, {}) == XLSTM_BAD_VALUE);
  }
  restart.start = 1;
  CHECK(xlstm_carry_restart_cpu(&restart, {}) == XLSTM_OK);
}

}  // namespace
}  // namespace xlstm
