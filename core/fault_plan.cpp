#include "core/fault_plan.h"

#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "core/comm/world.h"
#include "core/error.h"
#include "core/excerpt.h"

namespace xlstm {
namespace {

// What a kind takes: the keys that say when, and those that say what.
struct KindInfo {
  const char* name;
  FaultKind kind;
  const char *when, *keys;
};
constexpr KindInfo kKinds[] = {
    {"kill", FaultKind::kill, "step or call", "rank, step, call"},
    {"stop", FaultKind::stop, "step or call", "rank, step, call"},
    {"exit", FaultKind::exit, "step or call", "rank, step, call, code"},
    {"throw", FaultKind::throws, "step or call", "rank, step, call"},
    {"slow", FaultKind::slow, "step or call", "rank, step, call, seconds"},
    {"nan", FaultKind::nan, "step", "rank, step, of, element"},
    {"skip_call", FaultKind::skip_call, "call", "rank, call"},
    {"other_size", FaultKind::other_size, "call", "rank, call"},
    {"file", FaultKind::file, "call", "rank, call, error"},
};
constexpr int64_t kMost = int64_t{1} << 50;

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// The part before `separator`, which is taken off `rest` with it.
std::string_view next(std::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return trimmed(part);
}

bool lists(std::string_view names, std::string_view name) {
  while (!names.empty())
    if (next(names, ',') == name) return true;
  return false;
}

const KindInfo& kind_of(std::string_view name) {
  for (const KindInfo& info : kKinds)
    if (name == info.name) return info;
  throw_error<ConfigError>("XLSTM_FAULT: kind of fault, got ", excerpt(name),
                           ", expected kill, stop, exit, throw, slow, nan, skip_call, other_size "
                           "or file (docs/errors.md)");
}

template <class T>
T number(std::string_view key, std::string_view text, T least, T most) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require<ConfigError>(
      error == std::errc() && end == text.data() + text.size() && value >= least && value <= most,
      "XLSTM_FAULT: ", key, ", got ", excerpt(text), ", expected a number from ", least, " to ",
      most);
  return value;
}

// Which of `names` it is.
size_t choice(std::string_view key, std::string_view text, std::string_view names) {
  size_t i = 0;
  for (std::string_view rest = names; !rest.empty(); ++i)
    if (next(rest, ',') == text) return i;
  throw_error<ConfigError>("XLSTM_FAULT: ", key, ", got ", excerpt(text), ", expected one of ",
                           names);
}

void set(PlannedFault& fault, std::string_view key, std::string_view value) {
  if (key == "rank") fault.rank = number<int64_t>(key, value, 0, 1 << 20);
  if (key == "step") fault.step = number<int64_t>(key, value, 1, kMost);
  if (key == "call") fault.call = number<int64_t>(key, value, 1, kMost);
  if (key == "code") fault.code = number<int64_t>(key, value, 0, 255);
  if (key == "seconds") fault.seconds = number<double>(key, value, 0, 86400);
  if (key == "element") fault.element = number<int64_t>(key, value, 0, kMost);
  if (key == "of") fault.in_loss = choice(key, value, "loss, gradient") == 0;
  if (key == "error") {
    constexpr Fault kFaults[] = {Fault::no_space, Fault::io_error, Fault::kill};
    fault.error = kFaults[choice(key, value, "full, io, kill")];
  }
}

PlannedFault parse_fault(std::string_view text) {
  std::string_view rest = text;
  const KindInfo& info = kind_of(next(rest, '@'));
  PlannedFault fault{.kind = info.kind};
  std::string seen;
  while (!rest.empty()) {
    std::string_view value = next(rest, ',');
    const std::string_view key = next(value, '=');
    require<ConfigError>(lists(info.keys, key), "XLSTM_FAULT: key of ", info.name, ", got ",
                         excerpt(key), ", expected one of ", info.keys);
    require<ConfigError>(!lists(seen, key), "XLSTM_FAULT: ", key, " of ", info.name,
                         ", got it twice, expected it once");
    (seen += key) += ',';
    set(fault, key, trimmed(value));
  }
  require<ConfigError>((fault.step > 0) != (fault.call > 0), "XLSTM_FAULT: when to ", info.name,
                       ", got ", excerpt(text), ", expected ", info.when);
  return fault;
}

void sleep_for(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

// What any process can do to itself.
void strike(const PlannedFault& fault, const char* where, int64_t number) {
  if (fault.kind == FaultKind::kill) std::raise(SIGKILL);
  if (fault.kind == FaultKind::stop) std::raise(SIGSTOP);
  if (fault.kind == FaultKind::exit) _exit(static_cast<int>(fault.code));
  if (fault.kind == FaultKind::slow) sleep_for(fault.seconds);
  if (fault.kind == FaultKind::throws)
    throw Error(detail::concat("XLSTM_FAULT: thrown before ", where, " ", number));
}

}  // namespace

std::vector<PlannedFault> parse_faults(std::string_view text) {
  std::vector<PlannedFault> faults;
  bool has_file = false;
  while (!text.empty()) {
    faults.push_back(parse_fault(next(text, ';')));
    const bool is_file = faults.back().kind == FaultKind::file;
    require<ConfigError>(!(is_file && has_file),
                         "XLSTM_FAULT: faults of kind file, got several, expected one");
    has_file = has_file || is_file;
  }
  return faults;
}

FaultPlan::FaultPlan(const std::vector<PlannedFault>& faults, int64_t rank) {
  for (const PlannedFault& fault : faults)
    if (fault.rank < 0 || fault.rank == rank) faults_.push_back(fault);
}

FaultPlan* FaultPlan::of_environment() {
  static const std::unique_ptr<FaultPlan> plan = [] {
    const char* text = std::getenv("XLSTM_FAULT");
    return text == nullptr ? nullptr
                           : std::make_unique<FaultPlan>(parse_faults(text),
                                                         comm::world_from_environment().rank);
  }();
  return plan.get();
}

void FaultPlan::before_step(int64_t step) const {
  for (const PlannedFault& fault : faults_)
    if (fault.step == step) strike(fault, "step", step);
}

FaultPlan::CallFault FaultPlan::before_call() {
  ++n_calls_;
  CallFault result = CallFault::none;
  for (const PlannedFault& fault : faults_) {
    if (fault.call != n_calls_ || fault.kind == FaultKind::file) continue;
    strike(fault, "collective call", n_calls_);
    if (fault.kind == FaultKind::skip_call) result = CallFault::skip;
    if (fault.kind == FaultKind::other_size) result = CallFault::other_size;
  }
  return result;
}

std::vector<PlannedFault> FaultPlan::nans() const {
  std::vector<PlannedFault> found;
  for (const PlannedFault& fault : faults_)
    if (fault.kind == FaultKind::nan) found.push_back(fault);
  return found;
}

void FaultPlan::require_element(int64_t element, int64_t n_elements) {
  require<ConfigError>(element < n_elements, "XLSTM_FAULT: element, got ", element,
                       ", expected less than ", n_elements);
}

bool FaultPlan::loss_is_nan(int64_t step) const {
  for (const PlannedFault& fault : faults_)
    if (fault.kind == FaultKind::nan && fault.step == step && fault.in_loss) return true;
  return false;
}

std::vector<int64_t> FaultPlan::nan_gradients(int64_t step) const {
  std::vector<int64_t> places;
  for (const PlannedFault& fault : faults_)
    if (fault.kind == FaultKind::nan && fault.step == step && !fault.in_loss)
      places.push_back(fault.element);
  return places;
}

FileSystem& FaultPlan::files(FileSystem& inner) {
  for (const PlannedFault& fault : faults_) {
    if (fault.kind != FaultKind::file) continue;
    if (files_ == nullptr) {
      files_ = std::make_unique<FaultyFileSystem>(inner);
      files_->fail_at(fault.call - 1, fault.error);
    }
    return *files_;
  }
  return inner;
}

}  // namespace xlstm
