// Whether kernels of Hopper (sm_90a) can run. Internal to the kernels.
#pragma once

namespace xlstm::kernels {

// This build has them, and the current device their instructions. False without an error if not.
bool device_is_hopper();

}  // namespace xlstm::kernels
