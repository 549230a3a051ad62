#include "tools/train/run_logs.h"

#include <cmath>
#include <limits>

#include "core/fault.h"
#include "core/log.h"
#include "tests/catch.h"
#include "tests/tools/event_reader.h"
#include "tests/tools/tiny_run.h"

namespace xlstm::train {
namespace {

// RFC 4180, one character after the other.
std::vector<std::vector<std::string>> parse_csv(const std::string& text) {
  std::vector<std::vector<std::string>> table(1, std::vector<std::string>(1));
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    std::string& field = table.back().back();
    if (quoted) {
      if (c != '"')
        field += c;
      else if (i + 1 < text.size() && text[i + 1] == '"')
        field += text[++i];
      else
        quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',') {
      table.back().emplace_back();
    } else if (c == '\n') {
      table.emplace_back(1);
    } else {
      field += c;
    }
  }
  table.pop_back();  // after the last line break
  return table;
}

std::vector<std::string> column(const std::string& path, const std::string& name) {
  const auto table = parse_csv(real_file_system().read_file(path));
  const auto found = std::find(table[0].begin(), table[0].end(), name);
  REQUIRE(found != table[0].end());
  const auto index = static_cast<size_t>(found - table[0].begin());
  std::vector<std::string> out;
  for (size_t i = 1; i < table.size(); ++i) {
    CHECK(table[i].size() == table[0].size());
    out.push_back(table[i].at(index));
  }
  return out;
}

Json row(int64_t step, double loss) {
  Json out = Json::object();
  out.set("split", "train");
  out.set("step", step);
  out.set("loss", loss);
  return out;
}

std::vector<std::string> silenced(const std::function<void()>& work) {
  std::vector<std::string> messages;
  const LogSink before =
      set_log_sink([&](LogLevel, const std::string& message) { messages.push_back(message); });
  try {
    work();
  } catch (...) {
    set_log_sink(before);
    throw;
  }
  set_log_sink(before);
  return messages;
}

const SteadyClock kClock;

RunLogs open_logs(const std::string& folder, int64_t last_step,
                  const std::vector<std::string>& loggers, FileSystem& files = real_file_system()) {
  Json description = Json::object();
  description.set("name", "test");
  return RunLogs(folder, last_step, loggers, description, files, kClock);
}

TEST_CASE("fields of a table are quoted where they must be") {
  CHECK(csv_field("plain text") == "plain text");
  CHECK(csv_field("") == "");
  CHECK(csv_field("a,b") == "\"a,b\"");
  CHECK(csv_field("say \"a\"\r\nb") == "\"say \"\"a\"\"\r\nb\"");
}

TEST_CASE("metrics.csv has a line for every row, empty where a row says nothing") {
  const TemporaryDir dir;
  {
    RunLogs logs = open_logs(dir.path(), 0, {"csv"});
    logs.append(row(1, 2.5));
    Json sample = Json::object();
    sample.set("split", "sample");
    sample.set("step", 1);
    sample.set("text", "a \"b\",\nc\r");
    logs.append(sample);
    Json odd = row(2, std::numeric_limits<double>::infinity());
    odd.set("a new, odd key", 7);
    logs.append(odd);
    logs.append(row(3, 1));
  }
  const std::string path = dir.path("metrics.csv");
  CHECK(column(path, "step") == std::vector<std::string>{"1", "1", "2", "3"});
  CHECK(column(path, "loss") == std::vector<std::string>{"2.5", "", "", "1.0"});
  CHECK(column(path, "text") == std::vector<std::string>{"", "a \"b\",\nc\r", "", ""});
  CHECK(column(path, "a new, odd key") == std::vector<std::string>{"", "", "7", ""});
}

TEST_CASE("a resumed run drops later rows and adds columns to what is there") {
  const TemporaryDir dir;
  {
    RunLogs logs = open_logs(dir.path(), 0, {"csv"});
    for (int64_t step = 1; step <= 5; ++step) {
      Json with_more = row(step, 1);
      with_more.set("of_another_version", step);
      logs.append(with_more);
    }
  }
  {
    RunLogs logs = open_logs(dir.path(), 3, {"csv"});
    logs.append(row(4, 2));
  }
  CHECK(column(dir.path("metrics.csv"), "loss") ==
        std::vector<std::string>{"1.0", "1.0", "1.0", "2.0"});
  CHECK(column(dir.path("metrics.csv"), "of_another_version") ==
        std::vector<std::string>{"1", "2", "3", ""});
  // A run that had no table gets a whole one.
  real_file_system().remove_file(dir.path("metrics.csv"));
  { RunLogs logs = open_logs(dir.path(), 4, {"csv"}); }
  CHECK(column(dir.path("metrics.csv"), "step").size() == 4);
}

TEST_CASE("a line that a full disk cut short hides no other") {
  const TemporaryDir dir;
  real_file_system().write_file(dir.path("metrics.jsonl"),
                                "{\"step\":1}\n{\"step\":\n\n[1]\n{\"step\":2}\n{\"st");
  const auto rows = MetricsLog::read(dir.path("metrics.jsonl"), real_file_system());
  REQUIRE(rows.size() == 2);
  CHECK(rows[1].find("step")->as_int() == 2);
  // /dev/full takes nothing.
  const auto messages = silenced([] {
    AppendFile file("/dev/full");
    for (int i = 0; i < 3; ++i) file.append("a line");
  });
  REQUIRE(messages.size() == 1);
  CHECK_THAT(messages[0], test::contains("/dev/full"));
}

TEST_CASE("whatever call fails, the logs of a run go on") {
  for (int64_t n = 0;; ++n) {
    const TemporaryDir dir;
    FaultyFileSystem files(real_file_system());
    files.fail_at(n, Fault::no_space);
    silenced([&] {
      RunLogs logs = open_logs(dir.path(), 0, {"csv", "tensorboard"}, files);
      logs.append(row(1, 1));
      Json odd = row(2, 1);
      odd.set("new", 1);
      logs.append(odd);
      logs.update({});
      logs.append(row(3, 1));
      logs.finish({});
    });
    if (!files.fired()) break;
    REQUIRE(n < 400);
    CHECK(MetricsLog::read(dir.path("metrics.jsonl"), real_file_system()).size() == 3);
  }
  CHECK_NOTHROW(silenced([] {
    RunLogs logs = open_logs("/nowhere/at/all", 0, {"csv", "tensorboard"});
    logs.append(row(1, 1));
    logs.finish({});
  }));
}

TEST_CASE("a run writes what trainer.logger asks for, each with every row") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  trainer.fit();
  const std::string folder = trainer.run_folder();
  const FileSystem& files = real_file_system();
  const auto rows = MetricsLog::read(join_path(folder, "metrics.jsonl"), files);
  CHECK(column(join_path(folder, "metrics.csv"), "step").size() == rows.size());
  EventFolder events;
  for (const std::string& name : files.list(folder))
    if (name.starts_with("events.out.tfevents."))
      events.add_file(files.read_file(join_path(folder, name)));
  for (const Json& r : rows)
    if (*r.find("split") == Json("train"))
      CHECK(events.scalars.at("train_loss").at(r.find("step")->as_int()) ==
            static_cast<float>(r.find("loss")->as_double()));
  CHECK(events.scalars.at("train_loss").size() == 12);
  CHECK(events.scalars.at("val_perplexity").size() == 4);
  CHECK(events.texts.at("sample_0/text_summary").size() == 4);
  const Json record = parse_json(files.read_file(join_path(folder, "run.json")), "run.json");
  CHECK(*record.find("state") == Json("finished"));
  CHECK(*record.find("model")->find("layer_map") == Json("ms"));
  CHECK(files.exists(join_path(folder, "report.html")));

