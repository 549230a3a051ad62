// The format of text states in files (state_file.h), apart from any model.
#pragma once

#include <string>
#include <vector>

#include "core/file_system.h"
#include "core/hash.h"
#include "core/tensor.h"

namespace xlstm::data {
class Tokenizer;
}
namespace xlstm::layers {
class LanguageModel;
}

namespace xlstm::train {

// Whose states these are. A state means nothing to another model, and its text was cut into tokens
// by one tokenizer.
struct StateOwner {
  std::string config, weights, tokenizer;

  // The fingerprint of the weights is made of the first elements of each parameter: a step of
  // training changes it, and so does another precision.
  static StateOwner of(const layers::LanguageModel& model, const data::Tokenizer& tokenizer);
};

// Adds name, type, shape and elements.
void hash_tensor(Hasher& hasher, const std::string& name, const Tensor& tensor);

struct StateContents {
  NamedTensors tensors;  // on the CPU
  int64_t n_read = 0, n_drawn = 0;
};

// A tensor that a file must have.
struct StateTensor {
  std::string name;
  Shape shape;
  bool is_floating_point = true;  // of any such type; else bytes
};

// Atomically. FileError.
void write_state_file(const std::string& path, const StateContents& contents,
                      const StateOwner& owner, FileSystem& files);

// The tensors in the order of `expected`, and no others. FileError; FormatError if the file is
// damaged, of a newer version or another kind, or of another owner.
StateContents read_state_file(const std::string& path, const std::vector<StateTensor>& expected,
                              const StateOwner& owner, const FileSystem& files);

}  // namespace xlstm::train
