// What the next steps read, prepared by a thread of its own while the running step computes.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace xlstm::train {

// A ring of places that are filled ahead of use, step after step. What is in a place depends on the
// step alone, so a run has the same bits at every depth.
class StepPrefetch {
 public:
  // Writes the data of a step into a place (0 .. n_places - 1). Called by the thread, never twice
  // at a time; must only read what stays as it is.
  using Fill = std::function<void(int64_t step, size_t place)>;

  // Up to `depth` steps wait, besides `n_leases` that are in use at a time. Depth 0: no thread,
  // places are filled when they are asked for. The thread starts at the first `take`.
  StepPrefetch(int64_t depth, int64_t n_leases, Fill fill);
  ~StepPrefetch();  // after all leases; waits for the place that is being filled
  StepPrefetch(const StepPrefetch&) = delete;
  StepPrefetch& operator=(const StepPrefetch&) = delete;

  size_t n_places() const { return places_.size(); }

  // A filled place, its holder's until it is dropped.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept { *this = std::move(other); }
    Lease& operator=(Lease&& other) noexcept {
      std::swap(from_, other.from_);
      std::swap(place_, other.place_);
      return *this;
    }
    ~Lease() {
      if (from_ != nullptr) from_->give_back(place_);
    }
    size_t place() const { return place_; }

   private:
    friend class StepPrefetch;
    Lease(StepPrefetch* from, size_t place) : from_(from), place_(place) {}
    StepPrefetch* from_ = nullptr;
    size_t place_ = 0;
  };

  // The place of `step`; waits for it. Steps come in order; any other step (after a resume) begins
  // anew there. What the fill of this step threw, it throws; asked again, it tries again.
  Lease take(int64_t step);

 private:
  enum class Phase { free, filling, ready, taken };
  struct Place {
    Phase phase = Phase::free;
    int64_t step = -1;
    std::exception_ptr error;
  };
  void start();
  void work();
  void give_back(size_t place);
  Place* find(Phase phase);
  Place* place_of(int64_t step);  // filling or ready

  Fill fill_;
  int64_t depth_;
  std::vector<Place> places_;
  int64_t next_ = -1;  // to be filled; -1: none yet
  int64_t oldest_wanted_ = 0, n_restarts_ = 0;
  bool stops_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread thread_;
};

}  // namespace xlstm::train
