// Sizes that layers inherit from their model or derive from its width.
#pragma once

#include <cstdint>

namespace xlstm::layers {

// Where a layer stands in its model, and what it inherits from the model's configuration.
struct BlockPlace {
  int64_t embedding_dim = 0;
  int64_t block_index = 0;
  int64_t num_blocks = 1;
  bool bias = false;
  double dropout = 0;
};

// factor * width in units of `multiple`, rounded up or down. ConfigError (naming `key`) if the
// result is not a sensible size.
int64_t projected_width(const char* key, int64_t width, double factor, int64_t multiple, bool up);

}  // namespace xlstm::layers
