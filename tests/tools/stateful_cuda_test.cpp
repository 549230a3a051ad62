// data.stateful on a GPU: states that a graph reads and writes, against steps one by one and the
// CPU; lanes that begin anew; skipped and failed steps; going on.
#include <cmath>
#include <limits>

#include "core/allocator.h"
#include "core/autograd.h"
#include "tests/cuda_device.h"
#include "tests/tools/stateful_run.h"

namespace xlstm::train {
namespace {

using test::has_cuda_device;

constexpr Device kCuda{DeviceType::cuda, 0};
constexpr int64_t kSteps = 10;  // two one by one, then recorded; epochs end after 3, 6 and 9

std::vector<double> weights_of(const layers::LanguageModel& model) {
  std::vector<double> all;
  for (const Tensor& parameter : model.parameters())
    for (const double x : parameter.to_vector<double>()) all.push_back(x);
  return all;
}

struct Ending {
  std::vector<double> losses, weights;
  std::string states;
};

Ending steps(StatefulRun& run, int64_t n = kSteps) {
  Trainer trainer(run.config, run.services());
  Ending ending;
  for (int64_t i = 0; i < n; ++i) ending.losses.push_back(trainer.step().loss);
  ending.weights = weights_of(trainer.model());
  trainer.save();
  ending.states = carried_bytes(trainer);
  return ending;
}

// Wide enough for the kernels of large models.
void widen(StatefulRun& run) {
  auto& model = std::get<layers::XlstmModelConfig>(run.config.model);
  model.embedding_dim = 128;
  model.mlstm_block.mlstm.num_heads = model.slstm_block.slstm.num_heads = 2;
}

TEST_CASE("a graph, prefetch and recomputed blocks change no bit of training with states") {
  if (!has_cuda_device()) return;
  for (const char* precision : {"32-true", "bf16-mixed", "bf16-true", "16-mixed"}) {
    for (const bool reset : {false, true}) {
      for (const bool wide : {false, true}) {
        Ending want;
        for (const bool graph : {false, true}) {
          for (const int64_t prefetch : {0, 3}) {
            CAPTURE(precision, reset, wide, graph, prefetch);
            StatefulRun run;
            run.config.trainer.accelerator = "gpu";
            run.config.trainer.precision = precision;
            run.config.trainer.cuda_graph = graph;
            run.config.trainer.activation_checkpointing = graph && prefetch == 3;
            run.config.data.document_reset = reset;
            run.config.data.prefetch = prefetch;
            if (wide) widen(run);
            const Ending got = steps(run);
            for (const double loss : got.losses) CHECK(std::isfinite(loss));
            if (want.losses.empty()) want = got;
            CHECK(got.losses == want.losses);
            CHECK(got.weights == want.weights);
            CHECK(got.states == want.states);
          }
        }
      }
    }
  }
}

TEST_CASE("with carried states a GPU trains as the CPU does, and not as without them") {
  if (!has_cuda_device()) return;
  for (const bool reset : {false, true}) {
    for (const bool graph : {false, true}) {
      StatefulRun cpu, gpu;
      gpu.config.trainer.accelerator = "gpu";
      gpu.config.trainer.cuda_graph = graph;
      for (StatefulRun* run : {&cpu, &gpu}) run->config.data.document_reset = reset;
      const Ending want = steps(cpu), got = steps(gpu);
      for (size_t i = 0; i < want.losses.size(); ++i) {
        CAPTURE(reset, graph, i);
        CHECK(std::abs(got.losses[i] - want.losses[i]) < 1e-4);
      }
    }
  }
  // With frozen weights, from the second step of an epoch on, the state is all that differs between
  // the lanes of a run and the same lanes begun anew.
  StatefulRun carried, anew;
  for (StatefulRun* run : {&carried, &anew}) {
    run->freeze_weights();
    run->config.trainer.accelerator = "gpu";
    run->config.trainer.overfit_batches = 4;  // steps 0 and 1 again and again
  }
  Trainer a(carried.config, carried.services());
  const double first = a.step().loss, second = a.step().loss;
  for (int i = 0; i < 6; ++i) CHECK(a.step().loss == Approx(i % 2 == 0 ? first : second));
  const TrainingData data = anew.data();
  double forgetful = 0;
  for (const int64_t micro : {0, 1}) {
    Batch batch = data.batch(1, micro);
    const autograd::NoGrad no_grad;
    forgetful += batch_loss(a.model(), batch, {}).loss.item() / 2;
  }
  CHECK(std::abs(forgetful - second) > 1e-5);
}

TEST_CASE("a run with states on a GPU that was stopped goes on bit for bit") {
  if (!has_cuda_device()) return;
  for (const char* precision : {"32-true", "bf16-mixed", "16-mixed"}) {
    StatefulRun whole;
    whole.config.trainer.accelerator = "gpu";
    whole.config.trainer.precision = precision;
    Trainer unbroken(whole.config, whole.services());
    unbroken.fit();
    for (const int64_t stop : {3, 5}) {  // the end of an epoch, and within one
      CAPTURE(precision, stop);
      StatefulRun parts;
      parts.config.trainer = whole.config.trainer;
      parts.config.trainer.default_root_dir = parts.dir.path("runs");
      parts.config.trainer.max_steps = stop;
      {
        Trainer first(parts.config, parts.services());
        first.fit();
      }
      parts.config.trainer.max_steps = 12;
      Trainer second(parts.config, parts.services());
      second.resume("last");
      second.fit();
      CHECK(weights_of(second.model()) == weights_of(unbroken.model()));
      CHECK(carried_bytes(second) == carried_bytes(unbroken));
    }
  }
}

TEST_CASE("a step that a GPU skips leaves no state that is not finite") {
  if (!has_cuda_device()) return;
  for (const bool graph : {false, true}) {
    for (const char* poisoned : {"lm_head.weight", "token_embedding.weight"}) {
      CAPTURE(graph, poisoned);
      StatefulRun good, bad;
      for (StatefulRun* run : {&good, &bad}) {
        run->freeze_weights();
        run->config.trainer.limit_train_batches = 40;
        run->config.trainer.accelerator = "gpu";
        run->config.trainer.cuda_graph = graph;
      }
      Trainer unbroken(good.config, good.services()), trainer(bad.config, bad.services());
      for (int i = 0; i < 4; ++i) CHECK(trainer.step().loss == unbroken.step().loss);
      Tensor weight;
      for (const auto& [name, parameter] : trainer.model().named_parameters())
        if (name == poisoned) weight = parameter;
      REQUIRE(weight.defined());
      const Tensor before = weight.clone();
      weight.fill(std::numeric_limits<double>::quiet_NaN());
      CHECK(trainer.step().skipped);
      unbroken.step();
      weight.copy_from(before);
      const std::string checkpoint = trainer.save();
      for (const auto& [name, tensor] :
           Checkpoint::open(checkpoint).load_tensors("carried_state.safetensors"))
        for (const double x : tensor.to_vector<double>()) REQUIRE(std::isfinite(x));
      // States of a poisoned head are good, those of a poisoned embedding begin anew.
      const double carried = unbroken.step().loss;
      const StepReport next = trainer.step();
      CHECK_FALSE(next.skipped);
      if (poisoned == std::string("lm_head.weight")) {
        CHECK(next.loss == carried);
      } else {
        CHECK(std::abs(next.loss - carried) > 1e-6);
      }
      for (int i = 0; i < 3; ++i) CHECK_FALSE(trainer.step().skipped);
    }
  }
}

TEST_CASE("carried states on a GPU take no more memory with each step, also after failed ones") {
  if (!has_cuda_device()) return;
  for (const bool graph : {false, true}) {
    CAPTURE(graph);
    StatefulRun run;
    run.config.trainer.accelerator = "gpu";
    run.config.trainer.cuda_graph = graph;
    Trainer trainer(run.config, run.services());
    trainer.step();
    if (graph) trainer.step();  // the next is recorded, or fails on the way
    const int64_t before = memory_stats(kCuda).in_use_bytes;
    int64_t n = 1;
    for (bool failed = true; failed; n += 29) {
      fail_allocation(n, kCuda);
      failed = false;
      try {
        trainer.step();
      } catch (const OutOfMemory&) {
        failed = true;
      }
      CHECK(memory_stats(kCuda).in_use_bytes == before);
    }
    fail_allocation(0, kCuda);
    CHECK(n > 100);
    for (int i = 0; i < 5; ++i) CHECK(std::isfinite(trainer.step().loss));
    CHECK(memory_stats(kCuda).in_use_bytes == before);
  }
}

}  // namespace
}  // namespace xlstm::train
