// The command as its users see it: exit codes, messages, files.
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "core/checkpoint.h"
#include "core/safetensors.h"
#include "data/bpe_trainer.h"
#include "data/stories/stories.h"
#include "tests/catch.h"
#include "tests/layers/small_models.h"
#include "tests/test_data.h"
#include "tests/tools/run_command.h"

namespace xlstm {
namespace {

using testing::check_refused;
using testing::Command;
using testing::CommandResult;
using testing::run_command;
using Arguments = std::vector<std::string>;

constexpr const char* kConfig = R"(
trainer:
  max_steps: 30
  val_check_interval: 10
  limit_val_batches: 2
  checkpoint_every_n_steps: 3
  keep_checkpoints: 100
model:
  arch: xlstm
  embedding_dim: 16
  num_blocks: 2
  signature: [1, 1]
  dropout: 0.1
  mlstm_block: {mlstm: {num_heads: 2}}
  slstm_block: {slstm: {num_heads: 2}}
data: {root: text, vocab_size: 300, max_length: 24, batch_size: 2}
sample: {prompts: [Once], max_new_tokens: 4}
)";

// A folder with a corpus and a configuration.
class Place {
 public:
  Place() {
    data::write_story_corpus(dir_.path("text"), 3, 80);
    write("c.yaml", kConfig);
  }
  void write(const std::string& name, const std::string& text) {
    real_file_system().make_dirs(FileSystem::parent_dir(path(name)));
    real_file_system().write_file(path(name), text);
  }
  std::string read(const std::string& name) const {
    return real_file_system().read_file(path(name));
  }
  std::string path(const std::string& name) const { return dir_.path(name); }
  CommandResult run(const Arguments& arguments, int64_t file_limit = 0) const {
    return run_command(arguments, dir_.path(), file_limit);
  }
  std::string newest() const {
    return find_latest_checkpoint(path("runs/xlstm/version_0/checkpoints")).value();
  }

