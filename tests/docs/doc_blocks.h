// The code blocks of a Markdown page and what stands before them in HTML comments.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace xlstm::testing {

struct DocBlock {
  int line = 0;  // of its first line of code, from 1
  std::string code;
  std::vector<std::string> comments;  // right before it, without <!-- and -->
};

inline std::string trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == text.npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\n") - first + 1));
}

// Blocks in fences of ``` and blocks indented by four spaces after an empty line. The comments
// after the last block become those of a block without code.
inline std::vector<DocBlock> doc_blocks(const std::string& page) {
  std::vector<DocBlock> blocks;
  DocBlock next;
  enum { text, fenced, indented, comment } state = text;
  bool after_empty = true;
  std::string open_comment;
  int number = 0;
  const auto end_block = [&] {
    while (next.code.ends_with("\n\n")) next.code.pop_back();
    blocks.push_back(next);
    next = {};
    state = text;
  };
  for (size_t at = 0; at < page.size();) {
    const size_t end = std::min(page.find('\n', at), page.size());
    const std::string line = page.substr(at, end - at);
    at = end + 1;
    ++number;
    const bool is_empty = trimmed(line).empty();
    if (state == indented) {
      if (is_empty || line.starts_with("    ")) {
        next.code += (is_empty ? "" : line.substr(4)) + "\n";
        continue;
      }
      end_block();
    }
    if (state == fenced) {
      if (line.starts_with("```")) {
        end_block();
      } else {
        next.code += line + "\n";
      }
    } else if (state == comment || line.starts_with("<!--")) {
      const std::string piece = state == comment ? line : line.substr(4);
      const size_t close = piece.find("-->");
      open_comment += piece.substr(0, close) + "\n";
      state = close == piece.npos ? comment : text;
      if (state == text) {
        next.comments.push_back(trimmed(open_comment));
        open_comment.clear();
        after_empty = true;
        continue;
      }
    } else if (line.starts_with("```")) {
      state = fenced;
      next.line = number + 1;
    } else if (line.starts_with("    ") && !is_empty && after_empty) {
      state = indented;
      next.line = number;
      next.code = line.substr(4) + "\n";
    } else if (!is_empty && !next.comments.empty()) {
      end_block();  // comments that belong to no block
    }
    after_empty = is_empty;
  }
  if (state != text || !next.comments.empty()) end_block();
  return blocks;
}

}  // namespace xlstm::testing
