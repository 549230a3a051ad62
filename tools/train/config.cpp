#include "tools/train/config.h"

#include <algorithm>

namespace xlstm::train {

int64_t Interval::steps(int64_t steps_per_epoch, int64_t accumulate) const {
  const double steps = is_fraction ? value * static_cast<double>(steps_per_epoch)
                                   : value / static_cast<double>(accumulate);
  return std::max<int64_t>(static_cast<int64_t>(steps), 1);
}

}  // namespace xlstm::train
