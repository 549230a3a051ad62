// Questions with choices: which does a model find likeliest (docs/evaluation.md)? The measures are
// acc and acc_norm of lm-evaluation-harness.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "data/bpe_tokenizer.h"
#include "layers/language_model.h"

namespace xlstm::train {

struct TaskItem {
  std::string context;
  std::vector<std::string> choices;
  int64_t label = 0;  // the index of the right one
};

// An object on each line: "question" or "context", "choices", "label"; other keys are left alone.
// FormatError with file, line, key and value; ConfigError if there is no item.
std::vector<TaskItem> parse_tasks(std::string_view text, const std::string& path);

struct TaskOptions {
  std::string delimiter = " ";  // between context and choice
  bool start_with_end_of_text = true;
};

struct ItemScore {
  std::vector<double> log_likelihoods;  // of each choice after the context
  int64_t prediction = 0;               // the largest; the first among equals
  int64_t prediction_norm = 0;          // of those divided by the bytes of the choice
};

// The context is read once. ConfigError if there is no token before the choices; NonFiniteError.
ItemScore score_item(const layers::LanguageModel& model, const data::Tokenizer& tokenizer,
                     const TaskItem& item, const TaskOptions& options = {});

// How often the prediction is right.
struct TaskScore {
  int64_t n = 0, n_right = 0, n_right_norm = 0;

  void add(const TaskItem& item, const ItemScore& score);
  Json to_json() const;  // with the standard errors of the means
};

// The tokens of a context and, if it follows, of a choice with the delimiter before it. White space
// at the end of the context belongs to the choice, which has the tokens that it has in the whole.
struct TokenPair {
  std::vector<int32_t> context, choice;
};
TokenPair encode_pair(const data::Tokenizer& tokenizer, const std::string& context,
                      const std::string& choice);

}  // namespace xlstm::train
