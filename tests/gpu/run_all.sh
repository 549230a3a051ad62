#!/usr/bin/env bash
# Runs the test programs of this folder (made by tests/gpu/pack.sh), or of a build folder, on this machine.
#
#   run_all.sh [options] [-- Catch2 arguments]
#     --filter REGEX   only programs whose name matches, e.g. 'kernels_.*_cuda'
#     --repeat N       every program N times (default 1); stops with its first failure, or when the bits of results
#                      (a checksum that programs print) are not those of the first run
#     --tool TOOLS     under compute-sanitizer: memcheck, racecheck, initcheck, synccheck, several by commas;
#                      only programs test_kernels_*_cuda unless --filter says otherwise; the few cases that
#                      reach every kernel, with 2 repeats, unless XLSTM_TEST_SMALL=0 or XLSTM_TEST_REPEATS say otherwise
#     --bench          instead of the tests, their hidden [.bench] cases, one program after the other
#     --jobs N         programs at a time (default: a quarter of the processors, half of them with --tool; at most 8)
#     --timeout S      seconds for one run of one program (default 300; 1500 with --tool)
#     --logs FOLDER    where the output goes (default ./gpu_test_logs)
#     --programs FOLDER  where the programs are (default: the folder of this script)
# Ends with a table by area and the names of what failed; exit status 1 if anything failed.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
filter='' repeat=1 tools='' bench=0 jobs='' limit='' logs=gpu_test_logs programs=$here
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$here/run_all.sh"; }
while [ $# -gt 0 ]; do
  case "$1" in
    --filter) filter=$2; shift 2 ;;
    --repeat) repeat=$2; shift 2 ;;
    --tool) tools=${2//,/ }; shift 2 ;;
    --bench) bench=1; shift ;;
    --jobs) jobs=$2; shift 2 ;;
    --timeout) limit=$2; shift 2 ;;
    --logs) logs=$2; shift 2 ;;
    --programs) programs=$(realpath "$2"); shift 2 ;;
    --) shift; break ;;
    -h | --help) usage; exit 0 ;;
    *) echo "run_all.sh: unknown option $1" >&2; usage >&2; exit 2 ;;
  esac
done
catch_arguments=$([ $# -eq 0 ] || printf '%q ' "$@")
export catch_arguments
n_processors=$(nproc)
if [ -z "$jobs" ]; then
  jobs=$((n_processors / $([ -n "$tools" ] && echo 2 || echo 4)))
  jobs=$((jobs > 8 ? 8 : jobs < 1 ? 1 : jobs))
fi
[ "$bench" -eq 0 ] || jobs=1
[ -n "$limit" ] || limit=$([ -n "$tools" ] && echo 1500 || echo 300)
[ -n "$filter" ] || [ -z "$tools" ] || filter='^test_kernels_.*_cuda$'
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((n_processors / jobs > 1 ? n_processors / jobs : 1))}
export OMP_WAIT_POLICY=passive
[ -z "$tools" ] || export XLSTM_TEST_SMALL=${XLSTM_TEST_SMALL:-1} XLSTM_TEST_REPEATS=${XLSTM_TEST_REPEATS:-2}
[ ! -d "$here/data" ] || export XLSTM_TEST_DATA=${XLSTM_TEST_DATA:-$here/data}
[ ! -x "$here/prefix/bin/xlstm" ] || export XLSTM_TEST_COMMAND=${XLSTM_TEST_COMMAND:-$here/prefix/bin/xlstm}
rm -rf "$logs"
mkdir -p "$logs" && logs=$(cd "$logs" && pwd)
export logs limit repeat bench programs

# Libraries: the pack's own, then cuBLASLt from the system, a toolkit or a Python package.
names=$(find "$programs" -maxdepth 1 -type f -perm -u+x -name 'test_*' -printf '%f\n' | grep -E -- "${filter:-.}" | sort)
[ -n "$names" ] || { echo "run_all.sh: no test program in $programs matches '$filter'" >&2; exit 2; }
missing() { # missing LIBRARY_NAME: does some program not find it (or, for the compiler's, a version of it)?
  # shellcheck disable=SC2046
  ldd $(sed "s|^|$programs/|" <<<"$names") 2>&1 | grep -q "$1.*not found"
}
[ ! -d "$here/lib" ] || export LD_LIBRARY_PATH=$here/prefix/lib:$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
if missing 'lib\(stdc\|gcc\|gomp\|gfortran\|quadmath\)'; then export LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$here/lib/gcc; fi
if missing libcublasLt; then
  packages=$(python3 -c 'import site, sys; print(*site.getsitepackages(), *sys.path)' 2>/dev/null || true)
  for folder in /usr/local/cuda/lib64 /usr/local/cuda*/targets/*/lib $(for p in $packages; do echo "$p"/nvidia/*/lib; done); do
    if compgen -G "$folder/libcublasLt.so.*" >/dev/null; then
      export LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$folder
      missing libcublasLt || break
    fi
  done
fi
if missing .; then
  # shellcheck disable=SC2046
  ldd $(sed "s|^|$programs/|" <<<"$names") 2>&1 | grep 'not found' | sort -u >&2
  echo "run_all.sh: libraries are missing; add their folder to LD_LIBRARY_PATH" >&2
  exit 2
