// The recurrent form on the CPU, called by the forward. Internal to this folder.
#pragma once

#include "kernels/mlstm/mlstm.h"

namespace xlstm::kernels::mlstm {

int64_t recurrent_workspace(const xlstm_mlstm_config& c);
xlstm_status recurrent_forward(const xlstm_mlstm_fwd_args& args, xlstm_exec exec);

}  // namespace xlstm::kernels::mlstm
