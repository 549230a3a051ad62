#!/usr/bin/env python3
"""Writes bpe_tokenizer.json and bpe_cases.json: what the Hugging Face `tokenizers` wheel makes of
our own text. The tests read the files; only remaking them needs the wheel (pip install tokenizers).

bpe_tokenizer.json  a tokenizer of 420 tokens trained by the wheel on bpe_text.txt
bpe_cases.json      texts and the ids that the wheel gives them, with bpe_tokenizer.json and with
                    two variants of it: add_prefix_space, and use_regex false
"""
import json
import pathlib
import random

import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent
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


if __name__ == "__main__":
    main()
