#include "tools/train/generation.h"

#include <algorithm>

#include "core/autograd.h"
#include "core/error.h"
#include "core/ops/view.h"

namespace xlstm::train {
namespace {

constexpr int64_t kPrefillTokens = 1024;  // of a prompt at once; longer ones carry the state
constexpr int64_t kPrefillBatch = 16384;  // of all prompts at once

using Prompt = std::vector<int32_t>;

struct Prefilled {
  Tensor logits;  // [prompts, n_vocab]
  layers::ModelState state;
};

// Reads prompts of one length side by side.
Prefilled prefill(const layers::LanguageModel& model, const std::vector<const Prompt*>& prompts) {
  std::vector<int64_t> ids;
  for (const Prompt* prompt : prompts) ids.insert(ids.end(), prompt->begin(), prompt->end());
  const auto n = static_cast<int64_t>(prompts.size());
  const auto length = static_cast<int64_t>(prompts[0]->size());
  const Tensor all = Tensor::from(ids, {n, length}).to(model.device());
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
  std::vector<Prompt> tokens;
  std::map<size_t, std::vector<int64_t>> by_length;  // rows
  for (const std::string& prompt : prompts) {
    Prompt ids = tokenizer_.encode(prompt);
    if (ids.empty() || (options_.start_with_end_of_text && tokenizer_.has_end_of_text()))
      ids.insert(ids.begin(), static_cast<int32_t>(tokenizer_.end_of_text()));
    by_length[ids.size()].push_back(static_cast<int64_t>(rows_.size()));
    tokens.push_back(std::move(ids));
    rows_.push_back(Row{data::StreamDecoder(tokenizer_), {}, RowEnd::running});
  }
  std::vector<layers::ModelState> states;
  Tensors logits;
  for (const auto& [length, rows] : by_length) {
    const int64_t at_once = std::min(static_cast<int64_t>(length), kPrefillTokens);
    const auto most = static_cast<size_t>(std::max(kPrefillBatch / at_once, int64_t{1}));
    for (size_t begin = 0; begin < rows.size(); begin += most) {
      std::vector<const Prompt*> together;
      for (size_t i = begin; i < std::min(begin + most, rows.size()); ++i) {
        together.push_back(&tokens[static_cast<size_t>(rows[i])]);
        batch_.push_back(rows[i]);
      }
      Prefilled read = prefill(model_, together);
      states.push_back(std::move(read.state));
      logits.push_back(read.logits);
    }
  }
  n_running_ = static_cast<int64_t>(rows_.size());
  step_ = std::make_unique<DecodeStep>(model_, layers::ModelState::concat_rows(states),
                                       ops::concat(logits, 0), batch_,
                                       ops::SamplingOptions{.temperature = options_.temperature,
                                                            .top_k = options_.top_k,
                                                            .n_valid = tokenizer_.n_vocab(),
                                                            .seed = options_.seed},
                                       options_.cuda_graph);
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
  if (done()) return texts;
  const std::vector<int64_t>& chosen = step_->next(position_++);
  for (size_t place = 0; place < batch_.size(); ++place) {
    Row& row = rows_[static_cast<size_t>(batch_[place])];
    if (row.end != RowEnd::running) continue;
    if (chosen[place] < 0) step_->report_bad_rows();
    texts[batch_[place]] = accept(row, chosen[place]);
    if (row.end != RowEnd::running) --n_running_;
  }
  drop_ended_rows();
  return texts;
}

// On a GPU a smaller batch means a new graph, and few rows take as long as twice as many.
void GenerationStream::drop_ended_rows() {
  if (done()) return step_.reset();
  const auto n_places = static_cast<int64_t>(batch_.size());
  if (model_.device() == kCpu ? n_running_ == n_places : 2 * n_running_ > n_places) return;
  std::vector<int64_t> places, rows;
  for (int64_t place = 0; place < n_places; ++place) {
    const int64_t row = batch_[static_cast<size_t>(place)];
    if (rows_[static_cast<size_t>(row)].end != RowEnd::running) continue;
    places.push_back(place);
    rows.push_back(row);
  }
  step_->keep(places);
  batch_ = std::move(rows);
}

}  // namespace xlstm::train
