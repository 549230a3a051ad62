#include "core/tensor.h"

#include <cmath>
#include <limits>

#include "tests/catch.h"

namespace xlstm {
namespace {

Tensor counting(const Shape& shape, DType dtype = DType::f32) {
  std::vector<double> values(static_cast<size_t>(element_count(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  Tensor t = Tensor::empty(shape, dtype);
  t.copy_from(Tensor::from(values, shape));
  return t;
}

TEST_CASE("values survive from and to_vector in every type") {
  const std::vector<int64_t> big{(int64_t{1} << 62) + 1, -5};
  CHECK(Tensor::from(big, {2}).to_vector<int64_t>() == big);
  CHECK(Tensor::from(std::vector<float>{1.5f, -2}, {2}).to_vector<double>() ==
        std::vector<double>{1.5, -2});
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i8, DType::i16,
                            DType::i32, DType::i64, DType::u8, DType::u16, DType::u32}) {
    INFO(name_of(dtype));
    CHECK(counting({2, 3}, dtype).to_vector<double>() == std::vector<double>{0, 1, 2, 3, 4, 5});
  }
  CHECK(counting({3}, DType::boolean).to_vector<double>() == std::vector<double>{0, 1, 1});
  CHECK_THROWS_AS(Tensor::from(std::vector<float>{1, 2}, {3}), ShapeError);
  CHECK(Tensor::from(std::vector<float>{}, {0, 4}).to_vector<float>().empty());
}

TEST_CASE("views share memory and are bounded by it") {
  const Tensor x = counting({3, 4});
  Tensor column = x.strided_view({3}, {4}, 1);
  CHECK(column.to_vector<float>() == std::vector<float>{1, 5, 9});
  CHECK_FALSE(column.is_contiguous());
  column.fill(7);
  CHECK(x.to_vector<float>() == std::vector<float>{0, 7, 2, 3, 4, 7, 6, 7, 8, 7, 10, 11});
  CHECK(x.strided_view({4}, {-1}, 3).to_vector<float>() == std::vector<float>{3, 2, 7, 0});
  CHECK_THROWS_AS(x.strided_view({3}, {4}, 4), ShapeError);
  CHECK_THROWS_AS(x.strided_view({13}, {1}), ShapeError);
  CHECK_THROWS_AS(x.strided_view({2}, {-1}, 0), ShapeError);
  CHECK_THROWS_AS(x.strided_view({2}, {1, 1}), ShapeError);
  CHECK_THROWS_AS(x.strided_view({3}, {std::numeric_limits<int64_t>::max()}), ShapeError);
  CHECK_NOTHROW(x.strided_view({0}, {1}, 12));
}

TEST_CASE("sizes that make no sense are refused") {
  CHECK_THROWS_AS(Tensor::empty({-1}), ShapeError);
  CHECK_THROWS_AS(Tensor::empty({int64_t{1} << 40, int64_t{1} << 40}), ShapeError);
  CHECK_THROWS_AS(Tensor::empty({0, int64_t{1} << 40, int64_t{1} << 40}), ShapeError);
  CHECK_THROWS_AS(Tensor::empty(Shape(9, 1)), ShapeError);
  CHECK_THROWS_AS(Tensor::empty({int64_t{1} << 61}), ShapeError);
  CHECK_THROWS_AS(counting({2}).item(), ShapeError);
  CHECK_THROWS_AS(counting({2}).data<double>(), ShapeError);
}

TEST_CASE("an undefined tensor says so") {
  const Tensor none;
  CHECK_FALSE(none.defined());
  CHECK_FALSE(none.requires_grad());
  CHECK_THROWS_AS(none.shape(), ShapeError);
  CHECK_THROWS_AS(none.raw(), ShapeError);
  CHECK_THROWS_AS(none.clone(), ShapeError);
  CHECK_THROWS_AS(counting({1}).copy_from(none), ShapeError);
}

TEST_CASE("copies between strided tensors, long enough for the threads") {
  const int64_t n = 300, m = 517;
  const Tensor x = counting({n, m}, DType::f64);
  const Tensor turned = x.strided_view({m, n}, {1, m});
  const std::vector<double> values = turned.clone().to_vector<double>();
  bool right = true;
  for (int64_t j = 0; j < m; ++j)
    for (int64_t i = 0; i < n; ++i)
      right = right && values[static_cast<size_t>(j * n + i)] == static_cast<double>(i * m + j);
  CHECK(right);
  Tensor single = Tensor::zeros({n, 2 * m});
  single.strided_view({n, m}, {2 * m, 1}, m).copy_from(x);
  CHECK(single.strided_view({1}, {1}, 3 * 2 * m + m + 5).item() == 3.0 * m + 5);
  CHECK(single.strided_view({1}, {1}, 3 * 2 * m + m - 1).item() == 0);
  const uint64_t version = single.version();
  single.fill(2);
  CHECK(single.version() > version);
  CHECK(single.strided_view({1}, {1}, n * 2 * m - 1).item() == 2);
  CHECK_THROWS_AS(single.copy_from(x), ShapeError);
}

TEST_CASE("a tensor may be shifted within its own memory") {
  Tensor x = counting({100000});
  x.strided_view({99999}, {1}, 1).copy_from(x.strided_view({99999}, {1}, 0));
  CHECK(x.to_vector<float>()[70001] == 70000);
  CHECK(x.to_vector<float>()[1] == 0);
}

TEST_CASE("rebind moves every handle to the other memory") {
  Tensor x = counting({2, 3});
  const Tensor same = x;
  const Tensor arena = Tensor::zeros({10});
  x.rebind(arena.strided_view({2, 3}, {3, 1}, 2));
  Tensor(same).fill(1);
  CHECK(arena.to_vector<float>() == std::vector<float>{0, 0, 1, 1, 1, 1, 1, 1, 0, 0});
  CHECK_THROWS_AS(x.rebind(Tensor::zeros({3, 2})), ShapeError);
  x.set_grad(Tensor::zeros({2, 3}));
  CHECK_THROWS_AS(x.rebind(Tensor::zeros({2, 3}, DType::f64)), ShapeError);
  x.set_grad({});
  x.rebind(Tensor::zeros({2, 3}, DType::f64));
  CHECK(same.dtype() == DType::f64);
}

// The bfloat16 nearest to x, ties to even, found by looking at both neighbours.
uint16_t nearest_bf16(float x) {
  const auto below = static_cast<uint16_t>(std::bit_cast<uint32_t>(x) >> 16);
  const auto above = static_cast<uint16_t>(below + 1);
  const double to_below = std::abs(double{x} - double{bf16_to_float(below)});
  const double to_above = std::abs(double{bf16_to_float(above)} - double{x});
  if (to_below != to_above) return to_below < to_above ? below : above;
  return below % 2 == 0 ? below : above;
}

TEST_CASE("bfloat16 and float16 round to nearest even, alone and in a tensor") {
  for (uint32_t i = 0; i < 200000; ++i) {
    const float x = std::bit_cast<float>(i * 21475u % 0x7F7F0000u | (i % 2 << 31));
    if (float_to_bf16(x) != nearest_bf16(x)) FAIL_CHECK("bfloat16 of " << x);
  }
  for (const float x : {1.00390625f, 1.01171875f, 3.4e38f, -0.0f, 1e-40f}) {
    INFO(x);
    Tensor t = Tensor::empty({1}, DType::bf16);
    t.copy_from(Tensor::scalar(x).strided_view({1}, {1}));
    CHECK(t.data<uint16_t>()[0] == float_to_bf16(x));
  }
  CHECK(bf16_to_float(float_to_bf16(1.00390625f)) == 1.0f);       // a tie, down to even
  CHECK(bf16_to_float(float_to_bf16(1.01171875f)) == 1.015625f);  // a tie, up to even
  CHECK(std::isinf(bf16_to_float(float_to_bf16(3.4e38f))));
  CHECK(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7F800001u)))));
  CHECK(f16_to_float(float_to_f16(1.00048828125f)) == 1.0f);
  CHECK(f16_to_float(float_to_f16(1.00146484375f)) == 1.001953125f);
  CHECK(f16_to_float(float_to_f16(65504)) == 65504);
  CHECK(std::isinf(f16_to_float(float_to_f16(65520))));
  CHECK(f16_to_float(float_to_f16(6e-8f)) == 0x1p-24f);
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto b = static_cast<uint16_t>(bits);
    if (!std::isnan(bf16_to_float(b)) && float_to_bf16(bf16_to_float(b)) != b)
      FAIL_CHECK("bfloat16 " << bits);
    if (!std::isnan(f16_to_float(b)) && float_to_f16(f16_to_float(b)) != b)
      FAIL_CHECK("float16 " << bits);
  }
}

TEST_CASE("only floating leaves take gradients") {
  CHECK_THROWS_AS(Tensor::zeros({1}, DType::i64).set_requires_grad(true), AutogradError);
  Tensor x = counting({2});
  CHECK_THROWS_AS(x.set_grad(counting({3})), ShapeError);
  CHECK_THROWS_AS(x.set_grad(counting({2}, DType::f64)), ShapeError);
}

}  // namespace
}  // namespace xlstm
