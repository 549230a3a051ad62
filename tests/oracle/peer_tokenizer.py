"""Compares the tokenizer with the Hugging Face `tokenizers` wheel: ids, NFC, decoding, trained vocabularies, speed.

Needs the wheel (pip install tokenizers==0.23.3) and the program of `make test-oracle`. Everything random comes from
`--seed`. Exit status 1 if anything differs; the first differences are printed. `--strings` is the number of random
texts for each of the tokenizers in `tokenizer_variants.py`.
"""

import argparse
import array
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time

import tokenizers

from random_texts import every_code_point, random_text
from tokenizer_variants import read_merges, variants

TRAIN_SIZES = [(300, 0), (1000, 2), (10000, 0)]


class Peer:
    """Our program, and what has been counted."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.strings = self.mismatches = 0

    def call(self, arguments, records):
        data = b"".join(struct.pack("<I", len(record)) + record for record in records)
        out = subprocess.run([self.program, *arguments], input=data, stdout=subprocess.PIPE, check=True).stdout
        answers, at = [], 0
        while at < len(out):
            (n,) = struct.unpack_from("<I", out, at)
            answers.append(out[at + 4:at + 4 + n])
            at += 4 + n
        assert len(answers) == len(records), f"{arguments}: got {len(answers)} answers, expected {len(records)}"
        return answers

    def compare(self, what, texts, ours, theirs):
        wrong = [i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b]
        self.strings += len(texts)
        self.mismatches += len(wrong)
        for i in wrong[:3]:
            show = [array.array("i", x).tolist() if len(x) % 4 == 0 else x for x in (ours[i], theirs[i])]
            print(f"  {what}: {texts[i]!r}\n    ours   {show[0]}\n    theirs {show[1]}")
        return len(wrong)


def ids_of(encodings):
    return [array.array("i", encoding.ids).tobytes() for encoding in encodings]


def compare_ids(peer, name, text_of_json, texts, allow_special):
    path = peer.folder / f"{name}.json"
    path.write_text(text_of_json)
    tokenizer = tokenizers.Tokenizer.from_str(text_of_json)
    tokenizer.encode_special_tokens = not allow_special
    wrong = 0
    for begin in range(0, len(texts), 100_000):
        part = texts[begin:begin + 100_000]
        ours = peer.call(["encode", path, str(int(allow_special))], [text.encode() for text in part])
        theirs = ids_of(tokenizer.encode_batch_fast(part, add_special_tokens=False))
        wrong += peer.compare(name, part, ours, theirs)
    print(f"{name:28} special {'on ' if allow_special else 'off'} {len(texts):9,} texts {wrong:6} differ", flush=True)


def compare_decoding(peer, rng, n):
    tokenizer = tokenizers.Tokenizer.from_file(str(peer.folder / "gpt2.json"))
    lists = [[rng.randrange(50257) for _ in range(rng.randint(1, 12))] for _ in range(n)]
    ours = peer.call(["decode", peer.folder / "gpt2.json"], [array.array("i", ids).tobytes() for ids in lists])
    theirs = [text.encode() for text in tokenizer.decode_batch(lists, skip_special_tokens=False)]
    wrong = peer.compare("decode", lists, ours, theirs)
    print(f"{'decoding':40} {n:9,} texts {wrong:6} differ", flush=True)


def compare_nfc(peer, rng, n):
    normalizer = tokenizers.normalizers.NFC()
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    marks = "\u0334\u0323\u0301\u0345\u0338\u3099\u05b0\u0f71\u1161\u11a8\u0300"
    texts = [chr(code) for code in codes]
    texts += [pattern.replace("*", chr(code)) for code in codes if tokenizers.normalizers.NFD().normalize_str(
        chr(code)) != chr(code) or code % 64 == 0 for pattern in ("*\u0301", "a*\u0323", "\u0334*", "*\u0323\u0307*")]
    busy = [chr(code) for code in codes if code < 0x3200 or 0xAC00 <= code < 0xD7A4 or 0x11000 <= code < 0x11A00]
    for _ in range(n):
        texts.append("".join(rng.choice(marks) if rng.random() < 0.5 else rng.choice(busy)
                             for _ in range(rng.randint(1, 12))))
    nfd = tokenizers.normalizers.NFD()
    texts += [nfd.normalize_str(text) for text in texts[-n:]]
    ours = peer.call(["nfc"], [text.encode() for text in texts])
    wrong = peer.compare("NFC", texts, ours, [normalizer.normalize_str(text).encode() for text in texts])
    print(f"{'NFC':40} {len(texts):9,} texts {wrong:6} differ", flush=True)


def compare_training(peer, text_path):
    text = text_path.read_text()
    for n_vocab, least in TRAIN_SIZES:
        theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
        theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        theirs.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=n_vocab, min_frequency=least, special_tokens=["<|endoftext|>"], show_progress=False,
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
        begin = time.perf_counter()
        theirs.train_from_iterator([text], trainer)
        their_seconds = time.perf_counter() - begin
        out = peer.folder / "trained.json"
        seconds = float(subprocess.check_output([peer.program, "train", text_path, str(n_vocab), str(least), out]))
        same = out.read_text() == theirs.to_str(pretty=True) + "\n"
        peer.mismatches += not same
        print(f"train {theirs.get_vocab_size():6,} tokens, frequency >= {least}, on {len(text) / 1e6:.1f} MB: "
              f"{'same file' if same else 'FILES DIFFER'}, ours {seconds:.2f} s, theirs {their_seconds:.2f} s", flush=True)


def compare_speed(peer, names, text_path):
    text = text_path.read_text()
    for name in names:
        path = peer.folder / f"{name}.json"
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
        size, documents = len(text.encode()) / 1e6, text.split("\n\n")
        begin = time.perf_counter()
        for document in documents:  # short texts: one of megabytes takes the wheel much longer
            tokenizer.encode(document)
        theirs = size / (time.perf_counter() - begin)
        ours = float(subprocess.check_output([peer.program, "time", path, text_path]))
        print(f"speed {name:28} one thread: ours {ours:6.1f} MB/s, theirs {theirs:5.2f} MB/s, {ours / theirs:.0f} times",
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--text", type=pathlib.Path, required=True, help="English text for training and speed")
    parser.add_argument("--strings", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=20261126)
    parser.add_argument("--only", default="", help="the variants whose name has this in it")
    arguments = parser.parse_args()
    print("tokenizers", tokenizers.__version__)
    merges = {name: read_merges(name) for name in ("gpt2", "neox")}
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(arguments.program, pathlib.Path(folder))
        rng = random.Random(arguments.seed)
        for name, content, added, whole_range in variants(merges):
            if arguments.only not in name:
                continue
            texts = [random_text(rng, added) for _ in range(arguments.strings)]
            for allow_special in (True, False) if added else (False,):
                compare_ids(peer, name, content, texts, allow_special)
            if whole_range:
                compare_ids(peer, name, content, every_code_point(), False)
        if not arguments.only:
            compare_nfc(peer, rng, 5 * arguments.strings)
            compare_decoding(peer, rng, arguments.strings)
            compare_training(peer, arguments.text)
            compare_speed(peer, ["gpt2", "neox", "llama3", "qwen", "o200k"], arguments.text)
        print(f"{peer.strings:,} strings compared, {peer.mismatches} mismatches")
        sys.exit(peer.mismatches > 0)


if __name__ == "__main__":
    main()
