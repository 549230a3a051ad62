#!/usr/bin/env bash
# The demo: trains a small xLSTM on the bundled stories, then lets it tell one.
set -euo pipefail
cd "$(dirname "$0")/.."
build/xlstm fit --config tools/configs/demo.yaml
echo
echo "A story by the model just trained (build/xlstm generate --ckpt_path last --trainer.name demo):"
echo
build/xlstm generate --ckpt_path last --trainer.name demo --prompt "One morning" --seed 3 --temperature 0.6
