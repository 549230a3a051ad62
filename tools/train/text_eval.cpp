#include "tools/train/text_eval.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/autograd.h"
#include "core/error.h"
#include "tools/train/text_state.h"

namespace xlstm::train {
namespace {

constexpr int64_t kBatchTokens = 16384;  // of all windows that are read side by side

// The sum of the scored tokens' negative log-likelihoods.
class Sum {
 public:
  Sum(const layers::LanguageModel& model, const std::vector<int32_t>& ids)
      : model_(model), ids_(ids) {}

  // Rows of `length` inputs that end before the tokens `ends`; of each the last n_scored targets
  // count.
  layers::ModelState add(const std::vector<int64_t>& ends, const std::vector<int64_t>& n_scored,
                         int64_t length, const layers::ModelState& state = {}) {
    std::vector<int64_t> inputs, targets;
    int64_t n = 0;
    for (size_t row = 0; row < ends.size(); ++row) {
      for (int64_t t = ends[row] - length; t < ends[row]; ++t) {
        inputs.push_back(ids_[static_cast<size_t>(t)]);
        const bool counts = t >= ends[row] - n_scored[row];
        targets.push_back(counts ? ids_[static_cast<size_t>(t + 1)] : -1);
      }
      n += n_scored[row];
    }
    const Shape shape = {static_cast<int64_t>(ends.size()), length};
    layers::HiddenOutput out =
        model_.forward_hidden(Tensor::from(inputs, shape).to(model_.device()), state);
    const double mean =
        model_.loss(out.hidden, Tensor::from(targets, shape).to(model_.device())).item();
    require<NonFiniteError>(std::isfinite(mean), "eval: the loss is ", mean, " before token ",
                            ends.back(), ", expected a finite number (did training diverge?)");
    nll_ += mean * static_cast<double>(n);
    return std::move(out.state);
  }
  double nll() const { return nll_; }

 private:
  const layers::LanguageModel& model_;
  const std::vector<int32_t>& ids_;
  double nll_ = 0;
};

void add_windows(Sum& sum, int64_t last, int64_t context, int64_t stride) {
  const int64_t length = std::min(context, last);
  const auto at_once = static_cast<size_t>(std::max(kBatchTokens / length, int64_t{1}));
  std::vector<int64_t> ends, n_scored;
  for (int64_t end = length, before = 0;; before = end, end = std::min(end + stride, last)) {
    ends.push_back(end);
    n_scored.push_back(end - before);
    if (ends.size() == at_once || end == last) {
      sum.add(ends, n_scored, length);
      ends.clear();
      n_scored.clear();
    }
    if (end == last) return;
  }
}

void add_pieces(Sum& sum, int64_t last, int64_t context) {
  layers::ModelState state;
  for (int64_t begin = 0; begin < last; begin += context) {
    const int64_t length = std::min(context, last - begin);
    state = sum.add({begin + length}, {length}, length, state);
  }
}

double per(double nll, int64_t n) {
  return n == 0 ? 0 : nll / static_cast<double>(n);
}

}  // namespace

void TextEvalOptions::validate() const {
  require<ConfigError>(context >= 1 && context <= int64_t{1} << 24, "eval: --context: got ",
                       context, ", expected 1 to ", int64_t{1} << 24);
  require<ConfigError>(stride >= 0 && stride <= context, "eval: --stride: got ", stride,
                       ", expected 1 to the context, ", context);
  require<ConfigError>(!carry_state || stride == 0,
                       "eval: --stride and --carry_state do not go together, expected one of them "
                       "(with a state that is carried every token is new)");
}

double TextScore::token_perplexity() const {
  return std::exp(per(nll, n_tokens));
}
double TextScore::word_perplexity() const {
  return std::exp(per(nll, n_words));
}
double TextScore::byte_perplexity() const {
  return std::exp(per(nll, n_bytes));
}
double TextScore::bits_per_byte() const {
  return per(nll, n_bytes) / std::log(2.0);
}

int64_t count_words(std::string_view text) {
  int64_t n = 0;
  bool in_word = false;
  for (const char c : text) {
    const bool is_space = c == ' ' || (c >= '\t' && c <= '\r');
    n += !is_space && !in_word ? 1 : 0;
    in_word = !is_space;
  }
  return n;
}

TextScore score_text(const layers::LanguageModel& model, const data::Tokenizer& tokenizer,
                     std::string_view text, const TextEvalOptions& options) {
  const autograd::NoGrad no_grad;
  options.validate();
  require_tokens_fit(model, tokenizer, "eval");
  std::vector<int32_t> ids;
  if (options.start_with_end_of_text && tokenizer.has_end_of_text())
    ids.push_back(static_cast<int32_t>(tokenizer.end_of_text()));
  for (const int32_t id : tokenizer.encode(text, options.allow_special)) ids.push_back(id);
  const int64_t last = static_cast<int64_t>(ids.size()) - 1;
  require<ConfigError>(last >= 1, "eval: nothing to score, got ", std::max(last + 1, int64_t{0}),
                       " tokens, expected at least 2 with the one before the text");
  Sum sum(model, ids);
  if (options.carry_state)
    add_pieces(sum, last, options.context);
  else
    add_windows(sum, last, options.context, options.stride == 0 ? options.context : options.stride);
  return {sum.nll(), last, count_words(text), static_cast<int64_t>(text.size())};
}

}  // namespace xlstm::train
