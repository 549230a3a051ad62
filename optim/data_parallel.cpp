#include "optim/data_parallel.h"

#include <algorithm>
#include <cmath>

#include "core/cuda/graph.h"
#include "core/ops/adamw.h"
#include "core/ops/kernel_call.h"
#include "kernels/sum_parts/sum_parts.h"

namespace xlstm::optim {
namespace {

// Buckets whose parts have come, or are coming, and are not added yet.
constexpr size_t kPlaces = 4;

// Buckets of weights that are on their way before the forward pass needs them.
constexpr size_t kAhead = 8;

}  // namespace

DataParallel::DataParallel(comm::Communicator& communicator, const FlatParameters& parameters,
                           const DataParallelConfig& config)
    : communicator_(communicator), parameters_(parameters), config_(config) {
  const Tensor& gradients = parameters.gradients;
  layout_ =
      make_shard_layout(gradients.numel(), parameters.n_early, communicator.size(),
                        config.bucket_bytes / size_of(gradients.dtype()), parameters.n_copied);
  for (size_t i = 0; i < layout_.buckets.size(); ++i) {
    names_.push_back("gradients " + std::to_string(i));
    if (layout_.buckets[i].end <= parameters.n_early) n_early_buckets_ = i + 1;
  }
  next_ = n_early_buckets_;
  // What every block reads first, then blocks in their order.
  for (size_t i = n_early_buckets_; i < layout_.buckets.size(); ++i) gather_order_.push_back(i);
  for (size_t i = 0; i < n_early_buckets_; ++i) gather_order_.push_back(i);
  n_begun_ = n_waited_ = gather_order_.size();
  whole_ = {0, n()};
  const MemoryScope scope(MemoryCategory::gradients);
  if (config.reduce_dtype != DType::f32 && gradients.dtype() == DType::f32)
    narrow_ = communicator.zeros(gradients.numel(), config.reduce_dtype);
  if (config.adds_parts) {
    received_ =
        communicator.zeros(static_cast<int64_t>(kPlaces) * longest_bucket(), sent().dtype());
    squares_ = Tensor::zeros({static_cast<int64_t>(layout_.buckets.size())}, DType::f64,
                             communicator.device());
    arrived_ = Tensor::zeros({1}, DType::i64, communicator.device());
  }
}

int64_t DataParallel::longest_bucket() const {
  int64_t longest = 0;
  for (const Range& bucket : layout_.buckets)
    longest = std::max(longest, bucket.end - bucket.begin);
  return longest;
}

Tensor DataParallel::view(const Tensor& flat, const Range& range) const {
  return flat.strided_view({range.end - range.begin}, {1}, range.begin);
}

void DataParallel::send_next() {
  const size_t bucket = to_send_.front();
  to_send_.pop_front();
  const Range& range = layout_.buckets[bucket];
  const Tensor x = view(sent(), range);
  if (narrow_.defined()) Tensor(x).copy_from(view(parameters_.gradients, range));
  const char* name = names_[bucket].c_str();
  to_gather_.push_back(bucket);
  if (!config_.adds_parts) return communicator_.reduce_scatter(x, name);
  if (to_add_.size() == kPlaces) add_oldest();
  const size_t place = n_sent_++ % kPlaces;
  communicator_.all_to_all(x, received_in(place, x.numel()), name);
  communicator_.mark(point(place));
  to_add_.push_back(bucket);
}

Tensor DataParallel::received_in(size_t place, int64_t n) const {
  const int64_t begin = static_cast<int64_t>(place) * (received_.numel() / int64_t{kPlaces});
  return view(received_, {begin, begin + n});
}

void DataParallel::add_oldest() {
  const size_t bucket = to_add_.front();
  const size_t place = (n_sent_ - to_add_.size()) % kPlaces;
  to_add_.pop_front();
  communicator_.wait(point(place));
  const Range& range = layout_.buckets[bucket];
  Tensor sum = view(sent(), layout_.part(bucket, communicator_.rank()));
  xlstm_sum_parts_args args{};
  args.dtype = kernel_dtype(sum.dtype());
  args.n_parts = communicator_.size();
  args.n = sum.numel();
  args.parts = received_in(place, range.end - range.begin).raw();
  args.sum = sum.raw();
  args.squares = squares_.data<double>() + bucket;
  args.arrived = static_cast<uint32_t*>(arrived_.raw());
  ops::run_kernel(ops::Kernel{xlstm_sum_parts_cpu, xlstm_sum_parts_cuda,
                              xlstm_sum_parts_workspace_cpu, xlstm_sum_parts_workspace_cuda},
                  args, sum.device(), "sum of parts");
  sum.bump_version();
}

// At the next point of the backward pass, when the parts have long come and nobody waits.
void DataParallel::add_all() {
  while (!to_add_.empty()) add_oldest();
}

void DataParallel::gather_sums() {
  if (!config_.shards_optimizer)
    for (const size_t bucket : to_gather_)
      communicator_.all_gather(view(sent(), layout_.buckets[bucket]), names_[bucket].c_str());
  to_gather_.clear();
}

// A layer with more than there are places for (a large output layer) is spread over the points that
// follow: sending it at once would make the pass wait.
void DataParallel::passed(int64_t element) {
  while (next_ > 0 && layout_.buckets[next_ - 1].begin >= element) to_send_.push_back(--next_);
  add_all();
  gather_sums();
  for (size_t n = 0; !to_send_.empty() && (n < kPlaces || !config_.adds_parts); ++n) send_next();
}

void DataParallel::finish() {
  passed(0);
  next_ = n_early_buckets_;
  for (size_t i = n_early_buckets_; i < layout_.buckets.size(); ++i) to_send_.push_back(i);
  while (!to_send_.empty()) send_next();
  add_all();
  n_sent_ = 0;
  whole_ = {0, n()};
  if (config_.adds_parts && !config_.shards_optimizer && !narrow_.defined()) {
    whole_.end = n_early_buckets_ == 0 ? 0 : layout_.buckets[n_early_buckets_ - 1].end;
    for (const size_t bucket : to_gather_)
      if (bucket < n_early_buckets_)
        whole_.begin = std::max(whole_.begin, layout_.buckets[bucket].end);
    return;
  }
  gather_sums();
  communicator_.join();
  if (!narrow_.defined()) return;
  for (size_t i = 0; i < layout_.buckets.size(); ++i) {
    const Range range =
        config_.shards_optimizer ? layout_.part(i, communicator_.rank()) : layout_.buckets[i];
    view(parameters_.gradients, range).copy_from(view(narrow_, range));
  }
}

void DataParallel::sum_control(const Tensor& x) {
  communicator_.all_reduce(x, "norm and loss");
  if (to_gather_.empty()) return communicator_.join();
  communicator_.mark(point(kPlaces));
  gather_sums();
  communicator_.wait(point(kPlaces));
}

Tensors DataParallel::own_gradients() const {
  std::vector<Range> joined;
  for (const Range& part : own_parts()) {
    if (!joined.empty() && joined.back().end == part.begin)
      joined.back().end = part.end;
    else
      joined.push_back(part);
  }
  Tensors parts;
  for (const Range& part : joined) parts.push_back(view(parameters_.gradients, part));
  return parts;
}

DataParallel::Total DataParallel::total(double loss, double votes) {
  const Tensors parts = squares_.defined() ? Tensors{} : own_gradients();
  const int64_t n = squares_.defined() ? squares_.numel() : static_cast<int64_t>(parts.size());
  Tensor numbers = Tensor::zeros({n + 2}, DType::f64, kCpu);
  double* data = numbers.data<double>();
  for (size_t i = 0; i < parts.size(); ++i) data[i] = ops::sum_of_squares(parts[i]);
  if (squares_.defined()) numbers.strided_view({n}, {1}).copy_from(squares_.to(kCpu));
  data[n] = loss;
  data[n + 1] = votes;
  const Tensor sums = numbers.to(communicator_.device());
  sum_control(sums);
  communicator_.join();
  numbers = sums.to(kCpu);
  data = numbers.data<double>();
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) squares += data[i];
  return {std::sqrt(squares), data[n], data[n + 1]};
}

