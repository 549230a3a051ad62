#include "data/stream_decoder.h"

#include "data/utf8.h"

namespace xlstm::data {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Takes everything from `bytes` but an unfinished character at its end.
std::string take_complete(std::string_view& bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const Utf8Step step = utf8_step(bytes);
    if (step.status == Utf8Status::truncated) break;
    const size_t n = static_cast<size_t>(step.bytes);
    text += step.status == Utf8Status::valid ? bytes.substr(0, n) : kReplacement;
    bytes.remove_prefix(n);
  }
  return text;
}

}  // namespace

std::string StreamDecoder::push(int64_t id) {
  const std::string& bytes = tokenizer_->bytes_of(id);
  if (skip_special_ && tokenizer_->is_special(id)) return {};
  held_ += bytes;
  std::string_view rest = held_;
  std::string text = take_complete(rest);
  held_.erase(0, held_.size() - rest.size());
  return text;
}

std::string StreamDecoder::flush() {
  std::string text(held_.empty() ? std::string_view() : kReplacement);
  held_.clear();
  return text;
}

std::string lossy_utf8(std::string_view bytes) {
  std::string text = take_complete(bytes);
  if (!bytes.empty()) text += kReplacement;
  return text;
}

}  // namespace xlstm::data
