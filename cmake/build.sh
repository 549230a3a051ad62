#!/usr/bin/env bash
# build.sh PRESET JOBS [TARGET]: configures and builds build/PRESET; build/xlstm then links to the command of the
# newest cpu or cuda build (never to a sanitizer build).
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
jobs=$2
target=${3:-all}
log=build/$preset/configure.log
mkdir -p "build/$preset"
cmake --preset "$preset" >"$log" 2>&1 || { cat "$log" >&2; exit 2; }
cmake --build --preset "$preset" -j "$jobs" --target "$target"
case "$preset" in
  cpu | cuda | cuda-all) ln -sfn "$preset/tools/xlstm" build/xlstm ;;
esac
