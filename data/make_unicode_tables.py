#!/usr/bin/env python3
"""Writes unicode_tables.cpp: the general categories, and what the normal form NFC needs.

Run with an interpreter that has the wanted version of the Unicode database:

    pip install unicodedata2==16.0.0 && python3 make_unicode_tables.py

The versions are those inside the Hugging Face `tokenizers` wheel 0.23.3, which our ids have to equal:
its patterns know the categories of Unicode 16, its NFC the combining marks and compositions of
Unicode 9. A character's own marks and decompositions never change once it is in Unicode (stability
policy), so the second is Unicode 16 without what came later. `make test-oracle` compares the tables with the
wheel over every code point.
"""
import pathlib
import sys

try:
    import unicodedata2 as unicodedata
except ImportError:
    import unicodedata

WANTED = "16.0.0"
CATEGORIES = "Cn Cc Cf Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs".split()
# Marks and composed characters that came after Unicode 9.
AFTER_9 = [(0x7FD, 0x7FD), (0x897, 0x89F), (0x8CA, 0x8D3), (0x9FE, 0x9FE), (0xC3C, 0xC3C), (0xD3B, 0xD3C),
           (0xEBA, 0xEBA), (0x1715, 0x1715), (0x1ABF, 0x1ACE), (0x1DF6, 0x1DFA), (0xA82C, 0xA82C),
           (0x105C9, 0x105C9), (0x105E4, 0x105E4), (0x10D24, 0x10D27), (0x10D69, 0x10D6D), (0x10EAB, 0x10EAC),
           (0x10EFD, 0x10EFF), (0x10F46, 0x10F50), (0x10F82, 0x10F85), (0x11070, 0x11070), (0x1133B, 0x1133B),
           (0x11383, 0x11391), (0x113C5, 0x113D0), (0x1145E, 0x1145E), (0x11839, 0x1183A), (0x11938, 0x11943),
           (0x119E0, 0x119E0), (0x11A34, 0x11A34), (0x11A47, 0x11A47), (0x11A99, 0x11A99), (0x11D42, 0x11D45),
           (0x11D97, 0x11D97), (0x11F41, 0x11F42), (0x16121, 0x16128), (0x1612F, 0x1612F), (0x16D68, 0x16D6A),
           (0x16FF0, 0x16FF1), (0x1E08F, 0x1E08F), (0x1E130, 0x1E136), (0x1E2AE, 0x1E2AE), (0x1E2EC, 0x1E2EF),
           (0x1E4EC, 0x1E4EF), (0x1E5EE, 0x1E5EF)]
LATE = {code for first, last in AFTER_9 for code in range(first, last + 1)}


def runs(value_of) -> list[tuple[int, int]]:
    """(first code point, value) wherever the value changes."""
    out: list[tuple[int, int]] = []
    for code in range(0x110000):
        value = value_of(code)
        if not out or out[-1][1] != value:
            out.append((code, value))
    return out


def combining_class(code: int) -> int:
    return 0 if code in LATE else unicodedata.combining(chr(code))


def decompositions() -> list[tuple[int, int, int, int]]:
    """(code point, first part, second part or 0, whether NFC puts the parts together again)."""
    out = []
    for code in range(0x110000):
        parts = unicodedata.decomposition(chr(code))
        if code in LATE or not parts or parts.startswith("<"):
            continue
        first, second = ([int(part, 16) for part in parts.split()] + [0])[:2]
        out.append((code, first, second, int(unicodedata.normalize("NFC", chr(code)) == chr(code))))
    return out


def array(kind: str, name: str, rows: list[str]) -> str:
    lines, line = [], "   "
    for row in rows:
        if len(line) + len(row) + 2 > 118:
            lines.append(line)
            line = "   "
        line += f" {row},"
    lines.append(line)
    body = "\n".join(lines)
    return f"const {kind} {name}[] = {{\n{body}\n}};\nconst size_t {name}Size = std::size({name});\n"


def main() -> None:
    if unicodedata.unidata_version != WANTED:
        sys.exit(f"make_unicode_tables: got Unicode {unicodedata.unidata_version}, expected {WANTED}")
    categories = runs(lambda code: CATEGORIES.index(unicodedata.category(chr(code))))
    classes = runs(combining_class)
    text = (
        f"// Made by data/make_unicode_tables.py from Unicode {WANTED}; do not edit.\n"
        "// clang-format off\n"
        '#include "data/unicode_tables.h"\n\n#include <iterator>\n\nnamespace xlstm::data {\n\n'
        + array("CodeRun", "kCategoryRuns", [f"{{0x{a:X},{v}}}" for a, v in categories]) + "\n"
        + array("CodeRun", "kCombiningRuns", [f"{{0x{a:X},{v}}}" for a, v in classes]) + "\n"
        + array("Decomposition", "kDecompositions",
                [f"{{0x{c:X},0x{a:X},0x{b:X},{k}}}" for c, a, b, k in decompositions()])
        + "\n}  // namespace xlstm::data\n")
    pathlib.Path(__file__).with_name("unicode_tables.cpp").write_text(text)


if __name__ == "__main__":
    main()
