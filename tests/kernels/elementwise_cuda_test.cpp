#include <cmath>

#include "kernels/elementwise/elementwise.h"
#include "tests/cuda_device.h"

namespace xlstm::test {
namespace {

constexpr xlstm_dtype kTypes[] = {XLSTM_F32, XLSTM_BF16, XLSTM_F16};

// One rounding of the result is 2^-9 of it in bfloat16 and 2^-11 in float16.
double tolerance(xlstm_dtype dtype, bool gradient = false) {
  const double one = dtype == XLSTM_F32 ? 1e-5 : dtype == XLSTM_BF16 ? 4e-3 : 1e-3;
  return gradient && dtype != XLSTM_F32 ? 2 * one : one;
}

// How an array lies in its memory.
struct Layout {
  std::vector<int64_t> strides;
  int64_t offset = 0;
};

struct Shape {
  std::vector<int64_t> sizes;
  Layout a, b, c;

  int64_t count() const {
    int64_t n = 1;
    for (const int64_t size : sizes) n *= size;
    return n;
  }
  // Elements of memory that reach past the last one used.
  int64_t extent(const Layout& l) const {
    int64_t n = l.offset + 1;
    for (size_t d = 0; d < sizes.size(); ++d)
      n += std::max<int64_t>(0, (sizes[d] - 1) * l.strides[d]);
    return n;
  }
};

// Dense, one element off alignment, odd tails, broadcasts along either dimension and of a scalar,
// rows with gaps (aligned and not), transposes, walks backwards, four dimensions that cannot merge.
const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = some<Shape>(
      {
          {{4099}, {{1}}, {{1}}, {{0}}},
          {{4096}, {{1}, 1}, {{1}, 3}, {{1}, 1}},
          {{37, 61}, {{61, 1}}, {{0, 1}}, {{1, 0}}},
          {{13, 64}, {{128, 1}}, {{192, 1}, 64}, {{64, 1}}},
          {{3, 4, 5, 8}, {{160, 8, 32, 1}}, {{0, 8, 0, 1}}, {{1, 3, 12, 60}}},
          {{4096}, {{1}}, {{1}}, {{1}}},
          {{7}, {{1}}, {{1}}, {{1}}},
          {{1}, {{1}}, {{1}}, {{1}}},
          {{}, {{}}, {{}}, {{}}},
          {{100003}, {{1}}, {{1}, 1}, {{1}}},
          {{3, 5, 7}, {{35, 7, 1}}, {{35, 7, 1}}, {{35, 7, 1}}},
          {{37, 64}, {{64, 1}}, {{0, 1}}, {{64, 1}}},
          {{37, 64}, {{64, 1}}, {{1, 0}}, {{0, 0}}},
          {{129, 1}, {{1, 1}}, {{0, 5}}, {{3, 1}}},
          {{13, 64}, {{67, 1}}, {{64, 1}}, {{64, 1}}},
          {{33, 65}, {{1, 33}}, {{65, 1}}, {{1, 33}}},
          {{5, 16}, {{16, -1}, 15}, {{-16, 1}, 64}, {{16, 1}}},
      },
      7);
  return all;
}

void set(int64_t* to, const std::vector<int64_t>& from) {
  std::copy(from.begin(), from.end(), to);
}

template <class Args>
void set_shape(Args& args, const Shape& shape) {
  args.n_dims = static_cast<int32_t>(shape.sizes.size());
  set(args.sizes, shape.sizes);
}

const void* at(const DeviceArray& a, const Layout& l, xlstm_dtype dtype) {
  return static_cast<const char*>(a.get()) + l.offset * size_of(dtype);
}

std::vector<double> positive(std::vector<double> x) {
  for (double& v : x) v = std::abs(v) + 0.125;
  return x;
}

bool needs_positive(xlstm_unary_op op) {
  return op == XLSTM_UNARY_LOG || op == XLSTM_UNARY_SQRT;
}

TEST_CASE("unary functions on CUDA are those of the CPU in float64") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (int op = XLSTM_UNARY_SCALE; op <= XLSTM_UNARY_SOFTCAP; ++op)
      for (size_t s = 0; s < shapes().size(); ++s) {
        const Shape& shape = shapes()[s];
        INFO("type " << name_of(dtype) << " op " << op << " shape " << s);
        xlstm_unary_fwd_args args{};
        args.op = static_cast<xlstm_unary_op>(op);
        args.dtype = XLSTM_F64;
        args.parameter = 1.75;
        set_shape(args, shape);
        set(args.x_strides, shape.a.strides);
        std::vector<double> x = normal(shape.extent(shape.a), 1 + s, 2);
        if (needs_positive(args.op)) x = positive(x);
        x = rounded(x, dtype);
        std::vector<double> want(static_cast<size_t>(shape.count()));
        args.x = x.data() + shape.a.offset;
        args.y = want.data();
        REQUIRE(xlstm_unary_fwd_cpu(&args, {}) == XLSTM_OK);

        const DeviceArray device_x(x, dtype), y(shape.count(), dtype);
        args.dtype = dtype;
        args.x = at(device_x, shape.a, dtype);
        args.y = y;
        REQUIRE(xlstm_unary_fwd_cuda(&args, {}) == XLSTM_OK);
        CHECK(max_error(y.values(), want) <= tolerance(dtype));
      }
}

