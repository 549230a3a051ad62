#include "data/text_corpus.h"

#include <algorithm>

#include "core/error.h"
#include "core/hex.h"
#include "data/bpe_tokenizer.h"
#include "data/content_hash.h"
#include "data/stories/stories.h"

namespace xlstm::data {
namespace {

constexpr std::string_view kWhiteSpace = " \t\n\r\f\v";

bool is_white(char c) {
  return kWhiteSpace.find(c) != kWhiteSpace.npos;
}

// The last place in `text` where a document may be cut, or npos. A separator that has begun at the
// end of `text` is not cut, for it has no space.
size_t last_cut(std::string_view text) {
  for (size_t at = text.size(); at-- > 1;)
    if (text[at] == ' ' && !is_white(text[at - 1]) && static_cast<uint8_t>(text[at - 1]) < 0x80)
      return at;
  return text.npos;
}

// Tells apart versions of the grammar, so that an older program's stories are not taken for ours.
uint64_t grammar_hash(uint64_t seed) {
  ContentHash hash;
  for (uint64_t index = 0; index < 512; ++index) hash.add(make_story(seed, index).text);
  return hash.value();
}

}  // namespace

TokenShards find_token_shards(const std::string& root, const FileSystem& files) {
  TokenShards shards;
  if (!files.is_dir(root)) return shards;
  std::vector<std::string> names = files.list(root);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    if (!name.ends_with(".tokens") && !name.ends_with(".bin")) continue;
    if (name.find("val") != name.npos) {
      shards.valid_paths.push_back(join_path(root, name));
    } else if (name.find("train") != name.npos) {
      shards.train_paths.push_back(join_path(root, name));
    }
  }
  require<FileError>(!shards.any() || (!shards.train_paths.empty() && !shards.valid_paths.empty()),
                     "corpus: got ", shards.train_paths.size(), " token shards for training and ",
                     shards.valid_paths.size(), " for validation in ", root,
                     ", expected at least one of each (names with \"train\" and with \"val\")");
  return shards;
}

TextCorpus open_corpus(const std::string& root, const FileSystem& files) {
  const TextCorpus corpus{join_path(root, "train.txt"), join_path(root, "valid.txt")};
  require<FileError>(files.is_dir(root), "corpus: no folder ", root,
                     ", expected a folder with train.txt and valid.txt, or the name \"", kStories,
                     "\"");
  for (const std::string& path : {corpus.train_path, corpus.valid_path})
    require<FileError>(files.exists(path), "corpus: no file ", path,
                       " (a corpus is a folder with train.txt and valid.txt)");
  return corpus;
}

TextCorpus make_stories(const std::string& cache_dir, int64_t n_stories, uint64_t seed,
                        FileSystem& files) {
  require<ConfigError>(n_stories > 0, "stories: got ", n_stories, " stories, expected at least 1");
  const std::string name =
      detail::concat(kStories, "-", n_stories, "-seed", seed, "-", to_hex(grammar_hash(seed)));
  const std::string root = join_path(cache_dir, name);
  if (!files.is_dir(root)) {
    files.make_dirs(cache_dir);
    // Complete or absent: the folder gets its name when both files are written. If another process
    // was faster, its folder is as good.
    const std::string temporary = FileSystem::temporary_name(root);
    write_story_corpus(temporary, seed, n_stories);
    try {
      files.rename(temporary, root);
    } catch (const FileError&) {
      files.remove_all(temporary);
      if (!files.is_dir(root)) throw;
    }
  }
  return open_corpus(root, files);
}

DocumentReader::DocumentReader(const std::string& path, int64_t chunk_bytes,
                               const FileSystem& files)
    : file_(files.open(path)), chunk_bytes_(chunk_bytes) {}

bool DocumentReader::next(std::vector<DocumentPart>& parts) {
  parts.clear();
  while (parts.empty()) {
    buffer_.erase(0, used_);
    used_ = 0;
    if (offset_ == file_->size() && buffer_.empty()) return false;
    read_more();
    split_buffer(parts);
  }
  return true;
}

void DocumentReader::read_more() {
  const int64_t n = std::min(chunk_bytes_, file_->size() - offset_);
  const size_t before = buffer_.size();
  buffer_.resize(before + static_cast<size_t>(n));
  file_->read_at(offset_, std::as_writable_bytes(std::span(buffer_).subspan(before)));
  offset_ += n;
}

void DocumentReader::split_buffer(std::vector<DocumentPart>& parts) {
  const std::string_view all = buffer_;
  for (size_t found = all.find(kEndOfText); found != all.npos;
       found = all.find(kEndOfText, used_)) {
    emit(all.substr(used_, found - used_), true, parts);
    used_ = found + kEndOfText.size();
  }
  const std::string_view rest = all.substr(used_);
  if (offset_ == file_->size()) {
    emit(rest, true, parts);
    used_ = all.size();
  } else if (static_cast<int64_t>(rest.size()) >= chunk_bytes_) {
    const size_t cut = last_cut(rest);
    if (cut == rest.npos) return;
    emit(rest.substr(0, cut), false, parts);
    used_ += cut;
  }
}

void DocumentReader::emit(std::string_view text, bool ends_document,
                          std::vector<DocumentPart>& parts) {
  if (!in_document_) text.remove_prefix(std::min(text.find_first_not_of(kWhiteSpace), text.size()));
  if (ends_document) text = text.substr(0, text.find_last_not_of(kWhiteSpace) + 1);
  if (text.empty() && !in_document_) return;
  in_document_ = !ends_document;
  parts.push_back({text, ends_document});
}

}  // namespace xlstm::data
