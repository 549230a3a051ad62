// Chosen by CMake in a build without CUDA. No tensor can be on a CUDA device here, so of the
// functions below only those are ever reached that do not say so.
#include "core/cuda/graph.h"
#include "core/cuda/host_copies.h"
#include "core/cuda/measure.h"
#include "core/cuda/runtime.h"
#include "core/error.h"

namespace xlstm {

int32_t cuda_device_count() {
  return 0;
}

namespace cuda {
namespace {

[[noreturn]] void absent() {
  throw_error<DeviceError>(
      "cuda: this build has no CUDA backend (configure with -DXLSTM_CUDA=ON, or use the cpu)");
}

}  // namespace

void* allocate(int64_t, Device) {
  absent();
}
void free(void*, Device) noexcept {}
DeviceMemory memory_of(Device) {
  absent();
}
void make_current(Device) {
  absent();
}
void* stream(Device) {
  absent();
}
void* cublaslt(Device) {
  absent();
}
void copy(void*, Device, const void*, Device, int64_t) {
  absent();
}
void set_zero(void*, Device, int64_t) {
  absent();
}
void copy_elements(const Shape&, const Elements&, const Elements&, Device) {
  absent();
}
void fill_elements(const Shape&, const Elements&, double, Device) {
  absent();
}
void synchronize(Device) {
  absent();
}
std::string take_error() {
  return "";
}
bool waits_after_each_call() {
  return false;
}
xlstm_status settled(xlstm_status status, Device) {
  return status;
}
void multiply(const Product&, Device) {
  absent();
}

Graph::Graph(Device, const std::function<void()>&, Memory) {
  absent();
}
Graph::~Graph() = default;
void Graph::launch() {
  absent();
}
PinnedMemory::PinnedMemory(int64_t) {
  absent();
}
PinnedMemory::~PinnedMemory() = default;
PinnedRange::PinnedRange(void*, int64_t) {
  absent();
}
PinnedRange::~PinnedRange() = default;
Event::Event(Device) {
  absent();
}
Event::~Event() = default;
void Event::record() {
  absent();
}
void Event::wait() const {
  absent();
}
HostCopies::HostCopies(Device) {
  absent();
}
HostCopies::~HostCopies() = default;
void HostCopies::follow() {
  absent();
}
void HostCopies::copy(void*, const void*, int64_t) {
  absent();
}
void HostCopies::end() {
  absent();
}
void HostCopies::tell(uint64_t*, uint64_t) {
  absent();
}
void HostCopies::wait() const {
  absent();
}
void HostCopies::hold() const {
  absent();
}
Stopwatch::Stopwatch(Device) {
  absent();
}
Stopwatch::~Stopwatch() = default;
void Stopwatch::start() {
  absent();
}
void Stopwatch::stop() {
  absent();
}
double Stopwatch::milliseconds() const {
  absent();
}
DeviceFacts facts_of(Device) {
  absent();
}
void copy_to_device(void*, const void*, int64_t, Device) {
  absent();
}
void copy_to_host(void*, const void*, int64_t, Device) {
  absent();
}

}  // namespace cuda
}  // namespace xlstm