TEST_CASE("gradients of unary functions on CUDA are those of the CPU in float64") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (int op = XLSTM_UNARY_SCALE; op <= XLSTM_UNARY_SOFTCAP; ++op)
      for (size_t s = 0; s < shapes().size(); ++s) {
        const Shape& shape = shapes()[s];
        INFO("type " << name_of(dtype) << " op " << op << " shape " << s);
        xlstm_unary_bwd_args args{};
        args.op = static_cast<xlstm_unary_op>(op);
        args.dtype = XLSTM_F64;
        args.parameter = 1.75;
        set_shape(args, shape);
        set(args.saved_strides, shape.a.strides);
        set(args.dy_strides, shape.b.strides);
        std::vector<double> saved = normal(shape.extent(shape.a), 11 + s);
        if (needs_positive(args.op)) saved = positive(saved);
        saved = rounded(saved, dtype);
        const std::vector<double> dy = rounded(normal(shape.extent(shape.b), 12 + s), dtype);
        std::vector<double> want(static_cast<size_t>(shape.count()));
        const bool reads = xlstm_unary_bwd_reads(args.op) != XLSTM_SAVED_NOTHING;
        args.saved = reads ? saved.data() + shape.a.offset : nullptr;
        args.dy = dy.data() + shape.b.offset;
        args.dx = want.data();
        REQUIRE(xlstm_unary_bwd_cpu(&args, {}) == XLSTM_OK);

        const DeviceArray device_saved(saved, dtype), device_dy(dy, dtype),
            dx(shape.count(), dtype);
        args.dtype = dtype;
        args.saved = reads ? at(device_saved, shape.a, dtype) : nullptr;
        args.dy = at(device_dy, shape.b, dtype);
        args.dx = dx;
        REQUIRE(xlstm_unary_bwd_cuda(&args, {}) == XLSTM_OK);
        CHECK(max_error(dx.values(), want) <= tolerance(dtype, true));
      }
}

TEST_CASE("binary functions on CUDA are those of the CPU in float64") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (int op = XLSTM_BINARY_ADD; op <= XLSTM_BINARY_MAXIMUM; ++op)
      for (size_t s = 0; s < shapes().size(); ++s) {
        const Shape& shape = shapes()[s];
        INFO("type " << name_of(dtype) << " op " << op << " shape " << s);
        xlstm_binary_fwd_args args{};
        args.op = static_cast<xlstm_binary_op>(op);
        args.dtype = XLSTM_F64;
        set_shape(args, shape);
        set(args.a_strides, shape.a.strides);
        set(args.b_strides, shape.b.strides);
        const std::vector<double> a = rounded(normal(shape.extent(shape.a), 21 + s), dtype);
        const std::vector<double> b =
            rounded(positive(normal(shape.extent(shape.b), 22 + s)), dtype);
        std::vector<double> want(static_cast<size_t>(shape.count()));
        args.a = a.data() + shape.a.offset;
        args.b = b.data() + shape.b.offset;
        args.y = want.data();
        REQUIRE(xlstm_binary_fwd_cpu(&args, {}) == XLSTM_OK);

        const DeviceArray device_a(a, dtype), device_b(b, dtype), y(shape.count(), dtype);
        args.dtype = dtype;
        args.a = at(device_a, shape.a, dtype);
        args.b = at(device_b, shape.b, dtype);
        args.y = y;
        REQUIRE(xlstm_binary_fwd_cuda(&args, {}) == XLSTM_OK);
        CHECK(max_error(y.values(), want) <= tolerance(dtype));
      }
}

