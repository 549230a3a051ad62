#include <cmath>
#include <cstring>

#include "kernels/copy/copy.h"
#include "tests/cuda_device.h"

namespace xlstm::test {
namespace {

constexpr xlstm_element kTypes[] = {XLSTM_ELEMENT_F32, XLSTM_ELEMENT_F64, XLSTM_ELEMENT_BF16,
                                    XLSTM_ELEMENT_F16, XLSTM_ELEMENT_I8,  XLSTM_ELEMENT_I16,
                                    XLSTM_ELEMENT_I32, XLSTM_ELEMENT_I64, XLSTM_ELEMENT_U8,
                                    XLSTM_ELEMENT_U16, XLSTM_ELEMENT_U32, XLSTM_ELEMENT_BOOL};
constexpr int64_t kSizes[] = {4, 8, 2, 2, 1, 2, 4, 8, 1, 2, 4, 1};

int64_t size_of_element(xlstm_element type) {
  return kSizes[type];
}

template <class T>
void put(unsigned char* to, T value) {
  std::memcpy(to, &value, sizeof value);
}
template <class T>
T take(const unsigned char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// The element that a conversion of `value` gives.
void encode(double value, xlstm_element type, unsigned char* to) {
  switch (type) {
    case XLSTM_ELEMENT_F32:
      return put(to, static_cast<float>(value));
    case XLSTM_ELEMENT_F64:
      return put(to, value);
    case XLSTM_ELEMENT_BF16:
      return put(to, __float2bfloat16_rn(static_cast<float>(value)));
    case XLSTM_ELEMENT_F16:
      return put(to, __float2half_rn(static_cast<float>(value)));
    case XLSTM_ELEMENT_I8:
      return put(to, static_cast<int8_t>(value));
    case XLSTM_ELEMENT_I16:
      return put(to, static_cast<int16_t>(value));
    case XLSTM_ELEMENT_I32:
      return put(to, static_cast<int32_t>(value));
    case XLSTM_ELEMENT_I64:
      return put(to, static_cast<int64_t>(value));
    case XLSTM_ELEMENT_U8:
      return put(to, static_cast<uint8_t>(value));
    case XLSTM_ELEMENT_U16:
      return put(to, static_cast<uint16_t>(value));
    case XLSTM_ELEMENT_U32:
      return put(to, static_cast<uint32_t>(value));
    case XLSTM_ELEMENT_BOOL:
      return put(to, static_cast<uint8_t>(value != 0));
  }
}
double decode(const unsigned char* from, xlstm_element type) {
  switch (type) {
    case XLSTM_ELEMENT_F32:
      return static_cast<double>(take<float>(from));
    case XLSTM_ELEMENT_F64:
      return take<double>(from);
    case XLSTM_ELEMENT_BF16:
      return static_cast<double>(__bfloat162float(take<__nv_bfloat16>(from)));
    case XLSTM_ELEMENT_F16:
      return static_cast<double>(__half2float(take<__half>(from)));
    case XLSTM_ELEMENT_I8:
      return take<int8_t>(from);
    case XLSTM_ELEMENT_I16:
      return take<int16_t>(from);
    case XLSTM_ELEMENT_I32:
      return take<int32_t>(from);
    case XLSTM_ELEMENT_I64:
      return static_cast<double>(take<int64_t>(from));
    case XLSTM_ELEMENT_U8:
    case XLSTM_ELEMENT_BOOL:
      return take<uint8_t>(from);
    case XLSTM_ELEMENT_U16:
      return take<uint16_t>(from);
    case XLSTM_ELEMENT_U32:
      return take<uint32_t>(from);
  }
  return 0;
}

struct Case {
  std::vector<int64_t> sizes, from, to;
  int64_t from_offset = 0, to_offset = 0;
};

// Dense (aligned, not, odd), rows with gaps, transposes of two and more dimensions, broadcasts,
// walks backwards, permutations, single elements.
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {{1}, {1}, {1}},
      {{}, {}, {}},
      {{5}, {1}, {1}},
      {{4096}, {1}, {1}},
      {{70001}, {1}, {1}},
      {{1000}, {1}, {1}, 1, 0},
      {{1000}, {1}, {1}, 3, 5},
      {{1000}, {3}, {1}},
      {{1000}, {1}, {2}},
      {{1000}, {-1}, {1}, 999, 0},
      {{1000}, {0}, {1}},
      {{12, 64}, {128, 1}, {64, 1}},
      {{12, 64}, {64, 1}, {192, 1}, 0, 64},
      {{12, 61}, {67, 1}, {61, 1}},
      {{64, 64}, {1, 64}, {64, 1}},
      {{65, 130}, {1, 65}, {130, 1}},
      {{130, 7}, {1, 130}, {7, 1}},
      {{200, 300}, {300, 1}, {1, 200}},
      {{3, 40, 50}, {2000, 1, 40}, {2000, 50, 1}},
      {{2, 5, 9, 33}, {1485, 33, 165, 1}, {1485, 297, 33, 1}},
      {{2, 5, 9, 33}, {1485, 1, 165, 5}, {1485, 297, 33, 1}},
      {{2, 70, 3, 33}, {6930, 1, 2310, 70}, {6930, 99, 33, 1}},
      {{37, 64}, {0, 1}, {64, 1}},
      {{37, 64}, {1, 0}, {64, 1}},
      {{4, 1, 6}, {6, 100, 1}, {6, 7, 1}},
      {{2, 3, 2, 3, 2, 3, 2, 3}, {648, 216, 108, 36, 18, 6, 3, 1}, {1, 2, 6, 12, 36, 72, 216, 432}},
  };
  return all;
}

int64_t extent(const Case& c, const std::vector<int64_t>& strides, int64_t offset) {
  int64_t n = offset + 1;
  for (size_t d = 0; d < c.sizes.size(); ++d)
    n += std::max<int64_t>(0, (c.sizes[d] - 1) * strides[d]);
  return n;
}

// Copies on the device, `n_times`, and checks every byte of the target's memory each time.
bool copies_well(const Case& c, xlstm_element from_type, xlstm_element to_type, int n_times = 1) {
  const int64_t from_size = size_of_element(from_type), to_size = size_of_element(to_type);
  const int64_t n_from = extent(c, c.from, c.from_offset), n_to = extent(c, c.to, c.to_offset);
  std::vector<unsigned char> from(static_cast<size_t>(n_from * from_size));
  const std::vector<double> draws = normal(n_from, 5, 20);
  for (int64_t i = 0; i < n_from; ++i)
    encode(std::abs(draws[static_cast<size_t>(i)]), from_type, from.data() + i * from_size);
  std::vector<unsigned char> want(static_cast<size_t>(n_to * to_size), 0xff);
  int64_t n = 1;
  for (const int64_t size : c.sizes) n *= size;
  for (int64_t i = 0; i < n; ++i) {
    int64_t rest = i, a = c.from_offset, b = c.to_offset;
    for (size_t d = c.sizes.size(); d-- > 0; rest /= c.sizes[d]) {
      a += rest % c.sizes[d] * c.from[d];
      b += rest % c.sizes[d] * c.to[d];
    }
    if (from_type == to_type)
      std::memcpy(want.data() + b * to_size, from.data() + a * from_size,
                  static_cast<size_t>(to_size));
    else
      encode(decode(from.data() + a * from_size, from_type), to_type, want.data() + b * to_size);
  }
  const DeviceArray source = DeviceArray::of(from), target = DeviceArray::bytes(n_to * to_size);
  xlstm_copy_args args{};
  args.from_type = from_type;
  args.to_type = to_type;
  args.n_dims = static_cast<int32_t>(c.sizes.size());
  std::copy(c.sizes.begin(), c.sizes.end(), args.sizes);
  std::copy(c.from.begin(), c.from.end(), args.from_strides);
  std::copy(c.to.begin(), c.to.end(), args.to_strides);
  args.from = static_cast<char*>(source.get()) + c.from_offset * from_size;
  args.to = static_cast<char*>(target.get()) + c.to_offset * to_size;
  for (int i = 0; i < n_times; ++i) {
    target.poison();
    REQUIRE(xlstm_copy_cuda(&args, {}) == XLSTM_OK);
    if (target.raw<unsigned char>() != want) return false;
  }
  return true;
}

TEST_CASE("copies on CUDA of every type keep all bits, whatever the strides") {
  if (!has_cuda_device()) return;
  for (const xlstm_element type : kTypes)
    for (size_t i = 0; i < cases().size(); ++i) {
      INFO("type " << type << " case " << i);
      CHECK(copies_well(cases()[i], type, type));
    }
}

TEST_CASE("conversions on CUDA round to nearest or truncate, whatever the strides") {
  if (!has_cuda_device()) return;
  for (const xlstm_element from : kTypes)
    for (const xlstm_element to : kTypes) {
      const bool common = from <= XLSTM_ELEMENT_F16 && to <= XLSTM_ELEMENT_F16;
      for (size_t i = 0; i < cases().size(); i += common ? 1 : small_run() ? 13 : 4) {
        if (from == to) continue;
        INFO("from " << from << " to " << to << " case " << i);
        CHECK(copies_well(cases()[i], from, to));
      }
    }
}

TEST_CASE("copies and conversions on CUDA have the same bits every time") {
  if (!has_cuda_device()) return;
  for (const xlstm_element to : {XLSTM_ELEMENT_F32, XLSTM_ELEMENT_BF16, XLSTM_ELEMENT_U8})
    for (const size_t i : {3u, 5u, 12u, 15u, 18u, 21u, 22u}) {
      INFO("to " << to << " case " << i);
      CHECK(copies_well(cases()[i], XLSTM_ELEMENT_F32, to, n_repeats()));
    }
}

TEST_CASE("copies on CUDA refuse what they should and do nothing for nothing") {
  if (!has_cuda_device()) return;
  const DeviceArray x(std::vector<double>(4, 1.0), XLSTM_F32), y(4, XLSTM_F32);
  const auto status = [&](auto change) {
    xlstm_copy_args args{};
    args.n_dims = 1;
    args.sizes[0] = 4;
    args.from = x;
    args.to = y;
    args.from_strides[0] = args.to_strides[0] = 1;
    change(args);
    return xlstm_copy_cuda(&args, {});
  };
  CHECK(xlstm_copy_cuda(nullptr, {}) == XLSTM_NULL_POINTER);
  CHECK(status([](auto& g) { g.from = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(status([](auto& g) { g.sizes[0] = -1; }) == XLSTM_BAD_SIZE);
  CHECK(status([](auto& g) { g.n_dims = 9; }) == XLSTM_BAD_SIZE);
  CHECK(status([](auto& g) { g.to_type = static_cast<xlstm_element>(12); }) == XLSTM_BAD_DTYPE);
  CHECK(status([](auto& g) { g.sizes[0] = 0; }) == XLSTM_OK);
  for (const uint32_t word : y.raw<uint32_t>()) CHECK(word == 0xffffffffu);  // nothing written
}

TEST_CASE("time of copies on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  const int64_t rows = 65536, cols = 2048, n = rows * cols;
  const DeviceArray x = DeviceArray::bytes(4 * n), y = DeviceArray::bytes(4 * n);
  const auto tell = [&](const char* what, xlstm_element from, xlstm_element to,
                        std::vector<int64_t> sizes, std::vector<int64_t> from_strides) {
    xlstm_copy_args args{};
    args.from_type = from;
    args.to_type = to;
    args.n_dims = static_cast<int32_t>(sizes.size());
    int64_t dense = 1;
    for (size_t d = sizes.size(); d-- > 0; dense *= sizes[d]) {
      args.sizes[d] = sizes[d];
      args.from_strides[d] = from_strides[d];
      args.to_strides[d] = dense;
    }
    args.from = x;
    args.to = y;
    const double ms = median_ms([&] { xlstm_copy_cuda(&args, {}); });
    const double bytes = static_cast<double>(dense * (size_of_element(from) + size_of_element(to)));
    std::printf("copy %-36s %8.4f ms %7.0f GB/s %5.1f %%\n", what, ms, bytes / ms * 1e-6,
                bytes / ms * 1e-6 / 42.60);
  };
  const auto f32 = XLSTM_ELEMENT_F32, b16 = XLSTM_ELEMENT_BF16;
  tell("dense bf16", b16, b16, {n}, {1});
  tell("dense f32", f32, f32, {n}, {1});
  tell("half of rows bf16", b16, b16, {rows, cols / 2}, {cols, 1});
  tell("f32 to bf16", f32, b16, {n}, {1});
  tell("bf16 to f32", b16, f32, {n}, {1});
  tell("transpose bf16", b16, b16, {cols, rows}, {1, cols});
  tell("transpose f32", f32, f32, {cols, rows}, {1, cols});
  tell("heads first bf16", b16, b16, {32, 16, 2048, 128}, {2048 * 2048, 128, 2048, 1});
}

}  // namespace
}  // namespace xlstm::test
