// The groups of the op table. A new group adds one declaration and one line to the list.
#pragma once

#include <initializer_list>
#include <vector>

#include "core/op_info.h"

namespace xlstm {

// Declarations, one a line: std::vector<OpInfo> <group>_rows();

// clang-format off
inline constexpr std::initializer_list<std::vector<OpInfo> (*)()> kOpGroups = {
};
// clang-format on

}  // namespace xlstm
