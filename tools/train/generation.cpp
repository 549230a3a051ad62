#include "tools/train/generation.h"

#include <algorithm>

#include "core/autograd.h"
#include "core/error.h"
#include "core/ops/sampling.h"
#include "core/ops/view.h"

namespace xlstm::train {
namespace {

constexpr int64_t kPrefillTokens = 1024;  // read at once; longer prompts carry the state

struct Prefilled {
  Tensor logits;  // [1, n_vocab]
  layers::ModelState state;
};

Prefilled prefill(const layers::LanguageModel& model, const std::vector<int32_t>& tokens) {
  const std::vector<int64_t> ids(tokens.begin(), tokens.end());
  const Tensor all = Tensor::from(ids, {1, static_cast<int64_t>(ids.size())}).to(model.device());
  layers::HiddenOutput out;
  for (int64_t start = 0; start < all.size(1); start += kPrefillTokens) {
    const int64_t stop = std::min(start + kPrefillTokens, all.size(1));
    out = model.forward_hidden(ops::slice(all, 1, start, stop), out.state);
  }
  const Tensor last = ops::select(out.hidden, 1, out.hidden.size(1) - 1);
  return {model.logits(ops::contiguous(last)), out.state};
}

}  // namespace

void GenerationOptions::validate() const {
  require<ConfigError>(max_new_tokens >= 0, "generate: max_new_tokens must not be negative, got ",
                       max_new_tokens);
  require<ConfigError>(temperature >= 0 && temperature <= 1e6,
                       "generate: temperature out of range, got ", temperature,
                       ", expected 0 (greedy) or more");
  require<ConfigError>(top_k >= 0, "generate: top_k must not be negative, got ", top_k,
                       " (0 keeps all tokens)");
}

GenerationStream::GenerationStream(const layers::LanguageModel& model,
                                   const data::Tokenizer& tokenizer,
                                   const std::vector<std::string>& prompts,
                                   const GenerationOptions& options)
    : model_(model), tokenizer_(tokenizer), options_(options) {
  options_.validate();
  require<ConfigError>(!prompts.empty(),
                       "generate: no prompt given, expected at least one (an "
                       "empty one starts a new text)");
  require<ConfigError>(tokenizer.n_vocab() <= model.n_vocab(),
                       "generate: the tokenizer has more tokens than the model, got ",
                       tokenizer.n_vocab(), ", expected at most ", model.n_vocab(),
                       " (is it the tokenizer the model was trained with?)");
  if (options_.max_new_tokens > 0)
    read_prompts(prompts);
  else
    for (size_t i = 0; i < prompts.size(); ++i)
      rows_.push_back(Row{data::StreamDecoder(tokenizer), {}, RowEnd::length});
}

void GenerationStream::read_prompts(const std::vector<std::string>& prompts) {
  const autograd::NoGrad no_grad;
  std::vector<layers::ModelState> states;
  Tensors logits;
  for (const std::string& prompt : prompts) {
    std::vector<int32_t> ids = tokenizer_.encode(prompt);
    if (ids.empty() || (options_.start_with_end_of_text && tokenizer_.has_end_of_text()))
      ids.insert(ids.begin(), static_cast<int32_t>(tokenizer_.end_of_text()));
    Prefilled read = prefill(model_, ids);
    states.push_back(std::move(read.state));
    logits.push_back(read.logits);
    running_.push_back(static_cast<int64_t>(rows_.size()));
    rows_.push_back(Row{data::StreamDecoder(tokenizer_), {}, RowEnd::running});
  }
  state_ = layers::ModelState::concat_rows(states);
  logits_ = ops::concat(logits, 0);
}

Tensor GenerationStream::on_device(const std::vector<int64_t>& numbers) const {
  return Tensor::from(numbers, {static_cast<int64_t>(numbers.size())}).to(model_.device());
}

// The text that a new token of a row completes.
std::string GenerationStream::accept(Row& row, int64_t token) {
  if (options_.stop_at_end_of_text && tokenizer_.has_end_of_text() &&
      token == tokenizer_.end_of_text()) {
    row.end = RowEnd::end_of_text;
    return row.decoder.flush();
  }
  row.tokens.push_back(static_cast<int32_t>(token));
  std::string text = row.decoder.push(token);
  if (static_cast<int64_t>(row.tokens.size()) >= options_.max_new_tokens) {
    row.end = RowEnd::length;
    text += row.decoder.flush();
  }
  return text;
}

std::map<int64_t, std::string> GenerationStream::next() {
  std::map<int64_t, std::string> texts;
  if (running_.empty()) return texts;
  const autograd::NoGrad no_grad;
  const int64_t n_running = static_cast<int64_t>(running_.size());
  const ops::SamplingOptions sampling{.temperature = options_.temperature,
                                      .top_k = options_.top_k,
                                      .n_valid = tokenizer_.n_vocab(),
                                      .seed = options_.seed};
  const Tensor chosen = ops::sample(logits_, sampling, position_++, on_device(running_)).to(kCpu);
  std::vector<int64_t> kept;  // places in the batch
  std::vector<int64_t> next_tokens;
  for (int64_t place = 0; place < n_running; ++place) {
    const int64_t row = running_[static_cast<size_t>(place)];
    const int64_t token = chosen.data<int64_t>()[place];
    texts[row] = accept(rows_[static_cast<size_t>(row)], token);
    if (rows_[static_cast<size_t>(row)].end != RowEnd::running) continue;
    kept.push_back(place);
    next_tokens.push_back(token);
  }
  drop_ended_rows(kept);
  if (running_.empty()) return texts;
  layers::ModelOutput out = model_.step(on_device(next_tokens), state_);
  logits_ = out.logits;
  state_ = std::move(out.state);
  return texts;
}

void GenerationStream::drop_ended_rows(const std::vector<int64_t>& kept) {
  if (kept.size() == running_.size()) return;
  std::vector<int64_t> rows;
  for (const int64_t place : kept) rows.push_back(running_[static_cast<size_t>(place)]);
  running_ = std::move(rows);
  state_ = running_.empty() ? layers::ModelState{} : state_.select_rows(on_device(kept));
}

}  // namespace xlstm::train
