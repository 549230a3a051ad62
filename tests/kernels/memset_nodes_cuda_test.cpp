// Memsets of a graph that become kernels.
#include "kernels/common/memset_nodes.h"
#include "tests/cuda_device.h"

namespace xlstm::kernels {
namespace {

using test::check_cuda;

constexpr int64_t kMost = 1024;

cudaGraphNode_t add_memset(cudaGraph_t graph, std::vector<cudaGraphNode_t> before, void* to,
                           unsigned value, unsigned element, size_t width, size_t height = 1) {
  cudaMemsetParams set{};
  set.dst = to;
  set.value = value;
  set.elementSize = element;
  set.width = width;
  set.height = height;
  set.pitch = 4096;
  cudaGraphNode_t node = nullptr;
  check_cuda(cudaGraphAddMemsetNode(&node, graph, before.data(), before.size(), &set), "memset");
  return node;
}

cudaGraphNode_t add_copy(cudaGraph_t graph, std::vector<cudaGraphNode_t> before, void* to,
                         const void* from, size_t bytes) {
  cudaGraphNode_t node = nullptr;
  check_cuda(cudaGraphAddMemcpyNode1D(&node, graph, before.data(), before.size(), to, from, bytes,
                                      cudaMemcpyDeviceToDevice),
             "copy");
  return node;
}

size_t n_nodes(cudaGraph_t graph) {
  size_t n = 0;
  check_cuda(cudaGraphGetNodes(graph, nullptr, &n), "nodes");
  return n;
}

TEST_CASE("small memsets of a graph become kernels in the same place") {
  if (!test::has_cuda_device()) return;
  constexpr size_t kBytes = 1 << 16;
  uint8_t *a = nullptr, *b = nullptr;
  check_cuda(cudaMalloc(&a, kBytes), "memory");
  check_cuda(cudaMalloc(&b, kBytes), "memory");
  cudaGraph_t graph = nullptr;
  check_cuda(cudaGraphCreate(&graph, 0), "graph");
  // A value that is overwritten, read between and overwritten again: only in this order come the
  // numbers below.
  const auto first = add_memset(graph, {}, a, 0x01020304, 4, 3);
  const auto read = add_copy(graph, {first}, b, a, 12);
  const auto second = add_memset(graph, {read}, a, 0xabcd, 2, 5);
  const auto third = add_memset(graph, {second}, a + 1, 0x77, 1, 1);
  // Two branches that meet.
  const auto left = add_memset(graph, {third}, a + 64, 5, 1, kMost);
  const auto right = add_copy(graph, {third}, b + 64, a, 16);
  add_copy(graph, {left, right}, b + 128, a + 64, 64);
  // These stay: too long, and several rows.
  add_memset(graph, {left}, a + 8192, 9, 1, kMost + 1);
  add_memset(graph, {}, a + 16384, 3, 1, 8, 2);
  const size_t before = n_nodes(graph);
  int64_t n_replaced = -1;
  REQUIRE(xlstm_replace_memsets(graph, kMost, &n_replaced) == XLSTM_OK);
  CHECK(n_replaced == 4);
  CHECK(n_nodes(graph) == before);
  cudaGraphExec_t executable = nullptr;
  check_cuda(cudaGraphInstantiate(&executable, graph, 0), "instantiation");
  for (int replay = 0; replay < 50; ++replay) {
    check_cuda(cudaMemset(a, 0xee, kBytes), "memset");
    check_cuda(cudaMemset(b, 0xee, kBytes), "memset");
    check_cuda(cudaGraphLaunch(executable, nullptr), "launch");
    std::vector<uint8_t> x(kBytes), y(kBytes), want_x(kBytes, 0xee), want_y(kBytes, 0xee);
    check_cuda(cudaMemcpy(x.data(), a, kBytes, cudaMemcpyDeviceToHost), "copy");
    check_cuda(cudaMemcpy(y.data(), b, kBytes, cudaMemcpyDeviceToHost), "copy");
    for (size_t i = 0; i < 12; ++i) want_x[i] = want_y[i] = static_cast<uint8_t>(4 - i % 4);
    for (size_t i = 0; i < 10; ++i) want_x[i] = i % 2 == 0 ? 0xcd : 0xab;
    want_x[1] = 0x77;
    for (size_t i = 0; i < 16; ++i) want_y[64 + i] = want_x[i];
    for (size_t i = 0; i < kMost; ++i) want_x[64 + i] = 5;
    for (size_t i = 0; i < 64; ++i) want_y[128 + i] = 5;
    for (size_t i = 0; i <= kMost; ++i) want_x[8192 + i] = 9;
    for (size_t i = 0; i < 8; ++i) want_x[16384 + i] = want_x[16384 + 4096 + i] = 3;
    REQUIRE(x == want_x);
    REQUIRE(y == want_y);
  }
  check_cuda(cudaGraphExecDestroy(executable), "end");
  check_cuda(cudaGraphDestroy(graph), "end");
  check_cuda(cudaFree(a), "end");
  check_cuda(cudaFree(b), "end");
}

TEST_CASE("what is no graph is an error") {
  if (!test::has_cuda_device()) return;
  int64_t n_replaced = -1;
  CHECK(xlstm_replace_memsets(nullptr, kMost, &n_replaced) == XLSTM_NULL_POINTER);
  CHECK(n_replaced == 0);
}

}  // namespace
}  // namespace xlstm::kernels
