// The groups of oracles, as core/ops/op_rows.h lists the groups of ops.
#pragma once

#include <initializer_list>

#include "tests/oracles/oracles.h"

namespace xlstm::oracles {

// Declarations, one a line: OracleRows <group>_oracles();
OracleRows activation_oracles();
OracleRows elementwise_oracles();
OracleRows matmul_oracles();
OracleRows mlstm_oracles();
OracleRows reduce_oracles();
OracleRows view_oracles();
OracleRows causal_conv1d_oracles();
OracleRows headwise_linear_oracles();
OracleRows slstm_oracles();
OracleRows norm_oracles();
OracleRows embedding_oracles();
OracleRows cross_entropy_oracles();
OracleRows dropout_oracles();
OracleRows adamw_oracles();
OracleRows sampling_oracles();
OracleRows carry_oracles();

// clang-format off
inline constexpr std::initializer_list<OracleRows (*)()> kOracleGroups = {
    activation_oracles,
    elementwise_oracles,
    matmul_oracles,
    mlstm_oracles,
    reduce_oracles,
    view_oracles,
    causal_conv1d_oracles,
    headwise_linear_oracles,
    slstm_oracles,
    norm_oracles,
    embedding_oracles,
    cross_entropy_oracles,
    dropout_oracles,
    adamw_oracles,
    sampling_oracles,
    carry_oracles,
};
// clang-format on

}  // namespace xlstm::oracles
