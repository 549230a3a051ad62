// xlstm selftest: which kernels are trustworthy on this machine.
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>

#include "core/error.h"
#include "tools/bench/meter.h"
#include "tools/bench/trust.h"
#include "tools/commands.h"

namespace xlstm::cli {
namespace {

int run(const std::string& device_name) {
  require<ConfigError>(device_name == "auto" || device_name == "cpu" || device_name == "cuda",
                       "selftest: --device: got ", device_name, ", expected cpu, cuda or auto");
  const bool has_gpu = cuda_device_count() > 0;
  require<DeviceError>(device_name != "cuda" || has_gpu,
                       "selftest: --device cuda: no CUDA device was found (is the driver loaded, "
                       "is this a CUDA build?)");
  const Device device = device_name != "cpu" && has_gpu ? Device{DeviceType::cuda, 0} : kCpu;
  const std::vector<DType> types = device == kCpu
                                       ? std::vector<DType>{DType::f32}
                                       : std::vector<DType>{DType::f32, DType::bf16, DType::f16};
  std::cout << bench::describe_machine(device) << "\n";
  const auto start = std::chrono::steady_clock::now();
  int64_t n_tested = 0, n_wrong = 0;
  for (const OpInfo& op : op_table()) {
    for (const DType dtype : types) {
      if (op.all_wide && dtype != DType::f32) continue;
      const bench::Verdict v = bench::verdict_of(op, dtype, device);
      ++n_tested;
      n_wrong += v.trusted() ? 0 : 1;
      char line[200];
      std::snprintf(line, sizeof line,
                    "%-20s %-9s %-12s %3lld samples  error %-9.2g gradient %-9.2g", op.name,
                    name_of(dtype), v.trusted() ? "trusted" : "NOT TRUSTED",
                    static_cast<long long>(v.n_samples), v.forward, v.backward);
      std::cout << line << " " << bench::text_of(v.variants);
      if (v.n_excused > 0) std::cout << "; " << v.n_excused << " as inexact as the arithmetic";
      if (!v.trusted()) std::cout << "; " << v.n_wrong << " wrong, " << v.complaint;
      std::cout << "\n" << std::flush;
    }
    release_cached_memory(device);
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::cout << n_tested - n_wrong << " of " << n_tested
            << " kernels and types are trustworthy here, in " << seconds << " s\n";
  return n_wrong > 0 ? 9 : 0;
}

}  // namespace

void add_selftest(CLI::App& app, Action& action) {
  auto device = std::make_shared<std::string>("auto");
  CLI::App* command = app.add_subcommand(
      "selftest", "compare every kernel with float64 references on this machine");
  command->add_option("--device", *device, "cpu, cuda or auto");
  command->footer("Exit code 9 if a kernel is wrong here.");
  command->callback([&action, device] { action = [device] { return run(*device); }; });
}

}  // namespace xlstm::cli
