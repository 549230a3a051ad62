#!/usr/bin/env python3
"""Writes bpe_tokenizer.json and bpe_cases.json: what the Hugging Face `tokenizers` wheel makes of
our own text. The tests read the files; only remaking them needs the wheel (pip install tokenizers).

bpe_tokenizer.json  a tokenizer of 420 tokens trained by the wheel on bpe_text.txt
bpe_cases.json      texts and the ids that the wheel gives them, with bpe_tokenizer.json and with
                    two variants of it: add_prefix_space, and use_regex false
bpe_variants.json   other normalizers, pre-tokenizers, added tokens and `ignore_merges` for
                    bpe_tokenizer.json, texts, and the ids that the wheel gives them
"""
import json
import pathlib
import random
import sys

import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "oracle"))
import random_texts as corners
import tokenizer_variants as steps
EDGES = [
    "", " ", "  ", "a", " a", "  a", "a ", "a  ", "a  b", "\n", "\n\n", "a\n\nb", " \n a", "\t\tx",
    "I'm sure they'll say we've won; don't you'd? It's 'tis 's 'S IT'S can''t '' ' x'",
    "'s't're've'm'll'd", "the 12 cats had 3456 mice, x2 y3z 7up", "1,000.50 + 3 = ?!... --",
    "caf\u00e9 na\u00efve \u65e5\u672c\u8a9e \u0440\u0443\u0441\u0441\u043a\u0438\u0439", "\u00a0a\u3000b\u2028c\u0085d\u180ee\u200bf\ufefffg",
    "\U0001f469\u200d\U0001f680\U0001f44d\U0001f3fd \U0001f1f3\U0001f1f1 \u2764\ufe0f", "e\u0301 n\u0303 \u0915\u094d\u0937\u093f \u0e01\u0e33", "\u00b2\u00bd\u2167\u0663\u0967 \u2460x",
    "<|endoftext|>", "a<|endoftext|>b", "<|endoftext|><|endoftext|>", "<|endoftext", "<<|endoftext|>>",
    "x <|endoftext|> y", "\x00\x01\x7f", "\r\n\r\n x", "\x1c\x1d a", "a" * 200, " " * 130 + "x", "the" * 90,
]


def random_texts(n: int) -> list[str]:
    rng = random.Random(20260)
    pools = ["the cat and rain's they'll ", " \t\n\r\u00a0\u3000\u2028", "0123456789\u00b2\u00bd\u0663", "'strevmld\u2019 ",
             ".,;:!?()-\u2014\u201c\u201d#$%", "\u00e9\u00df\u0142\u03b1\u0436\u05d0\u0639\u0915\u4e2d\uac00", "\U0001f600\U0001f468\u200d\ufe0f\u0301"]
    texts = []
    for _ in range(n):
        chosen = "".join(rng.sample(pools, rng.randint(1, 4)))
        text = ""
        for _ in range(rng.choice([2, 5, 12, 40])):
            code = rng.randrange(0x110000)
            free = rng.random() < 0.08 and not 0xD800 <= code < 0xE000
            text += chr(code) if free else rng.choice(chosen)
        texts.append(text)
    return texts


def nfc_checksum() -> str:
    """FNV-1a over the normal forms of every code point between marks."""
    normalizer, value = tokenizers.normalizers.NFC(), 0xCBF29CE484222325
    for code in range(0x110000):
        if not 0xD800 <= code < 0xE000:
            for byte in normalizer.normalize_str(f"a\u0301{chr(code)}\u0323\u0301").encode():
                value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def variants(file: dict) -> dict:
    rng = random.Random(7)
    nfc = {"type": "NFC"}
    cuts = {"nfc": steps.byte_level(), "llama3": steps.sequence(steps.split(steps.LLAMA3)),
            "qwen": steps.sequence(steps.split(steps.QWEN)), "digits": steps.sequence(steps.digits(True), last=steps.byte_level()),
            "digit_runs": steps.sequence(steps.digits(False), last=steps.byte_level(True)),
            "literal": steps.sequence(steps.split("a.", "String")), "o200k": steps.sequence(steps.split(steps.O200K)),
            "deepseek": steps.sequence(steps.split(steps.DEEPSEEK)), "words": steps.sequence(steps.split(steps.WORDS)),
            "gaps": steps.sequence(steps.split(steps.GAPS)), "empty": steps.sequence(steps.split(steps.EMPTY)),
            "negative": steps.sequence(steps.split(steps.NEGATIVE)), "added": steps.byte_level()}
    vocab = file["model"]["vocab"]
    flagged = []
    for entry in steps.flagged_tokens():
        known = vocab.get(entry["content"])
        flagged.append({"id": len(vocab) + sum(e["id"] >= len(vocab) for e in flagged) if known is None else known, **entry})
    flagged.sort(key=lambda entry: entry["id"])
    out = {"made_by": "tokenizers " + tokenizers.__version__, "nfc_checksum": nfc_checksum(), "variants": []}
    for name, cut in cuts.items():
        changes = {"normalizer": nfc if name in ("nfc", "qwen", "added") else None, "pre_tokenizer": cut,
                   "added_tokens": flagged if name == "added" else file["added_tokens"]}
        whole = name == "llama3"
        changed = {**file, **changes, "model": {**file["model"], "ignore_merges": whole}}
        tokenizer = Tokenizer.from_str(json.dumps(changed))
        added = [entry["content"] for entry in changes["added_tokens"]]
        texts = EDGES[20:30] + [corners.random_text(rng, added)[:60] for _ in range(50)]
        cases = {"name": name, **changes, "ignore_merges": whole, "texts": texts}
        for key, hidden in (("special", False), ("plain", True)):
            tokenizer.encode_special_tokens = hidden
            cases[key] = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
        out["variants"].append(cases)
    return out


def main() -> None:
    text = (HERE / "bpe_text.txt").read_bytes().decode()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<|endoftext|>"], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([text], trainer)
    (HERE / "bpe_tokenizer.json").write_text(tokenizer.to_str(pretty=True) + "\n")
    texts = EDGES + random_texts(300)
    cases = {"made_by": "tokenizers " + tokenizers.__version__, "texts": texts}
    for name, prefix, regex in (("plain", False, True), ("prefix", True, True), ("whole", False, False)):
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)
        cases[name] = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    (HERE / "bpe_cases.json").write_text(json.dumps(cases) + "\n")
    file = json.loads((HERE / "bpe_tokenizer.json").read_text())
    (HERE / "bpe_variants.json").write_text(json.dumps(variants(file)) + "\n")


if __name__ == "__main__":
    main()
