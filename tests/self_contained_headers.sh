#!/usr/bin/env bash
# Every header compiles alone, twice in a row, as C++20; the headers of the C interface (kernels/common/types.h
# and those that declare extern "C") as C99 too. CC and CXX choose the compilers.
set -euo pipefail
cd "$(dirname "$0")/.."
export CC=${CC:-cc} CXX=${CXX:-c++}

compile_alone() { # compile_alone HEADER: prints the compiler's words and "FAILED" if it does not compile
  local include="#include \"$1\"" warnings="-Wall -Wextra -Werror -fopenmp -fsyntax-only -I."
  printf '%s\n%s\n' "$include" "$include" | $CXX -x c++ -std=c++20 $warnings - ||
    { echo "FAILED as C++20: $1"; return 1; }
  if [ "$1" = kernels/common/types.h ] || grep -q '^extern "C"' "$1"; then
    printf '%s\n%s\nint unused;\n' "$include" "$include" | $CC -x c -std=c99 -pedantic $warnings - ||
      { echo "FAILED as C99: $1"; return 1; }
  fi
}
export -f compile_alone

# Those that include the CUDA toolkit's are for the CUDA build alone.
headers=$(git ls-files 'kernels/*.h' 'core/*.h' 'layers/*.h' 'optim/*.h' 'data/*.h' 'tools/*.h' |
  xargs grep -LE '^#include <(cuda|cublas)')
# shellcheck disable=SC2016
xargs -P "$(nproc)" -n 1 bash -c 'compile_alone "$0"' <<<"$headers" >&2 || exit 1
echo "headers: ok ($(wc -l <<<"$headers"))"
