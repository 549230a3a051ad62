// What keeps a job from hanging for ever: a record of the last collective calls, and a thread that
// ends the process when one takes too long.
//
// A rank that died or stopped leaves the others inside a call that never ends and cannot be
// cancelled safely. So the thread writes what it knows to <folder>/hang-rank<r>.json, says so on
// standard error, and ends the process with exit code 6 without any clean-up; the launcher then
// ends the others. `xlstm inspect hang FOLDER` reads the records of all ranks (hang_report.h).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/comm/world.h"
#include "core/dtype.h"

namespace xlstm::comm {

// Seconds.
struct WatchLimits {
  double start = 300;  // until all ranks have met
  double call = 600;   // until a call that was started has ended, the work before it included
  double long_call() const { return 6 * call; }
};

struct CollectiveCall {
  std::string name;  // what for: "gradients 3"
  std::string kind;  // "reduce_scatter"
  int64_t bytes = 0;
  DType dtype = DType::f32;
};

class CollectiveWatch {
 public:
  CollectiveWatch(const World& world, const WatchLimits& limits);
  ~CollectiveWatch();
  CollectiveWatch(const CollectiveWatch&) = delete;
  CollectiveWatch& operator=(const CollectiveWatch&) = delete;

  const WatchLimits& limits() const { return limits_; }
  // Where a record goes, "." at first, and the step that it names.
  void set_folder(const std::string& folder);
  void set_step(int64_t step) { step_ = step; }

  // A call is about to start. Returns its number; they count from 1.
  uint64_t starts(const CollectiveCall& call);
  uint64_t n_started() const;
  // While a CUDA graph is recorded, calls are collected, and numbered from 1 by themselves;
  // `replays` then stands for one start of each (Communicator::replays).
  void begin_recording();
  bool is_recording() const;
  std::vector<CollectiveCall> end_recording();
  void replays(const std::vector<CollectiveCall>& calls);

  // The number of the last call that has begun, and that has ended, written by who runs them as the
  // sum of two halves of 32 bits. A call outside of graphs writes whole(number). One of a graph
  // knows only its number in the recording, which it writes to the low half; before each replay
  // both are whole(number of the calls before).
  struct Counters {
    std::atomic<uint64_t> begun{0}, ended{0};
  };
  static uint64_t whole(uint64_t number) { return number << 32; }
  Counters& counters() { return *counters_; }
  void use_counters(Counters* of_device) { counters_ = of_device; }
  // What the library itself reports, asked from the thread: empty if all is well.
  void set_probe(std::function<std::string()> probe);

  // Starts the thread; before, nothing is watched.
  void run();
  // While alive, the ranks have yet to meet: limits().start holds, without any call.
  class Start {
   public:
    explicit Start(CollectiveWatch& watch) : watch_(watch) {
      watch_.meets_ = true;
      watch_.run();
    }
    ~Start() { watch_.meets_ = false; }
    Start(const Start&) = delete;
    Start& operator=(const Start&) = delete;

   private:
    CollectiveWatch& watch_;
  };
  // While alive, calls may take long_call(): for work of one rank that the others wait for, such as
  // tokenising a corpus or writing a checkpoint.
  class LongCall {
   public:
    explicit LongCall(CollectiveWatch& watch) : watch_(watch) { ++watch_.n_long_; }
    ~LongCall() { --watch_.n_long_; }
    LongCall(const LongCall&) = delete;
    LongCall& operator=(const LongCall&) = delete;

   private:
    CollectiveWatch& watch_;
  };

  // The record as JSON text.
  std::string record() const;
  // Writes it and ends the process. why: "waited 60 s".
  [[noreturn]] void give_up(const std::string& why) const;

 private:
  struct Entry {
    uint64_t sequence;
    CollectiveCall call;
    int64_t step;
    double at;
  };
  void work();
  void add(const CollectiveCall& call);
  uint64_t number_in(const std::atomic<uint64_t>& counter) const;

  World world_;
  WatchLimits limits_;
  Counters own_;
  std::atomic<Counters*> counters_{&own_};
  std::atomic<int64_t> step_{0};
  std::atomic<int> n_long_{0};
  std::atomic<bool> meets_{false};

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false, recording_ = false;
  std::string folder_ = ".";
  std::function<std::string()> probe_;
  uint64_t n_started_ = 0;
  std::deque<Entry> entries_;  // the newest kKept
  std::vector<CollectiveCall> recorded_;
  std::thread thread_;
};

}  // namespace xlstm::comm
