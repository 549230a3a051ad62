// Text from a language model, token by token, for several prompts at once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/bpe_tokenizer.h"
#include "data/stream_decoder.h"
#include "layers/language_model.h"
#include "tools/train/decode_step.h"

namespace xlstm::train {

struct GenerationOptions {
  int64_t max_new_tokens = 256;
  double temperature = 1;  // 0: always the likeliest token
  int64_t top_k = 0;       // choose among the k likeliest; 0: among all
  uint64_t seed = 0;
  bool stop_at_end_of_text = true;
  // Put the document separator before the prompt, as it stands before every training document. An
  // empty prompt always starts from it.
  bool start_with_end_of_text = true;
  // On a GPU, record the step of a token once and replay it. Changes no token.
  bool cuda_graph = true;

  void validate() const;  // ConfigError
};

enum class RowEnd { running, end_of_text, length };

// Rows are independent: a row's text depends on its prompt, its number and the seed, and not on the
// other prompts or on how long they are. No prompt is padded. The model and the tokenizer must
// outlive the stream.
class GenerationStream {
 public:
  // Reads the prompts. Errors: ConfigError if there is no prompt, if the tokenizer has more tokens
  // than the model, or if an option makes no sense.
  GenerationStream(const layers::LanguageModel& model, const data::Tokenizer& tokenizer,
                   const std::vector<std::string>& prompts, const GenerationOptions& options = {});

  // One step: the new text of every row that was still running, by row. A text may be empty (half a
  // character waits for its other half). Rows end separately; when all have, the map is empty.
  // NonFiniteError if the model's logits cannot be sampled from.
  std::map<int64_t, std::string> next();

  bool done() const { return n_running_ == 0; }
  RowEnd row_end(int64_t row) const { return rows_[static_cast<size_t>(row)].end; }
  // The tokens generated so far, without the prompt and the end-of-text token.
  const std::vector<int32_t>& tokens(int64_t row) const {
    return rows_[static_cast<size_t>(row)].tokens;
  }

 private:
  struct Row {
    data::StreamDecoder decoder;
    std::vector<int32_t> tokens;
    RowEnd end = RowEnd::running;
  };
  void read_prompts(const std::vector<std::string>& prompts);
  std::string accept(Row& row, int64_t token);
  void drop_ended_rows();

  const layers::LanguageModel& model_;
  const data::Tokenizer& tokenizer_;
  GenerationOptions options_;
  std::vector<Row> rows_;
  std::vector<int64_t> batch_;  // the row at each place of the batch; some may have ended
  int64_t n_running_ = 0;
  std::unique_ptr<DecodeStep> step_;
  int64_t position_ = 0;  // tokens generated per row
};

}  // namespace xlstm::train
