#include "kernels/slstm/slstm_cluster_fwd.cuh"

namespace xlstm::kernels {
template SlstmGroupFragments slstm_cluster_fwd_fragments<bf16>(int64_t, const ClusterPlan&);
template bool slstm_cluster_fwd_resident<bf16>(int64_t, int64_t, const ClusterPlan&);
template xlstm_status slstm_cluster_fwd_launch<bf16>(const ClusterForwardArgs&, cudaStream_t);
}  // namespace xlstm::kernels
