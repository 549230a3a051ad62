#include "core/allocator.h"

#include <cstdlib>
#include <functional>

#include "core/autograd.h"
#include "core/error.h"
#include "core/memory_report.h"
#include "core/ops/elementwise.h"
#include "core/tensor.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

using xlstm::test::contains;

constexpr int64_t kMiB = int64_t{1} << 20;

Tensor mebibytes(int64_t n) {
  return Tensor::empty({n * kMiB}, DType::u8);
}

int64_t in_use_by(MemoryCategory category) {
  return memory_stats().in_use_by[static_cast<size_t>(category)];
}

// No cached blocks, and `bytes` left of the limit.
class Limit {
 public:
  explicit Limit(int64_t bytes) {
    release_cached_memory();
    set_memory_limit(memory_stats().in_use_bytes + bytes);
  }
  ~Limit() { set_memory_limit(0); }
};

std::string refusal(const std::function<void()>& work) {
  try {
    work();
  } catch (const OutOfMemory& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("the report names the op, the sums by owner and the largest blocks") {
  const Limit limit(8 * kMiB);
  Tensor weight, moment;
  {
    const MemoryScope scope(MemoryCategory::weights);
    weight = mebibytes(1);
  }
  {
    const MemoryScope scope(MemoryCategory::optimizer);
    moment = mebibytes(1);
  }
  Tensors kept;
  for (const char* module : {"blocks.0", "blocks.1"}) {
    const auto in_module = MemoryScope::module(module);
    const auto in_op = MemoryScope::op("mlstm");
    kept.push_back(mebibytes(2));
  }
  const auto in_module = MemoryScope::module("blocks.2");
  const auto in_op = MemoryScope::op("mlstm", true);
  const std::string text = refusal([] { mebibytes(4); });
  CHECK_THAT(text, contains("out of memory on cpu in mlstm backward (blocks.2): tried 4.00 MiB, "
                            "free 2.00 MiB of "));
  CHECK_THAT(text, contains("weights 1.00 MiB"));
  CHECK_THAT(text, contains("optimizer 1.00 MiB"));
  CHECK_THAT(text, contains("activations 4.00 MiB"));
  CHECK_THAT(text, contains("Largest: blocks.1 mlstm 2.00 MiB x2, "));
}

TEST_CASE("an op names itself and its scratch memory, forward and backward") {
  Tensor x = Tensor::full({kMiB}, 0.5).set_requires_grad(true);
  const int64_t before = in_use_by(MemoryCategory::activations);
  const Tensor y = ops::exp(x);
  CHECK(in_use_by(MemoryCategory::activations) == before + 4 * kMiB);
  const Limit limit(kMiB);
  CHECK_THAT(refusal([&] { ops::tanh(x); }), contains("on cpu in tanh: tried 4.00 MiB"));
  const Tensor dy = Tensor::full({1}, 1).strided_view(x.shape(), {0});
  CHECK_THAT(refusal([&] { autograd::backward(y, dy); }), contains("on cpu in exp backward: "));
}

TEST_CASE("scopes end, and a category set outside an op is kept inside") {
  const int64_t before = in_use_by(MemoryCategory::weights);
  {
    const MemoryScope scope(MemoryCategory::weights);
    const auto in_op = MemoryScope::op("cast");
    const Tensor t = mebibytes(1);
    CHECK(in_use_by(MemoryCategory::weights) == before + kMiB);
  }
  CHECK(in_use_by(MemoryCategory::weights) == before);
  CHECK(MemoryOwner::current().op == nullptr);
  CHECK(MemoryOwner::current().category == MemoryCategory::other);
}

TEST_CASE("cached blocks of other sizes are given back before memory is called short") {
  const Limit limit(8 * kMiB);
  mebibytes(6);
  CHECK(memory_stats().cached_bytes == 6 * kMiB);
  const int64_t retries = memory_stats().n_retries;
  const Tensor larger = mebibytes(7);
  CHECK(memory_stats().n_retries == retries + 1);
  CHECK(memory_stats().cached_bytes == 0);
}

TEST_CASE("blocks that are held are not given back, and the report counts them") {
  const Limit limit(8 * kMiB);
  mebibytes(6);
  hold_cached_memory(kCpu);
  const std::string text = refusal([] { mebibytes(7); });
  unhold_cached_memory(kCpu);
  CHECK_THAT(text, contains("cached 6.00 MiB"));
  CHECK_NOTHROW(mebibytes(7));
}

TEST_CASE("memory from elsewhere counts while it is in use, and is not kept for others") {
  struct Elsewhere : MemorySource {
    int n_out = 0, n_left = 2;
    void* take(int64_t bytes) override {
      if (n_left == 0) return nullptr;
      --n_left, ++n_out;
      return std::aligned_alloc(64, static_cast<size_t>(bytes));
    }
    void give_back(void* memory) noexcept override {
      --n_out;
      std::free(memory);
    }
  };
  const Limit limit(3 * kMiB);
  const auto source = std::make_shared<Elsewhere>();
  const MemoryStats before = memory_stats();
  {
    const Storage storage(2 * kMiB, kCpu, source);
    CHECK(source->n_out == 1);
    CHECK(memory_stats().in_use_bytes == before.in_use_bytes + 2 * kMiB);
    // The limit holds for it too, and its report names the owner.
    CHECK_THAT(refusal([&] { const Storage more(2 * kMiB, kCpu, source); }),
               contains("out of memory"));
    CHECK(source->n_out == 1);
  }
  CHECK(source->n_out == 0);
  CHECK(memory_stats().in_use_bytes == before.in_use_bytes);
  CHECK(memory_stats().cached_bytes == before.cached_bytes);
  const Storage last(kMiB, kCpu, source);
  CHECK_THAT(refusal([&] { const Storage more(kMiB, kCpu, source); }), contains("out of memory"));
}

TEST_CASE("blocks that were noted and are free again are kept from others until put back") {
  hold_cached_memory(kCpu);
  const Tensor before = Tensor::empty({1000}, DType::u8);
  void* const not_noted = before.raw();
  note_blocks(kCpu);
  const void* noted = nullptr;
  {
    const Tensor temporary = Tensor::empty({77'000}, DType::u8);
    noted = temporary.raw();
  }
  // Within, a block may be given out again.
  CHECK(Tensor::empty({77'000}, DType::u8).raw() == noted);
  const Tensor result = Tensor::empty({99'000}, DType::u8);
  const MemoryStats stats = memory_stats(kCpu);
  const std::vector<FreeBlock> own = take_noted_blocks(kCpu);
  bool has_noted = false;
  for (const FreeBlock& block : own) {
    has_noted = has_noted || block.memory == noted;
    CHECK(block.memory != not_noted);
    CHECK(block.memory != result.raw());
  }
  CHECK(has_noted);
  CHECK(memory_stats(kCpu).cached_bytes == stats.cached_bytes);
  CHECK(Tensor::empty({77'000}, DType::u8).raw() != noted);
  put_back_blocks(own, kCpu);
  CHECK(Tensor::empty({77'000}, DType::u8).raw() == noted);
  unhold_cached_memory(kCpu);
}

TEST_CASE("the n-th request fails once, and numbers come with the text") {
  fail_allocation(2);
  const Tensor first = mebibytes(1);
  const int64_t in_use = memory_stats().in_use_bytes;
  try {
    mebibytes(1);
    FAIL("the second request was served");
  } catch (const OutOfMemory& error) {
    REQUIRE(error.report().has_value());
    CHECK(error.report()->tried == kMiB);
    CHECK(error.report()->in_use == in_use);
  }
  CHECK_NOTHROW(mebibytes(1));
  CHECK(memory_stats().in_use_bytes == in_use);
}

TEST_CASE("the limit of the environment is a number of bytes") {
  const auto limit = [](const char* text) {
    ::setenv("XLSTM_MEMORY_LIMIT", text, 1);
    return memory_limit_of_environment();
  };
  CHECK(limit("") == 0);
  CHECK(limit("1000") == 1000);
  CHECK(limit("3K") == 3 * 1024);
  CHECK(limit("2G") == int64_t{2} << 30);
  for (const char* bad : {"0", "-1", "4T", "1.5G", "2GB", "G", "9223372036854775807K"})
    CHECK_THROWS_AS(limit(bad), ConfigError);
  ::unsetenv("XLSTM_MEMORY_LIMIT");
}

}  // namespace
}  // namespace xlstm
