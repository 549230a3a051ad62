// The main function of every test program. Its exit status: 0 all passed, 1 something failed, 77
// every case was skipped.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "tests/skip.h"

namespace {

constexpr int kAllSkipped = 77;

struct Record {
  std::string name;            // of the case that runs
  bool is_skipped = false;     // it says so
  std::set<std::string> told;  // what was printed about it
  int n_cases = 0, n_skipped = 0;
  uint64_t checksum = 0xcbf29ce484222325;  // FNV-1a
  bool has_bits = false;

  void begin(const std::string& case_name) {
    name = case_name;
    is_skipped = false;
    told.clear();
  }
  void end(bool has_checks) {
    ++n_cases;
    if (is_skipped && !has_checks) ++n_skipped;
  }
  void tell(const std::string& line) {
    if (told.insert(line).second) std::printf("%s: %s\n", line.c_str(), name.c_str());
    std::fflush(stdout);
  }
};

Record& record() {
  static Record all;
  return all;
}

#if __has_include(<catch2/catch_all.hpp>)
struct Watcher : Catch::EventListenerBase {
  using EventListenerBase::EventListenerBase;
  void testCaseStarting(const Catch::TestCaseInfo& info) override { record().begin(info.name); }
  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    record().end(stats.totals.assertions.total() > 0);
  }
};
CATCH_REGISTER_LISTENER(Watcher)
#else
// For a listener, Catch2 2 puts every passed assertion into words, which takes longer than the
// tests do.
struct Watcher : Catch::ConsoleReporter {
  using ConsoleReporter::ConsoleReporter;
  void testCaseStarting(const Catch::TestCaseInfo& info) override {
    record().begin(info.name);
    ConsoleReporter::testCaseStarting(info);
  }
  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    record().end(stats.totals.assertions.total() > 0);
    ConsoleReporter::testCaseEnded(stats);
  }
};
CATCH_REGISTER_REPORTER("watched", Watcher)
#endif

}  // namespace

namespace xlstm::test {

void skipped(const std::string& reason) {
  record().is_skipped = true;
  record().tell("skipped: " + reason);
}

void skipped_part(const std::string& what, const std::string& reason) {
  record().tell("skipped in part: " + what + ": " + reason);
}

int n_repeats() {
  const char* asked = std::getenv("XLSTM_TEST_REPEATS");
  const int n = asked == nullptr ? 100 : std::atoi(asked);
  return n < 2 ? 2 : n;
}

bool small_run() {
  const char* asked = std::getenv("XLSTM_TEST_SMALL");
  return asked != nullptr && std::string(asked) == "1";
}

void note_bits(const void* data, size_t n_bytes) {
  Record& r = record();
  r.has_bits = true;
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < n_bytes; ++i) r.checksum = (r.checksum ^ bytes[i]) * 0x100000001b3;
}

}  // namespace xlstm::test

int main(int argc, char** argv) {
  Catch::Session session;
#if !__has_include(<catch2/catch_all.hpp>)
  session.configData().reporterName = "watched";
#endif
  const int status = session.run(argc, argv);
  const Record& r = record();
  if (r.has_bits)
    std::printf("checksum of bits: %016llx\n", static_cast<unsigned long long>(r.checksum));
  if (status != 0) return r.n_cases > 0 ? 1 : status;  // without cases: what Catch2 says
  return r.n_cases > 0 && r.n_skipped == r.n_cases ? kAllSkipped : 0;
}
