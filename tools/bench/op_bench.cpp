#include "tools/bench/op_bench.h"

#include <new>
#include <optional>

#include "core/autograd.h"
#include "core/error.h"
#include "core/kernel_variant.h"
#include "core/variant_log.h"
#include "tools/bench/check.h"

namespace xlstm::bench {
namespace {

constexpr uint64_t kSeed = 20260101;

// A filter is "OP" or "OP | SAMPLE", each a part of the name.
std::string part_of_filter(const std::string& filter, bool of_op) {
  const size_t bar = filter.find(" | ");
  if (bar == std::string::npos) return of_op ? filter : "";
  return of_op ? filter.substr(0, bar) : filter.substr(bar + 3);
}
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Memory that a call took beyond what was held before it.
class PeakMemory {
 public:
  explicit PeakMemory(Device device) : device_(device), before_(memory_stats(device).in_use_bytes) {
    reset_peak_memory(device);
  }
  double bytes() const { return static_cast<double>(memory_stats(device_).peak_bytes - before_); }

 private:
  Device device_;
  int64_t before_;
};

class SampleBench {
 public:
  SampleBench(const OpBenchOptions& options, Meter& meter, const OpInfo& op, const OpSample& drawn)
      : options_(options),
        meter_(meter),
        op_(op),
        reference_(options.variant == "reference"),
        call_(reference_ ? op.composed : op.forward),
        sample_(placed(op, drawn, options.dtype, meter.device())) {
    if (listed_variant() != nullptr) choice_.emplace(op.name, options.variant);
  }

  // Checks first: a wrong kernel gets no time.
  void run(const std::function<void(const Row&)>& done) {
    const bool wants_backward =
        op_.has_gradient && (listed_variant() == nullptr || listed_variant()->has_backward);
    Reference reference;
    if (options_.verify) reference = reference_of(op_, sample_, wants_backward);
    {
      const Results got = run_forward(op_, call_, sample_);
      Row forward = row(Pass::forward, got.forward_variant);
      if (options_.verify) {
        const Errors errors = errors_of(op_, got, reference);
        judge(forward, reference, errors.forward(), Pass::forward);
      }
      if (forward.failure.empty()) time_forward(forward);
      done(forward);
    }
    if (!wants_backward) return;
    const Results got = run_with_gradients(op_, call_, sample_);
    if (got.backward_variant.empty()) return;  // nothing to differentiate in this sample
    Row backward = row(Pass::backward, got.backward_variant);
    if (options_.verify) {
      const Errors errors = errors_of(op_, got, reference);
      judge(backward, reference, errors.forward(), Pass::forward);
      judge(backward, reference, errors.backward(), Pass::backward);
    }
    if (backward.failure.empty()) time_backward(backward);
    done(backward);
  }

 private:
  // The asked variant's entry in the op's row, or null.
  const KernelVariant* listed_variant() const {
    for (const KernelVariant& variant : op_.variants)
      if (variant.device == meter_.device().type && variant.name == options_.variant)
        return &variant;
    return nullptr;
  }

  Row row(Pass pass, const std::string& variant) const {
    Row out;
    out.op = op_.name;
    out.sample = sample_.label;
    out.pass = pass == Pass::forward ? "forward" : "backward";
    out.device = to_string(meter_.device());
    out.dtype = op_.all_wide ? name_of(wide_type(options_.dtype)) : name_of(options_.dtype);
    out.variant = reference_ ? "reference" : variant;
    const OpWork work = work_of(op_, sample_, pass);
    out.flops = work.flops;
    out.bytes = work.bytes;
    require_variant(out);
    return out;
  }

  void require_variant(Row& row) const {
    if (!options_.variant.empty() && !has_variant(row.variant, options_.variant))
      row.failure = "ran variant " + row.variant + ", asked for " + options_.variant;
  }

  void judge(Row& row, const Reference& reference, double error, Pass pass) const {
    row.verified = reference.name;
    row.error = error;
    const double limit =
        tolerance_of(op_, op_.all_wide ? wide_type(options_.dtype) : options_.dtype, pass);
    // Infinity cannot be written as JSON.
    if (!(error <= 1e30)) row.error = 1e30;
    if (!(error <= limit) && row.failure.empty())
      row.failure = detail::concat("wrong result: error ", row.error, " against ", reference.name,
                                   ", allowed ", limit);
  }