 private:
  TemporaryDir dir_;
};

// Trained once, only read by the tests.
const Place& trained() {
  static const Place place;
  static const CommandResult result = place.run({"fit", "--config", "c.yaml"});
  REQUIRE(result.code == 0);
  return place;
}

TEST_CASE("what is wrong with arguments, configuration and corpus is said in one line") {
  Place place;
  place.write("syntax.yaml", "model: [1\n");
  place.write("twice.yaml", "seed_everything: 1\nseed_everything: 2\n");
  place.write("empty/train.txt", "");
  place.write("empty/valid.txt", "");
  place.write("short/train.txt", "hello");
  place.write("short/valid.txt", "hello");
  place.write("lone/train.txt", "hello");
  const struct {
    Arguments arguments;
    int code;
    Arguments words;
  } rows[] = {
      {{}, 2, {"--help"}},
      {{"bogus"}, 2, {"bogus"}},
      {{"generate", "-n", "abc"}, 2, {"abc"}},
      {{"fit", "--config", "none.yaml"}, 7, {"none.yaml", "No such file"}},
      {{"fit", "--config", "text"}, 7, {"text"}},
      {{"fit", "--config", "syntax.yaml"}, 2, {"syntax.yaml", "not valid YAML"}},
      {{"fit", "--config", "twice.yaml"}, 2, {"twice.yaml:2", "duplicate", "seed_everything"}},
      {{"fit", "--trainer.max_stepz", "3"}, 2, {"unknown key", "did you mean max_steps?"}},
      {{"fit", "--trainer.max_steps"}, 2, {"no value", "expected"}},
      {{"fit", "--trainer.max_steps=abc"}, 2, {"got string \"abc\"", "expected an integer"}},
      {{"fit", "--trainer.max_steps=-5"}, 2, {"got -5", "expected -1 or more"}},
      {{"fit", "--model.embedding_dim=-4"}, 2, {"got -4", "expected 1 to"}},
      {{"fit", "--model.embedding_dim=1000000000000000000"}, 2, {"got 1e+18", "expected 1 to"}},
      {{"fit", "--data.batch_size=1000000000000000000"}, 2, {"got 1e+18", "expected 1 to"}},
      {{"fit", "--optimizer.lr=nan"}, 2, {"expected a number"}},
      {{"fit", "--model.num_blocks=65536"}, 2, {"got 65536", "expected 1 to 1024"}},
      {{"fit", "--model.embedding_dim=16777216"}, 5, {"out of memory", "got", "expected at most"}},
      {{"fit", "--data.n_stories=100000000"}, 2, {"got 100000000", "expected 1 to 500000"}},
      {{"fit", "--trainer.accumulate_grad_batches=100000"},
       2,
       {"got 2 x 100000", "expected at most", "trainer.accumulate_grad_batches"}},
      {{"fit", "--data.batch_size=10000000"}, 2, {"got 10000000", "expected"}},
      {{"fit", "--data.max_length=100000000"}, 2, {"shorter than one sequence", "got", "expected"}},
      {{"fit", "--model.mlstm_block.mlstm.num_heads=3"}, 2, {"does not divide", "got 3"}},
      {{"fit", "--model.slstm_block.slstm.num_heads=3"}, 2, {"does not divide", "got 3"}},
      {{"fit", "--model.vocab_size=100"}, 2, {"smaller than the tokenizer's", "got 100", "300"}},
      {{"fit", "--data.root=nowhere"}, 7, {"nowhere", "expected a folder"}},
      {{"fit", "--data.root=empty"}, 7, {"empty/train.txt", "no documents"}},
      {{"fit", "--data.root=short"}, 2, {"shorter than one sequence", "got 2", "expected"}},
      {{"fit", "--data.root=lone"}, 7, {"no file lone/valid.txt"}},
      {{"fit", "--data.tokenizer=nowhere"}, 7, {"nowhere", "no such file"}},
      {{"fit", "--data.cache_dir=cache", "--trainer.default_root_dir=/proc/none"}, 7, {"/proc"}},
      {{"fit", "--ckpt_path", "last"}, 7, {"no usable checkpoint"}},
      {{"fit", "--ckpt_path", "nowhere"}, 7, {"nowhere"}},
      {{"generate", "--ckpt_path", "nowhere"}, 7, {"nowhere"}},
      {{"generate", "-n", "0"}, 2, {"--max_new_tokens", "got 0", "expected at least 1"}},
      {{"generate", "-n", "-7"}, 2, {"--max_new_tokens", "got -7", "expected at least 1"}},
      {{"generate", "-s", "-1"}, 2, {"--seed", "got -1", "expected 0 or more"}},
      {{"validate", "--tokens", "t"}, 2, {"--logits_out"}},
      {{"inspect", "nowhere"}, 7, {"nowhere"}},
      {{"inspect", "c.yaml"}, 7, {"not a token file"}},
      {{"tokenize", "--tokenizer", "nowhere", "--input", "c.yaml", "--output", "o"},
       7,
       {"nowhere"}},
  };
  for (const auto& row : rows) {
    Arguments arguments = row.arguments;
    if (arguments.size() == 2 && arguments[0] == "fit") {
      arguments.insert(arguments.begin() + 1, {"--config", "c.yaml"});
    } else if (!arguments.empty() && arguments[0] == "fit" && arguments[1] != "--config") {
      arguments.insert(arguments.begin() + 1, {"--config", "c.yaml"});
    }
    INFO(Catch::rangeToString(arguments));
    check_refused(place.run(arguments), row.code, row.words);
  }
}

TEST_CASE("invalid UTF-8 is text like any other, and kept byte for byte") {
  Place place;
  std::string text;
  for (int i = 0; i < 40; ++i) text += "a cat \xff\xfe sat \xc3 there \x80. ";
  place.write("odd/train.txt", text);
  place.write("odd/valid.txt", text);
  const CommandResult result = place.run({"fit", "--config", "c.yaml", "--data.root", "odd",
                                          "--data.vocab_size", "270", "--trainer.max_steps", "2"});
  INFO(result.err);
  REQUIRE(result.code == 0);
  REQUIRE(place
              .run({"tokenize", "--tokenizer", place.newest(), "--input", "odd/train.txt",
                    "--output", "ids", "--format", "raw"})
              .code == 0);
  const std::string raw = place.read("ids");
  std::vector<int32_t> ids;
  for (size_t i = 0; i + 1 < raw.size(); i += 2)
    ids.push_back(static_cast<unsigned char>(raw[i]) |
                  (static_cast<unsigned char>(raw[i + 1]) << 8));
  const data::Tokenizer tokenizer = data::Tokenizer::load(place.newest());
  CHECK(ids == tokenizer.encode(text, true));
  CHECK(tokenizer.decode(ids) == text);
}

TEST_CASE("a damaged checkpoint is refused by name, and last falls back to the one before") {
  for (const char* file :
       {"model.safetensors", "manifest.json", "train_state.json", "config.json"}) {
    Place place;
    REQUIRE(place.run({"fit", "--config", "c.yaml", "--trainer.max_steps", "6"}).code == 0);
    const std::string newest = place.newest();
    const std::string path = join_path(newest, file);
    real_file_system().write_file(path, real_file_system().read_file(path).substr(0, 100));
    check_refused(place.run({"fit", "--config", "c.yaml", "--ckpt_path", newest}), 7, {file});
    const CommandResult verify = place.run({"inspect", "verify", newest});
    CHECK(verify.code == 7);
    CHECK_THAT(verify.out, test::contains(file));
    const CommandResult last =
        place.run({"fit", "--config", "c.yaml", "--ckpt_path", "last", "--trainer.max_steps", "7"});
    CHECK(last.code == 0);
    CHECK_THAT(last.out, test::contains("continuing after step 3"));
    CHECK_THAT(last.err, test::contains("step-000000006"));
  }
}

TEST_CASE("a flipped byte is found") {
  Place place;
  REQUIRE(place.run({"fit", "--config", "c.yaml", "--trainer.max_steps", "1"}).code == 0);
  CHECK(place.run({"inspect", "verify", place.newest()}).code == 0);
  const std::string newest = place.newest(), path = join_path(newest, "model.safetensors");
  std::string bytes = real_file_system().read_file(path);
  bytes[bytes.size() - 3] = static_cast<char>(bytes[bytes.size() - 3] ^ 1);
  real_file_system().write_file(path, bytes);
  CHECK(place.run({"inspect", "verify", newest}).code == 7);
}

// A copy of the trained checkpoint, to be damaged.
std::string copy_checkpoint(Place& place) {
  const std::string from = trained().newest();
  for (const std::string& name : real_file_system().list(from))
    place.write("copy/" + name, real_file_system().read_file(join_path(from, name)));
  return place.path("copy");
}

TEST_CASE("generate and validate compare what they read with the manifest") {
  Place place;
  const std::string checkpoint = copy_checkpoint(place);
  const Arguments generate = {"generate", "--ckpt_path", checkpoint, "-n", "2"};
  const Arguments validate = {"validate", "--ckpt_path", checkpoint};
  REQUIRE(place.run(generate).code == 0);
  REQUIRE(place.run(validate).code == 0);
  for (const char* file : {"model.safetensors", "config.json", "tokenizer.json", "manifest.json"}) {
    INFO(file);
    const std::string name = std::string("copy/") + file, good = place.read(name);
    // A last digit or weight that is another one: nothing but the hash can tell.
    std::string flipped = good;
    const size_t digit = std::string_view(file) == "model.safetensors"
                             ? good.size() - 3
                             : good.find_last_of("0123456789");
    flipped[digit] = static_cast<char>(flipped[digit] ^ 1);
    for (const std::string& bad : {flipped, good.substr(0, good.size() / 2), std::string()}) {
      place.write(name, bad);
      check_refused(place.run(generate), 7, {file});
      check_refused(place.run(validate), 7, {file});
    }
    place.write(name, good);
  }
  // The weights by name are the same checkpoint.
  place.write("copy/config.json", "{");
  check_refused(place.run({"generate", "--ckpt_path", join_path(checkpoint, "model.safetensors")}),
                7, {"config.json"});
}

TEST_CASE("weights without a checkpoint around them need a configuration, and a tokenizer") {
  Place place;
  const std::string from = trained().newest();
  const auto copy = [&](const char* name) {
    place.write(std::string("bare/") + name, real_file_system().read_file(join_path(from, name)));
  };
  copy("model.safetensors");
  const std::string file = place.path("bare/model.safetensors"), folder = place.path("bare");
  for (const std::string& path : {file, folder}) {
    const Arguments generate = {"generate", "--ckpt_path", path, "-n", "3"};
    const Arguments hint = {"no config.json", "beside it", "--config FILE", "bare"};
    check_refused(place.run(generate), 2, hint);
    place.write("bare/config.json", R"({"model_type": "xlstm", "vocab_size": 300})");
    check_refused(place.run(generate), 2, hint);
    place.write("bare/config.json", R"({"model": {"vocab_si)");
    check_refused(place.run(generate), 7, {"bare/config.json"});
    real_file_system().remove_file(place.path("bare/config.json"));
    Arguments with_config = generate;
    with_config.insert(with_config.end(), {"--config", "c.yaml"});
    check_refused(place.run(with_config), 2, {"model.vocab_size", "got 0", "expected"});
    with_config.insert(with_config.end(), {"--model.vocab_size", "300"});
    check_refused(place.run(with_config), 2, {"tokenizer", "expected", "--tokenizer PATH"});
    with_config.insert(with_config.end(), {"--tokenizer", join_path(from, "tokenizer.json")});
    const CommandResult given = place.run(with_config);
    CHECK(given.code == 0);
    copy("config.json");
    copy("tokenizer.json");
    CHECK(place.run(generate).out == given.out);
    real_file_system().remove_file(place.path("bare/config.json"));
    real_file_system().remove_file(place.path("bare/tokenizer.json"));
  }
}

TEST_CASE("a checkpoint that has lost its tokenizer, or is of another shape, is refused") {
  Place place;
  const std::string checkpoint = copy_checkpoint(place);
  for (const char* command : {"generate", "validate"}) {
    check_refused(place.run({command, "--ckpt_path", checkpoint, "--model.embedding_dim", "32"}), 7,
                  {"[300, 16]", "[300, 32]"});
    check_refused(place.run({command, "--ckpt_path", checkpoint, "--model.num_blocks", "4"}), 7,
                  {"missing"});
  }
  check_refused(place.run({"fit", "--ckpt_path", checkpoint, "--model.embedding_dim", "32"}), 2,
                {"model.embedding_dim", "got 32", "checkpoint has 16"});
  real_file_system().remove_file(join_path(checkpoint, "tokenizer.json"));
  check_refused(place.run({"generate", "--ckpt_path", checkpoint}), 7, {"copy/tokenizer.json"});
}

TEST_CASE("a configuration that may not be read is named") {
  Place place;
  if (::geteuid() == 0) {
    WARN("root may read everything; only a folder in the file's place is tried");
  } else {
    place.write("locked.yaml", "trainer: {max_steps: 1}\n");
    REQUIRE(::chmod(place.path("locked.yaml").c_str(), 0) == 0);
    check_refused(place.run({"fit", "--config", "locked.yaml"}), 7,
                  {"locked.yaml", "Permission denied"});
  }
  real_file_system().make_dirs(place.path("folder.yaml"));
  check_refused(place.run({"fit", "--config", "folder.yaml"}), 7, {"folder.yaml"});
}

TEST_CASE("limit_val_batches 0 trains without validation") {
  Place place;
  const CommandResult result = place.run({"fit", "--config", "c.yaml", "--trainer.max_steps", "12",
                                          "--trainer.limit_val_batches", "0"});
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, !test::contains("validation loss"));
  const std::string metrics = place.read("runs/xlstm/version_0/metrics.jsonl");
  CHECK_THAT(metrics, test::contains("\"train\""));
  CHECK_THAT(metrics, !test::contains("\"valid\""));
  CHECK(place.run({"fit", "--config", "c.yaml", "--ckpt_path", "last", "--trainer.max_steps", "14"})
            .code == 0);
  check_refused(place.run({"validate", "--trainer.limit_val_batches", "0"}), 2,
                {"got 0", "trainer.limit_val_batches", "expected at least one batch"});
  CHECK(place.run({"validate", "--trainer.limit_val_batches", "1"}).code == 0);
}

