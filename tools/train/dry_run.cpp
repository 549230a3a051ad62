#include "tools/train/dry_run.h"

#include <algorithm>
#include <iomanip>
#include <map>
#include <ostream>
#include <vector>

#include "core/allocator.h"
#include "core/cuda/runtime.h"
#include "core/memory_report.h"
#include "tools/train/memory_limit.h"
#include "tools/train/placement.h"

namespace xlstm::train {
namespace {

constexpr int64_t kLargestBatch = 10000000;  // that data.batch_size may be

// Records what a device's allocator is asked for while alive.
class Recording {
 public:
  explicit Recording(Device device) : device_(device) { record_requests(device); }
  ~Recording() { take_recorded_requests(device_); }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  std::vector<MemoryRequest> take() { return take_recorded_requests(device_); }

 private:
  Device device_;
};

// The requests of making a trainer and of two steps, the second of which finds all that the first
// has left behind.
struct Sample {
  int64_t batch = 0;
  std::vector<MemoryRequest> requests;
  int64_t copied_bytes = 0;  // weights and moments
};

Sample take_sample(RunConfig config, int64_t batch, const TrainerServices& services,
                   Device device) {
  config.data.batch_size = batch;
  config.data.prefetch = 0;  // all requests in one order
  config.trainer.cuda_graph = false;
  Recording recording(device);
  Sample sample{batch, {}, 0};
  Trainer trainer(config, services);
  trainer.step();
  trainer.step();
  sample.requests = recording.take();
  sample.copied_bytes = trainer.bytes_to_save();
  return sample;
}

bool same_order(const Sample& a, const Sample& b) {
  return std::equal(a.requests.begin(), a.requests.end(), b.requests.begin(), b.requests.end(),
                    [](const MemoryRequest& x, const MemoryRequest& y) {
                      return x.returns == y.returns && x.category == y.category;
                    });
}

// On the line through both samples, as far as it goes.
int64_t bytes_at(int64_t batch, const Sample& a, const Sample& b, size_t i) {
  const int64_t from = a.requests[i].bytes, to = b.requests[i].bytes;
  const double slope = static_cast<double>(to - from) / static_cast<double>(b.batch - a.batch);
  const double bytes = static_cast<double>(from) + slope * static_cast<double>(batch - a.batch);
  const auto rounded = std::max<int64_t>(0, static_cast<int64_t>(bytes + 0.5));
  const int64_t most = a.requests[i].most;
  return most > 0 ? std::min(rounded, most) : rounded;
}

struct Replay {
  int64_t peak = 0, reserved = 0;
  BytesByCategory at_peak{};
};

// As the allocator would serve them from an empty pool.
Replay replay(int64_t batch, const Sample& a, const Sample& b) {
  Replay result;
  BytesByCategory now{};
  int64_t in_use = 0;
  std::map<int64_t, int64_t> n_free;  // by size
  std::vector<int64_t> sizes(a.requests.size());
  for (size_t i = 0; i < a.requests.size(); ++i) {
    const MemoryRequest& request = a.requests[i];
    if (request.returns >= 0) {
      const auto given = static_cast<size_t>(request.returns);
      now[static_cast<size_t>(a.requests[given].category)] -= sizes[given];
      in_use -= sizes[given];
      ++n_free[sizes[given]];
      continue;
    }
    sizes[i] = block_bytes(bytes_at(batch, a, b, i));
    int64_t& free = n_free[sizes[i]];
    if (free > 0) {
      --free;
    } else {
      result.reserved += sizes[i];
    }
    now[static_cast<size_t>(request.category)] += sizes[i];
    in_use += sizes[i];
    if (in_use <= result.peak) continue;
    result.peak = in_use;
    result.at_peak = now;
  }
  return result;
}

// Two batches as near to the asked one as is cheap: kernels of a device choose their way by the
// size of the work.
std::pair<Sample, Sample> take_samples(const RunConfig& config, const TrainerServices& services,
                                       Device device) {
  const int64_t B = config.data.batch_size;
  std::vector<std::pair<int64_t, int64_t>> pairs = {{1, 2}, {2, 3}, {4, 5}};
  if (device != kCpu && B >= 8) pairs.insert(pairs.begin(), {B / 4, B / 2});
  for (const auto& [low, high] : pairs) {
    try {
      std::pair<Sample, Sample> samples{take_sample(config, low, services, device),
                                        take_sample(config, high, services, device)};
      if (same_order(samples.first, samples.second)) return samples;
    } catch (const OutOfMemory&) {
      if (low <= 1) throw;
    }
  }
  throw_error<Error>(
      "dry_run: steps with different batches ask for memory in different orders, so none can be "
      "told from another");
}

// What the host keeps of batches that are prepared ahead; the samples had none.
int64_t prefetched_bytes(const RunConfig& config, int64_t batch) {
  const int64_t T = config.data.max_length;
  const int64_t one =
      block_bytes(batch * (T + 1) * 8) + (config.data.document_reset ? block_bytes(batch * T) : 0);
  return config.data.prefetch * config.trainer.accumulate_grad_batches * one;
}

int64_t usable_bytes(Device device) {
  int64_t bytes = usable_memory_bytes(device);
  if (device != kCpu) {
    // The driver and other programs have their part.
    release_cached_memory(device);
    bytes = cuda::memory_of(device).free + memory_stats(device).in_use_bytes;
  }
  const int64_t limit = memory_limit_of_environment();
  return limit > 0 ? std::min(bytes, limit) : bytes;
}

}  // namespace

MemoryPrediction predict_memory(const RunConfig& config, const TrainerServices& services) {
  MemoryPrediction found;
  found.device = training_placement(config.trainer, 0).device;
  found.batch_size = config.data.batch_size;
  const bool on_host = found.device == kCpu;
  const auto [a, b] = take_samples(config, services, found.device);
  if (config.checkpoint.async && config.trainer.enable_checkpointing)
    found.staging_bytes = on_host ? block_bytes(a.copied_bytes) : a.copied_bytes;
  found.usable_bytes = usable_bytes(found.device);
  const auto predict = [&, &low = a, &high = b](int64_t batch) {
    Replay r = replay(batch, low, high);
    if (!on_host) return r;
    const int64_t ahead = prefetched_bytes(config, batch);
    r.peak += ahead;
    r.reserved += ahead;
    r.at_peak[static_cast<size_t>(MemoryCategory::other)] += ahead;
    return r;
  };
  const Replay at = predict(found.batch_size), next = predict(2 * found.batch_size);
  found.peak_bytes = at.peak;
  found.reserved_bytes = at.reserved;
  found.at_peak = at.at_peak;
  for (size_t c = 0; c < kMemoryCategories; ++c)
    found.per_sequence[c] = (next.at_peak[c] - at.at_peak[c]) / found.batch_size;
  // A recorded graph keeps its blocks, so a device must have room for all that were ever taken.
  const auto fits = [&](int64_t batch) {
    const Replay r = predict(batch);
    return on_host ? r.peak + found.staging_bytes <= found.usable_bytes
                   : r.reserved <= found.usable_bytes;
  };
  int64_t low = 0, high = 1;  // low fits, high does not
  while (high <= kLargestBatch && fits(high)) low = high, high *= 2;
  high = std::min(high, kLargestBatch + 1);
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  found.largest_batch = low;
  return found;
}

void print_prediction(std::ostream& out, const MemoryPrediction& p) {
  for (const MemoryCategory category :
       {MemoryCategory::weights, MemoryCategory::gradients, MemoryCategory::optimizer,
        MemoryCategory::activations, MemoryCategory::workspace, MemoryCategory::other}) {
    const auto c = static_cast<size_t>(category);
    out << std::left << std::setw(16) << name_of(category) << bytes_text(p.at_peak[c]);
    if (p.per_sequence[c] > 0) out << ", " << bytes_text(p.per_sequence[c]) << " a sequence";
    out << "\n";
  }
  out << "predicted peak  " << bytes_text(p.peak_bytes) << " of " << bytes_text(p.usable_bytes)
      << " on " << to_string(p.device) << ", with data.batch_size " << p.batch_size
      << " (allocated: " << bytes_text(p.reserved_bytes) << ")\n";
  if (p.staging_bytes > 0)
    out << "host memory     " << bytes_text(p.staging_bytes)
        << " besides, for checkpoints during the run (checkpoint.async)\n";
  out << "largest data.batch_size that fits: " << p.largest_batch << "\n";
}

}  // namespace xlstm::train
