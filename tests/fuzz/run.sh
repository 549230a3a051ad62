#!/usr/bin/env bash
# Fuzzes every file reader for FUZZ_SECONDS (default 10) under the address and undefined-behaviour
# sanitizers. Stops at the first finding and leaves the input in build/fuzz/. Needs clang.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v clang++ >/dev/null || { echo "fuzzing needs clang (apt-get install clang libomp-dev)" >&2; exit 2; }
cmake -S . -B build/fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
  -DCMAKE_BUILD_TYPE=RelWithDebInfo -DXLSTM_CUDA=OFF -DXLSTM_FUZZ=ON >/dev/null
cmake --build build/fuzz --target fuzzers -j "${JOBS:-2}"
for reader in ${FUZZERS:-safetensors json yaml tokenizer token_file manifest hang_record metrics environment state_file}; do
  grown=build/fuzz/corpus/$reader
  mkdir -p "$grown"
  dictionary=tests/fuzz/${reader/state_file/safetensors}.dict
  options=(-max_total_time="${FUZZ_SECONDS:-10}" -max_len=16384 -timeout=10 -rss_limit_mb=2048
    -artifact_prefix="build/fuzz/$reader-" -print_final_stats=1)
  [ -f "$dictionary" ] && options+=(-dict="$dictionary")
  echo "== $reader"
  if ! build/fuzz/tests/fuzz/fuzz_"$reader" "${options[@]}" "$grown" "tests/fuzz/corpus/$reader" \
    >"build/fuzz/$reader.log" 2>&1; then
    tail -n 60 "build/fuzz/$reader.log" >&2
    exit 1
  fi
  grep -E "^Done|stat::number_of_executed_units|stat::peak_rss_mb" "build/fuzz/$reader.log"
  grep -oE "cov: [0-9]+ ft: [0-9]+" "build/fuzz/$reader.log" | tail -n 1
done