TEST_CASE("a disk that is full when saving leaves the last good checkpoint intact") {
  Place place;
  REQUIRE(place.run({"fit", "--config", "c.yaml", "--trainer.max_steps", "3"}).code == 0);
  const std::string before = place.newest();
  const CommandResult result = place.run(
      {"fit", "--config", "c.yaml", "--ckpt_path", "last", "--trainer.max_steps", "6"}, 50000);
  INFO(result.err);
  CHECK(result.signal == 0);
  CHECK(result.code == 7);
  CHECK_THAT(result.err, test::contains("xlstm: error: "));
  CHECK(place.newest() == before);
  CHECK(verify_checkpoint(before).empty());
}

TEST_CASE("a run killed at any moment continues to the same bytes") {
  const std::string want =
      real_file_system().read_file(join_path(trained().newest(), "model.safetensors"));
  int n_continued = 0;
  for (const int milliseconds : {60, 150, 270, 400}) {
    Place place;
    Command command({"fit", "--config", "c.yaml"}, place.path(""));
    for (int i = 0; i < 2000 && command.out_so_far().find("run: ") == std::string::npos; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    command.kill(SIGKILL);
    command.wait();
    const bool has_checkpoint =
        find_latest_checkpoint(place.path("runs/xlstm/version_0/checkpoints")).has_value();
    if (has_checkpoint) {
      ++n_continued;
      const CommandResult result = place.run({"fit", "--config", "c.yaml", "--ckpt_path", "last"});
      INFO(result.err);
      REQUIRE(result.code == 0);
      CHECK(real_file_system().read_file(join_path(place.newest(), "model.safetensors")) == want);
    }
  }
  CHECK(n_continued >= 1);
}

TEST_CASE("SIGTERM and SIGINT end a run with a checkpoint and their exit codes") {
  for (const auto& [signal, code] : {std::pair(SIGTERM, 3), std::pair(SIGINT, 130)}) {
    Place place;
    Command command(
        {"fit", "--config", "c.yaml", "--trainer.max_steps", "100000",
         "--trainer.val_check_interval", "100000", "--trainer.checkpoint_every_n_steps", "100000"},
        place.path(""));
    for (int i = 0; i < 2000 && command.out_so_far().find("it/s") == std::string::npos; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    command.kill(signal);
    const CommandResult result = command.wait();
    INFO(result.out << result.err);
    CHECK(result.signal == 0);
    CHECK(result.code == code);
    CHECK(verify_checkpoint(place.newest()).empty());
  }
}

TEST_CASE("generate: rows, seeds and greedy text from a checkpoint alone") {
  const Place& place = trained();
  const std::string checkpoint = place.newest();
  const auto generate = [&](Arguments more) {
    Arguments arguments = {"generate", "--ckpt_path", checkpoint, "-n", "12"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = place.run(arguments);
    INFO(result.err);
    REQUIRE(result.code == 0);
    return result.out;
  };
  CHECK(generate({"-p", "Once", "-s", "5"}) == generate({"-p", "Once", "-s", "5"}));
  CHECK(generate({"-p", "Once", "-s", "5"}) != generate({"-p", "Once", "-s", "6"}));
  CHECK(generate({"-p", "Once", "-t", "0", "-s", "5"}) ==
        generate({"-p", "Once", "-t", "0", "-s", "6"}));
  const std::string lines = generate({"-p", "Once", "-p", "The cat sat", "--jsonl"});
  std::set<int64_t> rows, ended;
  for (size_t at = 0; at < lines.size();) {
    const size_t end = lines.find('\n', at);
    const Json line = parse_json(lines.substr(at, end - at), "line");
    CHECK(line.find("text") != nullptr);
    rows.insert(line.find("row")->as_int());
    if (line.find("end") != nullptr) ended.insert(line.find("row")->as_int());
    at = end + 1;
  }
  CHECK(rows == std::set<int64_t>{0, 1});
  CHECK(ended == rows);
  check_refused(place.run({"generate", "--ckpt_path", checkpoint, "-t", "-1"}), 2, {"got -1"});
  check_refused(place.run({"generate", "--ckpt_path", checkpoint, "-k", "-3"}), 2, {"got -3"});
  check_refused(place.run({"generate", "--ckpt_path", checkpoint, "--prompt_file", "none"}), 7,
                {"none"});
}

TEST_CASE("validate reads its text with the checkpoint's own tokenizer") {
  Place place;
  const std::string checkpoint = copy_checkpoint(place);
  const auto tokens_in = [&](const Arguments& more) {
    Arguments arguments = {"validate", "--ckpt_path", checkpoint, "--trainer.limit_val_batches",
                           "-1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = place.run(arguments);
    INFO(result.err);
    REQUIRE(result.code == 0);
    return parse_json(result.out, "out").find("n_tokens")->as_int();
  };
  // What `--data.tokenizer train` would make of this text has other tokens: "qqqq", for instance.
  std::string text;
  for (int i = 0; i < 400; ++i) text += "zebra quartz qqqqqqqq jazz " + std::to_string(i) + " ";
  place.write("other/train.txt", text);
  place.write("other/valid.txt", text);
  const data::Tokenizer own = data::Tokenizer::load(checkpoint);
  const int64_t n = static_cast<int64_t>(own.encode(text.substr(0, text.size() - 1)).size()) + 1;
  const int64_t length = 24;  // each window predicts so many tokens, and all but the first are
  CHECK(tokens_in({"--data.root", "other"}) == (n - 1) / length * length);

  // A path that now holds another tokenizer is not looked at, and shards of the own one are read.
  place.write("bytes/tokenizer.json", data::BpeTrainer({.n_vocab = 257}).train().to_json());
  place.write("path.yaml", "data: {tokenizer: bytes}\n");
  CHECK(tokens_in({"--config", "path.yaml", "--data.root", "other"}) == (n - 1) / length * length);
  for (const char* split : {"train", "valid"})
    REQUIRE(place
                .run({"tokenize", "--tokenizer", checkpoint, "--input", "other/train.txt",
                      "--output", std::string("shards/") + split, "--shard_tokens", "1000"})
                .code == 0);
  CHECK(tokens_in({"--data.root", "shards"}) == (n - 1) / length * length);
  CHECK(tokens_in({"--tokenizer", "bytes", "--data.root", "other"}) > n);

  check_refused(place.run({"validate", "--ckpt_path", checkpoint, "--data.tokenizer", "bytes"}), 2,
                {"--data.tokenizer bytes", "--tokenizer PATH"});
  place.write("wide/tokenizer.json", [] {
    data::TokenizerDefinition wide = data::BpeTrainer({.n_vocab = 257}).train().definition();
    for (int i = 0; i < 100; ++i) wide.vocab.push_back("more " + std::to_string(i));
    return data::Tokenizer(wide).to_json();
  }());
  check_refused(place.run({"validate", "--ckpt_path", checkpoint, "--tokenizer", "wide"}), 2,
                {"more tokens than the model", "got 357", "at most 300"});
  // Training goes on with the same tokens or not at all.
  check_refused(place.run({"fit", "--ckpt_path", checkpoint, "--data.tokenizer", "bytes"}), 2,
                {"the training data has changed", "tokenizer"});
}

TEST_CASE("tokenize writes one file or several, which train alike") {
  Place place;
  const std::string checkpoint = trained().newest();
  const auto tokenize = [&](const Arguments& more) {
    Arguments arguments = {"tokenize", "--tokenizer", checkpoint, "--input", "text/train.txt"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return place.run(arguments);
  };
  REQUIRE(tokenize({"--output", "one/train.tokens"}).code == 0);
  REQUIRE(tokenize({"--output", "one/valid.tokens"}).code == 0);
  const CommandResult result = tokenize({"--output", "many/train", "--shard_tokens", "5000"});
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, test::contains("many/train_000001.tokens to many/train_0000"));
  REQUIRE(tokenize({"--output", "many/valid", "--shard_tokens", "7000"}).code == 0);
  CHECK_THAT(place.run({"inspect", "many/train_000002.tokens"}).out,
             test::contains("5000 tokens") && test::contains("shard 2, begins at token 5000"));
  for (const char* root : {"one", "many"})
    REQUIRE(place
                .run({"fit", "--config", "c.yaml", "--data.root", root, "--data.tokenizer",
                      checkpoint, "--trainer.name", root, "--trainer.max_steps", "4"})
                .code == 0);
  const auto weights = [&place](const std::string& name) {
    const std::string root = place.path("runs/" + name + "/version_0/checkpoints");
    return real_file_system().read_file(
        join_path(find_latest_checkpoint(root).value(), "model.safetensors"));
  };
  CHECK(weights("one") == weights("many"));

  check_refused(tokenize({"--output", "many/train", "--shard_tokens", "5000"}), 2,
                {"many/train_000001.tokens", "expected no train_*.tokens", "remove them"});
  check_refused(tokenize({"--output", "x", "--shard_tokens", "0"}), 2, {"got 0", "at least 1"});
  check_refused(tokenize({"--output", "x", "--shard_tokens", "5", "--format", "raw"}), 2,
                {"--shard_tokens", "--format raw"});
  const Arguments fit = {"fit",  "--config",         "c.yaml",  "--data.root",
                         "many", "--data.tokenizer", checkpoint};
  std::string bytes = place.read("many/train_000003.tokens");
  std::string damaged = bytes;
  damaged[700] = static_cast<char>(damaged[700] ^ 1);
  place.write("many/train_000003.tokens", damaged);
  check_refused(place.run(fit), 7, {"many/train_000003.tokens", "damaged"});
  place.write("many/train_000003.tokens", bytes);
  real_file_system().remove_file(place.path("many/train_000002.tokens"));
  check_refused(place.run(fit), 7,
                {"many/train_000003.tokens", "got shard 3", "expected shard 2", "missing"});
}

TEST_CASE("inspect knows every kind of file, and a printed configuration reads as itself") {
  Place place;
  const std::string checkpoint = trained().newest();
  REQUIRE(place
              .run({"tokenize", "--tokenizer", checkpoint, "--input", "text/valid.txt", "--output",
                    "valid.tok"})
              .code == 0);
  const std::pair<std::string, const char*> rows[] = {
      {"valid.tok", "vocabulary 300"},
      {checkpoint, "step 30"},
      {join_path(checkpoint, "model.safetensors"), "post_blocks_norm.weight"},
      {join_path(checkpoint, "tokenizer.json"), "300 tokens"}};
  for (const auto& [path, word] : rows) {
    const CommandResult result = place.run({"inspect", path});
    CHECK(result.code == 0);
    CHECK_THAT(result.out, test::contains(word));
  }
  const CommandResult printed = place.run({"fit", "--config", "c.yaml", "--print_config"});
  CHECK(printed.code == 0);
  place.write("printed.yaml", printed.out);
  CHECK(place.run({"fit", "--config", "printed.yaml", "--print_config"}).out == printed.out);
}

double difference(const Tensor& got, const Tensor& want) {
  return layers::testing::relative_error(got, want);
}

TEST_CASE("validate agrees with the official packs in logits, loss and every gradient") {
  const std::pair<const char*, const char*> rows[] = {
      {"a_small",
       "model: {arch: xlstm, vocab_size: 97, embedding_dim: 64, num_blocks: 4, slstm_at: [1], "
       "slstm_block: {slstm: {num_heads: 4}, feedforward: {proj_factor: 1.3}}}\n"},
      {"b_small",
       "model: {arch: xlstm_large, vocab_size: 101, embedding_dim: 64, num_heads: 4, num_blocks: "
       "3, chunk_size: 16}\n"}};
  std::vector<std::string> accelerators{"cpu"};
  if (cuda_device_count() > 0) accelerators.push_back("cuda");
  for (const std::string& accelerator : accelerators)
    for (const auto& [name, config] : rows) {
      Place place;
      place.write("m.yaml", config);
      const std::string pack =
          testing::data_path(std::string("tests/golden/") + name + ".safetensors");
      const Arguments command = {"validate",
                                 "--config",
                                 "m.yaml",
                                 "--ckpt_path",
                                 pack,
                                 "--tokens",
                                 pack,
                                 "--logits_out",
                                 "o.safetensors",
                                 "--grads_out",
                                 "g.safetensors",
                                 "--trainer.accelerator",
                                 accelerator};
      const CommandResult result = place.run(command);
      INFO(name << " on " << accelerator << " " << result.err);
      REQUIRE(result.code == 0);
      const SafetensorsFile want = SafetensorsFile::open(pack);
      const SafetensorsFile out = SafetensorsFile::open(place.path("o.safetensors"));
      const SafetensorsFile grads = SafetensorsFile::open(place.path("g.safetensors"));
      CHECK(difference(out.load("logits"), want.load("logits")) <= 1e-5);
      CHECK(out.load("loss").item() == Approx(want.load("loss").item()).epsilon(1e-5));
      size_t n_gradients = 0;
      for (const auto& tensor : want.tensors()) {
        if (!tensor.name.starts_with("grads.")) continue;
        ++n_gradients;
        const std::string official = tensor.name.substr(6);
        INFO(official);
        REQUIRE(grads.has(official));
        const Tensor gradient = grads.load(official);
        CHECK(gradient.shape() == tensor.shape);
        // tests/layers/golden_test.cpp says why.
        const bool cancels = accelerator == "cuda" && official.ends_with("igate_preact.bias");
        CHECK(difference(gradient, want.load(tensor.name)) <= (cancels ? 4e-4 : 1e-4));
      }
      CHECK(grads.tensors().size() == n_gradients);

      Tensor bad = want.load("tokens");
      bad.data<int64_t>()[0] = 1000;
      write_safetensors(place.path("bad.safetensors"), {{"tokens", bad}}, {});
      Arguments wrong = command;
      wrong[6] = "bad.safetensors";
      check_refused(place.run(wrong), 7, {"got 1000", "expected 0 to"});
    }
}

}  // namespace
}  // namespace xlstm
