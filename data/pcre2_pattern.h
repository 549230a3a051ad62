// A compiled PCRE2 pattern, run under limits.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct pcre2_real_code_8;

namespace xlstm::data {

class Pcre2Pattern {
 public:
  // FormatError, beginning with `where`, for what PCRE2 does not compile. A literal has no
  // metacharacters.
  Pcre2Pattern(std::string_view pattern, bool is_literal, const std::string& where);

  struct Match {
    size_t begin, end;
  };
  // The leftmost match at or after `begin`. `text` must be UTF-8 and `begin` between characters.
  // FormatError if the search takes more steps or memory than a sane pattern needs.
  std::optional<Match> find(std::string_view text, size_t begin) const;

 private:
  std::shared_ptr<pcre2_real_code_8> code_;
  std::string where_;
};

}  // namespace xlstm::data
