// Every `xlstm` and `make` command that README.md and docs/*.md show is run, or its options are
// held against --help. A comment before a block of code says which, and a block without one fails:
//
//   <!-- run -->                as it stands
//   <!-- run: s|600|6|; ... --> after these commands of `sed -E`, to make it small
//   <!-- fails: CODE -->        as it stands, to this exit code
//   <!-- not run: REASON -->    only that commands, options, keys and targets exist
//   <!-- prepare: COMMANDS -->  run before, for what the reader is said to have
//
// The blocks of a page run in order in one temporary folder. It has tools/, docs/ and build/xlstm;
// `make` only looks whether the Makefile has the target. $tiny holds the options of a model that
// trains within a second, $source is this repository.
#include <sys/wait.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>

#include "core/file_system.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"
#include "tests/docs/doc_blocks.h"
#include "tests/test_data.h"

namespace xlstm {
namespace {

namespace fs = std::filesystem;
using testing::DocBlock;

const char* const kTiny =
    "--data.n_stories 120 --data.vocab_size 300 --data.max_length 32 --data.batch_size 2 "
    "--model.embedding_dim 16 --model.num_blocks 2 --trainer.max_steps 4 "
    "--trainer.val_check_interval 2 --trainer.limit_val_batches 2 --sample.max_new_tokens 4 "
    "--lr_scheduler.warmup_steps 1 --trainer.accelerator cpu";

struct Ran {
  int code = -1;
  std::string output;
};

// Runs a script with bash, which ends at the first command that fails.
class Shell {
 public:
  Shell() {
    const std::string bin = dir_.path("bin"), work = folder();
    for (const std::string& folder : {bin, join_path(work, "build")})
      real_file_system().make_dirs(folder);
    fs::create_symlink(testing::command_path(), join_path(bin, "xlstm"));
    fs::create_symlink(testing::command_path(), join_path(work, "build/xlstm"));
    for (const char* name : {"tools", "docs"})
      fs::create_symlink(testing::data_path(name), join_path(work, name));
    std::ofstream(join_path(bin, "make"))
        << "#!/bin/bash\nfor a in \"$@\"; do\n  case $a in *=*) continue ;; esac\n"
        << "  grep -qE \"^([a-z-]+ )*$a( [a-z-]+)*:\" '" << testing::data_path("Makefile")
        << "' || { echo \"make: no target $a\"; exit 2; }\ndone\n";
    fs::permissions(join_path(bin, "make"), fs::perms::owner_all);
  }

