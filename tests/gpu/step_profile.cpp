// Where the time of a training step goes on a GPU, and how much of what moves between GPUs is
// hidden behind computing. A library that the CUDA driver loads into any program of ours:
//
//   CUDA_INJECTION64_PATH=$PWD/build/cuda/tests/libxlstm_step_profile.so xlstm bench train ...
//
// It records every kernel and copy through CUPTI, also those inside graphs, and prints at the end a
// line of means over the steps, which the kernel that decides on the update (update_control)
// divides. Recording costs about a percent. XLSTM_STEP_PROFILE=N prints the N kernels that take
// most, too, and how long nothing ran before them.
#include <cupti.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

enum class Kind { computes, moves };

struct Span {
  uint64_t begin, end;  // ns
  Kind kind;
  uint32_t name;  // place in `names`
};

std::vector<Span> spans;
std::vector<std::string> names;
std::map<std::string, uint32_t, std::less<>> places;

uint32_t place_of(const char* name) {
  const auto [at, is_new] = places.try_emplace(name, static_cast<uint32_t>(names.size()));
  if (is_new) names.emplace_back(name);
  return at->second;
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

Kind kind_of(std::string_view kernel) {
  if (has(kernel, "nccl")) return Kind::moves;
  return Kind::computes;
}

void take(const CUpti_Activity* record) {
  if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
    const auto* k = reinterpret_cast<const CUpti_ActivityKernel10*>(record);
    spans.push_back({k->start, k->end, kind_of(k->name), place_of(k->name)});
  } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
    const auto* m = reinterpret_cast<const CUpti_ActivityMemcpy6*>(record);
    if (m->copyKind == CUPTI_ACTIVITY_MEMCPY_KIND_DTOD)
      spans.push_back({m->start, m->end, Kind::moves, place_of("copy within the GPU")});
  } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY2) {
    const auto* m = reinterpret_cast<const CUpti_ActivityMemcpyPtoP4*>(record);
    spans.push_back({m->start, m->end, Kind::moves, place_of("copy to another GPU")});
  } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMSET) {
    const auto* m = reinterpret_cast<const CUpti_ActivityMemset4*>(record);
    spans.push_back({m->start, m->end, Kind::computes, place_of("memset")});
  }
}

void CUPTIAPI give_buffer(uint8_t** buffer, size_t* bytes, size_t* most) {
  *bytes = size_t{8} << 20;
  *buffer = static_cast<uint8_t*>(std::aligned_alloc(8, *bytes));
  *most = 0;
}

void CUPTIAPI take_buffer(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t bytes) {
  CUpti_Activity* record = nullptr;
  while (cuptiActivityGetNextRecord(buffer, bytes, &record) == CUPTI_SUCCESS) take(record);
  std::free(buffer);
}

// The time in which at least one of the chosen spans runs, which lie in order of their beginnings.
template <class Chosen>
uint64_t busy(size_t first, size_t last, Chosen chosen) {
  uint64_t total = 0, until = 0;
  for (size_t i = first; i < last; ++i) {
    const Span& span = spans[i];
    if (!chosen(span) || span.end <= until) continue;
    total += span.end - std::max(span.begin, until);
    until = span.end;
  }
  return total;
}

void report() {
  cuptiActivityFlushAll(1);
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::vector<size_t> ends;  // of steps
  for (size_t i = 0; i < spans.size(); ++i)
    if (has(names[spans[i].name], "update_control")) ends.push_back(i);
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  constexpr size_t kWarmUp = 4;
  if (ends.size() < kWarmUp + 2) {
    std::fprintf(stderr, "step profile: too few steps, got %zu, expected at least %zu\n",
                 ends.size(), kWarmUp + 2);
    return;
  }
  const size_t first = ends[kWarmUp - 1], last = ends.back();
  const auto n = static_cast<double>(ends.size() - kWarmUp);
  const auto ms = [n](uint64_t ns) { return static_cast<double>(ns) / n / 1e6; };
  const double step = ms(spans[last].begin - spans[first].begin);
  const double computing =
      ms(busy(first, last, [](const Span& s) { return s.kind == Kind::computes; }));
  const double moving = ms(busy(first, last, [](const Span& s) { return s.kind == Kind::moves; }));
  const double either = ms(busy(first, last, [](const Span&) { return true; }));
  std::fprintf(
      stderr,
      "step profile, rank %s, mean of %.0f steps: %.2f ms; computing %.2f, moving %.2f, of "
      "which %.2f (%.0f %%) beside computing; neither %.2f\n",
      rank != nullptr ? rank : "0", n, step, computing, moving, computing + moving - either,
      moving > 0 ? 100 * (computing + moving - either) / moving : 0, step - either);
  const char* asked = std::getenv("XLSTM_STEP_PROFILE");
  const long n_lines = asked != nullptr ? std::strtol(asked, nullptr, 10) : 0;
  struct Sum {
    uint64_t time = 0, calls = 0, idle = 0;
  };
  std::vector<Sum> sums(names.size());
  uint64_t until = spans[first].begin;
  for (size_t i = first; i < last; ++i) {
    const Span& span = spans[i];
    Sum& sum = sums[span.name];
    sum.time += span.end - span.begin;
    ++sum.calls;
    if (span.begin > until) sum.idle += span.begin - until;
    until = std::max(until, span.end);
  }
  std::vector<size_t> order;
  for (size_t i = 0; i < sums.size(); ++i) order.push_back(i);
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return sums[a].time > sums[b].time; });
  for (size_t i = 0; i < order.size() && static_cast<long>(i) < n_lines; ++i)
    std::fprintf(stderr, "%10.3f ms, %.3f idle before, %7.1f calls  %.100s\n",
                 ms(sums[order[i]].time), ms(sums[order[i]].idle),
                 static_cast<double>(sums[order[i]].calls) / n, names[order[i]].c_str());
}

}  // namespace

// The driver calls it before the program's first use of CUDA.
extern "C" int InitializeInjection() {
  cuptiActivityRegisterCallbacks(give_buffer, take_buffer);
  for (const CUpti_ActivityKind kind :
       {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY,
        CUPTI_ACTIVITY_KIND_MEMCPY2, CUPTI_ACTIVITY_KIND_MEMSET})
    cuptiActivityEnable(kind);
  std::atexit(report);
  return 1;
}
