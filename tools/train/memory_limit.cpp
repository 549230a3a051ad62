#include "tools/train/memory_limit.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>

#include "core/checked_size.h"
#include "core/cuda/runtime.h"
#include "tools/train/placement.h"
#include "tools/train/progress.h"

namespace xlstm::train {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

// The number in a file of the kernel; no limit if there is no such file, or a word in it.
int64_t limit_in(const char* path) {
  int64_t limit = 0;
  return std::ifstream(path) >> limit && limit > 0 ? limit : kUnlimited;
}

// Weight, gradient, and the optimizer's moments; without training only the weight.
int64_t numbers_per_parameter(const OptimizerConfig& optimizer, ModelUse use) {
  if (use == ModelUse::inference) return 1;
  if (optimizer.name == "adamw") return 4;
  return optimizer.momentum > 0 ? 3 : 2;
}

// In training, what products read in 16 bits is a copy; otherwise it is all there is.
int64_t bytes_per_parameter(const RunConfig& config, ModelUse use) {
  const bool narrow = is_narrow(config.trainer.precision);
  const int64_t element = config.trainer.precision == "64-true" ? 8 : 4;
  if (use == ModelUse::inference) return narrow ? 2 : element;
  return element * numbers_per_parameter(config.optimizer, use) + (narrow ? 2 : 0);
}

int64_t count_known_parameters(layers::ModelConfig model) {
  std::visit([](auto& m) { m.vocab_size = std::max<int64_t>(m.vocab_size, 1); }, model);
  return layers::count_parameters(model);
}

}  // namespace

int64_t usable_memory_bytes(Device device) {
  if (device != kCpu) return cuda::memory_of(device).total;
  const int64_t pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
  int64_t bytes = pages > 0 && page_bytes > 0 ? pages * page_bytes : kUnlimited;
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"})
    bytes = std::min(bytes, limit_in(path));
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur < static_cast<rlim_t>(bytes))
    bytes = static_cast<int64_t>(limit.rlim_cur);
  return bytes;
}

void require_model_fits(const RunConfig& config, ModelUse use, int64_t limit) {
  const char* what = use == ModelUse::training ? " with gradients and optimizer state" : "";
  constexpr const char* kHint = " (take fewer blocks or a smaller embedding_dim)";
  int64_t n = 0, bytes = 0;
  try {
    n = count_known_parameters(config.model);
    bytes = checked_mul(n, bytes_per_parameter(config, use));
  } catch (const ShapeError&) {  // more than 64 bits can count
    throw_error<OutOfMemory>("model: out of memory", what, ", got more than ", kUnlimited,
                             " bytes, expected at most ", limit, kHint);
  }
  require<OutOfMemory>(bytes <= limit, "model: out of memory, got ", n, " parameters that take ",
                       format_count(static_cast<double>(bytes)), "B", what, ", expected at most ",
                       format_count(static_cast<double>(limit)), "B", kHint);
}

void require_model_fits(const RunConfig& config, ModelUse use) {
  const Device device = (use == ModelUse::training ? training_placement(config.trainer)
                                                   : inference_placement(config.trainer))
                            .device;
  const bool on_gpu = device != kCpu;
  if (on_gpu) require_model_fits(config, use, usable_memory_bytes(device));
  RunConfig on_host = config;
  if (on_host.trainer.precision != "64-true") on_host.trainer.precision = "32-true";
  require_model_fits(on_host, on_gpu ? ModelUse::inference : use, usable_memory_bytes());
}

std::string memory_advice(const RunConfig& config, ModelUse use, Device device,
                          const MemoryReport& report) {
  const MemoryCategory asking = report.asking.category;
  if (asking == MemoryCategory::weights || asking == MemoryCategory::gradients ||
      asking == MemoryCategory::optimizer)
    return "Try fewer blocks or a smaller model.embedding_dim.";
  // What grows with the batch, as far as the step has come: its end may need more.
  const int64_t grows = report.of(MemoryCategory::activations) +
                        report.of(MemoryCategory::workspace) + report.of(MemoryCategory::other);
  const double room =
      static_cast<double>(grows + report.cached + std::max<int64_t>(0, report.free));
  const double share = std::min(1.0, room / static_cast<double>(grows + report.tried));
  const int64_t batch = config.data.batch_size;
  std::string advice;
  if (batch > 1) {
    const int64_t fits =
        std::clamp<int64_t>(static_cast<int64_t>(share * static_cast<double>(batch)), 1, batch - 1);
    advice = detail::concat("Try data.batch_size at most ", fits, " (now ", batch);
    if (use == ModelUse::training)
      advice += detail::concat("; more trainer.accumulate_grad_batches than ",
                               config.trainer.accumulate_grad_batches, " make up for it");
    advice += ")";
  } else {
    advice = detail::concat("Try a smaller data.max_length (now ", config.data.max_length, ")");
  }
  if (use == ModelUse::training && !config.trainer.activation_checkpointing)
    advice += ", or trainer.activation_checkpointing true";
  if (device != kCpu && config.trainer.precision == "32-true")
    advice += ", or trainer.precision bf16-mixed";
  return advice + ".";
}

}  // namespace xlstm::train
