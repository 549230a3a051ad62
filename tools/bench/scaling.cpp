#include "tools/bench/scaling.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>

#include "core/error.h"

namespace xlstm::bench {
namespace {

constexpr int64_t kMostGpus = 1 << 20;
constexpr double kBackwardShare = 2.0 / 3;  // its products are twice those of the forward pass
constexpr double kGradientBytes = 4, kWeightBytes = 4, kMomentBytes = 8;

int64_t n_nodes(int64_t n_gpus, const Cluster& cluster) {
  return (n_gpus + cluster.gpus_per_node - 1) / cluster.gpus_per_node;
}

int64_t tree_levels(int64_t n) {
  return n <= 1 ? 0 : static_cast<int64_t>(std::bit_width(static_cast<uint64_t>(n - 1)));
}

struct Hops {
  double nvlink = 0, network = 0;
};

// The fastest protocol for `bytes` over the slowest link at `gb_s`.
double fastest_ms(double bytes, double gb_s, bool crosses_nodes, const Hops& hops,
                  const std::vector<Protocol>& protocols) {
  double best = std::numeric_limits<double>::infinity();
  for (const Protocol& p : protocols) {
    const double most = crosses_nodes ? p.most : p.most_in_node;
    double rate = gb_s * p.bandwidth_share;
    if (most > 0) rate = std::min(rate, most);
    const double latency_us = p.start_us + hops.nvlink * p.nvlink_us + hops.network * p.network_us;
    best = std::min(best, bytes / rate * 1e-6 + latency_us * 1e-3);
  }
  return best;
}

int64_t number_in(std::string_view text, const std::string& all) {
  int64_t n = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), n);
  require<ConfigError>(parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() &&
                           n >= 1 && n <= kMostGpus,
                       "bench scaling: --gpus: got ", all,
                       ", expected FIRST..LAST or a list such as 8,64,512, of ",
                       "numbers from 1 to ", kMostGpus);
  return n;
}

}  // namespace

const std::vector<Protocol>& nccl_protocols() {
  static const std::vector<Protocol> all = {
      {6.6, 0.6, 2.7, 0.5, 141, 35}, {14.0, 1.9, 4.0, 0.92, 0, 0}, {8.4, 3.4, 14.0, 1, 0, 0}};
  return all;
}

Algorithm algorithm_of(const std::string& name) {
  for (const Algorithm a : {Algorithm::ring, Algorithm::hierarchical, Algorithm::tree})
    if (name == name_of(a)) return a;
  throw_error<ConfigError>("bench scaling: --algorithm: got ", name,
                           ", expected ring, hierarchical or tree");
}

const char* name_of(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::hierarchical:
      return "hierarchical";
    case Algorithm::tree:
      return "tree";
    default:
      return "ring";
  }
}

const char* name_of(Strategy strategy) {
  return strategy == Strategy::zero1 ? "zero1" : "ddp";
}

void Cluster::validate() const {
  const auto positive = [](const char* option, double value) {
    require<ConfigError>(value > 0 && std::isfinite(value), "bench scaling: ", option, ": got ",
                         value, ", expected more than 0");
  };
  require<ConfigError>(gpus_per_node >= 1 && gpus_per_node <= kMostGpus,
                       "bench scaling: --gpus_per_node: got ", gpus_per_node,
                       ", expected a number from 1 to ", kMostGpus);
  positive("--nvlink_gb_s", nvlink_gb_s);
  positive("--network_gbit_s", network_gbit_s);
  require<ConfigError>(network_efficiency > 0 && network_efficiency <= 1,
                       "bench scaling: --network_efficiency: got ", network_efficiency,
                       ", expected more than 0 and at most 1");
}

double collective_ms(double bytes, int64_t n_gpus, const Cluster& c) {
  if (n_gpus <= 1) return 0;
  const int64_t nodes = n_nodes(n_gpus, c), in_node = std::min(n_gpus, c.gpus_per_node);
  const auto n = static_cast<double>(n_gpus), m = static_cast<double>(nodes),
             g = static_cast<double>(in_node);
  // All GPUs of a node send over their own links to the network at once.
  const double bus = nodes > 1 ? std::min(c.nvlink_gb_s, g * c.network_gb_s()) : c.nvlink_gb_s;
  switch (c.algorithm) {
    case Algorithm::ring:
      return fastest_ms(bytes * (n - 1) / n, bus, nodes > 1, {n - m, m - 1}, c.protocols);
    case Algorithm::hierarchical: {
      const double inside = in_node > 1 ? fastest_ms(bytes * (g - 1) / g, c.nvlink_gb_s, false,
                                                     {g - 1, 0}, c.protocols)
                                        : 0;
      const double outside = nodes > 1 ? fastest_ms(bytes / g * (m - 1) / m, c.network_gb_s(), true,
                                                    {0, m - 1}, c.protocols)
                                       : 0;
      return inside + outside;
    }
    default:
      return fastest_ms(bytes, bus, nodes > 1, {g - 1, static_cast<double>(tree_levels(nodes))},
                        c.protocols);
  }
}

