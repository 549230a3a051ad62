#include "layers/dimensions.h"

#include <cmath>

#include "core/error.h"

namespace xlstm::layers {

int64_t projected_width(const char* key, int64_t width, double factor, int64_t multiple, bool up) {
  require<ConfigError>(std::isfinite(factor) && factor > 0 && factor <= 1024, key,
                       ".proj_factor: got ", factor, ", expected a number in (0, 1024]");
  require<ConfigError>(multiple > 0 && multiple <= int64_t{1} << 20, key,
                       ".round_proj_up_to_multiple_of: got ", multiple, ", expected 1 to 1048576");
  const double units = factor * static_cast<double>(width) / static_cast<double>(multiple);
  const auto result = static_cast<int64_t>(up ? std::ceil(units) : std::floor(units)) * multiple;
  require<ConfigError>(result > 0, key, ".proj_factor: inner width is zero, got ", factor,
                       " times ", width, " rounded down to a multiple of ", multiple,
                       ", expected at least one multiple (round up, or raise the factor)");
  return result;
}

}  // namespace xlstm::layers