  TinyRun quiet;
  quiet.config.trainer.logger.clear();
  quiet.config.trainer.max_steps = 1;
  Trainer silent(quiet.config, quiet.services());
  silent.fit();
  for (const std::string& name : files.list(silent.run_folder())) {
    CHECK_FALSE(name.starts_with("events."));
    CHECK(name != "metrics.csv");
  }
  CHECK(files.exists(join_path(silent.run_folder(), "metrics.jsonl")));
}

TEST_CASE("a run goes on to its end where none of its logs can be written") {
  TinyRun run;
  run.config.trainer.max_steps = 3;
  std::string folder;
  {
    Trainer first(run.config, run.services());
    folder = first.fit().run_folder;
  }
  // Folders in the place of files stop even root from writing them.
  FileSystem& files = real_file_system();
  for (const char* name : {"metrics.jsonl", "metrics.csv", "run.json", "report.html", "loss.svg"}) {
    files.remove_file(join_path(folder, name));
    files.make_dirs(join_path(folder, name));
  }
  run.config.trainer.max_steps = 6;
  Trainer second(run.config, run.services());
  second.resume("last");
  const auto messages = silenced([&] { CHECK(second.fit().steps == 6); });
  CHECK(messages.size() == 6);  // metrics.jsonl when it is read, and when it is written
  for (const std::string& message : messages) CHECK_THAT(message, test::contains(folder));
}

TEST_CASE("a run that fails says so in its record") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  trainer.step();
  trainer.model().parameters().back().data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_AS(trainer.fit(), NonFiniteError);
  const std::string path = join_path(trainer.run_folder(), "run.json");
  const Json record = parse_json(real_file_system().read_file(path), path);
  CHECK(*record.find("state") == Json("failed"));
  CHECK_FALSE(record.find("detail")->as_string().empty());
}

TEST_CASE("memory and parameters of the record are those of the model") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  trainer.step();
  const Json about = describe_run(trainer.config(), "folder", trainer.model(), kCpu);
  int64_t parameters = 0;
  for (const Json& group : about.find("model")->find("groups")->as_array())
    parameters += group.find("parameters")->as_int();
  CHECK(parameters == trainer.model().n_parameters());
  const auto& groups = about.find("model")->find("groups")->as_array();
  CHECK(*groups.at(0).find("kind") == Json("mLSTM"));
  CHECK(*groups.at(1).find("kind") == Json("sLSTM"));
}

}  // namespace
}  // namespace xlstm::train
