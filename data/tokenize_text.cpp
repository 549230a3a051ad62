#include <omp.h>

#include <exception>

#include "core/error.h"
#include "core/excerpt.h"
#include "data/text_corpus.h"
#include "data/token_file.h"

namespace xlstm::data {
namespace {

constexpr size_t kGroupBytes = size_t{1} << 16;

// Consecutive parts that one thread tokenizes at a time.
struct Group {
  size_t first, last;
  std::vector<int32_t> ids;
};

std::vector<Group> make_groups(const std::vector<DocumentPart>& parts) {
  std::vector<Group> groups;
  for (size_t first = 0, last = 0; first < parts.size(); first = last) {
    for (size_t bytes = 0; last < parts.size() && bytes < kGroupBytes; ++last)
      bytes += parts[last].text.size();
    groups.push_back({first, last, {}});
  }
  return groups;
}

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

}  // namespace

void tokenize_text(const std::string& text_path, const Tokenizer& tokenizer, const TokenSink& sink,
                   const FileSystem& files) {
  const int32_t end_of_text = static_cast<int32_t>(tokenizer.end_of_text());
  require_parts_change_nothing(tokenizer.definition(), text_path);
  std::vector<PretokenCache> caches(static_cast<size_t>(omp_get_max_threads()));
  DocumentReader reader(text_path, int64_t{8} << 20, files);
  std::vector<DocumentPart> parts;
  bool any = false;
  while (reader.next(parts)) {
    any = true;
    std::vector<Group> groups = make_groups(parts);
    std::exception_ptr error;
#pragma omp parallel for schedule(dynamic)
    for (size_t g = 0; g < groups.size(); ++g) {
      try {
        PretokenCache& cache = caches[static_cast<size_t>(omp_get_thread_num())];
        for (size_t i = groups[g].first; i < groups[g].last; ++i) {
          tokenizer.encode(parts[i].text, false, groups[g].ids, cache);
          if (parts[i].ends_document) groups[g].ids.push_back(end_of_text);
        }
      } catch (...) {
#pragma omp critical(xlstm_tokenize_text)
        error = std::current_exception();
      }
    }
    if (error) std::rethrow_exception(error);
    for (const Group& group : groups) sink(group.ids);
  }
  require<FormatError>(any, text_path, ": has no documents (it is empty or only white space)");
}

}  // namespace xlstm::data
