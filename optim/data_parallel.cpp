#include "optim/data_parallel.h"

#include <algorithm>
#include <cmath>

#include "core/ops/adamw.h"

namespace xlstm::optim {

DataParallel::DataParallel(comm::Communicator& communicator, const FlatParameters& parameters,
                           const DataParallelConfig& config)
    : communicator_(communicator), parameters_(parameters), config_(config) {
  const Tensor& gradients = parameters.gradients;
  layout_ = make_shard_layout(gradients.numel(), parameters.n_early, communicator.size(),
                              config.bucket_bytes / size_of(gradients.dtype()));
  for (size_t i = 0; i < layout_.buckets.size(); ++i) {
    names_.push_back("gradients " + std::to_string(i));
    if (layout_.buckets[i].end <= parameters.n_early) n_early_buckets_ = i + 1;
  }
  next_ = n_early_buckets_;
  // What every block reads first, then blocks in their order.
  for (size_t i = n_early_buckets_; i < layout_.buckets.size(); ++i) gather_order_.push_back(i);
  for (size_t i = 0; i < n_early_buckets_; ++i) gather_order_.push_back(i);
  n_waited_ = gather_order_.size();
  if (config.reduce_dtype != DType::f32 && gradients.dtype() == DType::f32) {
    const MemoryScope scope(MemoryCategory::gradients);
    narrow_ = Tensor::zeros(gradients.shape(), config.reduce_dtype, gradients.device());
  }
}

Tensor DataParallel::view(const Tensor& flat, const Range& range) const {
  return flat.strided_view({range.end - range.begin}, {1}, range.begin);
}

void DataParallel::send(size_t bucket) {
  const Range& range = layout_.buckets[bucket];
  Tensor sent = view(parameters_.gradients, range);
  if (narrow_.defined()) {
    Tensor rounded = view(narrow_, range);
    rounded.copy_from(sent);
    sent = rounded;
  }
  communicator_.reduce_scatter(sent, names_[bucket].c_str());
  if (!config_.shards_optimizer) communicator_.all_gather(sent, names_[bucket].c_str());
}

void DataParallel::passed(int64_t element) {
  while (next_ > 0 && layout_.buckets[next_ - 1].begin >= element) send(--next_);
}

void DataParallel::finish() {
  passed(0);
  next_ = n_early_buckets_;
  for (size_t i = n_early_buckets_; i < layout_.buckets.size(); ++i) send(i);
  communicator_.join();
  if (!narrow_.defined()) return;
  for (size_t i = 0; i < layout_.buckets.size(); ++i) {
    const Range range =
        config_.shards_optimizer ? layout_.part(i, communicator_.rank()) : layout_.buckets[i];
    view(parameters_.gradients, range).copy_from(view(narrow_, range));
  }
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
  const Tensors parts = own_gradients();
  const auto n = static_cast<int64_t>(parts.size());
  Tensor numbers = Tensor::zeros({n + 2}, DType::f64, kCpu);
  double* data = numbers.data<double>();
  for (int64_t i = 0; i < n; ++i) data[i] = ops::sum_of_squares(parts[static_cast<size_t>(i)]);
  data[n] = loss;
  data[n + 1] = votes;
  const Tensor sums = numbers.to(communicator_.device());
  communicator_.all_reduce(sums, "norm and loss");
  communicator_.join();
  numbers = sums.to(kCpu);
  data = numbers.data<double>();
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) squares += data[i];
  return {std::sqrt(squares), data[n], data[n + 1]};
}

void DataParallel::gather(size_t i) {
  const Range& bucket = layout_.buckets[i];
  const bool copied = parameters_.copies.defined() && bucket.begin < parameters_.n_copied;
  if (copied) communicator_.all_gather(view(parameters_.copies, bucket), "weights, rounded");
  if (!copied || bucket.end > parameters_.n_copied)
    communicator_.all_gather(view(parameters_.weights, bucket), "weights");
}

void DataParallel::start_gathering() {
  if (!config_.shards_optimizer) return;
  for (size_t slot = 0; slot < gather_order_.size(); ++slot) {
    gather(gather_order_[slot]);
    communicator_.mark(slot);
  }
  n_waited_ = 0;
}

void DataParallel::needs(int64_t element) {
  // Points are passed in order: the last one needed stands for those before it.
  size_t n = n_waited_;
  while (n < gather_order_.size() && (gather_order_[n] >= n_early_buckets_ ||
                                      layout_.buckets[gather_order_[n]].begin < element))
    ++n;
  if (n == n_waited_) return;
  communicator_.wait(n - 1);
  n_waited_ = n;
}

void DataParallel::gather_weights() {
  start_gathering();
  needs(parameters_.weights.numel());
}

void DataParallel::gather_full_weights() {
  if (!config_.shards_optimizer || !parameters_.copies.defined()) return;
  for (const Range& bucket : layout_.buckets)
    if (bucket.end <= parameters_.n_copied)
      communicator_.all_gather(view(parameters_.weights, bucket), "weights");
  communicator_.join();
}

NamedTensors DataParallel::gathered_state(const Optimizer& optimizer) {
  const bool is_first = communicator_.rank() == 0;
  NamedTensors whole;
  if (!config_.shards_optimizer) {
    if (!is_first) return whole;
    for (const auto& [name, tensor] : optimizer.state()) whole.emplace_back(name, tensor.to(kCpu));
    return whole;
  }
  int64_t longest = 0;
  for (const Range& bucket : layout_.buckets)
    longest = std::max(longest, bucket.end - bucket.begin);
  const DType dtype = parameters_.weights.dtype();
  const Tensor buffer = Tensor::zeros({longest}, dtype, communicator_.device());
  for (size_t slot = 0; slot < optimizer.slot_names().size(); ++slot) {
    Tensor flat;
    if (is_first) flat = Tensor::zeros(parameters_.weights.shape(), dtype, kCpu);
    int64_t at = 0;  // in this rank's parts, which lie one behind the other
    for (size_t i = 0; i < layout_.buckets.size(); ++i) {
      const Range& bucket = layout_.buckets[i];
      const Range part = layout_.part(i, communicator_.rank());
      const int64_t length = part.end - part.begin;
      const Tensor gathered = view(buffer, {0, bucket.end - bucket.begin});
      Tensor mine = view(gathered, {part.begin - bucket.begin, part.end - bucket.begin});
      mine.copy_from(view(optimizer.shard_slot(slot), {at, at + length}));
      at += length;
      communicator_.all_gather(gathered, "optimizer state");
      communicator_.join();
      if (is_first) view(flat, bucket).copy_from(gathered.to(kCpu));
    }
    if (!is_first) continue;
    for (const Parameter& p : optimizer.parameters())
      whole.emplace_back(optimizer.slot_names()[slot] + "." + p.name,
                         flat.strided_view(p.value.shape(), contiguous_strides(p.value.shape()),
                                           p.value.impl()->offset));
  }
  return whole;
}

}  // namespace xlstm::optim
