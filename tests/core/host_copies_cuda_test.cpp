// Copies to the host beside other work, which must not change what is still to be copied.
#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "core/cuda/graph.h"
#include "core/cuda/host_copies.h"
#include "core/cuda/runtime.h"
#include "core/ops/elementwise.h"
#include "tests/cuda_device.h"

namespace xlstm {
namespace {

constexpr Device kCuda{DeviceType::cuda, 0};
constexpr int64_t kElements = 1 << 26;  // so many that a copy takes much longer than an addition

struct Setting {
  Tensor x = Tensor::full({kElements}, 1, DType::f32, kCuda);
  cuda::PinnedMemory memory{kElements * 4};
  cuda::HostCopies copies{kCuda};

  void save() {
    copies.follow();
    copies.copy(memory.data(), x.raw(), kElements * 4);
    copies.end();
  }
  void change() { x.copy_from(ops::add(x, x)); }
  bool has(float value) const {
    copies.wait();
    const auto* data = static_cast<const float*>(memory.data());
    return std::all_of(data, data + kElements, [&](float v) { return v == value; });
  }
};

}  // namespace

TEST_CASE(
    "copies to the host come after what was before, and what follows hold() comes after them") {
  if (!test::has_cuda_device()) return;
  Setting s;
  s.copies.wait();
  for (float value = 1; value < 100; value *= 2) {
    s.save();
    s.copies.hold();
    s.change();
    CHECK(s.has(value));
  }
}

TEST_CASE("a flag says when copies are there, in memory that was pinned afterwards") {
  if (!test::has_cuda_device()) return;
  Setting s;
  std::vector<float> plain(kElements);
  const cuda::PinnedRange pinned(plain.data(), kElements * 4);
  uint64_t flag = 0;
  float value = 1;
  for (uint64_t save = 1; save <= 4; ++save, value *= 2) {
    s.copies.follow();
    s.copies.copy(plain.data(), s.x.raw(), kElements * 4);
    s.copies.end();
    s.copies.tell(&flag, save);
    s.copies.hold();
    s.change();
    while (std::atomic_ref(flag).load(std::memory_order_acquire) < save) std::this_thread::yield();
    CHECK(std::all_of(plain.begin(), plain.end(), [&](float v) { return v == value; }));
  }
}

TEST_CASE("in a graph, what follows hold() comes after the copies before each replay") {
  if (!test::has_cuda_device()) return;
  Setting s;
  s.change();  // finds its memory
  cuda::Graph graph(kCuda, [&] {
    s.copies.hold();
    s.change();
  });
  graph.launch();  // without any copy before
  graph.launch();
  for (float value = 8; value < 1000; value *= 4) {
    s.save();
    graph.launch();
    graph.launch();
    CHECK(s.has(value));
  }
}

}  // namespace xlstm
