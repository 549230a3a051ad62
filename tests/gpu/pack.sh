#!/usr/bin/env bash
# pack.sh FOLDER [ARCHITECTURES]: builds the tests with the CUDA backend (no GPU is needed), and puts stripped
# programs, the libraries they need, their data, an installation (prefix/) with the check of the PyTorch extension,
# and run_all.sh into FOLDER, which then runs on any machine with a GPU and the CUDA runtime.
# ARCHITECTURES as CMAKE_CUDA_ARCHITECTURES, default 90a-real. JOBS: parallel compilations.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
out=$(realpath -m "$1")
architectures=${2:-90a-real}
cd "$(dirname "$0")/../.."
build=build/gpu-tests
limit_mib=64

# Shared libraries, so that a hundred programs do not each carry every kernel; code for any x86-64 machine of the
# last ten years, since GPU machines rarely have the processor of the machine that builds.
options=(-DBUILD_SHARED_LIBS=ON -DCMAKE_INSTALL_LIBDIR=lib "-DCMAKE_CUDA_ARCHITECTURES=$architectures" -DCMAKE_BUILD_RPATH_USE_ORIGIN=ON)
[ "$(uname -m)" != x86_64 ] || options+=(-DXLSTM_CPU_ARCH=x86-64-v3)
openblas=$(c++ -print-file-name=libopenblas.a) # an absolute path if it is there; a third smaller
[ "$openblas" = "${openblas#/}" ] || options+=("-DXLSTM_OPENBLAS_LIBRARY=$openblas")
mkdir -p "$build"
cmake --preset cuda -B "$build" "${options[@]}" >"$build/configure.log" 2>&1 || { cat "$build/configure.log" >&2; exit 2; }
cmake --build "$build" -j "${JOBS:-$(nproc)}"

if [ -e "$out" ] && [ ! -e "$out/run_all.sh" ] && [ -n "$(ls -A "$out")" ]; then
  echo "pack.sh: $out exists and is not a pack of tests" >&2
  exit 2
fi
rm -rf "$out"
mkdir -p "$out/lib/gcc" "$out/data"
cmake --install "$build" --prefix "$out/prefix" --strip >/dev/null # our libraries, for foreign projects too
# test_docs_commands reads all of the sources' pages: it stays at home.
programs=$(find "$build/tests" -maxdepth 1 -type f -perm -u+x -name 'test_*' ! -name test_docs_commands)
for program in $programs; do
  strip -o "$out/$(basename "$program")" "$program"
done

# Other libraries: everything but the C library, the driver and the (large) CUDA mathematics. The compiler's own go
# into a folder of their own, for machines that have none or older ones.
# shellcheck disable=SC2086
ldd $programs "$build/tools/xlstm" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u | while read -r library; do
  [ ! -e "$out/prefix/lib/$(basename "$library")" ] || continue
  case "$(basename "$library")" in
    libc.so* | libm.so* | libdl.so* | libpthread.so* | librt.so* | ld-linux* | libcuda.so* | libcublas*) ;;
    libstdc++* | libgcc_s* | libgomp* | libgfortran* | libquadmath*) strip -o "$out/lib/gcc/$(basename "$library")" "$library" ;;
    *) strip -o "$out/lib/$(basename "$library")" "$library" ;;
  esac
done

git ls-files tests/golden tests/data/golden tests/data/checkpoint_v1 tools/configs docs/ops.md docs/configuration.md docs/distributed.md |
  while read -r file; do install -D -m 644 "$file" "$out/data/$file"; done
cp tests/gpu/run_all.sh "$out/run_all.sh"
cp -r docs/examples/use_kernels_torch "$out/use_kernels_torch"
git describe --always --dirty >"$out/commit"

size=$(du -sm "$out" | cut -f1)
echo "$out: $(wc -w <<<"$programs") test programs for $architectures at $(cat "$out/commit"), $size MiB"
[ "$size" -lt "$limit_mib" ] || echo "pack.sh: more than $limit_mib MiB" >&2