TEST_CASE("gradients of binary functions on CUDA are those of the CPU, one or both wanted") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (int op = XLSTM_BINARY_MUL; op <= XLSTM_BINARY_MAXIMUM; ++op)
      for (int wanted = 1; wanted <= 3; ++wanted)
        for (size_t s = 0; s < shapes().size(); ++s) {
          const Shape& shape = shapes()[s];
          INFO("type " << name_of(dtype) << " op " << op << " wanted " << wanted << " shape " << s);
          const bool wants_a = (wanted & 1) != 0, wants_b = (wanted & 2) != 0;
          // MUL reads only the factor of what is wanted.
          const bool reads_a = op == XLSTM_BINARY_MAXIMUM || wants_b;
          const bool reads_b = op != XLSTM_BINARY_MUL || wants_a;
          xlstm_binary_bwd_args args{};
          args.op = static_cast<xlstm_binary_op>(op);
          args.dtype = XLSTM_F64;
          set_shape(args, shape);
          set(args.a_strides, shape.a.strides);
          set(args.b_strides, shape.b.strides);
          set(args.dy_strides, shape.c.strides);
          const std::vector<double> a = rounded(normal(shape.extent(shape.a), 31 + s), dtype);
          const std::vector<double> b =
              rounded(positive(normal(shape.extent(shape.b), 32 + s)), dtype);
          const std::vector<double> dy = rounded(normal(shape.extent(shape.c), 33 + s), dtype);
          const size_t n = static_cast<size_t>(shape.count());
          std::vector<double> want_a(n), want_b(n);
          args.a = reads_a ? a.data() + shape.a.offset : nullptr;
          args.b = reads_b ? b.data() + shape.b.offset : nullptr;
          args.dy = dy.data() + shape.c.offset;
          args.da = wants_a ? want_a.data() : nullptr;
          args.db = wants_b ? want_b.data() : nullptr;
          REQUIRE(xlstm_binary_bwd_cpu(&args, {}) == XLSTM_OK);

          const DeviceArray device_a(a, dtype), device_b(b, dtype), device_dy(dy, dtype);
          const DeviceArray da(shape.count(), dtype), db(shape.count(), dtype);
          args.dtype = dtype;
          args.a = reads_a ? at(device_a, shape.a, dtype) : nullptr;
          args.b = reads_b ? at(device_b, shape.b, dtype) : nullptr;
          args.dy = at(device_dy, shape.c, dtype);
          args.da = wants_a ? da.get() : nullptr;
          args.db = wants_b ? db.get() : nullptr;
          REQUIRE(xlstm_binary_bwd_cuda(&args, {}) == XLSTM_OK);
          if (wants_a) CHECK(max_error(da.values(), want_a) <= tolerance(dtype, true));
          if (wants_b) CHECK(max_error(db.values(), want_b) <= tolerance(dtype, true));
        }
}

xlstm_unary_fwd_args dense_unary(xlstm_unary_op op, xlstm_dtype dtype, int64_t n, const void* x,
                                 void* y) {
  xlstm_unary_fwd_args args{};
  args.op = op;
  args.dtype = dtype;
  args.n_dims = 1;
  args.sizes[0] = n;
  args.parameter = 2;
  args.x = x;
  args.x_strides[0] = 1;
  args.y = y;
  return args;
}

