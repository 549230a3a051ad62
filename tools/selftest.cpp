// xlstm selftest: which kernels are trustworthy on this machine.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>

#include "core/error.h"
#include "tools/bench/check.h"
#include "tools/bench/meter.h"
#include "tools/commands.h"

namespace xlstm::cli {
namespace {

struct Verdict {
  int64_t n_samples = 0, n_wrong = 0;
  double forward = 0, backward = 0;
  std::string variants, complaint;
};

void note(Verdict& verdict, const std::string& complaint) {
  ++verdict.n_wrong;
  if (verdict.complaint.empty()) verdict.complaint = complaint;
}

bool same_bits(const Tensors& a, const Tensors& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (!a[i].defined()) continue;
    const std::vector<double> x = a[i].to(kCpu).to_vector<double>(),
                              y = b[i].to(kCpu).to_vector<double>();
    for (size_t k = 0; k < x.size(); ++k)
      if (x[k] != y[k] && !(std::isnan(x[k]) && std::isnan(y[k]))) return false;
  }
  return true;
}

// Small samples mean errors close to the tests' own tolerances; 16 bits are those of rounding.
double tolerance(const OpInfo& op, DType dtype, Pass pass) {
  if (dtype == DType::f32)
    return pass == Pass::forward ? 3 * op.float_tolerance : 10 * std::max(op.float_tolerance, 1e-5);
  return 2 * bench::tolerance_of(op, dtype, pass);
}

// Values of samples are about 1; what cancels to less than this is rounding.
constexpr double kSmallest = 1e-2;

// How much the exact result changes when the inputs change by half a unit in their last place: no
// kernel can be asked for less.
bench::Difference sensitivity(const OpInfo& op, const OpSample& sample, DType dtype) {
  const double unit = dtype == DType::f32 ? 0x1p-24 : dtype == DType::bf16 ? 0x1p-9 : 0x1p-12;
  OpSample shaken = placed(op, sample, DType::f64, kCpu);
  for (const Tensor& x : shaken.inputs)
    if (x.defined() && x.dtype() == DType::f64)
      for (int64_t i = 0; i < x.numel(); ++i)
        x.data<double>()[i] *= 1 + (i * i % 3 == 1 ? unit : -unit);
  return bench::compare_with_reference(
      op, sample, bench::run_with_gradients(op, op.forward, shaken), kSmallest);
}

void test_sample(const OpInfo& op, const OpSample& drawn, DType dtype, Device device,
                 Verdict& verdict) {
  ++verdict.n_samples;
  const OpSample sample = placed(op, drawn, dtype, device);
  const DType of_results = op.all_wide ? wide_type(dtype) : dtype;
  const bench::Results got = bench::run_with_gradients(op, op.forward, sample);
  const bench::Results again = bench::run_with_gradients(op, op.forward, sample);
  const bench::Difference difference = bench::compare_with_reference(op, sample, got, kSmallest);
  verdict.forward = std::max(verdict.forward, difference.forward);
  verdict.backward = std::max(verdict.backward, difference.backward);
  if (verdict.variants.find(got.forward_variant) == std::string::npos)
    verdict.variants += (verdict.variants.empty() ? "" : ", ") + got.forward_variant;
  const bench::Difference inherent = sensitivity(op, sample, of_results);
  // Samples with ties or steps are no excuse for a wrong result.
  const auto allowed = [&](Pass pass, double inherent_error) {
    return std::max(tolerance(op, of_results, pass), std::min(8 * inherent_error, 0.05));
  };
  if (!(difference.forward <= allowed(Pass::forward, inherent.forward)))
    note(verdict, detail::concat("\"", drawn.label, "\": results are off by ", difference.forward));
  else if (!(difference.backward <= allowed(Pass::backward, inherent.backward)))
    note(verdict,
         detail::concat("\"", drawn.label, "\": gradients are off by ", difference.backward));
  else if (!same_bits(got.outputs, again.outputs) || !same_bits(got.gradients, again.gradients))
    note(verdict, detail::concat("\"", drawn.label, "\": a second call gave other bits"));
}

Verdict test_op(const OpInfo& op, DType dtype, Device device) {
  Verdict verdict;
  Generator generator{20260101, 0};
  for (const OpSample& sample : op.samples(SampleSize::check, DType::f32, generator)) {
    try {
      test_sample(op, sample, dtype, device, verdict);
    } catch (const Error& error) {
      note(verdict, "\"" + sample.label + "\": " + error.what());
    }
  }
  return verdict;
}

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
      const Verdict v = test_op(op, dtype, device);
      ++n_tested;
      n_wrong += v.n_wrong > 0 ? 1 : 0;
      char line[200];
      std::snprintf(line, sizeof line,
                    "%-20s %-9s %-12s %3lld samples  error %-9.2g gradient %-9.2g", op.name,
                    name_of(dtype), v.n_wrong > 0 ? "NOT TRUSTED" : "trusted",
                    static_cast<long long>(v.n_samples), v.forward, v.backward);
      std::cout << line << " " << (v.n_wrong > 0 ? v.complaint : v.variants) << "\n" << std::flush;
    }
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::cout << n_tested - n_wrong << " of " << n_tested
            << " kernels and types are trustworthy here (" << seconds << " s)\n";
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
