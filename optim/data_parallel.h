// Data parallelism: ranks compute gradients of different sequences and update the same weights.
//
// Gradients lie in flat memory and are summed bucket by bucket, each as soon as the backward pass
// is through with it, beside the rest of that pass. A sum is a reduce-scatter, which leaves each
// rank with its part of every bucket; or, where copy engines can move memory between ranks, an
// exchange of parts beside that pass and an addition within it, a moment of the whole device
// instead of some multiprocessors all the time. Then
//   ddp    an all-gather completes the gradients, and every rank updates all weights;
//   zero1  every rank updates its parts of the weights, keeping moments for these alone, and
//          all-gathers complete the weights at the start of the next step, each before the forward
//          pass comes to it (Rajbhandari and others 2020, the first stage). Of weights that have a
//          low-precision copy the copies are gathered, and the optimizer may keep the masters of
//          its parts alone (Optimizer::shard_masters).
// Both have the same bits.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "core/comm/communicator.h"
#include "optim/optimizer.h"
#include "optim/shard_layout.h"

namespace xlstm::optim {

// What a parameter arena holds, seen flat.
struct FlatParameters {
  Tensor gradients;      // [n]
  int64_t n_early = 0;   // the first so many become final from the last to the first
  int64_t n_copied = 0;  // the first so many are of weights with a copy in a narrower type
  Tensor copies;         // [n_copied], or undefined
  Tensor weights;        // [n - n_copied]: the others
};

struct DataParallelConfig {
  bool shards_optimizer = false;    // zero1
  int64_t bucket_bytes = 64 << 20;  // of gradients
  DType reduce_dtype = DType::f32;  // bfloat16 halves what is sent, and rounds sums
  bool adds_parts = false;          // exchanges parts and adds them, in the order of the ranks
};

// Where gathered tensors go on the CPU, if copies are not to be waited for.
struct HostMemory {
  // Memory for a tensor; pinned, where there is a device.
  std::function<Tensor(const Shape&, DType)> place;
  // If given, all ranks see the same memory and call place() alike, and this starts the copy of
  // what one of them has in parts: its end is the owner's to wait for, on all ranks, and each of
  // them has what is gathered.
  std::function<void(const Tensor& to, const Tensor& from)> copy;
};

class DataParallel {
 public:
  // All must outlive this. ConfigError if n or n_copied is no multiple of the ranks times
  // kFlatAlignment.
  DataParallel(comm::Communicator& communicator, const FlatParameters& parameters,
               const DataParallelConfig& config);

  comm::Communicator& communicator() const { return communicator_; }
  const ShardLayout& layout() const { return layout_; }
  int64_t n_early() const { return parameters_.n_early; }
  bool shards_optimizer() const { return config_.shards_optimizer; }
  std::vector<Range> own_parts() const { return layout_.parts(communicator_.rank()); }

  // In the last backward pass of a step: the early gradients from `element` on are final.
  void passed(int64_t element);
  // After it: all gradients are. Work that follows sees this rank's parts summed; with ddp those in
  // whole() on all ranks, and the others after sum_control() and the communicator's join().
  void finish();
  Range whole() const { return whole_; }
  int64_t n() const { return parameters_.gradients.numel(); }
  // The sum of squares of this rank's part of each bucket, on the device, after finish(); undefined
  // where a reduce-scatter makes the sums.
  const Tensor& squares() const { return squares_; }
  // x becomes the sum of all ranks' x, for the work that follows.
  void sum_control(const Tensor& x);
  // This rank's parts of the summed gradients.
  Tensors own_gradients() const;
  // For updates on the host, after finish(): the norm of the summed gradients, and the sums over
  // the ranks of two more numbers. Waits.
  struct Total {
    double gradient_norm = 0, loss = 0, votes = 0;
  };
  Total total(double loss, double votes);

  // With zero1, before a step: all ranks' parts of what the model reads, which are the copies where
  // there are any, begin to come, in the order in which it reads them; needs(element) is to be
  // called before the forward pass reads early elements before `element`, or any others. With ddp
  // nothing is to do.
  void start_gathering();
  void needs(int64_t element);
  // Both at once: for whoever reads weights between steps.
  void gather_weights();
  // For saving, by all ranks, on the CPU: what Optimizer::state has, whole, on rank 0, elsewhere
  // empty; and the masters of an optimizer that keeps parts of them, [n_copied], on rank 0,
  // elsewhere undefined, or `everywhere`. In `memory` without copy() it is there when the device
  // has done the work that it was given up to then; without memory, at once.
  NamedTensors gathered_state(const Optimizer& optimizer, const HostMemory& memory = {});
  Tensor gathered_masters(const Optimizer& optimizer, bool everywhere = false,
                          const HostMemory& memory = {});

 private:
  Tensor view(const Tensor& flat, const Range& range) const;
  Tensor gathered(const Tensor& parts, int64_t n, bool is_wanted, const HostMemory& memory);
  // Of each bucket of the first n elements: its place, and this rank's part in `parts`, in turn.
  struct Part {
    Range bucket, own;
    Tensor tensor;
  };
  std::vector<Part> parts_of(const Tensor& parts, int64_t n) const;
  int64_t longest_bucket() const;
  const Tensor& sent() const { return narrow_.defined() ? narrow_ : parameters_.gradients; }
  void send_next();
  Tensor received_in(size_t place, int64_t n) const;  // n elements of it
  void add_oldest();
  void add_all();
  void gather_sums();
  void gather_ahead(size_t end);
  // A point of the communicator's for each place in `received_`, behind those of gathering.
  size_t point(size_t place) const { return layout_.buckets.size() + place; }

  comm::Communicator& communicator_;
  FlatParameters parameters_;
  DataParallelConfig config_;
  ShardLayout layout_;
  Tensor narrow_;    // [n], where gradients are sent in another type
  Tensor received_;  // [kPlaces, largest bucket], where parts are added here
  Tensor squares_;   // [buckets], likewise
  Tensor arrived_;   // a counter of the kernel that adds
  std::deque<size_t> to_send_, to_add_, to_gather_;  // buckets that are on their way
  Range whole_;
  size_t n_sent_ = 0;  // of which the first went to place 0
  std::vector<std::string> names_;
  size_t n_early_buckets_ = 0;
  size_t next_ = 0;  // early buckets before it are not final yet
  std::vector<size_t> gather_order_;
  size_t n_begun_ = 0, n_waited_ = 0;  // of gather_order_
};

}  // namespace xlstm::optim
