// Updates that a GPU decides on, eagerly and in a graph, against the host's.
#include "core/cuda/graph.h"
#include "core/cuda/runtime.h"
#include "tests/cuda_device.h"
#include "tests/optim/device_update_check.h"

namespace xlstm::optim {
namespace {

using test::has_cuda_device;

constexpr Device kCuda{DeviceType::cuda, 0};

testing::Ending run(bool adamw, bool in_graph) {
  std::unique_ptr<cuda::Graph> graph;
  const testing::Ending ending =
      testing::run(kCuda, adamw, [&](int64_t i, const std::function<void()>& launch) {
        if (!in_graph || i == 0) return launch();
        if (graph == nullptr) graph = std::make_unique<cuda::Graph>(kCuda, launch);
        graph->launch();
      });
  CHECK((graph != nullptr) == in_graph);
  return ending;
}

TEST_CASE("on a GPU an update goes as on the host") {
  if (!has_cuda_device()) return;
  for (const bool adamw : {true, false}) {
    CAPTURE(adamw);
    testing::check_against_host(run(adamw, false), testing::run_on_host(adamw));
  }
}

TEST_CASE("recorded in a graph, an update has the same bits, and so has every repetition") {
  if (!has_cuda_device()) return;
  for (const bool adamw : {true, false}) {
    CAPTURE(adamw);
    const testing::Ending eager = run(adamw, false);
    for (int i = 0; i < 10; ++i) CHECK(testing::same_bits(run(adamw, true), eager));
  }
}

TEST_CASE("on a GPU a skipped update changes no bit of weights, moments and copies") {
  if (!has_cuda_device()) return;
  testing::Course course(kCuda);
  AdamW optimizer(course.parameters, {});
  DeviceUpdate update(optimizer, {});
  testing::set_rates(update, 0);
  course.prepare(0, 1);
  update.launch(course.loss);
  testing::Ending before;
  testing::collect(optimizer, before);
  for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    for (const int64_t at : {0, 34, 63, 64, 261}) {  // padding counts too: it is always zero
      course.gradients.fill(0);
      course.prepare(0, 1);
      course.gradients.strided_view({1}, {1}, at).fill(bad);
      update.launch(course.loss);
      CHECK(update.read().skip == 1);
    }
  }
  testing::Ending after;
  testing::collect(optimizer, after);
  CHECK(after.numbers == before.numbers);
  CHECK(after.copies_are_rounded);
  CHECK(update.read().step == 1);
  CHECK(update.read().n_in_a_row == 10);
}

TEST_CASE("the norm of many gradients is summed in double") {
  if (!has_cuda_device()) return;
  const int64_t n = 3000017;
  Tensor value = Tensor::zeros({n}, DType::f32, kCuda);
  Tensor grad = Tensor::full({n}, 1e-3, DType::f32, kCuda);
  value.set_requires_grad(true);
  value.set_grad(grad);
  Sgd optimizer(make_parameters({{"w", value}}), {});
  DeviceUpdate update(optimizer, {});
  testing::set_rates(update, 0);
  update.launch(Tensor::zeros({}, DType::f32, kCuda));
  const double one = static_cast<double>(1e-3f);
  CHECK(update.read().gradient_norm ==
        Approx(one * std::sqrt(static_cast<double>(n))).epsilon(1e-9));
}

}  // namespace
}  // namespace xlstm::optim
