// What the CPU entry points of this folder share: the checks of this backend, the workspace as one
// slot per thread, heads spread over the threads.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "kernels/common/entry.h"
#include "kernels/mlstm/mlstm.h"
#include "kernels/mlstm/mlstm_scratch.h"

namespace xlstm::kernels::mlstm {

// The shared check, then what this backend asks besides.
template <auto kCheck, class Args>
xlstm_status check_on_cpu(const Args* args) {
  if (const xlstm_status status = kCheck(args); status != XLSTM_OK) return status;
  if (args->config.gate_dtype != args->config.dtype) return XLSTM_BAD_DTYPE;
  return args->config.variant == 0 ? XLSTM_OK : XLSTM_BAD_VALUE;
}

// Bytes of a slot: one Layout(Scratch&, config). At least one slot is needed unless there is
// nothing to do.
template <class Layout>
int64_t slot_bytes(const xlstm_mlstm_config& c) {
  if (c.B * c.H == 0) return 0;
  Scratch count(nullptr);
  Layout layout(count, c);
  return count.bytes();
}

// How many slots a call asks for: one for each head, until every thread has one.
inline int64_t slots_wanted(const xlstm_mlstm_config& c) {
  return std::min<int64_t>(c.B * c.H, omp_get_max_threads());
}

// How many of them it uses, and so how many threads: one for little work, some 10 us, where waking
// the others costs more. The gates of a step take as long as about 1024 products.
inline int64_t threads_wanted(const xlstm_mlstm_config& c) {
  const double per_step = static_cast<double>(c.K) * static_cast<double>(c.V) + 1024;
  const double work = static_cast<double>(c.B * c.H) * static_cast<double>(c.T) * per_step;
  return work < 128 * 1024 ? 1 : slots_wanted(c);
}

// head(index, layout) for each of the B H heads, on as many threads as there are slots.
template <class Layout, class Head>
void for_each_head(const xlstm_mlstm_config& c, xlstm_exec exec, Head head) {
  const int64_t slot = slot_bytes<Layout>(c);
  if (slot == 0) return;
  const int64_t slots = std::min(threads_wanted(c), exec.workspace_bytes / slot);
#pragma omp parallel num_threads(static_cast <int>(slots)) if (slots > 1)
  {
    Scratch scratch(static_cast<char*>(exec.workspace) + omp_get_thread_num() * slot);
    Layout layout(scratch, c);
#pragma omp for schedule(dynamic, 1)
    for (int64_t index = 0; index < c.B * c.H; ++index) head(index, layout);
  }
}

}  // namespace xlstm::kernels::mlstm
