#include "data/pcre2_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "core/error.h"
#include "core/excerpt.h"

namespace xlstm::data {
namespace {

// For one search. A pattern that cuts text properly stays far below.
constexpr uint32_t kMaxSteps = 10'000'000;
constexpr uint32_t kMaxDepth = 1'000'000;
constexpr uint32_t kMaxHeapKiB = 64 << 10;
constexpr size_t kJitStack = size_t{32} << 10, kMaxJitStack = size_t{8} << 20;

std::string error_text(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

template <class T, void (*kFree)(T*)>
struct Freer {
  void operator()(T* pointer) const { kFree(pointer); }
};
template <class T, void (*kFree)(T*)>
using Owner = std::unique_ptr<T, Freer<T, kFree>>;

// What a search needs besides the pattern, once for each thread.
struct Workplace {
  Owner<pcre2_match_data, pcre2_match_data_free> found{pcre2_match_data_create(1, nullptr)};
  Owner<pcre2_match_context, pcre2_match_context_free> context{pcre2_match_context_create(nullptr)};
  Owner<pcre2_jit_stack, pcre2_jit_stack_free> stack{
      pcre2_jit_stack_create(kJitStack, kMaxJitStack, nullptr)};

  Workplace() {
    if (!found || !context) throw std::bad_alloc();
    pcre2_set_match_limit(context.get(), kMaxSteps);
    pcre2_set_depth_limit(context.get(), kMaxDepth);
    pcre2_set_heap_limit(context.get(), kMaxHeapKiB);
    if (stack) pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
};

}  // namespace

Pcre2Pattern::Pcre2Pattern(std::string_view pattern, bool is_literal, const std::string& where)
    : where_(where) {
  const Owner<pcre2_compile_context, pcre2_compile_context_free> context(
      pcre2_compile_context_create(nullptr));
  if (!context) throw std::bad_alloc();
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | (is_literal ? PCRE2_LITERAL : PCRE2_NEVER_BACKSLASH_C), &error, &at,
                    context.get());
  require<FormatError>(code != nullptr, where, ": pattern ", excerpt(pattern), " is wrong, got \"",
                       error_text(error), "\" at byte ", at,
                       ", expected a regular expression that PCRE2 compiles");
  code_.reset(code, pcre2_code_free);
  // Where there is no JIT, the interpreter does the same.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
}

std::optional<Pcre2Pattern::Match> Pcre2Pattern::find(std::string_view text, size_t begin) const {
  thread_local const Workplace place;
  const int status =
      pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), begin,
                  PCRE2_NO_UTF_CHECK, place.found.get(), place.context.get());
  if (status == PCRE2_ERROR_NOMATCH) return std::nullopt;
  require<FormatError>(status >= 0, where_, ": pattern gave up on text ",
                       excerpt(text.substr(begin, 40)), ", got \"", error_text(status),
                       "\", expected a pattern that needs no more than ", kMaxSteps,
                       " steps for a match");
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(place.found.get());
  return Match{bounds[0], bounds[1]};
}

}  // namespace xlstm::data
