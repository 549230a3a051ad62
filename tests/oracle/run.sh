#!/usr/bin/env bash
# run.sh JOBS: what `make test-oracle` does. It needs the wheel tokenizers 0.23.3, no other test does. PYTHON chooses
# the interpreter, ORACLE_TEXT an English text for training and speed (else our documents and the
# licences of the distribution), ORACLE_ARGS further arguments of peer_tokenizer.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
"$python" -c 'import tokenizers' 2>/dev/null || {
  echo "test-oracle: $python has no tokenizers, expected the wheel (pip install tokenizers==0.23.3)" >&2
  exit 2
}
bash cmake/build.sh cpu "$1" oracle_tokenizer
text=${ORACLE_TEXT:-}
if [ -z "$text" ]; then
  text=build/cpu/oracle_text.txt
  cat docs/*.md README.md tests/data/golden/bpe_text.txt /usr/share/common-licenses/* >"$text"
fi
# shellcheck disable=SC2086
exec "$python" tests/oracle/peer_tokenizer.py build/cpu/tests/oracle_tokenizer --text "$text" ${ORACLE_ARGS:-}
