#include "tools/train/tensorboard_log.h"

#include "core/fault.h"
#include "core/log.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"
#include "tests/tools/event_reader.h"
#include "tools/train/crc32c.h"
#include "tools/train/event_encoding.h"

namespace xlstm::train {
namespace {

struct HandClock : Clock {
  double now = 100;
  double seconds() const override { return now; }
};

Json row(const char* split, int64_t step, double loss) {
  Json out = Json::object();
  out.set("split", split);
  out.set("step", step);
  out.set("epoch", 0);
  out.set("loss", loss);
  return out;
}

Json sample(int64_t step, const char* text) {
  Json out = Json::object();
  out.set("split", "sample");
  out.set("step", step);
  out.set("text", text);
  return out;
}

Json config() {
  return parse_json(R"({"a": {"lr": 0.5, "n": 3, "on": true, "name": "x", "list": [1, 2]}})", "");
}

EventFolder read_folder(const std::string& folder) {
  EventFolder read;
  for (const std::string& name : real_file_system().list(folder))
    read.add_file(real_file_system().read_file(join_path(folder, name)));
  return read;
}

std::vector<std::string> silenced(const std::function<void()>& work) {
  std::vector<std::string> messages;
  const LogSink before =
      set_log_sink([&](LogLevel, const std::string& message) { messages.push_back(message); });
  work();
  set_log_sink(before);
  return messages;
}

TEST_CASE("check sums are those of RFC 3720, and the plain definition's") {
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xe3069283u);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aau);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43u);
  std::string ascending, descending;
  for (int i = 0; i < 32; ++i) {
    ascending += static_cast<char>(i);
    descending += static_cast<char>(31 - i);
  }
  CHECK(crc32c(ascending) == 0x46dd794eu);
  CHECK(crc32c(descending) == 0x113fdb5cu);
  CHECK(masked_crc32c("123456789") == ((0xe3069283u >> 15 | 0xe3069283u << 17) + 0xa282ead8u));
  CHECK(slow_crc32c(ascending) == crc32c(ascending));
}

TEST_CASE("a record is a length, its check sum, the event, and its check sum") {
  const std::string record = frame_record("abc");
  CHECK(record.size() == 8 + 4 + 3 + 4);
  CHECK(record.substr(0, 8) == std::string("\3\0\0\0\0\0\0\0", 8));
  CHECK(record.substr(12, 3) == "abc");
  CHECK(read_records(record + frame_record("")) == std::vector<std::string>{"abc", ""});
  std::string damaged = record;
  damaged[13] = 'x';
  CHECK_THROWS(read_records(damaged));
  CHECK_THROWS(read_records(record.substr(0, 14)));
}

TEST_CASE("an event has the bytes that protocol buffers give it") {
  // 09 double, 10 varint, 2a length: fields 1, 2 and 5 of an event; 0a, 15: fields 1 and 2.
  CHECK(scalar_event({1.0, 300}, {{"a", 2.0}}) ==
        std::string("\x09\0\0\0\0\0\0\xf0\x3f\x10\xac\x02\x2a\x0a\x0a\x08\x0a\x01"
                    "a\x15\0\0\0\x40",
                    24));
}

TEST_CASE("rows read back as scalars and texts under the tags that people look for") {
  const TemporaryDir dir;
  const HandClock clock;
  {
    TensorBoardLog log(dir.path(), 0, config(), real_file_system(), clock);
    log.append(row("train", 1, 3.5));
    log.append(row("valid", 1, 3.25));
    log.append(sample(1, "Once\nupon <b>"));
    log.append(sample(1, ""));
    Json skipped = Json::object();
    skipped.set("split", "skipped");
    skipped.set("step", 2);
    skipped.set("reason", "NaN");
    log.append(skipped);
    Json lost = row("train", 3, 0);
    lost.set("loss", Json());  // was not finite
    log.append(lost);
    log.finish(3, 3.25, "finished");
  }
  const EventFolder read = read_folder(dir.path());
  CHECK(read.scalars.at("train_loss") == std::map<int64_t, float>{{1, 3.5f}});
  CHECK(read.scalars.at("val_loss") == std::map<int64_t, float>{{1, 3.25f}});
  CHECK(read.scalars.at("epoch") == std::map<int64_t, float>{{1, 0.f}, {3, 0.f}});
  CHECK(read.scalars.at("hp_metric") == std::map<int64_t, float>{{3, 3.25f}});
  CHECK(read.scalars.size() == 4);
  CHECK(read.texts.at("sample_0/text_summary").at(1) == "Once\nupon <b>");
  CHECK(read.texts.at("sample_1/text_summary").at(1).empty());
  CHECK(read.texts.at("skipped_step/text_summary").at(2) == "NaN");
  const MessageReader end(read.hparams.at("_hparams_/session_end_info"));
  CHECK(MessageReader(end.at({4})).find(1)->value == 1);
}