// Starts those of gather_order_ up to `end` that have not begun.
void DataParallel::gather_ahead(size_t end) {
  for (; n_begun_ < std::min(end, gather_order_.size()); ++n_begun_) {
    const Range& bucket = layout_.buckets[gather_order_[n_begun_]];
    const int64_t n_copied = parameters_.n_copied;
    if (bucket.begin < n_copied)
      communicator_.all_gather(view(parameters_.copies, bucket), "weights, rounded", false);
    else
      communicator_.all_gather(
          view(parameters_.weights, {bucket.begin - n_copied, bucket.end - n_copied}), "weights",
          false);
    communicator_.mark(n_begun_);
  }
}

void DataParallel::start_gathering() {
  if (!config_.shards_optimizer) return;
  n_begun_ = n_waited_ = 0;
  // Said once, before the forward pass: what it has read by then is written no more.
  parameters_.weights.bump_version();
  if (parameters_.copies.defined()) parameters_.copies.bump_version();
  gather_ahead(kAhead);
}

// Not all calls at the start: in a recorded graph the pass would stand behind the last of them.
void DataParallel::needs(int64_t element) {
  // Points are passed in order: the last one needed stands for those before it.
  size_t n = n_waited_;
  while (n < gather_order_.size() && (gather_order_[n] >= n_early_buckets_ ||
                                      layout_.buckets[gather_order_[n]].begin < element))
    ++n;
  if (n == n_waited_) return;
  gather_ahead(n);
  communicator_.wait(n - 1);
  n_waited_ = n;
  gather_ahead(n + kAhead);
}

