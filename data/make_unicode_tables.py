#!/usr/bin/env python3
"""Writes unicode_tables.cpp: which code points are letters (L*) and numbers (N*).

Run with an interpreter that has the wanted version of the Unicode database:

    pip install unicodedata2==16.0.0 && python3 make_unicode_tables.py

Version 16.0.0 is the one that the Hugging Face `tokenizers` wheel 0.23.3 was found to use: its
\\p{L} and \\p{N} agree with this table for every code point. White space (\\s) is the property
White_Space, 25 code points, written out below because `unicodedata` does not carry it.
"""
import pathlib
import sys

try:
    import unicodedata2 as unicodedata
except ImportError:
    import unicodedata

WANTED = "16.0.0"
WHITE_SPACE = [(0x9, 0xD), (0x20, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680),
               (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F),
               (0x3000, 0x3000)]


def ranges_of(major: str) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for code in range(0x110000):
        if unicodedata.category(chr(code))[0] != major:
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    return ranges


def rows(name: str, ranges: list[tuple[int, int]]) -> str:
    cells = [f"{{0x{a:X}, 0x{b:X}}}" for a, b in ranges]
    lines, line = [], "   "
    for cell in cells:
        if len(line) + len(cell) + 2 > 100:
            lines.append(line)
            line = "   "
        line += f" {cell},"
    lines.append(line)
    return f"constexpr CodeRange {name}[] = {{\n" + "\n".join(lines) + "\n};\n"


def main() -> None:
    if unicodedata.unidata_version != WANTED:
        sys.exit(f"make_unicode_tables: got Unicode {unicodedata.unidata_version}, expected {WANTED}")
    text = (
        "// Made by data/make_unicode_tables.py from Unicode " + WANTED + "; do not edit.\n"
        "// clang-format off\n"
        '#include "data/unicode_tables.h"\n\n#include <vector>\n\n'
        "namespace xlstm::data {\nnamespace {\n\n"
        "struct CodeRange {\n  uint32_t first, last;\n};\n\n"
        + rows("kLetters", ranges_of("L")) + "\n" + rows("kNumbers", ranges_of("N")) + "\n"
        + rows("kWhiteSpace", WHITE_SPACE) + "\n"
        "std::vector<CodeClass> expand() {\n"
        "  std::vector<CodeClass> classes(kCodePoints, CodeClass::other);\n"
        "  const auto fill = [&classes](const auto& ranges, CodeClass value) {\n"
        "    for (const CodeRange& range : ranges)\n"
        "      for (uint32_t code = range.first; code <= range.last; ++code) classes[code] = value;\n"
        "  };\n"
        "  fill(kLetters, CodeClass::letter);\n"
        "  fill(kNumbers, CodeClass::number);\n"
        "  fill(kWhiteSpace, CodeClass::space);\n"
        "  return classes;\n}\n\n}  // namespace\n\n"
        "const CodeClass* code_classes() {\n"
        "  static const std::vector<CodeClass> classes = expand();\n"
        "  return classes.data();\n}\n\n}  // namespace xlstm::data\n")
    pathlib.Path(__file__).with_name("unicode_tables.cpp").write_text(text)


if __name__ == "__main__":
    main()
