#include "tools/bench/checkpoint_bench.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "core/checkpoint.h"
#include "core/cuda/runtime.h"
#include "core/error.h"
#include "tools/train/trainer.h"

namespace xlstm::bench {
namespace {

constexpr int64_t kWarmUpSteps = 4;  // as in end_to_end.cpp
constexpr int64_t kTimedSteps = 10;

template <class F>
double milliseconds_of(F&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

int64_t bytes_of(const std::string& checkpoint) {
  int64_t bytes = 0;
  for (const std::string& name : real_file_system().list(checkpoint))
    bytes += real_file_system().file_size(join_path(checkpoint, name));
  return bytes;
}

}  // namespace

std::vector<Row> bench_checkpoint(const std::string& name, const train::RunConfig& given,
                                  int64_t saves) {
  train::RunConfig config = given;
  config.trainer.max_steps = 1000000;
  config.trainer.limit_val_batches = 0;
  config.trainer.name = "bench_checkpoint";
  config.checkpoint.keep_last = 1;
  config.checkpoint.save_top_k = 0;
  train::Trainer trainer(config);
  const bool is_first = trainer.world().is_first();
  const auto step = [&] { return milliseconds_of([&] { trainer.step(); }); };
  for (int64_t i = 0; i < kWarmUpSteps; ++i) step();
  std::vector<double> steps, whole, calls, stalls, written;
  for (int64_t i = 0; i < kTimedSteps; ++i) steps.push_back(step());
  const double usual = spread_of(steps).median;
  std::string failure, path;
  const auto verify = [&] {
    if (!is_first) return;
    const std::vector<std::string> damage = verify_checkpoint(path);
    if (!damage.empty()) failure = "wrong result: " + path + ": " + damage.front();
  };
  // The first of each is not counted: it takes memory, as only the first of a run does.
  for (int64_t i = 0; i <= saves; ++i) {
    const double ms = milliseconds_of([&] { path = trainer.save(); });
    if (i > 0) whole.push_back(ms);
    step();
  }
  verify();
  for (int64_t i = 0; i <= saves; ++i) {
    const double call = milliseconds_of([&] { trainer.async_save(); });
    const double first = call + step();
    double extra = first - usual;
    while (trainer.is_saving()) extra += step() - usual;
    path = trainer.wait_for_save();
    if (i == 0) continue;
    calls.push_back(call);
    stalls.push_back(std::max(0.0, first - usual));
    written.push_back(std::max(0.0, extra));
  }
  verify();
  trainer.close();
  if (!is_first) return {};
  const auto row_of = [&](const char* pass, const std::vector<double>& times) {
    Row row;
    row.op = name;
    row.sample = detail::concat("batch ", config.data.batch_size, " x ", config.data.max_length,
                                ", ", bytes_of(path) / 1000000, " MB");
    if (trainer.world().size > 1)
      row.sample += detail::concat(", ", trainer.world().size, " processes, ",
                                   trainer.config().trainer.strategy);
    row.pass = pass;
    row.device = to_string(trainer.model().device());
    row.dtype = config.trainer.precision;
    row.variant = "checkpoint";
    row.ms = spread_of(times);
    row.verified = "both checkpoints verify";
    row.failure = failure;
    return row;
  };
  std::vector<Row> rows = {row_of("step", steps), row_of("save", whole), row_of("call", calls),
                           row_of("stall", stalls), row_of("write", written)};
  real_file_system().remove_all(trainer.run_folder());
  return rows;
}

std::string stall_text(const std::vector<Row>& rows) {
  const double step = rows.at(0).ms.median;
  char text[256];
  std::snprintf(text, sizeof text,
                "a checkpoint stalls training for %.2f steps with checkpoint.async (the call alone "
                "%.2f; %.2f with all that the thread takes from later steps), for %.2f without\n",
                rows.at(3).ms.median / step, rows.at(2).ms.median / step,
                rows.at(4).ms.median / step, rows.at(1).ms.median / step);
  return text;
}

}  // namespace xlstm::bench
