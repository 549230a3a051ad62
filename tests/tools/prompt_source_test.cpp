#include "tools/train/prompt_source.h"

#include <sstream>

#include "core/error.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"

namespace xlstm::train {
namespace {

using Prompts = std::vector<std::string>;

TEST_CASE("prompts stand on lines, or in JSON lines, or come from standard input") {
  TemporaryDir dir;
  const auto read = [&](const std::string& name, const std::string& text) {
    real_file_system().write_file(dir.path(name), text);
    std::istringstream in;
    return read_prompts_file(dir.path(name), in);
  };
  CHECK(read("p.txt", "one\ntwo \n\nthree") == Prompts{"one", "two ", "three"});
  CHECK(read("p.txt", "one\r\ntwo\r\n") == Prompts{"one", "two"});
  CHECK(read("p.jsonl", "{\"prompt\": \"a\\nb\"}\n\n{\"id\": 3, \"prompt\": \"\"}\n") ==
        Prompts{"a\nb", ""});
  std::istringstream in("from\nhere");
  CHECK(read_prompts_file("-", in) == Prompts{"from", "here"});
  std::istringstream whole("a\nb\n");
  CHECK(read_whole("-", whole) == "a\nb\n");
  std::istringstream long_text(std::string(200000, 'x'));
  CHECK(read_whole("-", long_text).size() == 200000);

  CHECK_THROWS_WITH(read("p.jsonl", "{\"prompt\": \"a\"}\n{\"prompt\": 3}\n"),
                    test::contains("p.jsonl:2: prompt: got integer 3, expected string"));
  CHECK_THROWS_WITH(read("p.jsonl", "{\"text\": \"a\"}\n"), test::contains("p.jsonl:1"));
  CHECK_THROWS_WITH(read("p.jsonl", "[1]\n"), test::contains("p.jsonl:1"));
  CHECK_THROWS_WITH(read("p.jsonl", "{\n"), test::contains("p.jsonl:1"));
  CHECK_THROWS_AS(read("p.txt", "\n\n"), ConfigError);
  CHECK_THROWS_AS(read("p.jsonl", ""), ConfigError);
  std::istringstream nothing;
  CHECK_THROWS_WITH(read_prompts_file("-", nothing), test::contains("standard input"));
  CHECK_THROWS_AS(read_prompts_file(dir.path("none"), nothing), FileError);
}

}  // namespace
}  // namespace xlstm::train
