// A small run of `xlstm fit` by several processes, and what it leaves.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <sstream>
#include <string>

#include "core/checkpoint.h"
#include "core/json.h"
#include "tests/core/temporary_dir.h"
#include "tests/ranks.h"
#include "tests/test_data.h"

namespace xlstm::testing {

using test::mpirun;
using test::Outcome;
using test::shell;

inline constexpr const char* kDistributedConfig = R"(
trainer: {max_steps: 50, log_every_n_steps: 1, val_check_interval: 25,
          enable_progress_bar: false, logger: [], num_threads: 1, num_sanity_val_steps: 0}
checkpoint: {keep_last: 10}
data: {n_stories: 300, vocab_size: 300, max_length: 32, batch_size: 8}
model: {arch: xlstm, embedding_dim: 32, num_blocks: 3, slstm_at: [1], context_length: 32}
sample: {prompts: []}
)";

// Before a program and its options, behind mpirun: each process is alone on its host, as far as it
// knows, with a GPU of its own.
inline constexpr const char* kApart =
    "sh -c 'OMPI_COMM_WORLD_LOCAL_RANK=0 OMPI_COMM_WORLD_LOCAL_SIZE=1 MASTER_ADDR=127.0.0.1 "
    "CUDA_VISIBLE_DEVICES=$OMPI_COMM_WORLD_RANK exec \"$0\" \"$@\"' ";

// A folder with the configuration, whose runs share a cache of tokens.
struct Job {
  TemporaryDir dir;
  std::string accelerator;  // cpu or gpu
  explicit Job(const std::string& where = "cpu") : accelerator(where) {
    real_file_system().write_file(dir.path("c.yaml"), kDistributedConfig);
  }

  std::string fit(const std::string& name, const std::string& options) const {
    return "'" + command_path() + "' fit -c c.yaml --trainer.accelerator " + accelerator +
           " --trainer.name " + name + " " + options;
  }
  Outcome run(const std::string& command) const {
    return shell("cd '" + dir.path() + "' && export " + test::kLeaksOfMpi + "&& " + command);
  }
  // n processes that share the 8 sequences of a step, on one host or apart.
  Outcome run_on(int n, const std::string& name, const std::string& options = "",
                 bool apart = false) const {
    const std::string share = " --data.batch_size " + std::to_string(8 / n) + " ";
    const std::string start = n == 1 ? "" : mpirun(n) + (apart ? kApart : "");
    return run(start + fit(name, share + options));
  }
  std::string checkpoint(const std::string& name, int64_t step) const {
    char folder[32];
    std::snprintf(folder, sizeof folder, "step-%09lld", static_cast<long long>(step));
    return dir.path("runs/" + name + "/version_0/checkpoints/" + folder);
  }
  std::string file(const std::string& name, int64_t step, const std::string& what) const {
    return real_file_system().read_file(join_path(checkpoint(name, step), what));
  }
  std::string weights(const std::string& name, int64_t step = 50) const {
    return file(name, step, "model.safetensors");
  }
  std::string moments(const std::string& name, int64_t step = 50) const {
    return file(name, step, "optimizer.safetensors");
  }
  // By step, of training or validation.
  std::map<int64_t, double> losses(const std::string& name, const std::string& split) const {
    std::map<int64_t, double> all;
    std::istringstream lines(
        real_file_system().read_file(dir.path("runs/" + name + "/version_0/metrics.jsonl")));
    for (std::string line; std::getline(lines, line);) {
      const Json row = parse_json(line, "metrics.jsonl");
      if (row.find("split")->as_string() == split)
        all[row.find("step")->as_int()] = row.find("loss")->as_double();
    }
    return all;
  }
};

// Checkpoints that are written beside steps have the bytes of those that training waits for.
inline void check_checkpoints_beside_steps(const Job& job, int n, const std::string& options,
                                           bool apart = false) {
  CAPTURE(n, options, apart);
  const std::string base =
      "--trainer.max_steps 20 --checkpoint.every_n_train_steps 5 --trainer.limit_val_batches 0 " +
      options + " --checkpoint.async ";
  const std::string tag = std::to_string(std::hash<std::string>()(options)) +
                          (apart ? "apart" : "x") + std::to_string(n);
  for (const char* async : {"true", "false"}) {
    const Outcome outcome = job.run_on(n, tag + async, base + async, apart);
    INFO(outcome.output);
    REQUIRE(outcome.code == 0);
  }
  for (const int64_t step : {5, 10, 15, 20}) {
    CAPTURE(step);
    CHECK((job.weights(tag + "true", step) == job.weights(tag + "false", step)));
    CHECK((job.moments(tag + "true", step) == job.moments(tag + "false", step)));
  }
  CHECK((job.weights(tag + "true", 5) != job.weights(tag + "true", 10)));
}

inline double largest_difference(const std::map<int64_t, double>& a,
                                 const std::map<int64_t, double>& b) {
  double largest = a.size() == b.size() ? 0 : INFINITY;
  for (const auto& [step, loss] : a) {
    const auto at = b.find(step);
    largest = std::max(largest, at == b.end() ? INFINITY : std::abs(at->second - loss) / loss);
  }
  return largest;
}

// Of all weights but the bias of the sLSTM's input gate, whose gradient is exactly zero: what is
// left of it is rounding, which AdamW makes as large as any other.
inline double largest_weight_difference(const Job& job, const std::string& a,
                                        const std::string& b) {
  const auto tensors = [&](const std::string& name) {
    return Checkpoint::open(job.checkpoint(name, 50)).load_tensors("model.safetensors");
  };
  double largest = 0;
  const NamedTensors x = tensors(a), y = tensors(b);
  REQUIRE(x.size() == y.size());
  for (size_t i = 0; i < x.size(); ++i) {
    REQUIRE(x[i].first == y[i].first);
    const bool is_bias = x[i].first.find("slstm_cell._bias_") != std::string::npos;
    const auto u = x[i].second.to_vector<double>(), v = y[i].second.to_vector<double>();
    for (size_t k = 0; k < u.size(); ++k) {
      const bool is_input_gate = k / 8 % 4 == 0;  // [4 heads, 4 gates, 8 units]
      if (!is_bias || !is_input_gate) largest = std::max(largest, std::abs(u[k] - v[k]));
    }
  }
  return largest;
}

}  // namespace xlstm::testing
