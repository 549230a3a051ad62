// Which sizes the kernels for Hopper take, and how they cut a launch.
#include "kernels/common/hopper_device.h"
#include "kernels/slstm/slstm_cluster.cuh"

namespace xlstm::kernels {
namespace {

constexpr int64_t kMostUnits = 768;

// Blocks of a cluster: the fewest that hold R, which weighs 8 D^2 bytes, in registers, and from 512
// on in shared memory too.
int blocks_of(int64_t D) {
  return D <= 128 ? 1 : D <= 256 ? 4 : D <= 384 ? 8 : 16;
}
// Groups of a block: as many as its kernel's products have steps for, so that the last blocks may
// have fewer or none.
int groups_of(int64_t D) {
  if (D <= 128) return static_cast<int>(D / kGroupUnits);
  return D <= 192 ? 6 : D <= 256 ? 8 : D <= 384 ? 6 : D <= 512 ? 4 : 6;
}
// How many of them run at once on a card of 132 processors.
int64_t at_once(int blocks) {
  return blocks == 1 ? 132 : blocks == 4 ? 30 : blocks == 8 ? 15 : 6;
}

// 4 rows where that many clusters run at once, for a step is then shorter; else 8, which does more
// in one. kFewRows: shared memory holds no more.
ClusterPlan make_plan(int64_t B, int64_t H, int64_t D, bool few_rows) {
  ClusterPlan plan{};
  plan.blocks = blocks_of(D);
  plan.groups = static_cast<int>(D / kGroupUnits);
  plan.groups_per_block = groups_of(D);
  plan.used_blocks = static_cast<int>(ceil_div(plan.groups, plan.groups_per_block));
  plan.rows = few_rows || ceil_div(B, 4) * H <= at_once(plan.blocks) ? 4 : 8;
  plan.tiles = ceil_div(B, plan.rows);
  return plan;
}
ClusterPlan plan_of(const xlstm_slstm_fwd_args& a) {
  return make_plan(a.B, a.H, a.D, false);
}
ClusterPlan plan_of(const xlstm_slstm_bwd_args& a) {
  return make_plan(a.B, a.H, a.D, a.D > 512);
}

template <class Args>
bool takes(const Args& a) {
  return a.dtype != XLSTM_F32 && a.D >= kGroupUnits && a.D <= kMostUnits &&
         a.D % kGroupUnits == 0 && a.T < int64_t{1} << 30 && a.B < int64_t{1} << 24 &&
         a.H < int64_t{1} << 24 && plan_of(a).grid(a.H) < int64_t{1} << 31 && device_is_hopper();
}

// body(element) with the type.
template <class Body>
auto with_type(xlstm_dtype dtype, Body body) {
  return dtype == XLSTM_BF16 ? body(Element<bf16>()) : body(Element<f16>());
}

}  // namespace

bool slstm_cluster_fwd_fits(const xlstm_slstm_fwd_args& a) {
  if (!takes(a) ||
      !is_packed<bf16>(a.wx, a.wx_stride_b | a.wx_stride_t | a.wx_stride_g | a.wx_stride_h) ||
      !is_packed<bf16>(a.h, a.h_stride_b | a.h_stride_t | a.h_stride_h))
    return false;
  return with_type(a.dtype, [&](auto element) {
    return slstm_cluster_fwd_resident<typename decltype(element)::type>(a.H, a.D, plan_of(a));
  });
}
bool slstm_cluster_bwd_fits(const xlstm_slstm_bwd_args& a) {
  if (!takes(a) ||
      (a.dh != nullptr && !is_packed<bf16>(a.dh, a.dh_stride_b | a.dh_stride_t | a.dh_stride_h)) ||
      (a.dwx != nullptr &&
       !is_packed<bf16>(a.dwx, a.dwx_stride_b | a.dwx_stride_t | a.dwx_stride_g | a.dwx_stride_h)))
    return false;
  return with_type(a.dtype, [&](auto element) {
    return slstm_cluster_bwd_resident<typename decltype(element)::type>(a.H, a.D, plan_of(a));
  });
}

int64_t slstm_cluster_fwd_workspace(const xlstm_slstm_fwd_args& a) {
  return with_type(a.dtype, [&](auto element) {
    return slstm_round(
        slstm_cluster_fwd_fragments<typename decltype(element)::type>(a.D, plan_of(a))
            .bytes(a.H, false),
        256);
  });
}
int64_t slstm_cluster_bwd_workspace(const xlstm_slstm_bwd_args& a) {
  return with_type(a.dtype, [&](auto element) {
    return slstm_round(
        slstm_cluster_bwd_fragments<typename decltype(element)::type>(a.D, plan_of(a))
            .bytes(a.H, true),
        256);
  });
}

xlstm_status slstm_cluster_fwd(const xlstm_slstm_fwd_args& a, void* workspace,
                               cudaStream_t stream) {
  return with_type(a.dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    const ClusterPlan plan = plan_of(a);
    const xlstm_status status =
        slstm_pack_groups(a.R, a.weight_dtype, a.dtype, a.H, a.D,
                          slstm_cluster_fwd_fragments<T>(a.D, plan), false, workspace, stream);
    if (status != XLSTM_OK) return status;
    return slstm_cluster_fwd_launch<T>(
        {a, plan, static_cast<const uint4*>(workspace), slstm_clip_of(a.forward_clip)}, stream);
  });
}
xlstm_status slstm_cluster_bwd(const xlstm_slstm_bwd_args& a, void* workspace,
                               cudaStream_t stream) {
  return with_type(a.dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    const ClusterPlan plan = plan_of(a);
    if (!a.recurrent_cut) {
      const xlstm_status status =
          slstm_pack_groups(a.R, a.weight_dtype, a.dtype, a.H, a.D,
                            slstm_cluster_bwd_fragments<T>(a.D, plan), true, workspace, stream);
      if (status != XLSTM_OK) return status;
    }
    return slstm_cluster_bwd_launch<T>(
        {a, plan, static_cast<const uint4*>(workspace), slstm_clip_of(a.recurrent_clip)}, stream);
  });
}

}  // namespace xlstm::kernels
