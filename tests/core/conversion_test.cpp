#include "core/element_copy.h"
#include "tests/catch.h"
#include "tests/core/conversion_case.h"

namespace xlstm {
namespace {

using testing::converted;
using testing::edges_in;

constexpr DType kFloating[] = {DType::f32, DType::f64, DType::bf16, DType::f16};

TEST_CASE("a boolean is 0 for zeros and 1 for all else: fractions, multiples of 256, NaN") {
  for (const DType from : kFloating) {
    CAPTURE(name_of(from));
    const Tensor x = edges_in(from);
    const Tensor y = converted(x, DType::boolean);
    for (int64_t i = 0; i < x.numel(); ++i) {
      const double value = load_element(x.raw(), from, i);
      CAPTURE(value);
      CHECK(y.data<uint8_t>()[i] == (value == 0 ? 0 : 1));  // NaN == 0 is false
    }
  }
  for (const DType from : {DType::u8, DType::i8, DType::i32, DType::i64}) {
    const Tensor x =
        converted(Tensor::from<double>(std::vector<double>{0, 1, 2, 5, 100}, {5}), from);
    CHECK(converted(x, DType::boolean).to_vector<uint8_t>() == std::vector<uint8_t>{0, 1, 1, 1, 1});
  }
  Tensor filled = Tensor::full({3}, 0.5, DType::boolean);
  CHECK(filled.to_vector<uint8_t>() == std::vector<uint8_t>{1, 1, 1});
}

template <class T>
void check_integer(const std::vector<double>& given, const std::vector<T>& want) {
  for (const DType from : {DType::f32, DType::f64}) {
    const auto n = static_cast<int64_t>(given.size());
    const Tensor x = converted(Tensor::from<double>(given, {n}), from);
    CHECK(converted(x, DTypeOf<T>::value).template to_vector<T>() == want);
  }
}

TEST_CASE("to an integer: towards zero, to the nearest end of its range, NaN to 0") {
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  check_integer<uint8_t>({-0.5, 1.99, -3, 255.9, 256, 1e30, -HUGE_VAL, HUGE_VAL, NAN},
                         {0, 1, 0, 255, 255, 255, 0, 255, 0});
  check_integer<int32_t>({-0.5, 1.99, -1.99, 1e10, -1e10, NAN, 2147483648.0},
                         {0, 1, -1, kMost, -kMost - 1, 0, kMost});
  constexpr int64_t kLongest = std::numeric_limits<int64_t>::max();
  check_integer<int64_t>({-1.99, 4294967296.0, 1e30, -1e30, NAN},
                         {-1, int64_t{1} << 32, kLongest, -kLongest - 1, 0});
}

}  // namespace
}  // namespace xlstm
