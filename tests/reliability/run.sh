#!/usr/bin/env bash
# run.sh BUILD_FOLDER: every proof of docs/reliability.md in its long form, some minutes on two cores, and
# a table: promise, what was tried, points, failures, figure. Fails if a point did.
set -uo pipefail
cd "$(dirname "$0")/../.."
tests=$1/tests
log=$1/reliability.log
: >"$log"
export XLSTM_PROOF=long OMP_WAIT_POLICY=passive XLSTM_TEST_DATA=$PWD
bad=0
for test in core_checkpoint tools_out_of_memory "$(cd "$tests" && echo test_reliability_*)"; do
  for program in $test; do
    program=$tests/test_${program#test_}
    echo "== $program" | tee -a "$log" >&2
    "$program" >>"$log" 2>&1 || { bad=1; echo "failed: see $log" >&2; }
  done
done
{
  echo "promise | what | points | failures | figure"
  grep -aoE 'promise [0-9]{2} \|.*' "$log" | sed 's/^promise //' | sort -s -n -k1,1
} | column -t -s '|'
exit "$bad"
