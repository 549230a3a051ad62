#include "core/comm/hang_report.h"

#include "core/comm/collective_watch.h"
#include "core/error.h"
#include "core/json.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"

using namespace xlstm;
using namespace xlstm::comm;

namespace {

// Records of three ranks after five calls each, and then what `then` says.
struct Records {
  TemporaryDir dir;
  void add(int rank, int n_ended, const std::string& name, int64_t bytes) const {
    CollectiveWatch watch({.rank = rank, .size = 3}, {});
    for (int i = 0; i < n_ended; ++i) {
      const uint64_t number =
          watch.starts({"gradients " + std::to_string(i), "reduce_scatter", 100, DType::f32});
      watch.counters().begun = watch.counters().ended = CollectiveWatch::whole(number);
    }
    watch.set_step(7);
    const uint64_t number = watch.starts({name, "all_gather", bytes, DType::bf16});
    watch.counters().begun = CollectiveWatch::whole(number);
    real_file_system().write_file(dir.path("hang-rank" + std::to_string(rank) + ".json"),
                                  watch.record());
  }
  std::string report() const { return hang_report(dir.path()); }
};

}  // namespace

TEST_CASE("a rank without a record is the one that was waited for") {
  Records records;
  records.add(0, 5, "weights", 64);
  records.add(2, 4, "weights", 64);  // waits for the same rank, one call before
  const std::string report = records.report();
  INFO(report);
  CHECK_THAT(report, test::contains("rank 1 left no record"));
  CHECK_THAT(
      report,
      test::contains("step 7: ended call 5, then waited in all_gather \"weights\" of 64 bytes"));
  CHECK_THAT(report, !test::contains("is behind"));
}

TEST_CASE("a rank that is behind") {
  Records records;
  records.add(0, 5, "weights", 64);
  records.add(1, 3, "weights", 64);
  records.add(2, 5, "weights", 64);
  CHECK_THAT(records.report(), test::contains("rank 1 is behind: it ended 3 calls, others 5"));
}

TEST_CASE("a rank that makes another call, or one of another size") {
  for (const bool size : {false, true}) {
    Records records;
    records.add(0, 5, "weights", 64);
    records.add(1, 5, "weights", 64);
    records.add(2, 5, size ? "weights" : "loss", size ? 32 : 64);
    CHECK_THAT(records.report(), test::contains("rank 2 made another call than the others"));
  }
}

TEST_CASE("all in one call") {
  Records records;
  for (int rank : {0, 1, 2}) records.add(rank, 5, "weights", 64);
  CHECK_THAT(records.report(), test::contains("every rank waited in the same call"));
}

TEST_CASE("no record, and damaged ones") {
  const TemporaryDir dir;
  CHECK_THROWS_AS(hang_report(dir.path()), FileError);
  CHECK_THROWS_AS(hang_report(dir.path("nowhere")), FileError);
  for (const char* text : {"", "{", "[]", "{\"rank\": 0}", "{\"rank\": 5, \"size\": 2}"}) {
    real_file_system().write_file(dir.path("hang-rank0.json"), text);
    CHECK_THROWS_AS(hang_report(dir.path()), FormatError);
  }
}

TEST_CASE("the record of a watch keeps the last calls and numbers those of replayed graphs") {
  CollectiveWatch watch({}, {});
  watch.begin_recording();
  watch.starts({"a", "all_reduce", 8, DType::f32});
  watch.starts({"b", "all_reduce", 8, DType::f32});
  const auto calls = watch.end_recording();
  CHECK(calls.size() == 2);
  for (int i = 0; i < 600; ++i) watch.replays(calls);
  const std::string record = watch.record();
  CHECK_THAT(record, test::contains("\"started\": 1200"));
  CHECK_THAT(record, test::contains("\"sequence\": 1200"));
  CHECK_THAT(record, !test::contains("\"sequence\": 176,"));
  CHECK_THAT(record, test::contains("\"sequence\": 177,"));
}

TEST_CASE("a call of a replayed graph is known by the number before and its place in the graph") {
  CollectiveWatch watch({}, {});
  watch.begin_recording();
  CHECK(watch.is_recording());
  CHECK(watch.starts({"a", "all_reduce", 8, DType::f32}) == 1);
  CHECK(watch.starts({"b", "all_reduce", 8, DType::f32}) == 2);
  const auto calls = watch.end_recording();
  CHECK_FALSE(watch.is_recording());
  CHECK(watch.starts({"outside", "all_reduce", 8, DType::f32}) == 1);
  const auto numbers = [&] {
    const Json record = parse_json(watch.record(), "record");
    return std::pair{record.find("begun")->as_int(), record.find("ended")->as_int()};
  };
  CHECK(numbers() == std::pair<int64_t, int64_t>{0, 0});
  for (int i = 0; i < 3; ++i) {
    const uint64_t before = watch.n_started();
    watch.replays(calls);
    watch.counters().begun = watch.counters().ended = CollectiveWatch::whole(before);
    CHECK(numbers() == std::pair<int64_t, int64_t>{1 + 2 * i, 1 + 2 * i});
    watch.counters().begun |= 2;
    watch.counters().ended |= 1;
    CHECK(numbers() == std::pair<int64_t, int64_t>{3 + 2 * i, 2 + 2 * i});
  }
  CHECK_THAT(watch.record(), test::contains("\"state\": \"begun\""));
}

TEST_CASE("numbers of a record that nobody could mean make no long report and no overflow") {
  const TemporaryDir dir;
  const auto write = [&](const std::string& size, const std::string& ended) {
    real_file_system().write_file(
        dir.path("hang-rank0.json"),
        "{\"rank\":0,\"size\":" + size + ",\"step\":1,\"host\":\"n\",\"ended\":" + ended +
            ",\"calls\":[{\"sequence\":1,\"name\":\"a\",\"kind\":\"b\",\"bytes\":0,\"step\":1,"
            "\"age_s\":0}]}");
  };
  write("9000000000000000000", "0");
  CHECK_THROWS_AS(hang_report(dir.path()), FormatError);
  write("1048576", "9223372036854775807");
  const std::string report = hang_report(dir.path());
  CHECK(report.size() < 4000);
  CHECK_THAT(report, test::contains("and so did 1048559 other ranks"));
}
