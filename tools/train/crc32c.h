// CRC-32C (Castagnoli), the check sum of TensorBoard's event files.
#pragma once

#include <cstdint>
#include <string_view>

namespace xlstm::train {

uint32_t crc32c(std::string_view bytes);

// As it stands in files: rotated and shifted, so that a check sum over bytes that hold check sums
// is still a good one.
uint32_t masked_crc32c(std::string_view bytes);

}  // namespace xlstm::train