void DataParallel::gather_weights() {
  start_gathering();
  needs(n());
}

std::vector<DataParallel::Part> DataParallel::parts_of(const Tensor& parts, int64_t n) const {
  std::vector<Part> all;
  int64_t at = 0;
  for (size_t i = 0; i < layout_.buckets.size() && layout_.buckets[i].end <= n; ++i) {
    const Range own = layout_.part(i, communicator_.rank());
    const int64_t length = own.end - own.begin;
    all.push_back({layout_.buckets[i], own, view(parts, {at, at + length})});
    at += length;
  }
  return all;
}

// Bucket by bucket: no rank's device holds the whole. parts: those of this rank, one behind the
// other, of the first n elements. All ranks call it.
Tensor DataParallel::gathered(const Tensor& parts, int64_t n, bool is_wanted,
                              const HostMemory& memory) {
  Tensor flat;
  if (memory.copy) {
    flat = memory.place({n}, parts.dtype());
    for (const Part& part : parts_of(parts, n)) memory.copy(view(flat, part.own), part.tensor);
    return flat;
  }
  const bool waits = !memory.place || parts.device() == kCpu;
  if (is_wanted)
    flat = memory.place ? memory.place({n}, parts.dtype()) : Tensor::empty({n}, parts.dtype());
  const Tensor buffer = Tensor::empty({longest_bucket()}, parts.dtype(), communicator_.device());
  for (const auto& [bucket, own, part] : parts_of(parts, n)) {
    const Tensor whole = view(buffer, {0, bucket.end - bucket.begin});
    view(whole, {own.begin - bucket.begin, own.end - bucket.begin}).copy_from(part);
    communicator_.all_gather(whole, "optimizer state");
    communicator_.join();
    if (!is_wanted) continue;
    Tensor place = view(flat, bucket);
    if (waits)
      place.copy_from(whole);
    else
      cuda::copy_to_host(place.raw(), whole.raw(), whole.numel() * size_of(whole.dtype()),
                         communicator_.device());
  }
  return flat;
}

Tensor DataParallel::gathered_masters(const Optimizer& optimizer, bool everywhere,
                                      const HostMemory& memory) {
  return gathered(optimizer.masters(), parameters_.n_copied,
                  everywhere || communicator_.rank() == 0, memory);
}

NamedTensors DataParallel::gathered_state(const Optimizer& optimizer, const HostMemory& memory) {
  const bool is_first = communicator_.rank() == 0;
  NamedTensors whole;
  if (!config_.shards_optimizer) {
    if (!is_first) return whole;
    for (const auto& [name, tensor] : optimizer.state()) whole.emplace_back(name, tensor.to(kCpu));
    return whole;
  }
  for (size_t slot = 0; slot < optimizer.slot_names().size(); ++slot) {
    const Tensor flat = gathered(optimizer.shard_slot(slot), n(), is_first, memory);
    if (!flat.defined()) continue;
    for (const Parameter& p : optimizer.parameters())
      whole.emplace_back(optimizer.slot_names()[slot] + "." + p.name,
                         flat.strided_view(p.value.shape(), contiguous_strides(p.value.shape()),
                                           p.value.grad().impl()->offset));
  }
  return whole;
}

}  // namespace xlstm::optim
