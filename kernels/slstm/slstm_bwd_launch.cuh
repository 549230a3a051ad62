// Which backward kernel of Hopper has which heads.
#pragma once

#include "kernels/slstm/slstm_block_bwd.cuh"
#include "kernels/slstm/slstm_cluster_bwd.cuh"

namespace xlstm::kernels {
namespace {

// block(shape) or cluster(shape) with the shape for this head and number of rows.
template <class T, int kRows, class Block, class Cluster>
auto with_backward_shape(int64_t D, Block block, Cluster cluster) {
  if (D <= 32) return block(BlockBackwardShape<T, kRows, 8>{});
  if (D <= 64) return block(BlockBackwardShape<T, kRows, 16>{});
  if (D <= 128) return block(BlockBackwardShape<T, kRows, 32>{});
  if (D <= 192) return cluster(ClusterBackwardShape<T, kRows, 2, 2, 12, 192, 4>{});
  if (D <= 256) return cluster(ClusterBackwardShape<T, kRows, 2, 2, 16, 256, 4>{});
  if (D <= 384) return cluster(ClusterBackwardShape<T, kRows, 2, 2, 12, 384, 8>{});
  if (D <= 512) return cluster(ClusterBackwardShape<T, kRows, 4, 4, 8, 256, 16>{});
  // Shared memory holds no more rows beside R.
  return cluster(ClusterBackwardShape<T, 4, 4, 2, 12, 384, 16>{});
}
template <class T, class Block, class Cluster>
auto with_backward_shape(int64_t D, const ClusterPlan& plan, Block block, Cluster cluster) {
  return plan.rows == 4 ? with_backward_shape<T, 4>(D, block, cluster)
                        : with_backward_shape<T, 8>(D, block, cluster);
}

}  // namespace

template <class T>
SlstmGroupFragments slstm_cluster_bwd_fragments(int64_t D, const ClusterPlan& plan) {
  return with_backward_shape<T>(
      D, plan,
      [&](auto shape) {
        return SlstmGroupFragments{(plan.groups + 1) / 2, decltype(shape)::kSteps};
      },
      [&](auto shape) {
        using S = decltype(shape);
        return SlstmGroupFragments{
            int64_t{S::warps(plan)} * S::kTilesM,
            int64_t{plan.blocks - 1} * plan.groups_per_block * 2 + S::kSteps};
      });
}

template <class T>
bool slstm_cluster_bwd_resident(int64_t H, int64_t D, const ClusterPlan& plan) {
  return with_backward_shape<T>(
      D, plan,
      [&](auto shape) {
        using S = decltype(shape);
        return slstm_cluster_is_resident(plan, block_backward<S>, H, S::warps(plan.groups) * 32,
                                         S::bytes(plan.groups));
      },
      [&](auto shape) {
        using S = decltype(shape);
        return slstm_cluster_is_resident(plan, cluster_backward<S>, H, S::warps(plan) * 32,
                                         S::bytes(plan));
      });
}

template <class T>
xlstm_status slstm_cluster_bwd_launch(const ClusterBackwardArgs& args, cudaStream_t stream) {
  const ClusterPlan& plan = args.plan;
  return with_backward_shape<T>(
      args.a.D, plan,
      [&](auto shape) {
        using S = decltype(shape);
        return slstm_launch_cluster(plan, block_backward<S>, args.a.H, S::warps(plan.groups) * 32,
                                    S::bytes(plan.groups), stream, args);
      },
      [&](auto shape) {
        using S = decltype(shape);
        return slstm_launch_cluster(plan, cluster_backward<S>, args.a.H, S::warps(plan) * 32,
                                    S::bytes(plan), stream, args);
      });
}

}  // namespace xlstm::kernels
