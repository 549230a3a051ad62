#include "tests/oracles/oracles.h"

#include "tests/oracles/oracle_rows.h"

namespace xlstm::oracles {

Oracle find_oracle(const std::string& op) {
  for (const auto rows : kOracleGroups)
    for (const auto& [name, oracle] : rows())
      if (name == op) return oracle;
  return nullptr;
}

}  // namespace xlstm::oracles
