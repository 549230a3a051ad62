"""The tokenizers that are compared: two real vocabularies, and all steps that we implement around them."""

import json
import lzma
import pathlib

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN = LLAMA3.replace("{1,3}", "")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
            r"|\s*[\r\n]+|\s+(?!\S)|\s+")
WORDS = r"\w+(?:'\w+)?|\d+?|[^\w\s]+"
GAPS = r"[\p{Lu}\p{^L}\d]\P{L}?|\s{2,}|(?<=e)\W|(?=x)"
EMPTY = r"a*|\S*?(?=\p{Sm})"
PROPERTIES = "|".join(f"\\p{{{name}}}+" for name in (
    "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn".split()))
NEGATIVE = r"[\S\P{L}]{3}|[^\D\p{Nd}]|[\W\p{Lu}x-z-]{2,4}?|[^\S\n]|\x{e9}\u00e8?|[\-\]\[a]+"


def read_merges(name):
    path = pathlib.Path(__file__).parent / "vocabularies" / f"{name}_merges.txt.xz"
    return [tuple(line.split(" ")) for line in lzma.open(path, "rt", encoding="utf-8").read().splitlines()]


def byte_characters():
    """The byte-level alphabet, by byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {**{byte: chr(byte) for byte in printable}, **{byte: chr(256 + i) for i, byte in enumerate(others)}}


def vocabulary(name, merges):
    alphabet = byte_characters()
    if name == "gpt2":  # in the order of the dictionary above, then the merges, then the special token
        tokens = [*alphabet.values(), *("".join(pair) for pair in merges), "<|endoftext|>"]
    else:  # NeoX's trainer saw no byte that is not in UTF-8
        absent = [alphabet[byte] for byte in (0xC0, 0xC1, *range(0xF5, 0x100))]
        tokens = ["<|endoftext|>", "<|unk|>", *sorted(set(alphabet.values()) - set(absent))]
        tokens += dict.fromkeys("".join(pair) for pair in merges)
    return {token: i for i, token in enumerate(tokens)}


def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def sequence(*steps, last=None):
    return {"type": "Sequence", "pretokenizers": [*steps, last or byte_level(regex=False)]}


def split(pattern, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": "Isolated", "invert": False}


def digits(individual):
    return {"type": "Digits", "individual_digits": individual}


def token(content, special=False, normalized=False, single_word=False, lstrip=False, rstrip=False):
    return {"content": content, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip,
            "normalized": normalized, "special": special}


def flagged_tokens():
    """Added tokens with all flags, many of which overlap."""
    out = [token("<|endoftext|>", special=True)]
    contents = ["<a>", "<a>b", "cat", "the", "\u00e9", "e\u0301x", "  ", "\n", "'s", "I'm", "<s>", "\u0323\u0301", "s", " a", "a b",
                "caf\u00e9", "<s", "|>", "\u1112\u1161", "12"]
    for i, content in enumerate(contents):
        bits = (i * 7 + 3) % 32 if i % 3 else i % 8
        out.append(token(content, bool(bits & 16), bool(bits & 8), bool(bits & 1), bool(bits & 2), bool(bits & 4)))
    out.append(token("cafe\u0301", normalized=True, lstrip=True))
    return out


def variants(merges):
    """(name, tokenizer.json, texts of added tokens, whether to try every code point)"""
    vocabularies = {name: vocabulary(name, pairs) for name, pairs in merges.items()}
    spaces = [token(" " * n, normalized=True) for n in range(24, 1, -1)]

    def make(name, cut, base="gpt2", nfc=None, added=(), whole=False, every=False):
        vocab = dict(vocabularies[base])
        listed, following = [], len(vocab)
        for entry in added:
            number = vocab.get(entry["content"], following)
            following += number == following
            listed.append({"id": number, **entry})
        listed.sort(key=lambda entry: entry["id"])
        content = {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": listed, "normalizer": nfc,
            "pre_tokenizer": cut, "post_processor": None, "decoder": byte_level(),
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": whole,
                      "vocab": vocab, "merges": [list(pair) for pair in merges[base]]}}
        return name, json.dumps(content), [entry["content"] for entry in added], every

    nfc = {"type": "NFC"}
    both = {"type": "Sequence", "normalizers": [nfc, nfc]}
    end = [token("<|endoftext|>", special=True)]
    neox = [*end, token("<|unk|>", special=True), *spaces]
    yield make("gpt2", byte_level(), added=end, every=True)
    yield make("gpt2_prefix", byte_level(prefix=True), added=end)
    yield make("neox", byte_level(), base="neox", nfc=nfc, added=neox, every=True)
    yield make("llama3", sequence(split(LLAMA3)), whole=True, added=end, every=True)
    yield make("qwen", sequence(split(QWEN)), nfc=both, added=end, every=True)
    yield make("whole", byte_level(regex=False), whole=True)
    yield make("digits", sequence(digits(True), last=byte_level()), base="neox", every=True)
    yield make("digit_runs", sequence(digits(False), split(GPT2), last=byte_level(prefix=True)))
    yield make("added", byte_level(), base="neox", nfc=nfc, added=flagged_tokens())
    yield make("added_raw", byte_level(prefix=True), added=flagged_tokens())
    yield make("added_flipped", sequence(split(LLAMA3)), nfc=nfc, added=[
        {**entry, **{key: not entry[key] for key in ("normalized", "special", "lstrip")}} for entry in flagged_tokens()])
    yield make("o200k", sequence(split(O200K)), every=True)
    yield make("deepseek", sequence(split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), split(DEEPSEEK)))
    yield make("literal", sequence(split("'", "String"), split("a.", "String"), last=byte_level()))
    for name, pattern in (("words", WORDS), ("gaps", GAPS), ("empty", EMPTY), ("properties", PROPERTIES),
                          ("negative", NEGATIVE)):
        yield make(name, sequence(split(pattern)), every=name == "words")
        yield make(name + "_prefix", sequence(split(pattern), last=byte_level(prefix=True)))
