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
#include "tools/train/stop_strings.h"
#include "tools/train/text_state.h"

namespace xlstm::train {

struct GenerationOptions {
  int64_t max_new_tokens = 256;
  double temperature = 1;         // 0: always the likeliest token
  int64_t top_k = 0;              // choose among the k likeliest; 0: among all
  double top_p = 1;               // among the fewest likeliest with this probability; 1: all
  double min_p = 0;               // among those so likely beside the likeliest; 0: all
  double repetition_penalty = 1;  // on the logits of tokens of the prompt and the text; 1: none
  uint64_t seed = 0;
  std::vector<std::string> stop = {};  // strings that end a text and are left out of it
  bool stop_at_end_of_text = true;
  // Put the document separator before the prompt, as it stands before every training document. An
  // empty prompt always starts from it.
  bool start_with_end_of_text = true;
  // On a GPU, record the step of a token once and replay it. Changes no token.
  bool cuda_graph = true;
  int64_t n_samples = 1;  // texts for each prompt, which is read once
  // The number of the first prompt, which its random numbers depend on: for prompts in parts.
  int64_t first_prompt = 0;

  void validate() const;  // ConfigError
};

enum class RowEnd { running, end_of_text, length, stop };
const char* name_of(RowEnd end);  // "end_of_text", "length", "stop"

// The tokens of a prompt; `goes_on`: it is not the beginning of a text.
TokenIds prompt_tokens(const data::Tokenizer& tokenizer, const std::string& prompt, bool goes_on,
                       const GenerationOptions& options);

// Row number prompt * n_samples + sample is a text. Rows are independent: a row's text depends on
// its prompt, the numbers of prompt and sample, and the seed; not on the other prompts, on how long
// they are, or on how many samples there are. No prompt is padded. The model and the tokenizer must
// outlive the stream.
class GenerationStream {
 public:
  // Reads the prompts, each after `start`. Errors: ConfigError if there is no prompt, if the
  // tokenizer has more tokens than the model, or if an option makes no sense.
  GenerationStream(const layers::LanguageModel& model, const data::Tokenizer& tokenizer,
                   const std::vector<std::string>& prompts, const GenerationOptions& options = {},
                   const TextState& start = {});

  // One step: the new text of every row that was still running, by row. A text may be empty (half a
  // character waits for its other half). Rows end separately; when all have, the map is empty.
  // NonFiniteError if the model's logits cannot be sampled from.
  std::map<int64_t, std::string> next();

  bool done() const { return n_running_ == 0; }
  RowEnd row_end(int64_t row) const { return rows_[static_cast<size_t>(row)].end; }
  int64_t n_rows() const { return static_cast<int64_t>(rows_.size()); }
  // The tokens generated so far, without the prompt and the end-of-text token, but with those of a
  // stop string.
  const std::vector<int32_t>& tokens(int64_t row) const {
    return rows_[static_cast<size_t>(row)].tokens;
  }

  // For a stream of one row: what the model knows after its prompt and all tokens generated, an
  // end-of-text token and those of a stop string too. Going on from there draws what the stream
  // would have drawn next. The stream ends. ConfigError if there are more rows, or no token may be
  // generated.
  TextState finish();

 private:
  struct Row {
    data::StreamDecoder decoder;
    StopMatcher stop;
    TokenIds prompt;
    TokenIds tokens;
    RowEnd end = RowEnd::running;
  };
  void add_rows(const std::vector<std::string>& prompts);
  void read_prompts(int64_t n_prompts);
  void start_steps(layers::ModelState state, Tensor logits);
  Tensor seen_tokens() const;
  std::string accept(Row& row, int64_t token);
  void drop_ended_rows();

  const layers::LanguageModel& model_;
  const data::Tokenizer& tokenizer_;
  GenerationOptions options_;
  TextState start_;
  std::vector<Row> rows_;
  std::vector<int64_t> batch_;  // the row at each place of the batch; some may have ended
  int64_t n_running_ = 0;
  std::unique_ptr<DecodeStep> step_;
  int64_t position_ = 0;  // tokens generated per row
};

}  // namespace xlstm::train
