"""Random texts that reach the corners of tokenizers."""

WORDS = ["the", "cat", "I'm", "they'LL", "we've", "DON'T", "it'\u017f", "'re", "IT'S", "caf\u00e9", "cafe\u0301",
         "\u0440\u0443\u0441", "\u65e5\u672c\u8a9e", "\ud55c\uad6d", "\u1112\u1161\u11ab", "\u0915\u094d\u0937\u093f", "\u05d0\u05b8\u05d1",
         "1234567", "3.14", "\u0663\u0664", "\u00b2\u00bd", "\u2167", "x2y", "HelloWorld", "aBC", "http://a.b/c?d=e",
         "\U0001f469\u200d\U0001f680", "...", "!?", "--", "{}[]", "\u201cq\u201d", "\u2019s", "\ufb06", "\u212a"]
SPACES = [" ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u00a0", "\u3000", "\u2028", "\u0085", "\u180e",
          "\u200b", "\x0b", "\x1c", ""]
MARKS = "\u0300\u0301\u0323\u0334\u0345\u3099\u05b0\u0651\u0338\u20dd\u094d\u1e94a"
EDGES = ["'", "\u017f", "s", "S", " ", "\n", "\r", "a", "1", "\u00b2", ".", "\u00e9", "e", "\u0301", "<", "|", ">", "\x00", "K"]


def any_character(rng):
    high = rng.choice([0x80, 0x800, 0x3000, 0x10000, 0x20000, 0x110000])
    while True:
        code = rng.randrange(high)
        if not 0xD800 <= code < 0xE000:
            return chr(code)


def random_text(rng, added):
    """Words, or single characters, or anything; with the texts of added tokens in between."""
    kind = rng.random()
    parts = []
    for _ in range(rng.choice([1, 2, 3, 5, 8, 13, 30])):
        dice = rng.random()
        if added and dice < 0.25:
            parts.append(rng.choice(added))
            if rng.random() < 0.5:
                parts.append(rng.choice(SPACES))
        elif kind < 0.45:
            parts.append(rng.choice(WORDS) + rng.choice(SPACES))
        elif kind < 0.75:
            parts.append(rng.choice(EDGES))
        elif dice < 0.5:
            parts.append(any_character(rng) + (rng.choice(MARKS) if rng.random() < 0.3 else ""))
        else:
            parts.append(rng.choice(rng.choice([WORDS, SPACES, EDGES])))
    return "".join(parts)


def every_code_point():
    """Each code point next to letters, digits, spaces, marks, newlines and itself."""
    return [f"a{c}b {c}1{c}{c} {c}\n{c}'{c}\u0301 {c}" for c in map(chr, range(0x110000)) if not "\ud800" <= c <= "\udfff"]
