#include "kernels/mlstm/mlstm_sweep.cuh"

namespace xlstm::kernels::mlstm {

template xlstm_status sweep<bf16, Output::kDk>(const SweepArgs&, xlstm_exec);
template xlstm_status sweep<f16, Output::kDk>(const SweepArgs&, xlstm_exec);

}  // namespace xlstm::kernels::mlstm