TEST_CASE("the configuration becomes hparams, flat and with types") {
  CHECK(to_text(flatten(config())) ==
        R"({"a.lr":0.5,"a.n":3,"a.on":true,"a.name":"x","a.list":[1,2]})");
  const TemporaryDir dir;
  const HandClock clock;
  { TensorBoardLog log(dir.path(), 0, config(), real_file_system(), clock); }
  const EventFolder read = read_folder(dir.path());
  const MessageReader start(read.hparams.at("_hparams_/session_start_info"));
  std::map<std::string, int> kinds;
  for (const Field& entry : MessageReader(start.at({3})).fields)
    if (entry.number == 1) {
      const MessageReader pair(entry.text);
      kinds[std::string(pair.at({1}))] = MessageReader(pair.at({2})).fields.at(0).number;
    }
  CHECK(kinds == std::map<std::string, int>{
                     {"a.lr", 2}, {"a.n", 2}, {"a.on", 4}, {"a.name", 3}, {"a.list", 3}});
}

TEST_CASE("a resumed session has a file that is read later and replaces the steps after it") {
  const TemporaryDir dir;
  const HandClock clock;
  for (int session = 0; session < 3; ++session) {
    TensorBoardLog log(dir.path(), 2 * session, config(), real_file_system(), clock);
    for (int64_t step = 2 * session + 1; step <= 2 * session + 4; ++step)
      log.append(row("train", step, 10.0 * session));
  }
  CHECK(real_file_system().list(dir.path()).size() == 3);
  const EventFolder read = read_folder(dir.path());
  CHECK(read.scalars.at("train_loss") ==
        std::map<int64_t, float>{
            {1, 0}, {2, 0}, {3, 10}, {4, 10}, {5, 20}, {6, 20}, {7, 20}, {8, 20}});
}

TEST_CASE("rows reach the file within seconds, and are whole records") {
  const TemporaryDir dir;
  HandClock clock;
  TensorBoardLog log(dir.path(), 0, config(), real_file_system(), clock);
  log.append(row("train", 1, 1));
  CHECK(read_folder(dir.path()).scalars.empty());
  clock.now += 6;
  log.append(row("train", 2, 1));
  CHECK(read_folder(dir.path()).scalars.at("train_loss").size() == 2);
}

TEST_CASE("whatever call fails, rows are lost and not the run, and what is left can be read") {
  for (const Fault fault : {Fault::no_space, Fault::io_error}) {
    for (int64_t n = 0;; ++n) {
      const TemporaryDir dir;
      FaultyFileSystem files(real_file_system());
      const HandClock clock;
      files.fail_at(n, fault);
      const auto messages = silenced([&] {
        TensorBoardLog log(dir.path(), 0, config(), files, clock);
        for (int64_t step = 1; step <= 4; ++step) {
          log.append(row("train", step, 1));
          log.flush();
        }
        log.finish(4, 1, "finished");
      });
      if (!files.fired()) break;
      CHECK(n < 100);
      CHECK(messages.size() == 1);
      size_t rows = 0;
      EventFolder read;
      for (const std::string& name : real_file_system().list(dir.path())) {
        // The last record of a file may be cut short; a reader stops there.
        std::string bytes = real_file_system().read_file(dir.path(name));
        while (!bytes.empty()) {
          try {
            read_records(bytes);
            break;
          } catch (const std::runtime_error&) {
            bytes.pop_back();
          }
        }
        if (!bytes.empty()) read.add_file(bytes);
      }
      if (const auto found = read.scalars.find("train_loss"); found != read.scalars.end())
        rows = found->second.size();
      CHECK(rows >= 3);
      CHECK(read.hparams.size() >= 2);
    }
  }
}

TEST_CASE("a folder that is gone costs one message") {
  const HandClock clock;
  const auto messages = silenced([&] {
    TensorBoardLog log("/nowhere/at/all", 0, config(), real_file_system(), clock);
    for (int64_t step = 1; step <= 3; ++step) {
      log.append(row("train", step, 1));
      log.flush();
    }
  });
  CHECK(messages.size() == 1);
}

}  // namespace
}  // namespace xlstm::train