TEST_CASE("elementwise functions on CUDA: in place, extreme values, the same bits every time") {
  if (!has_cuda_device()) return;
  const std::vector<double> x = rounded(normal(10007, 41, 3), XLSTM_BF16);
  const DeviceArray from(x, XLSTM_BF16), to(10007, XLSTM_BF16);
  auto args = dense_unary(XLSTM_UNARY_TANH, XLSTM_BF16, 10007, from, to);
  REQUIRE(xlstm_unary_fwd_cuda(&args, {}) == XLSTM_OK);
  const auto first = to.raw<uint16_t>();
  for (int i = 1; i < n_repeats(); ++i) {
    REQUIRE(xlstm_unary_fwd_cuda(&args, {}) == XLSTM_OK);
    REQUIRE(to.raw<uint16_t>() == first);
  }
  args.y = from;
  REQUIRE(xlstm_unary_fwd_cuda(&args, {}) == XLSTM_OK);
  CHECK(from.raw<uint16_t>() == first);

  for (const xlstm_dtype dtype : kTypes) {
    const std::vector<double> edges{-1e4, 1e4, 0, -100, 100, NAN, -20, 20};
    const DeviceArray e(edges, dtype), y(8, dtype);
    for (const xlstm_unary_op op :
         {XLSTM_UNARY_SIGMOID, XLSTM_UNARY_LOG_SIGMOID, XLSTM_UNARY_TANH, XLSTM_UNARY_SOFTCAP}) {
      INFO("type " << name_of(dtype) << " op " << op);
      auto edge = dense_unary(op, dtype, 8, e, y);
      REQUIRE(xlstm_unary_fwd_cuda(&edge, {}) == XLSTM_OK);
      const std::vector<double> got = y.values();
      for (size_t i = 0; i < 8; ++i) CHECK(std::isnan(got[i]) == (i == 5));
    }
  }
}

TEST_CASE("elementwise functions on CUDA and their gradients have the same bits every time") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes)
    for (const size_t s : {0u, 2u, 4u}) {
      INFO("type " << name_of(dtype) << " shape " << s);
      const Shape& shape = shapes()[s];
      const DeviceArray a(positive(normal(shape.extent(shape.a), 1)), dtype),
          b(positive(normal(shape.extent(shape.b), 2)), dtype),
          c(normal(shape.extent(shape.c), 3), dtype);
      DeviceArray y(shape.count(), dtype), da(shape.count(), dtype), db(shape.count(), dtype);
      for (int op = XLSTM_UNARY_SCALE; op <= XLSTM_UNARY_SOFTCAP; ++op) {
        INFO("unary " << op);
        xlstm_unary_fwd_args f{};
        xlstm_unary_bwd_args g{};
        f.op = g.op = static_cast<xlstm_unary_op>(op);
        f.dtype = g.dtype = dtype;
        f.parameter = g.parameter = 1.75;
        set_shape(f, shape);
        set_shape(g, shape);
        set(f.x_strides, shape.a.strides);
        set(g.saved_strides, shape.a.strides);
        set(g.dy_strides, shape.c.strides);
        f.x = at(a, shape.a, dtype);
        f.y = y;
        g.saved =
            xlstm_unary_bwd_reads(g.op) != XLSTM_SAVED_NOTHING ? at(a, shape.a, dtype) : nullptr;
        g.dy = at(c, shape.c, dtype);
        g.dx = da;
        CHECK(same_bits_again([&] { REQUIRE(xlstm_unary_fwd_cuda(&f, {}) == XLSTM_OK); }, {&y}));
        CHECK(same_bits_again([&] { REQUIRE(xlstm_unary_bwd_cuda(&g, {}) == XLSTM_OK); }, {&da}));
      }
      for (int op = XLSTM_BINARY_ADD; op <= XLSTM_BINARY_MAXIMUM; ++op) {
        INFO("binary " << op);
        xlstm_binary_fwd_args f{};
        f.op = static_cast<xlstm_binary_op>(op);
        f.dtype = dtype;
        set_shape(f, shape);
        set(f.a_strides, shape.a.strides);
        set(f.b_strides, shape.b.strides);
        f.a = at(a, shape.a, dtype);
        f.b = at(b, shape.b, dtype);
        f.y = y;
        CHECK(same_bits_again([&] { REQUIRE(xlstm_binary_fwd_cuda(&f, {}) == XLSTM_OK); }, {&y}));
        if (op < XLSTM_BINARY_MUL) continue;
        xlstm_binary_bwd_args g{};
        g.op = f.op;
        g.dtype = dtype;
        set_shape(g, shape);
        set(g.a_strides, shape.a.strides);
        set(g.b_strides, shape.b.strides);
        set(g.dy_strides, shape.c.strides);
        g.a = f.a;
        g.b = f.b;
        g.dy = at(c, shape.c, dtype);
        g.da = da;
        g.db = db;
        CHECK(same_bits_again([&] { REQUIRE(xlstm_binary_bwd_cuda(&g, {}) == XLSTM_OK); },
                              {&da, &db}));
      }
    }
}

