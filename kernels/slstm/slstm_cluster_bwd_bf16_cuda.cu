#include "kernels/slstm/slstm_bwd_launch.cuh"

namespace xlstm::kernels {
template SlstmGroupFragments slstm_cluster_bwd_fragments<bf16>(int64_t, const ClusterPlan&);
template bool slstm_cluster_bwd_resident<bf16>(int64_t, int64_t, const ClusterPlan&);
template xlstm_status slstm_cluster_bwd_launch<bf16>(const ClusterBackwardArgs&, cudaStream_t);
}  // namespace xlstm::kernels
