// A model of what data-parallel training on many GPUs costs: pure functions, no device needed.
//
//   compute   forward and backward of one GPU, as measured; two thirds are the backward pass
//   buckets   become final evenly during the last backward pass; each is then reduced (and with ddp
//             gathered) on one stream, one call after the other (optim/data_parallel.h)
//   step      until the last gradient is summed, or the backward pass has ended if that is later;
//             then the norm's sum, the update, and with zero1 the all-gather of the weights
//
// Milliseconds, bytes, and GB/s of 1e9 bytes. docs/distributed.md explains and uses it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace xlstm::bench {

// How a collective sends its pieces. Latencies are per hop, those of starting a call once per call.
struct Protocol {
  double start_us = 0, nvlink_us = 0, network_us = 0;
  double bandwidth_share = 1;         // of the links'
  double most_in_node = 0, most = 0;  // GB/s on one node and on several; 0: no limit
};
// NCCL's three (LL, LL128, Simple) with the constants of its own cost model for rings on Hopper
// (src/graph/tuning.cc since version 2.19); the fastest is taken for each call, as NCCL does.
const std::vector<Protocol>& nccl_protocols();

enum class Algorithm {
  ring,          // through all GPUs: what NCCL does for the calls of the trainer
  hierarchical,  // a ring in each node, then one over the nodes for each of its GPUs' parts
  tree           // everything up or down a tree: chains in nodes, binary over nodes
};
Algorithm algorithm_of(const std::string& name);  // ConfigError
const char* name_of(Algorithm algorithm);

struct Cluster {
  int64_t gpus_per_node = 8;
  double nvlink_gb_s = 330;         // bus bandwidth within a node
  double network_gbit_s = 400;      // line rate per GPU between nodes
  double network_efficiency = 0.9;  // what of it collectives reach
  Algorithm algorithm = Algorithm::ring;
  std::vector<Protocol> protocols = nccl_protocols();

  double network_gb_s() const { return network_gbit_s / 8 * network_efficiency; }
  void validate() const;  // ConfigError
};

// A step of one GPU.
struct Workload {
  double n_parameters = 0;
  double tokens = 0;               // per GPU
  double compute_ms = 0;           // forward and backward of all accumulated batches
  double update_ms = 0;            // of all weights
  double n_accumulated = 1;        // batches; gradients are sent during the last one
  double bucket_bytes = 64 << 20;  // of float32 gradients
  double reduce_bytes = 4;         // per gradient that is sent
  double copy_bytes = 2;           // per weight of the 16-bit copies; 0: there are none
  double activation_bytes = 0;
};

enum class Strategy { ddp, zero1 };
const char* name_of(Strategy strategy);

// A reduce-scatter or an all-gather of `bytes`, all ranks' parts together.
double collective_ms(double bytes, int64_t n_gpus, const Cluster& cluster);
// The all-reduce of a few numbers, up and down a tree.
double small_sum_ms(int64_t n_gpus, const Cluster& cluster);
// When the last of calls of `call_ms` each is over, if call i may begin at ready_ms[i] and calls
// run one by one. 0 without any.
double end_of_calls(const std::vector<double>& ready_ms, const std::vector<double>& call_ms);
// Bytes of weights, gradients, copies, moments and activations on one GPU.
double memory_bytes(const Workload& work, Strategy strategy, int64_t n_gpus);

struct Prediction {
  Strategy strategy = Strategy::ddp;
  int64_t n_gpus = 1;
  double step_ms = 0;
  double communication_ms = 0;  // all calls
  double exposed_ms = 0;        // what the step is longer than compute and update
  double tokens_per_second = 0;
  double efficiency = 0;  // tokens per second, relative to n_gpus times those of one GPU
  double memory = 0;      // bytes per GPU
};
Prediction predict(const Workload& work, const Cluster& cluster, Strategy strategy, int64_t n_gpus);

// "8..4096": doubled until the end is reached; "8,64,512": as they stand. ConfigError for numbers
// outside 1 to 1048576, and beyond one node for those that are no multiple of its GPUs.
std::vector<int64_t> parse_gpus(const std::string& text, int64_t gpus_per_node);

}  // namespace xlstm::bench
