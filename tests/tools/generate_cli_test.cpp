// `xlstm generate` and `xlstm eval` as their users see them: sources of prompts, state files, a
// conversation through a pipe, benchmarks, and what is wrong with arguments and files.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "core/checkpoint.h"
#include "core/json.h"
#include "data/stories/stories.h"
#include "tests/catch.h"
#include "tests/test_data.h"
#include "tests/tools/run_command.h"

namespace xlstm {
namespace {

using testing::check_refused;
using testing::CommandResult;
using Arguments = std::vector<std::string>;

constexpr const char* kConfig = R"(
trainer: {max_steps: 30, val_check_interval: 30, limit_val_batches: 2}
model:
  arch: xlstm
  embedding_dim: 16
  num_blocks: 2
  signature: [1, 1]
  mlstm_block: {mlstm: {num_heads: 2}}
  slstm_block: {slstm: {num_heads: 2}}
data: {root: text, vocab_size: 300, max_length: 24, batch_size: 2}
sample: {prompts: [Once], max_new_tokens: 4}
)";

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// A folder with a trained model.
class Place {
 public:
  explicit Place(const std::string& seed) {
    data::write_story_corpus(dir_.path("text"), 3, 80);
    write("c.yaml", kConfig);
    REQUIRE(
        testing::run_command({"fit", "--config", "c.yaml", "--seed_everything", seed}, dir_.path())
            .code == 0);
  }
  void write(const std::string& name, const std::string& text) const {
    real_file_system().write_file(path(name), text);
  }
  std::string read(const std::string& name) const {
    return real_file_system().read_file(path(name));
  }
  std::string path(const std::string& name) const { return dir_.path(name); }
  // With `input` on standard input.
  CommandResult run(const Arguments& arguments, const std::string& input = "") const {
    write("in", input);
    std::string line = "cd " + quoted(dir_.path()) + " && " + quoted(testing::command_path());
    for (const std::string& argument : arguments) line += " " + quoted(argument);
    line += " < in > out 2> err";
    const int status = std::system(line.c_str());
    CommandResult result;
    if (WIFEXITED(status)) result.code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
    result.out = read("out");
    result.err = read("err");
    return result;
  }
  std::string text_of(const Arguments& arguments, const std::string& input = "") const {
    const CommandResult result = run(arguments, input);
    INFO(result.err);
    REQUIRE(result.code == 0);
    return result.out;
  }

