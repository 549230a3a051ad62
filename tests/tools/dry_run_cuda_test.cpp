// Predictions of memory against what runs on a GPU take.
#include <cmath>
#include <cstdio>

#include "tests/cuda_device.h"
#include "tests/reliability/proof.h"
#include "tests/tools/measured_peak.h"
#include "tests/tools/tiny_run.h"
#include "tools/train/dry_run.h"

namespace xlstm::train {
namespace {

constexpr Device kCuda{DeviceType::cuda, 0};

struct Case {
  const char* what;
  int64_t batch = 16, accumulate = 1;
  const char* precision = "bf16-mixed";
  bool graph = true, recompute = false, is_large = false, fits = false;
};

// The kinds of runs, and batches below and above those from which a GPU's are told.
constexpr Case kCases[] = {
    {.what = "a graph"},
    {.what = "a graph", .batch = 3},
    {.what = "a graph", .batch = 8},
    {.what = "a graph", .batch = 40},
    {.what = "step by step", .graph = false},
    {.what = "float32", .precision = "32-true"},
    {.what = "float32, step by step", .batch = 24, .precision = "32-true", .graph = false},
    {.what = "float16, scaled loss", .precision = "16-mixed"},
    {.what = "accumulation", .accumulate = 3},
    {.what = "activation checkpointing", .batch = 24, .recompute = true},
    {.what = "both, float32", .accumulate = 2, .precision = "32-true", .recompute = true},
    {.what = "xlstm_large", .is_large = true},
    {.what = "xlstm_large, float32", .batch = 12, .precision = "32-true", .is_large = true},
    {.what = "xlstm_large, both",
     .batch = 24,
     .accumulate = 2,
     .recompute = true,
     .is_large = true},
    {.what = "a whole fit", .fits = true},
};

void set_up(RunConfig& config, const Case& c) {
  config.trainer.accelerator = "gpu";
  config.trainer.precision = c.precision;
  config.trainer.cuda_graph = c.graph;
  config.trainer.activation_checkpointing = c.recompute;
  config.trainer.accumulate_grad_batches = c.accumulate;
  config.data.batch_size = c.batch;
  config.data.max_length = 128;
  if (c.is_large) {
    layers::XlstmLargeConfig large;
    large.embedding_dim = 256;
    large.num_heads = 4;
    large.num_blocks = 4;
    config.model = large;
    return;
  }
  auto& model = std::get<layers::XlstmModelConfig>(config.model);
  model.embedding_dim = 256;
  model.num_blocks = 4;
  model.mlstm_block.mlstm.num_heads = model.slstm_block.slstm.num_heads = 4;
}

TEST_CASE("the peak of training on a GPU is predicted within 5 %") {
  if (!test::has_cuda_device()) return;
  proof::Promise promise(14, "fit --dry_run against the peak of runs on a GPU");
  double largest = 0;
  for (const Case& c : kCases) {
    TinyRun run;
    set_up(run.config, c);
    const MemoryPrediction predicted = predict_memory(run.config, run.services());
    const int64_t measured = testing::measured_peak(run.config, run.services(), c.fits, kCuda);
    const double deviation =
        static_cast<double>(predicted.peak_bytes) / static_cast<double>(measured) - 1;
    char text[160];
    std::snprintf(text, sizeof text, "%s, batch %d: predicted %.3f MB, measured %.3f MB, %+.2f %%",
                  c.what, static_cast<int>(c.batch),
                  static_cast<double>(predicted.peak_bytes) / 1e6,
                  static_cast<double>(measured) / 1e6, 100 * deviation);
    std::printf("%s\n", text);
    largest = std::max(largest, std::abs(deviation));
    promise.point(std::abs(deviation) < 0.05, text);
    CHECK(predicted.device == kCuda);
    CHECK(predicted.reserved_bytes >= predicted.peak_bytes);
    CHECK(predicted.fits());
  }
  char text[80];
  std::snprintf(text, sizeof text, "the largest deviation is %.2f %%", 100 * largest);
  promise.figure(text);
}

}  // namespace
}  // namespace xlstm::train
