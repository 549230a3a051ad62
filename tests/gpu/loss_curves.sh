#!/usr/bin/env bash
# loss_curves.sh XLSTM TEXT_FOLDER TOKENIZER [STEPS [CPU_LOSSES]]: trains the demo model on the CPU in float32 and a GPU in
# 32-true, bf16-mixed and bf16-true: the same text, initial weights and order, no dropout. Every logged loss must lie
# within 1e-3 of the CPU's in float32 and within 0.02 nats in bf16-mixed; exit status 1 if one does not.
# TEXT_FOLDER has train.txt and valid.txt, TOKENIZER is a tokenizer.json or a folder with GPT-2's two files. The CPU's
# losses, which take longest, are kept in the file CPU_LOSSES if one is named, and read from it if it is there.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
xlstm=$1 text=$2 tokenizer=$3 steps=${4:-300} cpu_losses=${5:-}
configs=$(cd "$(dirname "$0")/../../tools/configs" && pwd)
runs=$(mktemp -d)
trap 'rm -rf "$runs"' EXIT

curve() { # curve NAME ACCELERATOR PRECISION
  "$xlstm" fit --config "$configs/demo.yaml" --data.root "$text" --data.tokenizer "$tokenizer" --data.cache_dir "$runs/cache" \
    --trainer.default_root_dir "$runs" --trainer.name "$1" --trainer.accelerator "$2" --trainer.precision "$3" \
    --trainer.max_steps "$steps" --trainer.limit_val_batches 0 --trainer.log_every_n_steps 1 >"$runs/$1.out"
  sed -n 's/.*"loss": *\([-0-9.e]*\).*/\1/p' "$runs/$1/version_0/metrics.jsonl" | head -n "$steps" >"$runs/$1.loss"
}
if [ -s "$cpu_losses" ]; then
  cp "$cpu_losses" "$runs/cpu.loss"
else
  curve cpu cpu 32-true
  [ -z "$cpu_losses" ] || cp "$runs/cpu.loss" "$cpu_losses"
fi
status=0
while read -r name precision limit; do
  curve "$name" cuda "$precision"
  paste "$runs/cpu.loss" "$runs/$name.loss" | awk -v n="$steps" -v limit="$limit" -v precision="$precision" '
    { d = $1 - $2; if (d < 0) d = -d; if (d > worst) { worst = d; at = NR } sum += d }
    END { good = NR == n && worst <= limit
          printf "%-4s %-11s %d losses, largest difference from the CPU %.6f (step %d, limit %s), mean %.6f, last %.4f and %.4f\n",
            good ? "ok" : "BAD", precision, NR, worst, at, limit, sum / NR, $1, $2
          exit !good }' || status=1
done <<'ROWS'
fp32 32-true 1e-3
mixed bf16-mixed 0.02
narrow bf16-true 0.1
ROWS
exit $status
