#include "tools/train/conversation.h"

#include <sstream>

#include "core/error.h"
#include "tests/catch.h"
#include "tests/tools/tiny_run.h"

namespace xlstm::train {
namespace {

struct Talk {
  Talk() : trainer(run.config, run.services()) {
    for (int i = 0; i < 5; ++i) trainer.step();
  }
  ConversationOptions options() const {
    return {.generation = {.max_new_tokens = 6, .temperature = 0.9, .seed = 3}};
  }
  std::string say(const std::string& lines, const ConversationOptions& options) {
    std::istringstream in(lines);
    std::ostringstream out, told;
    Conversation conversation(trainer.model(), trainer.tokenizer(), options);
    conversation.run(in, out, told);
    notes = told.str();
    text = conversation.text();
    return out.str();
  }
  std::string say(const std::string& lines) { return say(lines, options()); }

  TinyRun run;
  Trainer trainer;
  std::string notes;
  TextState text;
};

TEST_CASE("each line goes on from all lines and answers before it") {
  Talk talk;
  const std::string answers = talk.say("Once upon\nThe dog\n");
  CHECK(std::count(answers.begin(), answers.end(), '\n') >= 2);
  // The same by hand.
  TextState state;
  std::string want;
  for (const std::string prompt : {"Once upon", "\nThe dog"}) {
    GenerationStream stream(talk.trainer.model(), talk.trainer.tokenizer(), {prompt},
                            talk.options().generation, state);
    while (!stream.done()) want += stream.next()[0];
    want += "\n";
    state = stream.finish();
  }
  CHECK(answers == want);
  CHECK(talk.text.n_read == state.n_read);
  CHECK(talk.text.n_drawn == state.n_drawn);
  CHECK(talk.say("Once upon\n/reset\nOnce upon\n") ==
        talk.say("Once upon\n") + talk.say("Once upon\n"));
  CHECK(talk.say("Once upon\n/quit\nThe dog\n") == talk.say("Once upon\n"));
  CHECK(talk.say("Once upon\r\n") == talk.say("Once upon"));
  CHECK(talk.say("").empty());
}

TEST_CASE("a saved text goes on as if it had never been left") {
  Talk talk;
  const std::string path = talk.run.dir.path("my talk.state");
  const std::string whole = talk.say("Once upon\nThe dog\nA cat\n");
  const std::string first = talk.say("Once upon\nThe dog\n/save " + path + "\n");
  CHECK_THAT(talk.notes, test::contains("saved " + path));
  const std::string rest = talk.say("/load " + path + "\nA cat\n");
  CHECK_THAT(talk.notes, test::contains("loaded " + path));
  CHECK(first + rest == whole);
  // What was said meanwhile is forgotten.
  CHECK(talk.say("Something else\n/load " + path + "\nA cat\n").ends_with(rest));
}

TEST_CASE("a line may begin with a slash, and commands that make no sense are refused") {
  Talk talk;
  CHECK(talk.say("//quit\n") == [&] {
    GenerationStream stream(talk.trainer.model(), talk.trainer.tokenizer(), {"/quit"},
                            talk.options().generation);
    std::string text;
    while (!stream.done()) text += stream.next()[0];
    return text + "\n";
  }());
  for (const char* line : {"/what\n", "/save\n", "/load \n", "/reset now\n", "/\n", "/save x\n"})
    CHECK_THROWS_AS(talk.say(line), ConfigError);
  CHECK_THROWS_AS(talk.say("/load " + talk.run.dir.path("none") + "\n"), FileError);
  ConversationOptions patient = talk.options();
  patient.stops_at_error = false;
  patient.shows_prompt = true;
  CHECK(talk.say("/what\nOnce upon\n", patient) == "> > " + talk.say("Once upon\n") + "> \n");
  talk.say("/what\nOnce upon\n", patient);
  CHECK_THAT(talk.notes, test::contains("got \"/what\"") && test::contains("/reset"));
}

}  // namespace
}  // namespace xlstm::train
