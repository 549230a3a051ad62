#include "tools/train/step_prefetch.h"

#include <algorithm>
#include <system_error>

#include "core/error.h"
#include "core/log.h"
#include "core/memory_owner.h"

namespace xlstm::train {

StepPrefetch::StepPrefetch(int64_t depth, int64_t n_leases, Fill fill)
    : fill_(std::move(fill)), depth_(depth), places_(static_cast<size_t>(depth + n_leases)) {}

StepPrefetch::~StepPrefetch() {
  {
    std::lock_guard lock(mutex_);
    stops_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

StepPrefetch::Place* StepPrefetch::find(Phase phase) {
  const auto found = std::find_if(places_.begin(), places_.end(),
                                  [phase](const Place& p) { return p.phase == phase; });
  return found == places_.end() ? nullptr : &*found;
}

StepPrefetch::Place* StepPrefetch::place_of(int64_t step) {
  const auto found = std::find_if(places_.begin(), places_.end(), [step](const Place& p) {
    return p.step == step && (p.phase == Phase::filling || p.phase == Phase::ready);
  });
  return found == places_.end() ? nullptr : &*found;
}

void StepPrefetch::start() {
  try {
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error& error) {
    log_warning("batches are not prepared ahead, no thread could be started: ", error.what());
    depth_ = 0;
  }
}

StepPrefetch::Lease StepPrefetch::take(int64_t step) {
  if (depth_ > 0 && !thread_.joinable()) start();
  std::unique_lock lock(mutex_);
  if (depth_ == 0) {
    Place* place = find(Phase::free);
    require<Error>(place != nullptr, "prefetch: more places in use than were asked for");
    const auto index = static_cast<size_t>(place - places_.data());
    fill_(step, index);
    place->phase = Phase::taken;
    return {this, index};
  }
  const bool anew = place_of(step) == nullptr && next_ != step;
  if (anew) {
    next_ = step;
    ++n_restarts_;
  }
  oldest_wanted_ = step;
  for (Place& place : places_)
    if (place.phase == Phase::ready && (anew || place.step < step)) place = {};
  changed_.notify_all();
  Place* place = nullptr;
  changed_.wait(lock, [&] {
    place = place_of(step);
    return place != nullptr && place->phase == Phase::ready;
  });
  if (place->error != nullptr) {
    const std::exception_ptr error = std::exchange(*place, {}).error;
    changed_.notify_all();
    std::rethrow_exception(error);
  }
  place->phase = Phase::taken;
  changed_.notify_all();
  return {this, static_cast<size_t>(place - places_.data())};
}

void StepPrefetch::give_back(size_t place) {
  {
    std::lock_guard lock(mutex_);
    places_[place] = {};
  }
  changed_.notify_all();
}

void StepPrefetch::work() {
  const auto scope = MemoryScope::op("data prefetch");
  std::unique_lock lock(mutex_);
  const auto may_go_on = [this] {
    const auto n_ready = std::count_if(places_.begin(), places_.end(),
                                       [](const Place& p) { return p.phase == Phase::ready; });
    return next_ >= 0 && n_ready < depth_ && find(Phase::free) != nullptr;
  };
  for (;;) {
    changed_.wait(lock, [&] { return stops_ || may_go_on(); });
    if (stops_) return;
    Place* place = find(Phase::free);
    const int64_t step = next_++, restarts = n_restarts_;
    place->phase = Phase::filling;
    place->step = step;
    lock.unlock();
    std::exception_ptr error;
    try {
      fill_(step, static_cast<size_t>(place - places_.data()));
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    place->phase = Phase::ready;
    place->error = error;
    // Another step was taken meanwhile, and nobody will ask for this one.
    if (restarts != n_restarts_ || step < oldest_wanted_) *place = {};
    changed_.notify_all();
  }
}

}  // namespace xlstm::train