  // Runs `call` once to see which variant it is that will be timed and what memory it takes, then
  // times it. What was verified has more outputs and may name more kernels, but not fewer.
  void time(Row& row, const std::function<void()>& prepare, const std::function<void()>& call) {
    if (prepare) prepare();
    const std::string verified = row.variant;
    {
      const PeakMemory peak(meter_.device());
      const VariantLog log;
      call();
      if (!reference_) row.variant = joined(log, op_);
      row.peak_bytes = peak.bytes();
      for (const std::string& name : log.names())
        if (!reference_ && !has_variant(verified, name))
          row.failure = "timed variant " + row.variant + ", verified " + verified;
    }
    if (row.failure.empty()) require_variant(row);
    if (row.failure.empty()) row.ms = meter_.measure(prepare, call, options_.seconds);
  }

  void time_forward(Row& row) {
    const autograd::NoGrad no_grad;
    const Call call = !reference_ && op_.in_place != nullptr ? op_.in_place : call_;
    time(row, {}, [&] { call(sample_.inputs, sample_.attributes); });
  }

  // The forward call before each backward one is not timed.
  void time_backward(Row& row) {
    Tensors inputs;
    for (const Tensor& t : sample_.inputs) inputs.push_back(t.defined() ? t.detach() : Tensor{});
    for (const int64_t i : differentiable_inputs(op_, sample_))
      inputs[static_cast<size_t>(i)].set_requires_grad(true);
    Tensors outputs, roots, grads;
    const auto forward = [&] {
      for (Tensor& t : inputs)
        if (t.defined()) t.set_grad({});
      roots.clear();
      outputs = call_(inputs, sample_.attributes);
      // The first result is the one that layers use; states are not differentiated in training.
      for (const Tensor& y : outputs)
        if (y.defined() && y.requires_grad() && roots.empty()) roots.push_back(y);
    };
    forward();
    for (const Tensor& y : roots)
      grads.push_back(Tensor::full(y.shape(), 0.5, y.dtype(), y.device()));
    time(row, forward, [&] { autograd::backward(roots, grads); });
  }

  const OpBenchOptions& options_;
  Meter& meter_;
  const OpInfo& op_;
  bool reference_;
  Call call_;
  OpSample sample_;
  std::optional<VariantChoice> choice_;
};

void bench_sample(const OpBenchOptions& options, Meter& meter, const OpInfo& op,
                  const std::string& label, const std::function<OpSample()>& draw,
                  const std::function<void(const Row&)>& done) {
  Row failed;
  failed.op = op.name;
  failed.sample = label;
  failed.pass = "forward";
  failed.device = to_string(meter.device());
  failed.dtype = name_of(options.dtype);
  try {
    SampleBench(options, meter, op, draw()).run(done);
    return;
  } catch (const Error& error) {
    failed.failure = error.what();
  } catch (const std::bad_alloc&) {
    failed.failure = "out of memory";
  }
  done(failed);
}

// Calls f(op, label, draw, is_large) for every chosen sample.
template <class F>
void for_each_chosen(const OpBenchOptions& options, DType drawn, F f) {
  const std::string op_part = part_of_filter(options.filter, true);
  const std::string label_part = part_of_filter(options.filter, false);
  for (const OpInfo& op : op_table()) {
    if (!contains(op.name, op_part)) continue;
    if (options.variant == "reference" && op.composed == nullptr) continue;
    if (options.sizes != Sizes::large) {
      Generator generator{kSeed, 0};
      for (const OpSample& sample : op.samples(SampleSize::bench, drawn, generator))
        if (work_of(op, sample, Pass::forward).bytes > 0 && contains(sample.label, label_part))
          f(
              op, sample.label, [&] { return sample; }, false);
    }
    if (options.sizes == Sizes::small || op.large_samples == nullptr) continue;
    for (const LargeSample& sample : op.large_samples()) {
      Generator generator{kSeed, 0};
      if (contains(sample.label, label_part))
        f(
            op, sample.label, [&] { return sample.make(drawn, generator); }, true);
    }
  }
}

}  // namespace

std::vector<Listed> list_ops(const OpBenchOptions& options) {
  std::vector<Listed> out;
  for_each_chosen(options, DType::f32,
                  [&](const OpInfo& op, const std::string& label, const auto&, bool is_large) {
                    out.push_back({&op, label, is_large});
                  });
  return out;
}

void bench_ops(const OpBenchOptions& options, Meter& meter,
               const std::function<void(const Row&)>& done) {
  for_each_chosen(options, options.dtype == DType::f64 ? DType::f64 : DType::f32,
                  [&](const OpInfo& op, const std::string& label, const auto& draw, bool) {
                    bench_sample(options, meter, op, label, draw, done);
                    release_cached_memory(meter.device());
                  });
}

}  // namespace xlstm::bench
