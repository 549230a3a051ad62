// Reading and writing .safetensors: 8 bytes little-endian header size N, N bytes of JSON, then the
// tensors' bytes (https://github.com/huggingface/safetensors, "Format").
//
// The reader trusts nothing. The header may be at most 100,000,000 bytes, starts with '{', is
// strict JSON of depth <= 4 with one entry per tensor, and the spans must cover the data section
// exactly: contiguous, no holes, no overlap, nothing left over, each as large as its shape and type
// say. Anything else is a FormatError with file, tensor, what came and what was expected.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/file_system.h"
#include "core/tensor.h"

namespace xlstm {

using StringMap = std::map<std::string, std::string>;

class SafetensorsFile {
 public:
  struct TensorInfo {
    std::string name;
    std::string dtype_name;      // as in the file: "F32", "BF16", "F8_E4M3", ...
    std::optional<DType> dtype;  // none for types that no Tensor can hold; they can only be listed
    Shape shape;
    int64_t begin = 0, end = 0;  // bytes from the start of the data section
  };

  // Reads and checks the whole header. FileError, FormatError.
  static SafetensorsFile open(const std::string& path,
                              const FileSystem& files = real_file_system());

  const std::string& path() const { return path_; }
  const StringMap& metadata() const { return metadata_; }              // "__metadata__"
  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // in the order of the data
  bool has(const std::string& name) const { return index_.count(name) != 0; }
  const TensorInfo& info(const std::string& name) const;  // FormatError if absent

  // A new contiguous tensor on the CPU. FormatError if absent, of a type or rank that no Tensor
  // has, or if a BOOL is neither 0 nor 1.
  Tensor load(const std::string& name) const;
  // All of them, in the order of the data.
  NamedTensors load_all() const;

 private:
  SafetensorsFile() = default;
  void read_header();
  void check_spans();

  std::string path_;
  std::unique_ptr<ReadFile> file_;
  int64_t data_begin_ = 0;  // bytes from the start of the file
  StringMap metadata_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

// Writes CPU tensors (any strides) atomically: the file appears complete or not at all. Tensors are
// laid out by element type, widest first, then by name, and the data section is 8-byte aligned, so
// equal content gives equal files. FormatError for a name that is empty, longer than 1 KiB,
// duplicate, not UTF-8, or holds a NUL; FileError.
void write_safetensors(const std::string& path, const NamedTensors& tensors,
                       const StringMap& metadata = {}, FileSystem& files = real_file_system());

// The same bytes into a file that the caller finishes.
void write_safetensors_to(WriteFile& file, const NamedTensors& tensors, const StringMap& metadata);

}  // namespace xlstm
