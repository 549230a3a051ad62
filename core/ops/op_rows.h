// The groups of the op table. A new group adds one declaration and one line to the list.
#pragma once

#include <initializer_list>
#include <vector>

#include "core/op_info.h"

namespace xlstm {

// Declarations, one a line: std::vector<OpInfo> <group>_rows();
std::vector<OpInfo> activation_rows();
std::vector<OpInfo> elementwise_rows();
std::vector<OpInfo> matmul_rows();
std::vector<OpInfo> mlstm_rows();
std::vector<OpInfo> mlstm_gated_rows();
std::vector<OpInfo> reduce_rows();
std::vector<OpInfo> view_rows();
std::vector<OpInfo> causal_conv1d_rows();
std::vector<OpInfo> headwise_linear_rows();
std::vector<OpInfo> slstm_rows();
std::vector<OpInfo> slstm_decode_rows();
std::vector<OpInfo> norm_rows();
std::vector<OpInfo> norm_gated_rows();
std::vector<OpInfo> embedding_rows();
std::vector<OpInfo> cross_entropy_rows();
std::vector<OpInfo> linear_cross_entropy_rows();
std::vector<OpInfo> dropout_rows();
std::vector<OpInfo> adamw_rows();
std::vector<OpInfo> sampling_rows();
std::vector<OpInfo> carry_rows();

// clang-format off
inline constexpr std::initializer_list<std::vector<OpInfo> (*)()> kOpGroups = {
    activation_rows,
    elementwise_rows,
    matmul_rows,
    mlstm_rows,
    mlstm_gated_rows,
    reduce_rows,
    view_rows,
    causal_conv1d_rows,
    headwise_linear_rows,
    slstm_rows,
    slstm_decode_rows,
    norm_rows,
    norm_gated_rows,
    embedding_rows,
    cross_entropy_rows,
    linear_cross_entropy_rows,
    dropout_rows,
    adamw_rows,
    sampling_rows,
    carry_rows,
};
// clang-format on

}  // namespace xlstm