  Ran run(const std::string& script) const {
    std::ofstream(dir_.path("script"))
        << "export PATH='" << dir_.path("bin") << "':\"$PATH\"\n"
        << "tiny='" << kTiny << "'\nsource='" << testing::data_path("") << "'\ncd '" << folder()
        << "'\nset -euo pipefail\n"
        << script;
    const std::string call =
        "OMP_WAIT_POLICY=passive bash '" + dir_.path("script") + "' 2>&1 < /dev/null";
    Ran ran;
    FILE* pipe = ::popen(call.c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::array<char, 4096> buffer;
    for (size_t n; (n = ::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
      ran.output.append(buffer.data(), n);
    const int status = ::pclose(pipe);
    ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return ran;
  }

  // The code after commands of sed. An expression that changes nothing is a mistake.
  std::string substituted(const std::string& code, const std::string& sed) const {
    std::ofstream(dir_.path("code")) << code;
    std::ofstream(dir_.path("sed")) << sed << "\n";
    const Ran ran = run("sed -E -f '" + dir_.path("sed") + "' '" + dir_.path("code") + "'");
    INFO(sed << "\n" << ran.output);
    REQUIRE(ran.code == 0);
    CHECK(ran.output != code);
    return ran.output;
  }

  std::string folder() const { return dir_.path("work"); }

 private:
  TemporaryDir dir_;
};

// The commands in a piece of shell: words from `xlstm` or `make` to the end of the command.
std::vector<std::vector<std::string>> commands_in(const std::string& code) {
  static const std::regex kLine(R"(\\\n\s*)"), kComment(R"((^|\s)#[^\n]*)");
  static const std::regex kStart(
      R"re((^|&&|;|\||\(|\bdo\b)\s*((build/)?xlstm|make)((\s[^\n;|&)]*)?))re",
      std::regex::multiline);
  static const std::regex kQuoted("\"[^\"]*\"|'[^']*'");
  const std::string joined = std::regex_replace(std::regex_replace(code, kLine, " "), kComment, "");
  std::vector<std::vector<std::string>> commands;
  for (std::sregex_iterator it(joined.begin(), joined.end(), kStart), end; it != end; ++it) {
    std::vector<std::string> words{(*it)[2].str() == "make" ? "make" : "xlstm"};
    std::string rest = std::regex_replace((*it)[4].str(), kQuoted, "TEXT");
    std::istringstream in(rest);
    for (std::string word; in >> word;) words.push_back(word);
    // "xlstm: error: ..." and the like in output is no command.
    if (words.size() > 1) commands.push_back(std::move(words));
  }
  return commands;
}

std::string help_of(const std::string& command) {
  static std::map<std::string, std::string> known;
  if (const auto found = known.find(command); found != known.end()) return found->second;
  const Ran ran = Shell().run("xlstm " + command + " --help");
  INFO("xlstm " << command << " --help\n" << ran.output);
  CHECK(ran.code == 0);
  return known[command] = ran.output;
}

bool has_word(const std::string& text, const std::string& word) {
  for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
    const char before = at == 0 ? ' ' : text[at - 1];
    const size_t end = at + word.size();
    const char after = end == text.size() ? ' ' : text[end];
    if ((before == ' ' || before == ',' || before == '\n') &&
        std::string(" ,=\n").find(after) != std::string::npos)
      return true;
  }
  return false;
}

// That a command which is not run exists, with its options, keys and targets.
void check_words(const std::vector<std::string>& words) {
  static const std::string keys =
      real_file_system().read_file(testing::data_path("docs/configuration.md"));
  if (words[0] == "make") {
    for (size_t i = 1; i < words.size(); ++i) {
      const Ran ran = Shell().run("make '" + words[i] + "'");
      INFO(ran.output);
      CHECK(ran.code == 0);
    }
    return;
  }
  std::string command = words[1];
  if (command.starts_with("--")) {
    CHECK(has_word(help_of(""), command));
    return;
  }
  if (words.size() > 2 && command == "bench" && !words[2].starts_with("-"))
    command += " " + words[2];
  const std::string help = help_of(command);
  for (size_t i = 2; i < words.size(); ++i) {
    if (!words[i].starts_with("-") || words[i] == "-") continue;
    const std::string option = words[i].substr(0, words[i].find('='));
    INFO("xlstm " << command << ": " << option);
    if (option.find('.') != option.npos) {
      CHECK(keys.find("`" + option.substr(2) + "`") != keys.npos);
    } else {
      CHECK(has_word(help, option));
    }
  }
}

std::string join(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += word + " ";
  return line;
}

void run_block(const DocBlock& block, const Shell& shell, int& n_run) {
  bool has_mark = false, is_right = true;
  for (const std::string& comment : block.comments) {
    const size_t colon = std::min(comment.find(':'), comment.size());
    const std::string mark = comment.substr(0, colon);
    const std::string rest = testing::trimmed(comment.substr(std::min(colon + 1, comment.size())));
    INFO(comment);
    if (mark == "prepare") {
      const Ran ran = shell.run(rest);
      INFO(ran.output);
      CHECK(ran.code == 0);
    } else if (mark == "run") {
      has_mark = true;
      ++n_run;
      const std::string code = rest.empty() ? block.code : shell.substituted(block.code, rest);
      const Ran ran = shell.run(code);
      INFO(code << ran.output);
      CHECK(ran.code == 0);
    } else if (mark == "fails") {
      is_right = false;
      has_mark = true;
      const Ran ran = shell.run(block.code);
      INFO(ran.output);
      CHECK(std::to_string(ran.code) == rest);
    } else if (mark == "not run") {
      has_mark = true;
      CHECK(rest.size() >= 8);  // a reason
    } else {
      FAIL("got another comment before code, expected run, fails, not run or prepare");
    }
  }
  const auto commands = commands_in(block.code);
  for (const auto& words : commands) {
    INFO(join(words));
    if (is_right) check_words(words);
  }
  INFO("a block with an xlstm or make command needs <!-- run --> or <!-- not run: REASON -->");
  CHECK((commands.empty() || has_mark));
}

std::vector<std::string> pages() {
  std::vector<std::string> names{"README.md", "CONTRIBUTING.md"};
  for (const std::string& name : real_file_system().list(testing::data_path("docs")))
    if (name.ends_with(".md")) names.push_back("docs/" + name);
  return names;
}

TEST_CASE("every command that a page shows runs, or at least exists") {
  // Some start processes with Open MPI, which leaks at its end: for `make asan`.
  setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
  int n_run = 0;
  for (const std::string& name : pages()) {
    const Shell shell;
    for (const DocBlock& block :
         testing::doc_blocks(real_file_system().read_file(testing::data_path(name)))) {
      INFO(name << ":" << block.line << "\n" << block.code);
      run_block(block, shell, n_run);
    }
  }
  CHECK(n_run >= 10);
}

TEST_CASE("blocks, their comments and the commands in them are found") {
  const auto blocks = testing::doc_blocks(
      "# A\n<!-- run -->\n\n    xlstm fit # now\n\n    xlstm eval\nText.\n\n<!-- prepare: a\nb "
      "-->\n"
      "<!-- not run: slow\n-->\n```sh\nmake x\n```\ntext\n    no block\n<!-- prepare: c -->\n");
  REQUIRE(blocks.size() == 3);
  CHECK(blocks[0].line == 4);
  CHECK(blocks[0].code == "xlstm fit # now\n\nxlstm eval\n");
  CHECK(blocks[0].comments == std::vector<std::string>{"run"});
  CHECK(blocks[1].code == "make x\n");
  CHECK(blocks[1].comments == std::vector<std::string>{"prepare: a\nb", "not run: slow"});
  CHECK(blocks[2].code.empty());
  CHECK(blocks[2].comments == std::vector<std::string>{"prepare: c"});

  using Words = std::vector<std::vector<std::string>>;
  CHECK(commands_in("xlstm fit --a 'x y' \\\n  --b # c\n") ==
        Words{{"xlstm", "fit", "--a", "TEXT", "--b"}});
  CHECK(commands_in("make a b && build/xlstm eval | xlstm bench\n") ==
        Words{{"make", "a", "b"}, {"xlstm", "eval"}, {"xlstm", "bench"}});
  CHECK(commands_in("xlstm: error: no\n# xlstm fit\ncmake --build make\n").empty());
  CHECK(has_word(" -c,--config TEXT", "--config"));
  CHECK_FALSE(has_word(" --configs TEXT", "--config"));
}

}  // namespace
}  // namespace xlstm
