#include "core/memory_report.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <tuple>
#include <vector>

#include "core/error.h"
#include "core/excerpt.h"

namespace xlstm {
namespace {

constexpr size_t kNamedGroups = 3;

// Blocks of one size that one op has made, in whatever modules.
struct Group {
  MemoryOwner owner;  // of the newest
  int64_t size = 0, count = 0;
};

std::string_view text_of(const char* name) {
  return name == nullptr ? std::string_view{} : std::string_view(name);
}

std::string op_text(const MemoryOwner& owner) {
  return std::string(text_of(owner.op)) + (owner.backward ? " backward" : "");
}

std::string owner_text(const MemoryOwner& owner) {
  std::string text(text_of(owner.module));
  if (owner.op != nullptr) text += (text.empty() ? "" : " ") + op_text(owner);
  if (text.empty() || owner.category != MemoryCategory::activations)
    text += (text.empty() ? "" : " ") + std::string(name_of(owner.category));
  return text;
}

std::vector<Group> largest_groups(const MemoryBlock* newest) {
  using Key = std::tuple<std::string_view, bool, MemoryCategory, int64_t>;
  std::map<Key, Group> groups;
  for (const MemoryBlock* block = newest; block != nullptr; block = block->next) {
    const MemoryOwner& owner = block->owner;
    const Key key{text_of(owner.op), owner.backward, owner.category, block->size};
    ++groups.try_emplace(key, Group{owner, block->size, 0}).first->second.count;
  }
  std::vector<Group> sorted;
  for (const auto& [key, group] : groups) sorted.push_back(group);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Group& a, const Group& b) {
    return a.size * a.count > b.size * b.count;
  });
  if (sorted.size() > kNamedGroups) sorted.resize(kNamedGroups);
  return sorted;
}

std::string in_use_text(const MemoryReport& report) {
  std::string parts;
  for (size_t c = 1; c <= kMemoryCategories; ++c) {  // "other" comes last
    const auto category = static_cast<MemoryCategory>(c % kMemoryCategories);
    const int64_t bytes = report.of(category);
    if (bytes == 0) continue;
    parts +=
        (parts.empty() ? " (" : ", ") + std::string(name_of(category)) + " " + bytes_text(bytes);
  }
  return bytes_text(report.in_use) + (parts.empty() ? "" : parts + ")");
}

}  // namespace

std::string memory_report_text(const MemoryReport& report, Device device,
                               const MemoryBlock* newest) {
  const MemoryOwner& asking = report.asking;
  std::string text = "out of memory on " + to_string(device);
  if (asking.op != nullptr) {
    text += " in " + op_text(asking);
    if (asking.module != nullptr) text += detail::concat(" (", asking.module, ")");
  } else if (asking.category != MemoryCategory::other) {
    text += detail::concat(" for ", name_of(asking.category));
  }
  text += ": tried " + bytes_text(report.tried);
  if (report.free >= 0)
    text += ", free " + bytes_text(report.free) + " of " + bytes_text(report.total);
  text += ", in use " + in_use_text(report);
  if (report.cached > 0) text += ", cached " + bytes_text(report.cached);
  const std::vector<Group> groups = largest_groups(newest);
  for (size_t i = 0; i < groups.size(); ++i) {
    text += (i == 0 ? ". Largest: " : ", ") + owner_text(groups[i].owner) + " " +
            bytes_text(groups[i].size);
    if (groups[i].count > 1) text += " x" + std::to_string(groups[i].count);
  }
  return text + ".";
}

int64_t memory_limit_of_environment() {
  const char* text = std::getenv("XLSTM_MEMORY_LIMIT");
  if (text == nullptr || *text == '\0') return 0;
  char* end = nullptr;
  const int64_t number = *text >= '0' && *text <= '9' ? std::strtoll(text, &end, 10) : 0;
  const char* const units = "KMG";
  int64_t factor = 1;
  if (number > 0 && *end != '\0') {
    const char* unit = std::strchr(units, *end);
    factor = unit == nullptr ? 0 : int64_t{1} << (10 * (unit - units + 1));
    ++end;
  }
  const bool good =
      number > 0 && factor > 0 && *end == '\0' && number <= (int64_t{1} << 62) / factor;
  require<ConfigError>(good, "XLSTM_MEMORY_LIMIT: got ", excerpt(text),
                       ", expected a number of bytes, with K, M or G behind it if wanted");
  return number * factor;
}

}  // namespace xlstm
