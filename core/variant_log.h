// Which variant of each kernel ran: what benchmarks and tests report, so that a number is never
// ascribed to a kernel that did not compute it.
#pragma once

#include <string>
#include <vector>

namespace xlstm {

// While alive, collects the names of the kernel variants that this thread calls, each once, in the
// order of their first call. One at a time.
class VariantLog {
 public:
  VariantLog();
  ~VariantLog();
  VariantLog(const VariantLog&) = delete;
  VariantLog& operator=(const VariantLog&) = delete;
  const std::vector<std::string>& names() const { return names_; }

 private:
  friend void note_variant(const char* name);
  std::vector<std::string> names_;
};

// True while somebody listens; asked before a name is looked up.
bool variants_are_noted();
void note_variant(const char* name);

}  // namespace xlstm
