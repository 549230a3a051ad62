#include "core/ops/sampling.h"

#include <cmath>
#include <limits>

#include "core/ops/kernel_call.h"
#include "kernels/sampling/sampling.h"

namespace xlstm::ops {
namespace {

void check_options(const SamplingOptions& options) {
  require<ConfigError>(options.temperature >= 0 && std::isfinite(options.temperature),
                       "sample: the temperature must be finite and not negative, got ",
                       options.temperature);
  require<ConfigError>(options.top_k >= 0, "sample: top_k must not be negative, got ",
                       options.top_k);
  require<ConfigError>(options.top_p >= 0 && options.top_p <= 1, "sample: top_p: got ",
                       options.top_p, ", expected 0 to 1 (1 keeps all tokens)");
  require<ConfigError>(options.min_p >= 0 && options.min_p <= 1, "sample: min_p: got ",
                       options.min_p, ", expected 0 to 1 (0 keeps all tokens)");
  require<ConfigError>(options.repetition_penalty > 0 && std::isfinite(options.repetition_penalty),
                       "sample: repetition_penalty: got ", options.repetition_penalty,
                       ", expected a finite number above 0 (1: none)");
}

void check_seen(const Tensor& seen, const Tensor& logits) {
  if (!seen.defined()) return;
  require<ShapeError>(
      seen.dtype() == DType::u8 && seen.shape() == logits.shape() && seen.is_contiguous(),
      "sample: seen must be contiguous uint8, a byte for each logit, got ", name_of(seen.dtype()),
      " ", to_string(seen.shape()), ", expected ", to_string(logits.shape()));
}

void check(const Tensor& logits, const SamplingOptions& options, int64_t position,
           const Tensor& streams) {
  require<ShapeError>(logits.defined() && logits.dim() == 2,
                      "sample: logits must be [B, n_vocab], got ",
                      logits.defined() ? to_string(logits.shape()) : "no tensor");
  require_computes(logits, "sample", "logits");
  require<ShapeError>(logits.size(0) == 0 || logits.size(1) > 0,
                      "sample: there is no token to choose from, got logits ",
                      to_string(logits.shape()));
  check_options(options);
  require<ConfigError>(options.n_valid >= 0 && options.n_valid <= logits.size(1),
                       "sample: n_valid must be between 0 (all) and the vocabulary, got ",
                       options.n_valid, ", expected at most ", logits.size(1));
  require<ConfigError>(position >= 0, "sample: the position must not be negative, got ", position);
  if (!streams.defined()) return;
  require<ShapeError>(streams.dtype() == DType::i64 && streams.shape() == Shape{logits.size(0)},
                      "sample: streams must be int64, one a row, got ", name_of(streams.dtype()),
                      " ", to_string(streams.shape()), ", expected ",
                      to_string(Shape{logits.size(0)}));
}

}  // namespace

void report_bad_rows(const Tensor& logits, const SamplingOptions& options) {
  const int64_t n_valid = options.n_valid == 0 ? logits.size(1) : options.n_valid;
  const std::vector<double> x = logits.to(kCpu).to_vector<double>();
  const int64_t n_vocab = logits.size(1);
  for (int64_t row = 0; row < logits.size(0); ++row) {
    bool has_choice = false;
    for (int64_t v = 0; v < n_valid; ++v) {
      const double value = x[static_cast<size_t>(row * n_vocab + v)];
      require<NonFiniteError>(value <= std::numeric_limits<double>::max(), "sample: row ", row,
                              " has the logit ", value, " at id ", v,
                              ", expected finite numbers or -inf (did training diverge?)");
      has_choice = has_choice || std::isfinite(value);
    }
    require<NonFiniteError>(has_choice, "sample: every valid logit of row ", row,
                            " is -inf, expected at least one finite number");
  }
  throw_error<NonFiniteError>("sample: the logits cannot be sampled from");
}

Tensor sample(const Tensor& logits, const SamplingOptions& options, int64_t position,
              const Tensor& streams, const uint64_t* position_base, const Tensor& seen) {
  const OpScope scope("sample", {logits, streams, seen});
  check(logits, options, position, streams);
  check_seen(seen, logits);
  const Tensor rows = as_rows(logits);
  const Tensor names = dense(streams);
  const Tensor tokens = Tensor::empty({logits.size(0)}, DType::i64, logits.device());
  xlstm_sampling_args args{};
  args.dtype = kernel_dtype(logits.dtype());
  args.rows = logits.size(0);
  args.n_vocab = logits.size(1);
  args.n_valid = options.n_valid;
  args.logits = rows.raw();
  args.logits_stride_row = rows.stride(0);
  args.temperature = options.temperature;
  args.top_k = options.top_k;
  args.top_p = options.top_p;
  args.min_p = options.min_p;
  args.repetition_penalty = options.repetition_penalty;
  args.seed = options.seed;
  args.position = static_cast<uint64_t>(position);
  args.position_base = position_base;
  args.streams = names.defined() ? names.data<int64_t>() : nullptr;
  args.seen = seen.defined() ? seen.data<uint8_t>() : nullptr;
  args.seen_stride_row = logits.size(1);
  args.tokens = tokens.data<int64_t>();
  const xlstm_status status =
      status_of(Kernel{xlstm_sampling_cpu, xlstm_sampling_cuda, xlstm_sampling_workspace_cpu,
                       xlstm_sampling_workspace_cuda},
                args, logits.device());
  if (status == XLSTM_BAD_VALUE) report_bad_rows(logits, options);
  check_status(status, "sample", logits.device());
  return tokens;
}

}  // namespace xlstm::ops