double small_sum_ms(int64_t n_gpus, const Cluster& cluster) {
  if (n_gpus <= 1) return 0;
  const int64_t nodes = n_nodes(n_gpus, cluster);
  const Hops hops{2.0 * static_cast<double>(std::min(n_gpus, cluster.gpus_per_node) - 1),
                  2.0 * static_cast<double>(tree_levels(nodes))};
  return fastest_ms(0, 1, nodes > 1, hops, cluster.protocols);
}

double end_of_calls(const std::vector<double>& ready_ms, const std::vector<double>& call_ms) {
  double end = 0;
  for (size_t i = 0; i < ready_ms.size(); ++i) end = std::max(end, ready_ms[i]) + call_ms[i];
  return end;
}

double memory_bytes(const Workload& work, Strategy strategy, int64_t n_gpus) {
  const double shards = strategy == Strategy::zero1 ? static_cast<double>(n_gpus) : 1;
  // Only weights without a copy to read must be whole everywhere.
  const double weight = work.copy_bytes > 0 ? kWeightBytes / shards : kWeightBytes;
  // Gradients that are sent in another type are rounded into memory of their own.
  const double narrow = work.reduce_bytes < kGradientBytes ? work.reduce_bytes : 0;
  return work.n_parameters *
             (weight + kGradientBytes + work.copy_bytes + narrow + kMomentBytes / shards) +
         work.activation_bytes;
}

Prediction predict(const Workload& work, const Cluster& cluster, Strategy strategy,
                   int64_t n_gpus) {
  const bool shards = strategy == Strategy::zero1;
  const double n = static_cast<double>(n_gpus), bucket = work.bucket_bytes / kGradientBytes;
  const double backward = kBackwardShare * work.compute_ms / work.n_accumulated;
  const double weight_bytes = work.copy_bytes > 0 ? work.copy_bytes : kWeightBytes;
  std::vector<double> ready, calls;
  double gather = 0;  // of the weights
  for (double done = 0; done < work.n_parameters;) {
    const double size = std::min(bucket, work.n_parameters - done);
    done += size;
    ready.push_back(work.compute_ms - backward * (1 - done / work.n_parameters));
    const double once = collective_ms(size * work.reduce_bytes, n_gpus, cluster);
    calls.push_back(shards ? once : 2 * once);
    if (shards) gather += collective_ms(size * weight_bytes, n_gpus, cluster);
  }
  const double norm = small_sum_ms(n_gpus, cluster);
  const double update = shards ? work.update_ms / n : work.update_ms;
  Prediction p;
  p.strategy = strategy;
  p.n_gpus = n_gpus;
  p.step_ms = std::max(work.compute_ms, end_of_calls(ready, calls)) + norm + update + gather;
  p.communication_ms = norm + gather;
  for (const double ms : calls) p.communication_ms += ms;
  p.exposed_ms = p.step_ms - work.compute_ms - update;
  p.tokens_per_second = n * work.tokens / p.step_ms * 1e3;
  p.efficiency = (work.compute_ms + work.update_ms) / p.step_ms;
  p.memory = memory_bytes(work, strategy, n_gpus);
  return p;
}

std::vector<int64_t> parse_gpus(const std::string& text, int64_t gpus_per_node) {
  std::vector<int64_t> numbers;
  if (const size_t dots = text.find(".."); dots != text.npos) {
    const int64_t first = number_in(std::string_view(text).substr(0, dots), text);
    const int64_t last = number_in(std::string_view(text).substr(dots + 2), text);
    require<ConfigError>(first <= last, "bench scaling: --gpus: got ", text,
                         ", expected a last number that is not below the first");
    for (int64_t n = first; n <= last; n *= 2) numbers.push_back(n);
  } else {
    for (size_t at = 0; at <= text.size();) {
      const size_t end = std::min(text.find(',', at), text.size());
      numbers.push_back(number_in(std::string_view(text).substr(at, end - at), text));
      at = end + 1;
    }
  }
  for (const int64_t n : numbers)
    require<ConfigError>(n <= gpus_per_node || n % gpus_per_node == 0,
                         "bench scaling: --gpus: got ", n, ", expected a multiple of the ",
                         gpus_per_node, " GPUs of a node (--gpus_per_node), or fewer");
  return numbers;
}

}  // namespace xlstm::bench
