#include "tools/train/generation.h"

#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "core/error.h"
#include "core/ops/embedding.h"
#include "core/ops/view.h"

namespace xlstm::train {
namespace {

constexpr int64_t kPrefillBatch = 16384;  // tokens of all prompts at once
// Random numbers of a row: its prompt's number in the lower half, its sample's above.
constexpr int kSampleShift = 32;

Tensor on_device(const std::vector<int64_t>& numbers, Device device) {
  return Tensor::from(numbers, {static_cast<int64_t>(numbers.size())}).to(device);
}

}  // namespace

const char* name_of(RowEnd end) {
  switch (end) {
    case RowEnd::end_of_text:
      return "end_of_text";
    case RowEnd::length:
      return "length";
    case RowEnd::stop:
      return "stop";
    default:
      return "running";
  }
}

void GenerationOptions::validate() const {
  require<ConfigError>(max_new_tokens >= 0, "generate: max_new_tokens must not be negative, got ",
                       max_new_tokens);
  require<ConfigError>(temperature >= 0 && temperature <= 1e6,
                       "generate: temperature out of range, got ", temperature,
                       ", expected 0 (greedy) or more");
  require<ConfigError>(top_k >= 0, "generate: top_k must not be negative, got ", top_k,
                       " (0 keeps all tokens)");
  require<ConfigError>(top_p >= 0 && top_p <= 1, "generate: top_p: got ", top_p,
                       ", expected 0 to 1 (1 keeps all tokens)");
  require<ConfigError>(min_p >= 0 && min_p <= 1, "generate: min_p: got ", min_p,
                       ", expected 0 to 1 (0 keeps all tokens)");
  require<ConfigError>(repetition_penalty >= 0.001 && repetition_penalty <= 1000,
                       "generate: repetition_penalty: got ", repetition_penalty,
                       ", expected 0.001 to 1000 (1: none)");
  require<ConfigError>(n_samples >= 1 && n_samples <= 1000000, "generate: n_samples: got ",
                       n_samples, ", expected 1 to 1000000");
  for (const std::string& string : stop)
    require<ConfigError>(!string.empty(), "generate: stop: got \"\", expected a text");
}

TokenIds prompt_tokens(const data::Tokenizer& tokenizer, const std::string& prompt, bool goes_on,
                       const GenerationOptions& options) {
  TokenIds ids = tokenizer.encode(prompt);
  return goes_on ? ids : beginning(tokenizer, std::move(ids), options.start_with_end_of_text);
}

GenerationStream::GenerationStream(const layers::LanguageModel& model,
                                   const data::Tokenizer& tokenizer,
                                   const std::vector<std::string>& prompts,
                                   const GenerationOptions& options, const TextState& start)
    : model_(model), tokenizer_(tokenizer), options_(options), start_(start) {
  options_.validate();
  require<ConfigError>(!prompts.empty(),
                       "generate: no prompt given, expected at least one (an "
                       "empty one starts a new text)");
  require_tokens_fit(model, tokenizer, "generate");
  add_rows(prompts);
  if (options_.max_new_tokens > 0) read_prompts(static_cast<int64_t>(prompts.size()));
}

void GenerationStream::add_rows(const std::vector<std::string>& prompts) {
  const bool is_empty = options_.max_new_tokens == 0;
  for (const std::string& prompt : prompts) {
    const TokenIds ids =
        is_empty ? TokenIds{} : prompt_tokens(tokenizer_, prompt, !start_.empty(), options_);
    for (int64_t sample = 0; sample < options_.n_samples; ++sample)
      rows_.push_back(Row{data::StreamDecoder(tokenizer_),
                          StopMatcher(options_.stop),
                          ids,
                          {},
                          is_empty ? RowEnd::length : RowEnd::running});
  }
}

void GenerationStream::read_prompts(int64_t n_prompts) {
  const autograd::NoGrad no_grad;
  const int64_t n = options_.n_samples;
  std::map<size_t, std::vector<int64_t>> by_length;  // first rows of prompts
  for (int64_t row = 0; row < n_prompts * n; row += n)
    by_length[rows_[static_cast<size_t>(row)].prompt.size()].push_back(row);
  std::vector<layers::ModelState> states;
  Tensors logits;
  std::vector<int64_t> read;  // the rows in the order of reading
  for (const auto& [length, rows] : by_length) {
    const int64_t at_once = std::clamp(static_cast<int64_t>(length), int64_t{1}, kReadTokens);
    const auto most = static_cast<size_t>(std::max(kPrefillBatch / at_once, int64_t{1}));
    for (size_t begin = 0; begin < rows.size(); begin += most) {
      std::vector<const TokenIds*> together;
      for (size_t i = begin; i < std::min(begin + most, rows.size()); ++i) {
        together.push_back(&rows_[static_cast<size_t>(rows[i])].prompt);
        read.push_back(rows[i]);
      }
      ReadTexts texts = read_texts(model_, start_, together);
      states.push_back(std::move(texts.state));
      logits.push_back(texts.logits);
    }
  }
  std::vector<int64_t> places;  // of the prompt that was read, for each row
  for (size_t place = 0; place < read.size(); ++place)
    for (int64_t sample = 0; sample < n; ++sample) {
      places.push_back(static_cast<int64_t>(place));
      batch_.push_back(read[place] + sample);
    }
  layers::ModelState state = layers::ModelState::concat_rows(states);
  Tensor all_logits = ops::concat(logits, 0);
  if (n > 1) {
    const Tensor forks = on_device(places, model_.device());
    state = state.select_rows(forks);
    all_logits = ops::embedding(forks, all_logits);
  }
  start_steps(std::move(state), all_logits);
}

void GenerationStream::start_steps(layers::ModelState state, Tensor logits) {
  n_running_ = n_rows();
  std::vector<int64_t> streams;
  for (const int64_t row : batch_)
    streams.push_back((options_.first_prompt + row / options_.n_samples) |
                      (row % options_.n_samples) << kSampleShift);
  step_ = std::make_unique<DecodeStep>(
      model_, std::move(state), logits, streams, seen_tokens(),
      ops::SamplingOptions{.temperature = options_.temperature,
                           .top_k = options_.top_k,
                           .n_valid = tokenizer_.n_vocab(),
                           .seed = options_.seed,
                           .top_p = options_.top_p,
                           .min_p = options_.min_p,
                           .repetition_penalty = options_.repetition_penalty},
      options_.cuda_graph);
}

// A row of bytes for each place of the batch, if there is a penalty.
Tensor GenerationStream::seen_tokens() const {
  if (options_.repetition_penalty == 1) return {};
  std::vector<uint8_t> all;
  for (const int64_t row : batch_) {
    std::vector<uint8_t> seen = start_.seen;
    mark_seen(seen, rows_[static_cast<size_t>(row)].prompt, model_.n_vocab());
    all.insert(all.end(), seen.begin(), seen.end());
  }
  return Tensor::from(all, {static_cast<int64_t>(batch_.size()), model_.n_vocab()});
}

// The text that a new token of a row completes.
std::string GenerationStream::accept(Row& row, int64_t token) {
  const bool is_end = options_.stop_at_end_of_text && tokenizer_.has_end_of_text() &&
                      token == tokenizer_.end_of_text();
  if (!is_end) row.tokens.push_back(static_cast<int32_t>(token));
  const bool is_last = is_end || static_cast<int64_t>(row.tokens.size()) >= options_.max_new_tokens;
  std::string text = is_end ? std::string() : row.stop.push(row.decoder.push(token));
  if (is_last) text += row.stop.push(row.decoder.flush());
  if (row.stop.found()) {
    row.end = RowEnd::stop;
  } else if (is_last) {
    row.end = is_end ? RowEnd::end_of_text : RowEnd::length;
    text += row.stop.flush();
  }
  return text;
}

std::map<int64_t, std::string> GenerationStream::next() {
  std::map<int64_t, std::string> texts;
  if (done()) return texts;
  const std::vector<int64_t>& chosen = step_->next(start_.n_drawn + position_++);
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
  if (done()) return;
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

TextState GenerationStream::finish() {
  require<ConfigError>(n_rows() == 1 && step_ != nullptr, "generate: a state to go on from: got ",
                       n_rows(), " texts of at most ", options_.max_new_tokens,
                       " tokens, expected one of at least 1");
  const Row& row = rows_[0];
  layers::ModelOutput out = step_->finish();
  n_running_ = 0;
  step_.reset();
  TextState after = start_;
  after.state = std::move(out.state);
  after.logits = out.logits;
  mark_seen(after.seen, row.prompt, model_.n_vocab());
  mark_seen(after.seen, row.tokens, model_.n_vocab());
  if (row.end == RowEnd::end_of_text) after.seen[static_cast<size_t>(tokenizer_.end_of_text())] = 1;
  after.n_read += static_cast<int64_t>(row.prompt.size()) + position_;
  after.n_drawn += position_;
  return after;
}

}  // namespace xlstm::train
