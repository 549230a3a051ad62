// A block owns some rows of the state of one head and walks the chunks of its sequence, or of a
// segment of it; the state never leaves the registers. Two or three warpgroups: one makes the
// weighted scores, one or two keep the state and put out. README.md says who waits for whom.
#pragma once

#include "kernels/mlstm/mlstm_sweep_scores.cuh"
#include "kernels/mlstm/mlstm_sweep_state.cuh"

namespace xlstm::kernels::mlstm {
namespace {

// Empty where the architecture has no such instructions; never launched there (device_is_hopper).
template <class T, Output kOutput, int kGroups, int kPanels, Columns kColumns>
__global__ void __launch_bounds__((1 + kGroups) * kGroup,
                                  Shape<kOutput, kGroups, kPanels, kColumns>::kBlocks)
    sweep_kernel([[maybe_unused]] const __grid_constant__ SweepArgs args) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  using Block = SweepBlock<T, kOutput, kGroups, kPanels, kColumns>;
  unsigned char* base = dynamic_shared();
  const uint32_t gap = (1024 - shared_address(base) % 1024) % 1024;
  Block block(args, *reinterpret_cast<typename Block::Shared*>(base + gap));
  let_next_begin();
  block.init_barriers();
  __syncthreads();
  const int group = static_cast<int>(threadIdx.x) / kGroup;
  if (group == 0) {
    if constexpr (Block::kMoves) leave_registers<Block::kScoreRegisters>();
    SweepScores<T, kOutput, kGroups, kPanels, kColumns>(block).run();
  } else {
    if constexpr (Block::kMoves) take_registers<Block::kStateRegisters>();
    SweepState<T, kOutput, kGroups, kPanels, kColumns>(block).run(group - 1);
  }
  if (args.beside && threadIdx.x == 0) wait_for_previous();
#endif
}

template <class T, Output kOutput, int kGroups, int kPanels, Columns kColumns = Columns::kAll>
xlstm_status launch_sweep(const SweepArgs& args, int64_t slices, xlstm_exec exec) {
  using S = Shape<kOutput, kGroups, kPanels, kColumns>;
  const int64_t segments = args.states_only ? args.segments - 1 : args.segments;
  return launch(sweep_kernel<T, kOutput, kGroups, kPanels, kColumns>,
                args.heads * segments * slices, S::kThreads, S::kSharedBytes, exec, args,
                args.beside);
}

}  // namespace

template <class T, Output kOutput>
xlstm_status sweep(const SweepArgs& args, xlstm_exec exec) {
  const SweepPlan plan = args.plan();
  const int64_t n = plan.slices;
  const bool one = plan.warpgroups == 1;
  if (plan.split)
    return args.n_passes > 1  ? launch_sweep<T, kOutput, 2, 4, Columns::kPass>(args, n, exec)
           : plan.panels == 3 ? launch_sweep<T, kOutput, 2, 3, Columns::kHalves>(args, n, exec)
                              : launch_sweep<T, kOutput, 2, 4, Columns::kHalves>(args, n, exec);
  if (plan.panels == 4) return launch_sweep<T, kOutput, 2, 4>(args, n, exec);
  if (plan.panels == 2)
    return one ? launch_sweep<T, kOutput, 1, 2>(args, n, exec)
               : launch_sweep<T, kOutput, 2, 2>(args, n, exec);
  return one ? launch_sweep<T, kOutput, 1, 1>(args, n, exec)
             : launch_sweep<T, kOutput, 2, 1>(args, n, exec);
}

}  // namespace xlstm::kernels::mlstm