fi
sanitizer=''
if [ -n "$tools" ]; then
  sanitizer=$(PATH=$PATH:/usr/local/cuda/bin command -v compute-sanitizer) ||
    { echo "run_all.sh: compute-sanitizer is not on the PATH" >&2; exit 2; }
fi
export sanitizer
[ ! -f "$here/commit" ] || echo "tests of commit $(cat "$here/commit")"
nvidia-smi -L 2>/dev/null || echo "no GPU here: cases that need one say that they were skipped"

run_one() { # run_one PROGRAM TOOL: prints a line; leaves TOOL.PROGRAM.result (status, area, seconds) and .log
  local program=$1 tool=$2 log=$logs/$2.$1.log area=${1#test_}
  local command=("$programs/$program") begin=$EPOCHREALTIME status=0 run state=ok bits='' first_bits='' n_skipped
  [ "$tool" = none ] || command=("$sanitizer" --tool "$tool" --error-exitcode 86 --print-limit 20 "${command[@]}")
  [ "$bench" -eq 0 ] || command+=('[.bench]')
  eval "command+=($catch_arguments)"
  for ((run = 1; run <= repeat; ++run)); do
    timeout -k 5 "$limit" "${command[@]}" >"$log" 2>&1 || { status=$?; break; }
    bits=$(sed -n 's/^checksum of bits: //p' "$log")
    [ "$run" -gt 1 ] || first_bits=$bits
    [ "$bits" = "$first_bits" ] || { status=1; echo "FAILED: bits $bits, in the first run $first_bits" >>"$log"; break; }
  done
  local seconds; seconds=$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $begin }")
  n_skipped=$(grep -c '^skipped' "$log")
  if [ "$status" -eq 77 ]; then # tests/catch_main.cpp
    state="skipped: $(sed -n 's/^skipped: \([^:]*\):.*/\1/p' "$log" | sort -u | paste -sd,)"
    status=0
  elif [ "$status" -ne 0 ]; then
    state=FAILED
    case "$status" in
      86) state="FAILED: $tool" ;;
      124 | 137) state="FAILED: still running after $limit s" ;;
      1[3-9]?) state="FAILED: signal $((status - 128))" ;;
    esac
    [ "$repeat" -eq 1 ] || state="$state in run $run of $repeat"
  fi
  printf '%s %s %s\n' "${state%%[: ]*}" "${area%%_*}" "$seconds" >"$logs/$tool.$program.result"
  [ "$tool" = none ] && tool='' || tool=" ($tool)"
  printf '%-8s %-46s %7s s  %s\n' "${state%%[: ]*}" "${program#test_}$tool" "$seconds" \
    "$([ "$state" = ok ] && grep -E '^(All tests passed|No tests ran|test cases)' "$log" | tail -1 || echo "${state#* }")$(
      [ "$state" != ok ] || [ "$n_skipped" -eq 0 ] || echo ", $n_skipped skipped in whole or in part")"
  if [ "$bench" -eq 1 ] && ! grep -q '^No tests ran' "$log"; then
    grep -vE '^(=+|Filters|All tests passed.*|test cases.*|)$' "$log"
  fi
  # The start of what went wrong is worth more than its end.
  if [ "$status" -ne 0 ]; then
    { grep -nE -m 1 -A 24 'FAILED:|========= [A-Z]|rror' "$log" || tail -n 12 "$log"; } | cut -c1-180 | sed 's/^/    | /'
  fi
}
export -f run_one

begin=$SECONDS
# Under a tool the recurrences take longest, so they begin.
first='' rest=$names
[ -z "$tools" ] || { first=$(grep lstm <<<"$names") rest=$(grep -v lstm <<<"$names"); }
for group in "$first" "$rest"; do
  for tool in ${tools:-none}; do
    [ -z "$group" ] || sed "s/$/ $tool/" <<<"$group"
  done
done >"$logs/order"
# The lines of a program are printed at once, so that those of programs beside it do not mix with them.
# shellcheck disable=SC2016
xargs -P "$jobs" -L 1 bash -c 'lines=$(run_one "$1" "$2"); printf "%s\n" "$lines"' _ <"$logs/order"
echo
printf '%-12s %9s %7s %7s %8s %10s\n' area programs ok failed skipped seconds
cat "$logs"/*.result | awk '
  { n[$2]++; n["all"]++; s[$2, $1]++; s["all", $1]++; t[$2] += $3; t["all"] += $3 }
  END { for (area in n) printf "%-12s %9d %7d %7d %8d %10.1f\n", area, n[area], s[area, "ok"], s[area, "FAILED"],
                               s[area, "skipped"], t[area] }' | sort | sed '/^all /{H;d};${G;s/\n\n/\n/}'
failed=$(grep -l '^FAILED' "$logs"/*.result | xargs -rn1 basename | sed 's/\.result$//; s/^none\.//')
echo "wall time $((SECONDS - begin)) s, $jobs at a time, $repeat run(s) each${tools:+, under $tools}"
[ -z "$failed" ] || { echo "failed:"; sed 's/^/  /' <<<"$failed"; exit 1; }
echo "all passed"
