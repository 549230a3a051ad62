// Raw tables of Unicode, made by make_unicode_tables.py. What to ask is in unicode_classes.h and
// nfc.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace xlstm::data {

// The code points from `first` to the next run's have this value.
struct CodeRun {
  uint32_t first;
  uint8_t value;
};

// A canonical decomposition, one step of it.
struct Decomposition {
  uint32_t code, first, second;  // `second` 0: there is only one part
  bool composes;                 // NFC puts the two parts together again
};

extern const CodeRun kCategoryRuns[];  // general categories (Category of unicode_classes.h)
extern const size_t kCategoryRunsSize;
extern const CodeRun kCombiningRuns[];  // canonical combining classes
extern const size_t kCombiningRunsSize;
extern const Decomposition kDecompositions[];  // in the order of `code`; no Hangul syllables
extern const size_t kDecompositionsSize;

}  // namespace xlstm::data