TEST_CASE("elementwise functions on CUDA refuse what they should and do nothing for nothing") {
  if (!has_cuda_device()) return;
  const DeviceArray x(std::vector<double>(4, 1.0), XLSTM_F32), y(4, XLSTM_F32);
  const auto status = [&](auto change) {
    auto args = dense_unary(XLSTM_UNARY_EXP, XLSTM_F32, 4, x, y);
    change(args);
    return xlstm_unary_fwd_cuda(&args, {});
  };
  CHECK(status([](auto& g) { g.n_dims = 9; }) == XLSTM_BAD_SIZE);
  CHECK(status([](auto& g) { g.sizes[0] = -4; }) == XLSTM_BAD_SIZE);
  CHECK(status([](auto& g) { g.y = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(status([](auto& g) { g.dtype = XLSTM_F64; }) == XLSTM_BAD_DTYPE);
  CHECK(status([](auto& g) { g.op = static_cast<xlstm_unary_op>(11); }) == XLSTM_BAD_VALUE);
  CHECK(xlstm_unary_fwd_cuda(nullptr, {}) == XLSTM_NULL_POINTER);
  CHECK(status([](auto& g) {
          g.sizes[0] = 0;
          g.x = g.y = nullptr;
        }) == XLSTM_OK);
  for (const uint32_t word : y.raw<uint32_t>()) CHECK(word == 0xffffffffu);  // nothing written
}

TEST_CASE("time of elementwise functions on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  const int64_t rows = 65536, cols = 2048, n = rows * cols;
  const auto tell = [](const char* what, double ms, int64_t bytes) {
    const double rate = static_cast<double>(bytes) / ms * 1e-6;
    std::printf("%-40s %8.4f ms %7.0f GB/s %5.1f %%\n", what, ms, rate, rate / 42.60);
  };
  for (const xlstm_dtype dtype : {XLSTM_BF16, XLSTM_F32}) {
    const DeviceArray x = DeviceArray::bytes(n * size_of(dtype)),
                      y = DeviceArray::bytes(n * size_of(dtype)),
                      z = DeviceArray::bytes(n * size_of(dtype));
    for (const auto op : {XLSTM_UNARY_SCALE, XLSTM_UNARY_TANH, XLSTM_UNARY_SIGMOID}) {
      const auto args = dense_unary(op, dtype, n, x, y);
      const std::string name = std::string("unary ") + std::to_string(op) + " " + name_of(dtype);
      tell(name.c_str(), median_ms([&] { xlstm_unary_fwd_cuda(&args, {}); }),
           2 * n * size_of(dtype));
    }
    xlstm_binary_fwd_args add{};
    add.op = XLSTM_BINARY_ADD;
    add.dtype = dtype;
    add.n_dims = 2;
    add.sizes[0] = rows;
    add.sizes[1] = cols;
    add.a = x;
    add.b = y;
    add.y = z;
    add.a_strides[0] = add.b_strides[0] = cols;
    add.a_strides[1] = add.b_strides[1] = 1;
    for (const auto op : {XLSTM_BINARY_ADD, XLSTM_BINARY_MUL}) {
      add.op = op;
      tell((std::string(op == XLSTM_BINARY_ADD ? "add " : "mul ") + name_of(dtype)).c_str(),
           median_ms([&] { xlstm_binary_fwd_cuda(&add, {}); }), 3 * n * size_of(dtype));
    }
    add.op = XLSTM_BINARY_ADD;
    add.b_strides[0] = 0;
    tell((std::string("add a row ") + name_of(dtype)).c_str(),
         median_ms([&] { xlstm_binary_fwd_cuda(&add, {}); }), 2 * n * size_of(dtype));
  }
}

}  // namespace
}  // namespace xlstm::test
