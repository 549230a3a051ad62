// What there is for training: a folder with train.txt and valid.txt, documents separated by
// `<|endoftext|>`, or with token shards (docs/data_format.md).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/file_system.h"

namespace xlstm::data {

// The name of the corpus that comes with the program.
inline constexpr std::string_view kStories = "stories";

struct TextCorpus {
  std::string train_path, valid_path;
};

// The token shards of a folder: its files *.tokens and *.bin, in the order of their names; those
// with "val" in the name are for validation, those with "train" for training, others are not looked
// at.
struct TokenShards {
  std::vector<std::string> train_paths, valid_paths;
  bool any() const { return !train_paths.empty() || !valid_paths.empty(); }
};
// None if there is no such folder. FileError if it has shards of one kind only.
TokenShards find_token_shards(const std::string& root,
                              const FileSystem& files = real_file_system());

// The corpus in folder `root`. FileError if the folder or one of its two files is missing.
TextCorpus open_corpus(const std::string& root, const FileSystem& files = real_file_system());

// The bundled stories, written into a folder of their own below `cache_dir` unless they are there
// already. The same arguments give the same bytes. ConfigError for a useless n_stories.
TextCorpus make_stories(const std::string& cache_dir, int64_t n_stories, uint64_t seed = 0,
                        FileSystem& files = real_file_system());

// A document or, if it is long, a part of one. Parts are cut before a space after a character that
// is no white space, where the GPT-2 pattern always cuts too.
struct DocumentPart {
  std::string_view text;  // without white space at the ends of the document
  bool ends_document;     // an end-of-text token follows
};

// Reads a text file piece by piece in bounded memory (a few times `chunk_bytes`, unless it holds
// a longer stretch without spaces). The separator is searched as bytes, on a line of its own or
// within one; documents of white space alone are left out.
class DocumentReader {
 public:
  // FileError if the file cannot be read.
  explicit DocumentReader(const std::string& path, int64_t chunk_bytes = int64_t{8} << 20,
                          const FileSystem& files = real_file_system());

  // The next parts, in order; false at the end of the file. The texts are valid until the next
  // call.
  bool next(std::vector<DocumentPart>& parts);

 private:
  void read_more();
  void split_buffer(std::vector<DocumentPart>& parts);
  void emit(std::string_view text, bool ends_document, std::vector<DocumentPart>& parts);

  std::unique_ptr<ReadFile> file_;
  int64_t chunk_bytes_;
  int64_t offset_ = 0;        // bytes read from the file
  std::string buffer_;        // read and not yet given away
  size_t used_ = 0;           // bytes of buffer_ given away by the last call
  bool in_document_ = false;  // parts of the present document have been given
};

}  // namespace xlstm::data
