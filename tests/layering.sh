#!/usr/bin/env bash
# The direction of dependencies, tools -> {data, optim, layers} -> core -> kernels, read off the
# #include lines; and that only core/json.cpp knows the JSON library.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
forbid() { # forbid FOLDER REGEX MESSAGE
  local hits
  hits=$(grep -rnE "^#include \"($2)/" "$1" --include='*.h' --include='*.cpp' --include='*.cu' --include='*.cuh' || true)
  if [ -n "$hits" ]; then
    printf '%s must not include %s:\n%s\n' "$1" "$2" "$hits" >&2
    bad=1
  fi
}
forbid kernels 'core|layers|optim|data|tools|tests'
forbid core 'layers|optim|data|tools|tests'
forbid layers 'optim|data|tools|tests'
forbid optim 'layers|data|tools|tests'
forbid data 'layers|optim|tools|tests'
forbid tools 'tests'
hits=$(grep -rln 'nlohmann/' kernels core layers optim data tools --include='*.h' --include='*.cpp' | grep -v '^core/json.cpp$' || true)
if [ -n "$hits" ]; then
  printf 'only core/json.cpp may include nlohmann:\n%s\n' "$hits" >&2
  bad=1
fi
[ "$bad" -eq 0 ] && echo "layering: ok"
exit "$bad"
