#include "data/text_tokens.h"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "core/error.h"
#include "core/excerpt.h"

namespace xlstm::data {
namespace {

constexpr size_t kGroupBytes = size_t{1} << 16;

// Documents come in parts, cut before a space (DocumentPart). A tokenizer that may look across such
// a place would give other ids.
void require_parts_change_nothing(const TokenizerDefinition& definition, const std::string& path) {
  require<ConfigError>(
      Pretokenizer(definition.pretokenizer, path).cuts_before_spaces(), path,
      ": cannot be tokenized in parts with this tokenizer, expected a pre_tokenizer with the "
      "pattern of GPT-2, Llama 3 or Qwen, no other pattern, and add_prefix_space false");
  for (const AddedToken& token : definition.added) {
    bool spans = false;
    for (size_t i = 1; i < token.content.size(); ++i)
      spans = spans || (token.content[i] == ' ' && token.content[i - 1] != ' ');
    require<ConfigError>(
        token.special || !(spans || token.rstrip), path,
        ": cannot be tokenized in parts with this tokenizer, got added token ",
        excerpt(token.content),
        ", expected none but special ones with rstrip or a space after a character");
  }
}

// First and last (exclusive) of the consecutive parts that one thread tokenizes at a time.
std::vector<std::pair<size_t, size_t>> make_groups(const std::vector<DocumentPart>& parts) {
  std::vector<std::pair<size_t, size_t>> groups;
  for (size_t first = 0, last = 0; first < parts.size(); first = last) {
    for (size_t bytes = 0; last < parts.size() && bytes < kGroupBytes; ++last)
      bytes += parts[last].text.size();
    groups.emplace_back(first, last);
  }
  return groups;
}

}  // namespace

TextTokens::TextTokens(const std::string& text_path, const Tokenizer& tokenizer,
                       const FileSystem& files)
    : tokenizer_(tokenizer),
      reader_(text_path, int64_t{8} << 20, files),
      caches_(static_cast<size_t>(omp_get_max_threads())) {
  require_parts_change_nothing(tokenizer.definition(), text_path);
  tokenizer.end_of_text();  // a ConfigError if there is none
  require<FormatError>(!at_end(), text_path,
                       ": has no documents (it is empty or only white space)");
}

std::span<const int32_t> TextTokens::next(int64_t n) {
  if (at_end()) return {};
  const std::span<const int32_t> rest = std::span<const int32_t>(groups_[group_]).subspan(at_);
  const auto taken = rest.first(std::min(rest.size(), static_cast<size_t>(n)));
  at_ += taken.size();
  return taken;
}

bool TextTokens::at_end() {
  while (group_ == groups_.size() || at_ == groups_[group_].size()) {
    at_ = 0;
    if (group_ < groups_.size()) ++group_;
    if (group_ == groups_.size() && !read_more()) return true;
  }
  return false;
}

bool TextTokens::read_more() {
  std::vector<DocumentPart> parts;
  group_ = 0;
  groups_.clear();
  if (!reader_.next(parts)) return false;
  const auto ranges = make_groups(parts);
  const auto end_of_text = static_cast<int32_t>(tokenizer_.end_of_text());
  groups_.resize(ranges.size());
  std::exception_ptr error;
#pragma omp parallel for schedule(dynamic) num_threads(static_cast <int>(caches_.size()))
  for (size_t g = 0; g < ranges.size(); ++g) {
    try {
      PretokenCache& cache = caches_[static_cast<size_t>(omp_get_thread_num())];
      for (size_t i = ranges[g].first; i < ranges[g].second; ++i) {
        tokenizer_.encode(parts[i].text, false, groups_[g], cache);
        if (parts[i].ends_document) groups_[g].push_back(end_of_text);
      }
    } catch (...) {
#pragma omp critical(xlstm_text_tokens)
      error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
  return true;
}

}  // namespace xlstm::data
