#include "core/comm/communicator.h"

#include "core/error.h"
#include "core/fault_plan.h"

namespace xlstm::comm {
namespace {

class Single : public Communicator {
 public:
  explicit Single(Device device) : Communicator(World{}, device, {}) {}

 private:
  void run(Call call, const Tensor& from, const Tensor& to, const char*) override {
    if (call == Call::all_to_all) Tensor(to).copy_from(from);
  }
};

bool is_sent(DType dtype) {
  return is_floating(dtype) || dtype == DType::i64;
}

}  // namespace

const char* Communicator::kind_of(Call call) {
  static const char* const kNames[] = {"all_reduce", "reduce_scatter", "all_gather", "broadcast",
                                       "all_to_all"};
  return kNames[static_cast<int>(call)];
}

void Communicator::require_sendable(Call call, const Tensor& x, const char* name) const {
  require<ShapeError>(x.defined() && x.is_contiguous() && is_sent(x.dtype()), name,
                      ": a collective call takes a contiguous tensor of floating or int64 numbers");
  require<DeviceError>(x.device() == device_, name, ": tensor of a collective call, got one on ",
                       to_string(x.device()), ", expected ", to_string(device_));
  const bool in_parts = call != Call::all_reduce && call != Call::broadcast;
  require<ShapeError>(!in_parts || x.numel() % size() == 0, name,
                      ": elements of a tensor in equal parts, got ", x.numel(),
                      ", expected a multiple of ", size(), " ranks");
}

void Communicator::start(Call call, const Tensor& from, const Tensor& to, const char* name,
                         bool is_noted) {
  require_sendable(call, to, name);
  if (to.numel() == 0) return;
  if (FaultPlan* plan = FaultPlan::of_environment()) {
    const FaultPlan::CallFault fault = plan->before_call();
    if (fault == FaultPlan::CallFault::skip) return;
    if (fault == FaultPlan::CallFault::other_size) {
      const Tensor twice = Tensor::zeros({2 * to.numel()}, to.dtype(), device_);
      return run(call, twice, call == Call::all_to_all ? twice.clone() : twice, name);
    }
  }
  run(call, from, to, name);
  if (is_noted) Tensor(to).bump_version();
}

void Communicator::all_reduce(const Tensor& x, const char* name) {
  start(Call::all_reduce, x, x, name);
}
void Communicator::reduce_scatter(const Tensor& x, const char* name) {
  start(Call::reduce_scatter, x, x, name);
}
void Communicator::all_gather(const Tensor& x, const char* name, bool is_noted) {
  start(Call::all_gather, x, x, name, is_noted);
}
void Communicator::broadcast(const Tensor& x, const char* name) {
  start(Call::broadcast, x, x, name);
}
void Communicator::all_to_all(const Tensor& from, const Tensor& to, const char* name) {
  require_sendable(Call::all_to_all, from, name);
  require<ShapeError>(to.defined() && to.numel() == from.numel() && to.dtype() == from.dtype(),
                      name, ": the tensors of an exchange must have one size and type");
  start(Call::all_to_all, from, to, name);
}

std::unique_ptr<Communicator> make_single_communicator(Device device) {
  return std::make_unique<Single>(device);
}

std::unique_ptr<Communicator> make_communicator(const World& world, Device device,
                                                const WatchLimits& limits, bool copy_engines) {
  if (world.size == 1) return make_single_communicator(device);
  return device == kCpu ? make_mpi_communicator(world, limits)
                        : make_nccl_communicator(world, device, limits, copy_engines);
}

std::vector<double> gather(Communicator& communicator, double value, const char* name) {
  const int64_t n = communicator.size();
  Tensor all = Tensor::zeros({n}, DType::f64, kCpu);
  all.data<double>()[communicator.rank()] = value;
  all = all.to(communicator.device());
  communicator.all_gather(all, name);
  communicator.join();
  all = all.to(kCpu);
  return {all.data<double>(), all.data<double>() + n};
}

double sum(Communicator& communicator, double value, const char* name) {
  double total = 0;
  for (const double part : gather(communicator, value, name)) total += part;
  return total;
}

std::string broadcast_text(Communicator& communicator, const std::string& text) {
  const auto length = static_cast<int64_t>(
      gather(communicator, static_cast<double>(text.size()), "length of a text").front());
  Tensor letters = Tensor::zeros({length}, DType::i64, kCpu);
  for (int64_t i = 0; i < length && communicator.rank() == 0; ++i)
    letters.data<int64_t>()[i] = static_cast<unsigned char>(text[static_cast<size_t>(i)]);
  letters = letters.to(communicator.device());
  communicator.broadcast(letters, "a text");
  communicator.join();
  letters = letters.to(kCpu);
  std::string result;
  for (int64_t i = 0; i < length; ++i) result += static_cast<char>(letters.data<int64_t>()[i]);
  return result;
}

void barrier(Communicator& communicator, const char* name) {
  static_cast<void>(gather(communicator, 0, name));
}

void require_same(Communicator& communicator, uint64_t value, const std::string& what,
                  const char* hint) {
  // In two halves, each exact in a double.
  std::vector<double> parts[2];
  for (int half = 0; half < 2; ++half)
    parts[half] = gather(communicator, static_cast<double>((value >> (32 * half)) & 0xffffffffu),
                         "comparison of ranks");
  std::string others;
  for (size_t r = 1; r < parts[0].size(); ++r)
    if (parts[0][r] != parts[0][0] || parts[1][r] != parts[1][0])
      others += (others.empty() ? "" : ", ") + std::to_string(r);
  require<CommError>(others.empty(), "ranks: ", what, " differs from rank 0's on rank ", others,
                     ", expected the same on all (", hint, ")");
}

}  // namespace xlstm::comm
