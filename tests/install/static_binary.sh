#!/usr/bin/env bash
# static_binary.sh PROGRAM: the xlstm command built with XLSTM_STATIC_DEPS needs nothing to start but the C library
# (2.36 or older will do) and, with the CUDA backend, cuBLASLt; and it runs.
set -euo pipefail
program=$(realpath "$1")
fail() {
  echo "static binary: $1" >&2
  exit 1
}

needed=$(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
foreign=$(grep -vE '^(lib(c|m|dl|pthread|rt)\.so\.[0-9]+|ld-linux.*|libcublasLt\.so\.[0-9]+)$' <<<"$needed" || true)
[ -z "$foreign" ] || fail "$program needs $(tr '\n' ' ' <<<"$foreign")"
! readelf -d "$program" | grep -qE 'RPATH|RUNPATH' || fail "a path of this machine is compiled in"
newest=$(readelf -V "$program" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -1)
[ "$(printf '%s\n' "$newest" GLIBC_2.36 | sort -V | tail -1)" = GLIBC_2.36 ] || fail "$program needs $newest"

if ldd "$program" | grep -q 'not found'; then
  echo "static binary: not run, for want of:$(ldd "$program" | awk '/not found/ { printf " %s", $1 }')"
else
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  # Nothing of this shell's environment: no library path, no locale.
  run() { env -i "$program" "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "failed: xlstm $1"; }; }
  run fit --trainer.max_steps 3 --trainer.enable_progress_bar false --data.n_stories 200 --data.vocab_size 400 \
    --data.max_length 32 --data.batch_size 2 --model.embedding_dim 32 --model.num_blocks 2
  run generate --ckpt_path runs/xlstm/version_0 --prompt "Once upon"
  grep -q "Once upon" "$work/out" || fail "no text was generated"
fi
echo "static binary: ok, $(stat -c %s "$program" | awk '{ printf "%.0f MB", $1 / 1e6 }'), up to $newest, needs" $needed
