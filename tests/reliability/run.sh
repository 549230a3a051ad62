#!/usr/bin/env bash
# run.sh BUILD_FOLDER: every proof of docs/reliability.md in its long form, some minutes on two cores, and
# a table: promise, what was tried, points, failures, figure. Fails if a point did.
#   XLSTM_PROOF_DEVICE=cuda: those whose runs train, on the GPUs here, in about five minutes; several at a time,
#   but not beside the ranks that others wait for.
set -uo pipefail
cd "$(dirname "$0")/../.."
tests=$1/tests
log=$1/reliability.log
: >"$log"
export XLSTM_PROOF=long OMP_WAIT_POLICY=passive XLSTM_TEST_DATA=$PWD
bad=0
prove() { # prove PROGRAM...: all at a time
  local program output status
  for program; do
    echo "== $program" >&2
    { echo "== $program"; "$tests/$program"; } >"$log.$program" 2>&1 &
    running[$program]=$!
  done
  for program; do
    wait "${running[$program]}"
    status=$?
    output=$log.$program
    cat "$output" >>"$log"
    rm "$output"
    # 77: every case was skipped.
    [ "$status" -eq 0 ] || [ "$status" -eq 77 ] || { bad=1; echo "$program failed: see $log" >&2; }
  done
}
declare -A running
if [ "${XLSTM_PROOF_DEVICE:-cpu}" = cpu ]; then
  for program in test_core_checkpoint test_tools_out_of_memory $(cd "$tests" && echo test_reliability_*); do
    prove "$program"
  done
else
  prove test_reliability_kill test_reliability_signals test_reliability_non_finite
  prove test_reliability_ranks
fi
{
  echo "promise | what | points | failures | figure"
  grep -aoE 'promise [0-9]{2} \|.*' "$log" | sed 's/^promise //' | sort -s -n -k1,1
} | if command -v column >/dev/null; then column -t -s '|'; else cat; fi
grep -a '^skipped' "$log" | sort -u >&2
exit "$bad"
