#include "tools/train/conversation.h"

#include "core/error.h"

namespace xlstm::train {
namespace {

constexpr const char* kCommands = "/reset, /save FILE, /load FILE or /quit";

}  // namespace

Conversation::Conversation(const layers::LanguageModel& model, const data::Tokenizer& tokenizer,
                           ConversationOptions options, TextState start, FileSystem& files)
    : model_(model),
      tokenizer_(tokenizer),
      options_(std::move(options)),
      text_(std::move(start)),
      files_(files) {
  options_.generation.validate();
}

void Conversation::run(std::istream& in, std::ostream& out, std::ostream& notes) {
  std::string line;
  for (;;) {
    if (options_.shows_prompt) out << "> " << std::flush;
    if (!std::getline(in, line)) break;
    if (line.ends_with('\r')) line.pop_back();
    try {
      if (!take(line, out, notes)) return;
    } catch (const NonFiniteError&) {
      throw;  // the model is to blame, and no other line will help
    } catch (const Error& error) {
      if (options_.stops_at_error) throw;
      notes << "xlstm: error: " << error.what() << "\n" << std::flush;
    }
  }
  if (options_.shows_prompt) out << "\n";
}

bool Conversation::take(const std::string& line, std::ostream& out, std::ostream& notes) {
  if (line.starts_with('/') && !line.starts_with("//")) return command(line, notes);
  const std::string prompt = line.starts_with("//") ? line.substr(1) : line;
  write(text_.empty() ? prompt : "\n" + prompt, out);
  return true;
}

bool Conversation::command(const std::string& line, std::ostream& notes) {
  const size_t space = line.find(' ');
  const std::string name = line.substr(0, space);
  const size_t begin = space == std::string::npos ? space : line.find_first_not_of(' ', space);
  const std::string path = begin == std::string::npos ? "" : line.substr(begin);
  const bool wants_path = name == "/save" || name == "/load";
  require<ConfigError>(wants_path || name == "/reset" || name == "/quit", "interactive: got \"",
                       line, "\", expected ", kCommands, " (// begins a text with /)");
  require<ConfigError>(wants_path != path.empty(), "interactive: got \"", line, "\", expected ",
                       name, wants_path ? " FILE" : " alone");
  if (name == "/quit") return false;
  if (name == "/reset") text_ = {};
  if (name == "/save") save_text_state(path, text_, owner(), files_);
  if (name == "/load") text_ = load_text_state(path, model_, owner(), files_);
  if (wants_path)
    notes << (name == "/save" ? "saved " : "loaded ") << path << ": " << text_.n_read << " tokens\n"
          << std::flush;
  return true;
}

void Conversation::write(const std::string& prompt, std::ostream& out) {
  GenerationStream stream(model_, tokenizer_, {prompt}, options_.generation, text_);
  while (!stream.done())
    for (const auto& [row, text] : stream.next()) out << text << std::flush;
  out << "\n" << std::flush;
  text_ = stream.finish();
}

const StateOwner& Conversation::owner() {
  if (owner_.config.empty()) owner_ = StateOwner::of(model_, tokenizer_);
  return owner_;
}

}  // namespace xlstm::train
