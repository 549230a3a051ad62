#include "tools/train/text_state.h"

#include <algorithm>

#include "core/autograd.h"
#include "core/error.h"
#include "core/ops/embedding.h"
#include "core/ops/view.h"

namespace xlstm::train {

TokenIds beginning(const data::Tokenizer& tokenizer, TokenIds ids, bool with_end_of_text) {
  if (ids.empty() || (with_end_of_text && tokenizer.has_end_of_text()))
    ids.insert(ids.begin(), static_cast<int32_t>(tokenizer.end_of_text()));
  return ids;
}

void require_tokens_fit(const layers::LanguageModel& model, const data::Tokenizer& tokenizer,
                        const char* command) {
  require<ConfigError>(tokenizer.n_vocab() <= model.n_vocab(), command,
                       ": the tokenizer has more tokens than the model, got ", tokenizer.n_vocab(),
                       ", expected at most ", model.n_vocab(),
                       " (is it the tokenizer the model was trained with?)");
}

ReadTexts read_texts(const layers::LanguageModel& model, const TextState& before,
                     const std::vector<const TokenIds*>& texts) {
  const autograd::NoGrad no_grad;
  const auto n = static_cast<int64_t>(texts.size());
  const auto length = static_cast<int64_t>(texts[0]->size());
  require<ShapeError>(length > 0 || !before.empty(), "generate: nothing to read, got no token");
  ReadTexts out;
  if (!before.empty()) {
    const Tensor same = Tensor::zeros({n}, DType::i64, model.device());
    // A copy for each text, so that whoever goes on in place leaves `before` as it is.
    const bool is_read_only = n == 1 && length > 0;
    out.state = is_read_only ? before.state : before.state.select_rows(same);
    out.logits = ops::embedding(same, before.logits);
  }
  if (length == 0) return out;
  std::vector<int64_t> ids;
  for (const TokenIds* text : texts) ids.insert(ids.end(), text->begin(), text->end());
  const Tensor all = Tensor::from(ids, {n, length}).to(model.device());
  Tensor hidden;
  for (int64_t start = 0; start < length; start += kReadTokens) {
    const int64_t stop = std::min(start + kReadTokens, length);
    layers::HiddenOutput piece = model.forward_hidden(ops::slice(all, 1, start, stop), out.state);
    out.state = std::move(piece.state);
    hidden = piece.hidden;
  }
  out.hidden = ops::contiguous(ops::select(hidden, 1, hidden.size(1) - 1));
  out.logits = model.logits(out.hidden);
  return out;
}

TextState read_on(const layers::LanguageModel& model, const TextState& before,
                  const TokenIds& ids) {
  TextState after = before;
  if (ids.empty()) return after;
  ReadTexts read = read_texts(model, before, {&ids});
  after.state = std::move(read.state);
  after.logits = read.logits;
  after.n_read += static_cast<int64_t>(ids.size());
  mark_seen(after.seen, ids, model.n_vocab());
  return after;
}

void mark_seen(std::vector<uint8_t>& seen, const TokenIds& ids, int64_t n_vocab) {
  seen.resize(static_cast<size_t>(n_vocab), 0);
  for (const int32_t id : ids) seen[static_cast<size_t>(id)] = 1;
}

}  // namespace xlstm::train