 private:
  TemporaryDir dir_;
};

// Trained once; tests write files of their own names.
const Place& place() {
  static const Place trained("1");
  return trained;
}

Arguments generate(const Arguments& more) {
  Arguments arguments = {"generate", "-n", "12", "-s", "5"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// The texts and ends of JSON lines by row.
struct Rows {
  std::map<int64_t, std::string> text, end;
  std::map<int64_t, std::pair<int64_t, int64_t>> numbers;  // prompt, sample
};

Rows rows_of(const std::string& lines) {
  Rows rows;
  for (size_t at = 0; at < lines.size();) {
    const size_t end = lines.find('\n', at);
    const Json line = parse_json(lines.substr(at, end - at), "line");
    const int64_t row = line.find("row")->as_int();
    rows.text[row] += line.find("text")->as_string();
    rows.numbers[row] = {line.find("prompt")->as_int(), line.find("sample")->as_int()};
    if (line.find("end") != nullptr) rows.end[row] = line.find("end")->as_string();
    at = end + 1;
  }
  return rows;
}

TEST_CASE("prompts come from options, files and standard input, and give the same texts") {
  place().write("prompts.txt", "Once upon\nThe cat\n");
  place().write("prompts.jsonl", "{\"prompt\": \"Once upon\"}\n{\"prompt\": \"The cat\"}\n");
  const std::string want = place().text_of(generate({"-p", "Once upon", "-p", "The cat"}));
  CHECK(std::count(want.begin(), want.end(), '\n') >= 3);
  CHECK(place().text_of(generate({"--prompts_file", "prompts.txt"})) == want);
  CHECK(place().text_of(generate({"--prompts_file", "prompts.jsonl"})) == want);
  CHECK(place().text_of(generate({"--prompts_file", "-"}), "Once upon\nThe cat\n") == want);
  CHECK(place().text_of(generate({"-p", "Once upon", "--prompt_file", "-"}), "The cat") == want);
  CHECK(place().text_of(generate({"--prompts_file", "prompts.txt", "--batch_size", "1"})) == want);
}

TEST_CASE("n samples: numbered in JSON lines, the same however many there are") {
  const Arguments both = {"-p", "Once upon", "-p", "The cat", "--jsonl"};
  const auto with = [&](const Arguments& more) {
    Arguments arguments = generate(both);
    arguments.insert(arguments.end(), more.begin(), more.end());
    return rows_of(place().text_of(arguments));
  };
  const Rows one = with({}), three = with({"--n", "3"}),
             parts = with({"--n", "3", "--batch_size", "3"});
  CHECK(one.text.size() == 2);
  REQUIRE(three.text.size() == 6);
  for (int64_t row = 0; row < 6; ++row) {
    CHECK(three.numbers.at(row) == std::pair<int64_t, int64_t>(row / 3, row % 3));
    CHECK(three.end.contains(row));
  }
  CHECK(three.text.at(0) == one.text.at(0));
  CHECK(three.text.at(3) == one.text.at(1));
  CHECK(three.text.at(0) != three.text.at(1));
  CHECK(parts.text == three.text);
  const std::string page = place().text_of(generate({"-p", "Once upon", "--n", "2"}));
  CHECK(page == "Once upon" + three.text.at(0) + "\n\nOnce upon" + three.text.at(1) + "\n");
}

TEST_CASE("stop strings and the other options of drawing arrive") {
  const Arguments base = {"-p", "Once upon", "--jsonl"};
  const std::string text = rows_of(place().text_of(generate(base))).text.at(0);
  const auto with = [&](const Arguments& more) {
    Arguments arguments = generate(base);
    arguments.insert(arguments.end(), more.begin(), more.end());
    return rows_of(place().text_of(arguments));
  };
  size_t at = 2;
  while (static_cast<unsigned char>(text[at]) >= 128 ||
         static_cast<unsigned char>(text[at + 1]) >= 128)
    ++at;
  const std::string stop = text.substr(at, 2);
  const Rows stopped = with({"--stop", "zzz", "--stop", stop});
  CHECK(stopped.text.at(0) == text.substr(0, text.find(stop)));
  CHECK(stopped.end.at(0) == "stop");
  CHECK(with({"--top_p", "0"}).text == with({"-t", "0"}).text);
  CHECK(with({"--min_p", "1"}).text == with({"-t", "0"}).text);
  CHECK(with({"--top_p", "1", "--min_p", "0", "--repetition_penalty", "1"}).text.at(0) == text);
  CHECK(with({"-t", "0", "--repetition_penalty", "50"}).text != with({"-t", "0"}).text);
  // The configuration has the same keys.
  CHECK(with({"--sample.top_p", "0"}).text == with({"-t", "0"}).text);
  CHECK(with({"--sample.stop", "[zzz, \"" + stop + "\"]"}).end.at(0) == "stop");
}

TEST_CASE("a prompt is read once, saved, and gone on from many times") {
  const std::string direct = place().text_of(generate({"-p", "Once upon a time"}));
  CHECK(place().text_of(generate({"-p", "Once upon a time", "--save_state", "a.state"})) == direct);
  CHECK(place().text_of(generate({"-p", "Once", "--n", "3", "--save_state", "n.state"})) ==
        place().text_of(generate({"-p", "Once", "--n", "3"})));
  const std::string file = place().read("a.state");
  CHECK("Once upon a time" + place().text_of(generate({"--load_state", "a.state"})) == direct);
  CHECK(place().text_of(
            {"generate", "-n", "0", "-p", "Once upon a time", "--save_state", "b.state"}) == "");
  CHECK((place().read("b.state") == file));
  CHECK(place().text_of(generate({"--load_state", "a.state", "-p", "", "-p", " and"})) !=
        place().text_of(generate({"--load_state", "a.state", "-p", " and"})));
  // What follows a saved state can be saved again.
  place().text_of({"generate", "-n", "0", "--load_state", "a.state", "-p", " and a dog",
                   "--save_state", "c.state"});
  CHECK(" and a dog" + place().text_of(generate({"--load_state", "c.state"})) ==
        place().text_of(generate({"--load_state", "a.state", "-p", " and a dog"})));
  CHECK(place().read("c.state").size() / 64 == file.size() / 64);
}

TEST_CASE("a state of another model or a damaged one is one error with code 7") {
  place().text_of(generate({"-p", "Once", "--save_state", "d.state"}));
  const std::string good = place().read("d.state");
  std::string bad = good;
  bad[bad.size() - 3] = static_cast<char>(bad[bad.size() - 3] ^ 1);
  place().write("bad.state", bad);
  check_refused(place().run(generate({"--load_state", "bad.state"})), 7, {"bad.state", "damaged"});
  place().write("bad.state", good.substr(0, good.size() / 2));
  check_refused(place().run(generate({"--load_state", "bad.state"})), 7, {"bad.state"});
  place().write("bad.state", "hello");
  check_refused(place().run(generate({"--load_state", "bad.state"})), 7, {"bad.state"});
  check_refused(place().run(generate({"--load_state", "none"})), 7, {"none", "No such file"});
  const Place other("2");
  other.write("d.state", good);
  check_refused(other.run(generate({"--load_state", "d.state"})), 7,
                {"d.state", "other weights", "got", "expected"});
  check_refused(place().run({"generate", "-n", "1", "-p", "a", "--save_state", "nowhere/x"}), 7,
                {"nowhere/x"});
}

TEST_CASE("interactive: a conversation through a pipe, saved and loaded") {
  const Arguments interactive = {"generate", "--interactive", "-n", "6", "-s", "3"};
  const std::string whole = place().text_of(interactive, "Once upon\nThe dog\nA cat\n");
  const std::string first =
      place().text_of(interactive, "Once upon\nThe dog\n/save t.state\n/quit\n");
  CHECK(first + place().text_of(interactive, "/load t.state\nA cat\n") == whole);
  Arguments from_file = interactive;
  from_file.insert(from_file.end(), {"--load_state", "t.state"});
  CHECK(first + place().text_of(from_file, "A cat\n") == whole);
  check_refused(place().run(interactive, "/oops\n"), 2, {"/oops", "expected", "/reset"});
  check_refused(place().run(interactive, "/load none\n"), 7, {"none"});
}

TEST_CASE("eval: a text") {
  place().write("t.txt", "Once upon a time there was a dog. The dog ran to the sea.\n");
  const auto score = [&](const Arguments& more) {
    Arguments arguments = {"eval", "--text", "t.txt"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return parse_json(place().text_of(arguments), "out");
  };
  const auto number = [](const Json& json, const char* key) { return json.find(key)->as_double(); };
  const Json json = score({});
  CHECK(json.find("n_words")->as_int() == 14);
  CHECK(json.find("n_bytes")->as_int() == 58);
  CHECK(json.find("context")->as_int() == 24);
  CHECK(std::log(number(json, "token_perplexity")) * number(json, "n_tokens") ==
        Approx(number(json, "nll")));
  CHECK(std::exp2(number(json, "bits_per_byte")) == Approx(number(json, "byte_perplexity")));
  CHECK(number(score({"--context", "5000"}), "nll") ==
        Approx(number(score({"--carry_state"}), "nll")).epsilon(1e-5));
  CHECK(number(score({"--stride", "1"}), "nll") != number(json, "nll"));
  CHECK(parse_json(place().text_of({"eval", "--text", "-"}, place().read("t.txt")), "out") == json);
}

TEST_CASE("eval: tasks") {
  const std::string tasks =
      "{\"question\": \"Once upon a\", \"choices\": [\"time\", \"dog\"], \"label\": 0}\n"
      "{\"context\": \"The\", \"choices\": [\"a\", \"b\", \"c\"], \"label\": 2}\n";
  place().write("q.jsonl", tasks);
  const Json json =
      parse_json(place().text_of({"eval", "--tasks", "q.jsonl", "--jsonl_out", "o.jsonl"}), "out");
  CHECK(json.find("n_items")->as_int() == 2);
  const std::string lines = place().read("o.jsonl");
  CHECK(std::count(lines.begin(), lines.end(), '\n') == 2);
  const Json second = parse_json(lines.substr(lines.find('\n') + 1), "line 2");
  CHECK(second.find("item")->as_int() == 1);
  CHECK(second.find("log_likelihoods")->size() == 3);
  int64_t n_right = 0;
  for (const std::string& line : {lines.substr(0, lines.find('\n')), to_text(second)}) {
    const Json item = parse_json(line, "line");
    n_right += item.find("prediction")->as_int() == item.find("label")->as_int() ? 1 : 0;
  }
  CHECK(json.find("acc")->as_double() == static_cast<double>(n_right) / 2);
  place().write("bad.jsonl",
                tasks + "{\"question\": \"q\", \"choices\": [\"a\", \"b\"], \"label\": 5}\n");
  check_refused(place().run({"eval", "--tasks", "bad.jsonl"}), 7,
                {"bad.jsonl:3", "label", "got", "5"});
}

TEST_CASE("what is wrong with the options of generate and eval is said in one line") {
  place().write("empty", "");
  place().write("one.jsonl", "{\"prompt\": 1}\n");
  place().write("x", "x");
  const struct {
    Arguments arguments;
    int code;
    Arguments words;
  } rows[] = {
      {{"generate", "--top_p", "1.5"}, 2, {"top_p", "got 1.5", "expected 0 to 1"}},
      {{"generate", "--top_p", "-1"}, 2, {"top_p", "got -1", "expected 0 to 1"}},
      {{"generate", "--top_p", "x"}, 2, {"x"}},
      {{"generate", "--min_p", "2"}, 2, {"min_p", "got 2", "expected 0 to 1"}},
      {{"generate", "--repetition_penalty", "0"}, 2, {"repetition_penalty", "got 0", "expected"}},
      {{"generate", "--sample.repetition_penalty", "0"}, 2, {"repetition_penalty", "got 0"}},
      {{"generate", "--sample.top_p", "7"}, 2, {"top_p", "got 7", "expected 0 to 1"}},
      {{"generate", "--sample.stop", "3"}, 2, {"stop", "got", "expected"}},
      {{"generate", "--stop", ""}, 2, {"stop", "got \"\"", "expected"}},
      {{"generate", "--n", "0"}, 2, {"--n", "got 0", "expected 1 to"}},
      {{"generate", "--batch_size", "0"}, 2, {"--batch_size", "got 0", "expected 1 to"}},
      {{"generate", "--prompts_file", "none"}, 7, {"none", "No such file"}},
      {{"generate", "--prompts_file", "empty"}, 2, {"empty", "has none", "expected"}},
      {{"generate", "--prompts_file", "one.jsonl"}, 7, {"one.jsonl:1", "prompt", "integer 1"}},
      {{"generate", "--prompts_file", "-", "--prompt_file", "-"}, 2, {"got - for both"}},
      {{"generate", "--save_state", "s", "-p", "a", "-p", "b"}, 2, {"--save_state", "got 2"}},
      {{"generate", "-n", "-1", "--save_state", "s"}, 2, {"got -1", "expected at least 0"}},
      {{"generate", "--interactive", "--jsonl"}, 2, {"--interactive", "--jsonl"}},
      {{"generate", "--interactive", "-p", "a"}, 2, {"--interactive", "--prompt"}},
      {{"generate", "--interactive", "--prompt_file", "x"}, 2, {"--interactive", "--prompt_file"}},
      {{"generate", "--interactive", "--prompts_file", "x"}, 2, {"--prompts_file"}},
      {{"generate", "--interactive", "--n", "2"}, 2, {"--interactive", "--n"}},
      {{"generate", "--interactive", "--save_state", "s"}, 2, {"--interactive", "/save"}},
      {{"eval"}, 2, {"neither --text nor --tasks"}},
      {{"eval", "--text", "x", "--tasks", "x"}, 2, {"both --text and --tasks"}},
      {{"eval", "--text", "none"}, 7, {"none", "No such file"}},
      {{"eval", "--text", "x", "--context", "0"}, 2, {"--context", "got 0", "expected"}},
      {{"eval", "--text", "x", "--stride", "0"}, 2, {"--stride", "got 0", "expected"}},
      {{"eval", "--text", "x", "--context", "8", "--stride", "9"}, 2, {"--stride", "got 9", "8"}},
      {{"eval", "--text", "x", "--stride", "4", "--carry_state"}, 2, {"--stride", "--carry_state"}},
      {{"eval", "--text", "empty"}, 2, {"nothing to score", "got 1 tokens"}},
      {{"eval", "--text", "x", "--jsonl_out", "o"}, 2, {"--jsonl_out", "without --tasks"}},
      {{"eval", "--text", "x", "--delimiter", ""}, 2, {"--delimiter", "without --tasks"}},
      {{"eval", "--tasks", "x", "--context", "8"}, 2, {"--context", "without --text"}},
      {{"eval", "--tasks", "x", "--stride", "8"}, 2, {"--stride", "without --text"}},
      {{"eval", "--tasks", "x", "--carry_state"}, 2, {"--carry_state", "without --text"}},
      {{"eval", "--tasks", "x", "--allow_special"}, 2, {"--allow_special", "without --text"}},
      {{"eval", "--tasks", "x"}, 7, {"x:1"}},
      {{"eval", "--tasks", "empty"}, 2, {"empty", "no item"}},
      {{"eval", "--tasks", "none"}, 7, {"none", "No such file"}},
      {{"eval", "--text", "x", "--ckpt_path", "nowhere"}, 7, {"nowhere"}},
      {{"eval", "--text", "x", "--tokenizer", "nowhere"}, 7, {"nowhere"}},
      {{"eval", "--text", "x", "--oops", "1"}, 2, {"oops"}},
  };
  for (const auto& row : rows) {
    INFO(Catch::rangeToString(row.arguments));
    check_refused(place().run(row.arguments), row.code, row.words);
  }
}

}  // namespace
}  // namespace xlstm
