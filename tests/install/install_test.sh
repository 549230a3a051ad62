#!/usr/bin/env bash
# install_test.sh BUILD_DIR: installs the build into a fresh prefix and, with nothing but that prefix, configures,
# builds and runs every project of docs/examples.
set -euo pipefail
source_dir=$(cd "$(dirname "$0")/../.." && pwd)
build_dir=$(cd "$1" && pwd)
work=$build_dir/install_test
rm -rf "$work"
mkdir -p "$work"
export OMP_NUM_THREADS=1 # tiny work: waiting for a second thread on a busy machine takes longer

fail() { # fail MESSAGE [FILE]
  echo "install test: $1" >&2
  [ $# -lt 2 ] || cat "$2" >&2
  exit 1
}
quietly() { # quietly LOG COMMAND...: shows the output only if the command fails
  local log=$work/$1.log
  shift
  "$@" >"$log" 2>&1 || fail "failed: $*" "$log"
}

quietly install cmake --install "$build_dir" --prefix "$work/prefix"
# Examples are copied away, so that no header of the source tree can be found by accident.
cp -r "$source_dir/docs/examples" "$work/examples"
for example in "$work"/examples/*/; do
  name=$(basename "$example")
  [ -f "$example/CMakeLists.txt" ] || continue # use_kernels_torch is built by its check.py
  # No optimisation: only the speed of compiling the example changes, not the installed libraries.
  quietly "$name.configure" cmake -G Ninja -S "$example" -B "$work/$name" -DCMAKE_BUILD_TYPE=Debug \
    "-DCMAKE_PREFIX_PATH=$work/prefix"
  quietly "$name.build" cmake --build "$work/$name"
done

# blocks: each of the two blocks ends at a tenth of its first loss or less, and never went up.
"$work/blocks/blocks" >"$work/blocks.out" || fail "blocks did not run" "$work/blocks.out"
awk '/parameters/ { blocks++; first = 0 }
     /loss/ { if (first == 0) first = $4; else { if ($4 >= last) bad = 1; drops++ }
              last = $4; if (first > 0 && last <= first / 10) learnt[blocks] = 1 }
     END { exit !(blocks == 2 && drops >= 4 && !bad && learnt[1] && learnt[2]) }' "$work/blocks.out" ||
  fail "the loss did not fall in both blocks" "$work/blocks.out"

# use_kernels_c, on a GPU or the CPU: h as worked out by hand from the equations in kernels/mlstm/mlstm.h. The same
# again as pkg-config links it.
right_h() { # right_h PROGRAM
  "$1" >"$work/use_kernels_c.out" || fail "use_kernels_c did not run" "$work/use_kernels_c.out"
  awk 'function near(got, want) { return got > want - 2e-5 && got < want + 2e-5 }
       $1 == "h[0]" { ok += near($3, 0.707106) + near($4, 1.414212) }
       $1 == "h[1]" { ok += near($3, 2.999996) + near($4, 3.999994) }
       $1 == "h[2]" { ok += near($3, 3.107524) + near($4, 4.107523) }
       /step by step/ { ok += $NF < 1e-5 }
       END { exit ok != 7 }' "$work/use_kernels_c.out" || fail "wrong h" "$work/use_kernels_c.out"
}
right_h "$work/use_kernels_c/use_kernels_c"
if command -v pkg-config >/dev/null; then
  flags=$(PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name xlstm_kernels.pc)") pkg-config --cflags --libs xlstm_kernels)
  # shellcheck disable=SC2086
  quietly pkg_config cc -std=c99 "$work/examples/use_kernels_c/main.c" -o "$work/by_pkg_config" $flags
  right_h "$work/by_pkg_config"
fi

# use_kernels_cpp: the slope by the backward kernel is that by differences.
"$work/use_kernels_cpp/use_kernels_cpp" >"$work/use_kernels_cpp.out" 2>&1 ||
  fail "use_kernels_cpp failed" "$work/use_kernels_cpp.out"
grep -q "slope along a direction" "$work/use_kernels_cpp.out" || fail "no slope" "$work/use_kernels_cpp.out"

# token_stream: a path that is not there ends with status 1 and one line that names it.
status=0
"$work/token_stream/token_stream" "$work/no_such_run" >"$work/token_stream.out" 2>&1 || status=$?
[ "$status" -eq 1 ] || fail "token_stream: status $status for a missing path" "$work/token_stream.out"
[ "$(wc -l <"$work/token_stream.out")" -eq 1 ] && grep -q "^token_stream: .*no_such_run" "$work/token_stream.out" ||
  fail "token_stream: unclear error for a missing path" "$work/token_stream.out"

# The installed command trains a tiny model, and token_stream tells what it has learnt (nothing, but it tells it).
(cd "$work" && quietly fit prefix/bin/xlstm fit --trainer.max_steps 3 --trainer.enable_progress_bar false \
  --data.n_stories 200 --data.vocab_size 400 --data.max_length 32 --data.batch_size 2 \
  --model.embedding_dim 32 --model.num_blocks 2)
"$work/token_stream/token_stream" "$work/runs/xlstm/version_0" "Once upon" >"$work/text.out" 2>&1 ||
  fail "token_stream did not run" "$work/text.out"
[ "$(head -c 9 "$work/text.out")" = "Once upon" ] && [ "$(wc -c <"$work/text.out")" -gt 30 ] ||
  fail "token_stream gave no text" "$work/text.out"

# A component that does not exist is refused by name.
mkdir "$work/wrong"
printf 'cmake_minimum_required(VERSION 3.25)\nproject(wrong LANGUAGES C)\nfind_package(xlstm REQUIRED COMPONENTS nonsense)\n' \
  >"$work/wrong/CMakeLists.txt"
if cmake -S "$work/wrong" -B "$work/wrong/build" "-DCMAKE_PREFIX_PATH=$work/prefix" >"$work/wrong.log" 2>&1; then
  fail "find_package accepted a component that does not exist"
fi
grep -q nonsense "$work/wrong.log" || fail "the error does not name the missing component" "$work/wrong.log"
echo "install: ok"
