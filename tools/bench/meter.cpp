#include "tools/bench/meter.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "core/autograd.h"
#include "core/cuda/measure.h"
#include "core/cuda/runtime.h"
#include "core/op_info.h"
#include "core/ops/matmul.h"

namespace xlstm::bench {
namespace {

constexpr int64_t kMostWarmUp = 20;

double now_ms() {
  return std::chrono::duration<double, std::milli>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(": ") + 2);
  return "CPU";
}

}  // namespace

Meter::Meter(Device device) : device_(device) {
  if (device == kCpu) return;
  stopwatch_ = std::make_unique<cuda::Stopwatch>(device);
  const int64_t bytes = std::max<int64_t>(int64_t{256} << 20, 4 * cuda::facts_of(device).l2_bytes);
  flush_ = Tensor::empty({bytes}, DType::u8, device);
}
Meter::~Meter() = default;

double Meter::once(const std::function<void()>& prepare, const std::function<void()>& call) {
  if (prepare) prepare();
  if (device_ == kCpu) {
    const double start = now_ms();
    call();
    return now_ms() - start;
  }
  cuda::synchronize(device_);
  cuda::set_zero(flush_.raw(), device_, flush_.numel());
  stopwatch_->start();
  call();
  stopwatch_->stop();
  return stopwatch_->milliseconds();
}

Spread Meter::measure(const std::function<void()>& prepare, const std::function<void()>& call,
                      double seconds, int64_t max_repeats) {
  once(prepare, call);  // loads code and takes memory from the system
  const double start = now_ms();
  once(prepare, call);
  const double each = std::max(now_ms() - start, 1e-3);  // preparation included
  const int64_t n = std::clamp<int64_t>(static_cast<int64_t>(seconds * 1e3 / each), 3, max_repeats);
  for (int64_t i = 0; i < std::clamp<int64_t>(n / 3, 1, kMostWarmUp); ++i) once(prepare, call);
  std::vector<double> times;
  for (int64_t i = 0; i < n; ++i) times.push_back(once(prepare, call));
  return spread_of(std::move(times));
}

Ceilings measure_ceilings(Meter& meter, DType dtype) {
  const autograd::NoGrad no_grad;
  const bool on_cpu = meter.device() == kCpu;
  Ceilings out;
  {
    const int64_t bytes = int64_t{1} << (on_cpu ? 28 : 31);
    const Tensor from = Tensor::zeros({bytes / 4}, DType::f32, meter.device());
    Tensor to = Tensor::zeros({bytes / 4}, DType::f32, meter.device());
    const Spread ms = meter.measure(
        {}, [&] { to.copy_from(from); }, 0.3, 20);
    out.copy_bytes_per_second = 2 * static_cast<double>(bytes) / ms.median * 1e3;
  }
  const int64_t n = on_cpu ? 1024 : 8192;
  Generator generator{7, 0};
  const Tensor square = random_tensor({n, n}, DType::f32, generator);
  Tensor a = Tensor::empty({n, n}, dtype, meter.device());
  a.copy_from(square.to(meter.device()));
  const Spread ms = meter.measure(
      {}, [&] { ops::matmul(a, a); }, 0.3, 20);
  const double side = static_cast<double>(n);
  out.product_flops_per_second = 2 * side * side * side / ms.median * 1e3;
  release_cached_memory(meter.device());
  return out;
}

std::string describe_machine(Device device) {
  if (device != kCpu) return cuda::facts_of(device).name;
  return cpu_name() + ", " + std::to_string(omp_get_max_threads()) + " threads";
}

}  // namespace xlstm::bench
