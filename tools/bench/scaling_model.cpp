#include "tools/bench/scaling_model.h"

#include <cmath>

#include "core/error.h"
#include "layers/make_model.h"
#include "tools/bench/end_to_end.h"
#include "tools/train/placement.h"

namespace xlstm::bench {
namespace {

// docs/benchmarks.md, "Training on one H200", the table of one H100 (80 GB HBM3).
struct MeasuredStep {
  const char* preset;
  double tokens, ms;
  const char* source;
};
constexpr MeasuredStep kSteps[] = {
    {"didactic", 64 * 256, 27.9, "one H100, 2026-11-26, 43a0a70"},
    {"paper-120m", 8 * 2048, 48.1, "one H100, 2026-11-26, 43a0a70"},
    {"paper-120m-mlstm", 8 * 2048, 45.4, "one H100, 2026-11-26, 43a0a70"},
    {"large-407m", 16 * 2048, 162, "one H100, 2026-11-26, 5b5023b"},
    {"large-1.4b", 8 * 2048, 253, "one H100, 2026-11-26, 5b5023b"}};

// The same page: AdamW with float32 gradients and bf16 copies, 1.419 ms for 2^27 weights.
constexpr double kUpdateMsPerWeight = 1.419 / (1 << 27);
// Forward once more: a third of forward and backward.
constexpr double kCheckpointingCost = 4.0 / 3;

struct Counted {
  double all = 0, products = 0, width = 0, n_blocks = 0;
};
Counted count(const layers::ModelConfig& config) {
  const auto model = layers::make_model_outline(config);
  return {static_cast<double>(model->n_parameters()), product_parameters(*model),
          static_cast<double>(model->width()), static_cast<double>(model->n_blocks())};
}

double update_ms_of(double n_parameters) {
  return n_parameters * kUpdateMsPerWeight;
}

struct Time {
  double compute_ms = 0;
  std::string source;
};

// Forward and backward, by what was measured.
Time known_compute(const std::string& name, const Counted& model, double tokens) {
  for (const MeasuredStep& step : kSteps) {
    if (name != step.preset || count(config_of(name, "", {}).model).all != model.all) continue;
    const double compute = step.ms - update_ms_of(model.all);
    std::string source = detail::concat("measured on ", step.source);
    if (tokens != step.tokens)
      source += detail::concat(" with ", step.tokens, " tokens, in proportion");
    return {compute * tokens / step.tokens, source};
  }
  const MeasuredStep& step = kSteps[std::size(kSteps) - 1];
  const Counted measured = count(config_of(step.preset, "", {}).model);
  const double ms_per_product =
      (step.ms - update_ms_of(measured.all)) / (measured.products * step.tokens);
  return {
      ms_per_product * model.products * tokens,
      detail::concat("not measured: products at the rate of ", step.preset, " on ", step.source)};
}

bool has_known_vocabulary(const layers::ModelConfig& config) {
  return std::visit([](const auto& m) { return m.vocab_size > 0; }, config);
}

}  // namespace

// The most that a step held, on the CPU in float32, vocabulary 512, at 2 and 6 blocks and 4 and 8
// sequences of 512: per token, block and unit of width 17.4 numbers at widths 256 and 512 (large),
// 18.1 (paper); beyond the blocks 6.5. With checkpointing a block keeps the two halves of its
// input, and one block at a time all.
double activation_numbers(double tokens, double width, double n_blocks, bool checkpointing) {
  constexpr double kBlock = 18, kRest = 7, kInput = 2;
  const double blocks = checkpointing ? kInput * n_blocks + kBlock : kBlock * n_blocks;
  return tokens * width * (blocks + kRest);
}

ScalingModel scaling_model(const std::string& name, const train::RunConfig& config,
                           const StepGiven& given) {
  const train::TrainerConfig& trainer = config.trainer;
  const bool narrow = train::is_narrow(trainer.precision);
  require<ConfigError>(trainer.precision != "64-true",
                       "bench scaling: trainer.precision: got 64-true, expected one for GPUs");
  require<ConfigError>(has_known_vocabulary(config.model),
                       "bench scaling: model.vocab_size: got 0, expected the number of tokens");
  require<ConfigError>(narrow || given.step_ms, "bench scaling: trainer.precision: got ",
                       trainer.precision, ", expected bf16-mixed, or the time of a step by ",
                       "--step_ms or --measure (times that are known are of bf16-mixed)");
  const Counted model = count(config.model);
  ScalingModel m;
  m.name = name;
  m.batch_size = config.data.batch_size;
  m.n_accumulated = trainer.accumulate_grad_batches;
  m.length = config.data.max_length;
  const double micro_tokens = static_cast<double>(m.batch_size * m.length);
  Workload& work = m.work;
  work.n_parameters = model.all;
  work.n_accumulated = static_cast<double>(m.n_accumulated);
  work.tokens = micro_tokens * work.n_accumulated;
  work.bucket_bytes = static_cast<double>(trainer.bucket_mb << 20);
  work.reduce_bytes = trainer.reduce_dtype == "bfloat16" ? 2 : 4;
  work.copy_bytes = narrow ? 2 : 0;
  work.update_ms = given.update_ms.value_or(update_ms_of(model.all));
  if (given.step_ms) {
    m.step_source = given.source;
    work.compute_ms = *given.step_ms - work.update_ms;
  } else {
    const Time known = known_compute(name, model, work.tokens);
    work.compute_ms = known.compute_ms;
    m.step_source = known.source;
    if (trainer.activation_checkpointing) {
      work.compute_ms *= kCheckpointingCost;
      m.step_source += ", a third more for checkpointing";
    }
  }
  require<ConfigError>(work.update_ms >= 0 && std::isfinite(work.update_ms),
                       "bench scaling: --update_ms: got ", work.update_ms, ", expected at least 0");
  require<ConfigError>(work.compute_ms > 0 && std::isfinite(work.compute_ms),
                       "bench scaling: --step_ms: got ", work.compute_ms + work.update_ms,
                       ", expected more than the ", work.update_ms,
                       " ms that the update takes (--update_ms)");
  const double numbers = activation_numbers(micro_tokens, model.width, model.n_blocks,
                                            trainer.activation_checkpointing);
  m.activation_source = given.activation_bytes ? given.source : "estimated";
  work.activation_bytes = given.activation_bytes.value_or(numbers * (narrow ? 2 : 4));
  require<ConfigError>(work.activation_bytes >= 0 && std::isfinite(work.activation_bytes),
                       "bench scaling: --activation_gb: got ", work.activation_bytes / 1e9,
                       ", expected at least 0");
  return m;
}

}  // namespace xlstm::bench
