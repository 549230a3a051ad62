// How a case says that it leaves something out, and how often and how thoroughly cases check.
// Defined in catch_main.cpp, which ends a program with status 77 if all of its cases were skipped:
// ctest and tests/gpu/run_all.sh then call it skipped rather than passed.
#pragma once

#include <cstddef>
#include <string>

namespace xlstm::test {

// For a case that goes home without checking anything: prints "skipped: REASON: CASE", once for
// each case and reason.
void skipped(const std::string& reason);
// For one that has checked something: prints "skipped in part: WHAT: REASON: CASE".
void skipped_part(const std::string& what, const std::string& reason);

// How often a call whose results must not change is repeated: XLSTM_TEST_REPEATS, or 100.
int n_repeats();
// Whether XLSTM_TEST_SMALL=1 asks for the few cases that reach every kernel: for tools under which
// a kernel takes a hundred times as long.
bool small_run();

// Bits that every run of the program must give: a checksum of them, in the order of the calls, is
// printed when the program ends, for run_all.sh --repeat to compare.
void note_bits(const void* data, size_t n_bytes);

}  // namespace xlstm::test
