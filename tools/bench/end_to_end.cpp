#include "tools/bench/end_to_end.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/autograd.h"
#include "core/cuda/runtime.h"
#include "core/error.h"
#include "core/ops/view.h"
#include "data/bpe_trainer.h"
#include "tools/train/memory_limit.h"
#include "tools/train/placement.h"
#include "tools/train/trainer.h"

namespace xlstm::bench {
namespace {

double now_ms() {
  return std::chrono::duration<double, std::milli>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

constexpr int64_t kWarmUpSteps = 4;  // two without the graph, one that captures it, one more

// Of a text: one drawn from the prompt's logits, one without the graph, one that records it.
constexpr int64_t kWarmUpTokens = 3;

void finish(Device device) {
  if (device != kCpu) cuda::synchronize(device);
}

Row row_of(const std::string& name, const std::string& sample, const char* pass,
           const train::RunConfig& config, Device device) {
  Row row;
  row.op = name;
  row.sample = sample;
  row.pass = pass;
  row.device = to_string(device);
  row.dtype = config.trainer.precision;
  row.variant =
      device != kCpu && config.trainer.cuda_graph && row.pass != "prefill" ? "graph" : "eager";
  return row;
}

// What a step of one text reads and writes of its recurrent state.
double state_bytes(const layers::LanguageModel& model) {
  double bytes = 0;
  for (const auto& [name, tensor] : model.init_state(1).named_tensors())
    bytes += static_cast<double>(tensor.numel() * size_of(tensor.dtype()));
  return 2 * bytes;
}

data::Tokenizer byte_tokenizer() {
  return data::BpeTrainer({.n_vocab = 257}).train();
}

// A token a byte.
std::vector<std::string> make_prompts(const GenerateShape& shape) {
  std::vector<std::string> prompts;
  for (int64_t row = 0; row < shape.batch; ++row) {
    std::string text;
    for (int64_t i = 1; i < shape.prompt_tokens; ++i)  // one is the separator before it
      text += static_cast<char>('a' + (i * i + 3 * i + 7 * row) % 26);
    prompts.push_back(text);
  }
  return prompts;
}

// How far below the best logit the generated tokens of row 0 lie when the whole text is read at
// once, in standard deviations of the logits: rounding apart, 0.
double regret(const layers::LanguageModel& model, const data::Tokenizer& tokenizer,
              const std::string& prompt, const std::vector<int32_t>& generated) {
  const autograd::NoGrad no_grad;
  std::vector<int64_t> ids{tokenizer.end_of_text()};
  for (const int32_t id : tokenizer.encode(prompt)) ids.push_back(id);
  const size_t start = ids.size();
  for (const int32_t id : generated) ids.push_back(id);
  const Tensor tokens = Tensor::from(ids, {1, static_cast<int64_t>(ids.size())}).to(model.device());
  const layers::HiddenOutput out = model.forward_hidden(tokens);
  const int64_t n = static_cast<int64_t>(generated.size()), from = static_cast<int64_t>(start) - 1;
  const Tensor hidden = ops::contiguous(ops::slice(out.hidden, 1, from, from + n));
  const std::vector<double> logits = model.logits(hidden).to(kCpu).to_vector<double>();
  const auto width = static_cast<size_t>(model.n_vocab()),
             valid = static_cast<size_t>(tokenizer.n_vocab());
  double worst = 0;
  for (size_t i = 0; i < generated.size(); ++i) {
    const double* row = logits.data() + i * width;
    double mean = 0, square = 0;
    for (size_t v = 0; v < valid; ++v) mean += row[v], square += row[v] * row[v];
    mean /= static_cast<double>(valid);
    const double deviation =
        std::sqrt(std::max(square / static_cast<double>(valid) - mean * mean, 1e-12));
    const double gap = *std::max_element(row, row + valid) - row[generated[i]];
    worst = std::max(worst, gap / deviation);
  }
  return worst;
}

// How far 16-bit rounding may move the logits that two ways of computing give, in their standard
// deviations. A rounding errs by up to 2^-9 of what it rounds; a block rounds about eight times
// (norm, projections, cell, gate, output, sum, each in both halves), and independent errors add up
// as the root of their number. A choice compares two logits of two computations, which makes 2 in
// the root mean square; 6 leaves room for the largest among many.
double rounding_bound(int64_t n_blocks) {
  return 6 * 0x1.0p-9 * std::sqrt(8.0 * static_cast<double>(n_blocks));
}

}  // namespace

double product_parameters(const layers::LanguageModel& model) {
  const double all = static_cast<double>(model.n_parameters());
  const double table = static_cast<double>(model.n_vocab() * model.width());
  return all > 2 * table ? all - table : all;
}

Row bench_train(const std::string& name, const train::RunConfig& given, int64_t steps) {
  train::RunConfig config = given;
  config.trainer.max_steps = std::max(config.trainer.max_steps, kWarmUpSteps + 2 * steps);
  config.trainer.limit_val_batches = 0;
  train::Trainer trainer(config);
  const train::RunConfig c = trainer.config();
  const int64_t micro = c.trainer.accumulate_grad_batches;
  std::string sample =
      detail::concat("batch ", c.data.batch_size * micro, " x ", c.data.max_length);
  if (trainer.world().size > 1)
    sample += detail::concat(", ", trainer.world().size, " processes, ", c.trainer.strategy);
  Row row = row_of(name, sample, "train", c, trainer.model().device());
  row.tokens =
      static_cast<double>(c.data.batch_size * micro * c.data.max_length) * trainer.world().size;
  row.flops = 6 * product_parameters(trainer.model()) * row.tokens;
  std::vector<double> times, losses;
  reset_peak_memory(trainer.model().device());
  const auto take = [&](const train::StepReport& report) {
    losses.push_back(report.loss);
    if (row.failure.empty() && (report.skipped || !std::isfinite(report.loss)))
      row.failure = detail::concat("wrong result: step ", report.step, " was not finite");
  };
  for (int64_t step = 0; step < kWarmUpSteps; ++step) take(trainer.step());
  // As in training, where the host prepares a step while the device computes the one before: in
  // five runs.
  const int64_t each = std::max<int64_t>(1, steps / 5);
  for (int64_t step = 0; step < steps; step += each) {
    const double start = now_ms();
    for (const train::StepReport& report : trainer.steps(each)) take(report);
    times.push_back((now_ms() - start) / static_cast<double>(each));
  }
  row.ms = spread_of(times);
  row.peak_bytes = static_cast<double>(memory_stats(trainer.model().device()).peak_bytes);
  row.verified = detail::concat("losses finite, ", losses.front(), " to ", losses.back());
  trainer.close();
  return row;
}

std::vector<Row> bench_generate(const std::string& name, const train::RunConfig& config,
                                const GenerateShape& shape) {
  train::require_model_fits(config, train::ModelUse::inference);
  const train::Placement placement = train::inference_placement(config.trainer);
  const auto model = layers::make_language_model(
      config.model, static_cast<uint64_t>(config.seed_everything), placement.parameters);
  train::place_for_inference(*model, placement);
  const data::Tokenizer tokenizer = byte_tokenizer();
  const std::vector<std::string> prompts = make_prompts(shape);
  const train::GenerationOptions options{.max_new_tokens = shape.new_tokens,
                                         .temperature = 0,
                                         .stop_at_end_of_text = false,
                                         .cuda_graph = config.trainer.cuda_graph};
  const std::string sample = detail::concat("batch ", shape.batch, ", prompt ", shape.prompt_tokens,
                                            ", new ", shape.new_tokens);
  const Device device = model->device();
  Row prefill = row_of(name, sample, "prefill", config, device),
      decode = row_of(name, sample, "decode", config, device);
  prefill.tokens = static_cast<double>(shape.batch * shape.prompt_tokens);
  decode.tokens = static_cast<double>(shape.batch);
  const double parameters = product_parameters(*model);
  prefill.flops = 2 * parameters * prefill.tokens;
  decode.flops = 2 * parameters * decode.tokens;
  // Every weight is read once a step, and the state of every text read and written.
  const double element = static_cast<double>(size_of(model->compute_dtype()));
  decode.bytes = parameters * element + state_bytes(*model) * decode.tokens;

  reset_peak_memory(model->device());
  std::vector<double> prefill_times, decode_times;
  std::vector<int32_t> chosen;
  for (int repeat = 0; repeat < 3; ++repeat) {
    double start = now_ms();
    train::GenerationStream stream(*model, tokenizer, prompts, options);
    finish(model->device());
    if (repeat > 0) prefill_times.push_back(now_ms() - start);
    for (int64_t token = 0; !stream.done(); ++token) {
      start = now_ms();
      stream.next();
      if (repeat > 0 && token >= kWarmUpTokens) decode_times.push_back(now_ms() - start);
    }
    chosen = stream.tokens(0);
  }
  prefill.ms = spread_of(prefill_times);
  decode.ms = spread_of(decode_times);
  prefill.peak_bytes = decode.peak_bytes =
      static_cast<double>(memory_stats(model->device()).peak_bytes);
  const double gap = regret(*model, tokenizer, prompts[0], chosen);
  const double allowed = element == 2 ? rounding_bound(model->n_blocks()) : 1e-3;
  for (Row* row : {&prefill, &decode}) {
    row->verified = "step by step and at once choose the same tokens";
    row->error = std::isfinite(gap) ? gap : 1e30;
    if (!(gap <= allowed))
      row->failure = detail::concat("wrong result: a chosen token lies ", row->error,
                                    " deviations below the best, allowed ", allowed);
  }
  return {prefill, decode};
}

}  // namespace xlstm::bench
