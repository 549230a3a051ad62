#include "core/comm/collective_watch.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "core/file_system.h"
#include "core/json.h"

namespace xlstm::comm {
namespace {

constexpr size_t kKept = 1024;  // two steps of a large model and a save may be on their way
constexpr int kPeerLost = 6;    // the exit code of CommError

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

}  // namespace

CollectiveWatch::CollectiveWatch(const World& world, const WatchLimits& limits)
    : world_(world), limits_(limits) {}

CollectiveWatch::~CollectiveWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void CollectiveWatch::set_folder(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  folder_ = folder;
}

void CollectiveWatch::set_probe(std::function<std::string()> probe) {
  const std::lock_guard lock(mutex_);
  probe_ = std::move(probe);
}

void CollectiveWatch::add(const CollectiveCall& call) {
  entries_.push_back({++n_started_, call, step_, now()});
  if (entries_.size() > kKept) entries_.pop_front();
}

// Of a number the counters have 32 bits; it is none that has not started yet.
uint64_t CollectiveWatch::number_in(const std::atomic<uint64_t>& counter) const {
  const uint64_t halves = counter.load();
  const auto sum = static_cast<uint32_t>((halves >> 32) + halves);
  return n_started_ - static_cast<uint32_t>(static_cast<uint32_t>(n_started_) - sum);
}

uint64_t CollectiveWatch::starts(const CollectiveCall& call) {
  const std::lock_guard lock(mutex_);
  if (recording_) {
    recorded_.push_back(call);
    return recorded_.size();
  }
  add(call);
  return n_started_;
}

uint64_t CollectiveWatch::n_started() const {
  const std::lock_guard lock(mutex_);
  return n_started_;
}

bool CollectiveWatch::is_recording() const {
  const std::lock_guard lock(mutex_);
  return recording_;
}

void CollectiveWatch::begin_recording() {
  const std::lock_guard lock(mutex_);
  recording_ = true;
  recorded_.clear();
}

std::vector<CollectiveCall> CollectiveWatch::end_recording() {
  const std::lock_guard lock(mutex_);
  recording_ = false;
  return std::move(recorded_);
}

void CollectiveWatch::replays(const std::vector<CollectiveCall>& calls) {
  const std::lock_guard lock(mutex_);
  for (const CollectiveCall& call : calls) add(call);
}

void CollectiveWatch::run() {
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
}

// Time counts from the last call that ended, or from the first that is waited for; and anew when
// this thread itself did not run for long: then the process was stopped, and it is not the others
// that are late.
void CollectiveWatch::work() {
  uint64_t ended = 0;
  double since = now(), looked = since;
  bool met = false;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    changed_.wait_for(lock, std::chrono::milliseconds(50));
    const uint64_t ended_now = number_in(counters_.load()->ended);
    const bool meets = meets_, waits = meets || ended_now < n_started_;
    const double limit = meets ? limits_.start : n_long_ > 0 ? limits_.long_call() : limits_.call;
    const bool slept = now() - looked > std::max(1.0, limit / 4);
    looked = now();
    if (ended_now != ended || !waits || slept || met == meets) {
      ended = ended_now;
      met = !meets;
      since = now();
    }
    // Under the lock: whoever takes the probe away may then close what it asks.
    std::string trouble = probe_ ? probe_() : "";
    if (trouble.empty() && now() - since > limit) {
      char text[64];
      std::snprintf(text, sizeof text, "waited %.0f s", limit);
      trouble = text;
    }
    lock.unlock();
    if (!trouble.empty()) give_up(trouble);
    lock.lock();
  }
}

std::string CollectiveWatch::record() const {
  const std::lock_guard lock(mutex_);
  const Counters& counters = *counters_.load();
  const uint64_t begun = number_in(counters.begun), ended = number_in(counters.ended);
  Json json = Json::object();
  json.set("rank", world_.rank);
  json.set("size", world_.size);
  json.set("host", host_name());
  json.set("process", static_cast<int64_t>(getpid()));
  json.set("step", step_.load());
  json.set("started", static_cast<int64_t>(n_started_));
  json.set("begun", static_cast<int64_t>(begun));
  json.set("ended", static_cast<int64_t>(ended));
  json.set("limit_s", limits_.call);
  Json calls = Json::array();
  for (const Entry& entry : entries_) {
    Json row = Json::object();
    row.set("sequence", static_cast<int64_t>(entry.sequence));
    row.set("name", entry.call.name);
    row.set("kind", entry.call.kind);
    row.set("bytes", entry.call.bytes);
    row.set("dtype", name_of(entry.call.dtype));
    row.set("step", entry.step);
    row.set("age_s", now() - entry.at);
    row.set("state", entry.sequence <= ended   ? "ended"
                     : entry.sequence <= begun ? "begun"
                                               : "waits");
    calls.push_back(std::move(row));
  }
  json.set("calls", std::move(calls));
  return to_text(json, 2);
}

void CollectiveWatch::give_up(const std::string& why) const {
  std::string folder, waiting_for = meets_ ? "the start, for all ranks to meet" : "no call";
  int64_t step = step_;
  {
    const std::lock_guard lock(mutex_);
    folder = folder_;
    const uint64_t ended = number_in(counters_.load()->ended);
    for (const Entry& entry : entries_) {
      if (entry.sequence != ended + 1) continue;
      waiting_for = entry.call.kind + " \"" + entry.call.name + "\" (number " +
                    std::to_string(entry.sequence) + ", step " + std::to_string(entry.step) + ", " +
                    std::to_string(entry.call.bytes) + " bytes)";
      step = entry.step;
    }
  }
  const std::string path = join_path(folder, "hang-rank" + std::to_string(world_.rank) + ".json");
  std::string where = "record in " + path + "; xlstm inspect hang " + folder;
  try {
    real_file_system().write_file(path, record());
  } catch (const std::exception& error) {
    where = std::string("no record: ") + error.what();
  }
  std::fprintf(
      stderr,
      "xlstm: error: rank %d of %d at step %lld: %s in %s; another rank is lost or stuck (%s)\n",
      world_.rank, world_.size, static_cast<long long>(step), why.c_str(), waiting_for.c_str(),
      where.c_str());
  std::fflush(stderr);
  // When one process ends, launchers end the others: those that give up at the same time shall have
  // left their records.
  std::this_thread::sleep_for(std::chrono::seconds(1));
  _exit(kPeerLost);
}

}  // namespace xlstm::comm
