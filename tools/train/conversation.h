// A text that a person and a model write in turns, with one state from the first line to the last.
#pragma once

#include <istream>
#include <ostream>
#include <string>

#include "data/bpe_tokenizer.h"
#include "layers/language_model.h"
#include "tools/train/generation.h"
#include "tools/train/state_file.h"

namespace xlstm::train {

struct ConversationOptions {
  GenerationOptions generation;
  bool shows_prompt = false;   // "> " before each line, for a terminal
  bool stops_at_error = true;  // of a command; else it is told, and the next line is read
};

// Each line is read as it is, after a line break if it is not the first, and the model goes on. The
// commands /reset, /save FILE, /load FILE and /quit stand alone on a line; a line that begins with
// "//" is text that begins with "/". The model, the tokenizer and the files must outlive this.
class Conversation {
 public:
  Conversation(const layers::LanguageModel& model, const data::Tokenizer& tokenizer,
               ConversationOptions options, TextState start = {},
               FileSystem& files = real_file_system());

  // Until /quit or the end of `in`. Texts go to `out`, everything else to `notes`. Errors as in
  // state_file.h and GenerationStream; ConfigError for a command that is unknown.
  void run(std::istream& in, std::ostream& out, std::ostream& notes);
  // One line; false: /quit.
  bool take(const std::string& line, std::ostream& out, std::ostream& notes);

  const TextState& text() const { return text_; }

 private:
  bool command(const std::string& line, std::ostream& notes);
  void write(const std::string& prompt, std::ostream& out);
  const StateOwner& owner();

  const layers::LanguageModel& model_;
  const data::Tokenizer& tokenizer_;
  ConversationOptions options_;
  TextState text_;
  FileSystem& files_;
  StateOwner owner_;  // made when it is asked for
};

}  // namespace xlstm::train
