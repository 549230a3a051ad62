#!/usr/bin/env bash
# tokenize.sh TOKENIZER [TEXT [BYTES]]: times `xlstm tokenize` into shards of 100 million tokens, and the most memory
# that it held, on TEXT (default: the bundled stories) repeated to BYTES (default: 1e9). Needs GNU time and twice BYTES of
# disk in TMPDIR. XLSTM is the command (default: build/xlstm).
set -euo pipefail
tokenizer=$1
xlstm=$(realpath "${XLSTM:-build/xlstm}")
bytes=${3:-1000000000}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
text=${2:-}
if [ -z "$text" ]; then
  "$xlstm" fit --trainer.fast_dev_run true --trainer.accelerator cpu --model.embedding_dim 16 --data.batch_size 1 \
    --data.cache_dir "$dir" >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
  text=$(echo "$dir"/stories-*/train.txt)
fi
{ cat "$text"; printf '\n<|endoftext|>\n'; } >"$dir/piece.txt"
pieces=$(((bytes + $(stat -c %s "$dir/piece.txt") - 1) / $(stat -c %s "$dir/piece.txt")))
for ((i = 0; i < pieces; ++i)); do cat "$dir/piece.txt"; done >"$dir/big.txt"
cat "$dir/big.txt" >/dev/null # into the page cache: the disk is not what is timed
/usr/bin/time -o "$dir/time" -f '%e %U %S %M' \
  "$xlstm" tokenize --tokenizer "$tokenizer" --input "$dir/big.txt" --output "$dir/out/train" --shard_tokens 100000000
awk -v b="$(stat -c %s "$dir/big.txt")" -v c="$(nproc)" '{
  printf "%.0f MB, %d threads: %.1f s, %.0f MB/s; %.1f s of processor time, %.0f MB per second of it; at most %.0f MB resident\n",
    b / 1e6, c, $1, b / 1e6 / $1, $2 + $3, b / 1e6 / ($2 + $3), $4 * 1024 / 1e6 }' "$dir/time"
