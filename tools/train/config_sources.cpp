#include "tools/train/config_sources.h"

#include <algorithm>

#include "core/error.h"
#include "core/excerpt.h"
#include "tools/train/config_table.h"
#include "tools/train/foreign_config.h"
#include "tools/train/yaml.h"

namespace xlstm::train {
namespace {

// Splits "a.b.c"; nothing if a part is empty.
std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    if (end == begin) return {};
    parts.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// Takes the value at "section.key" out of `values`; false if it is not there.
bool take(Json& values, std::string_view path, Json& out) {
  const size_t dot = path.find('.');
  Json* section = values.find(path.substr(0, dot));
  if (section == nullptr || !section->is_object()) return false;
  const std::string_view key = path.substr(dot + 1);
  auto& members = section->as_object();
  const auto found =
      std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.first == key; });
  if (found == members.end()) return false;
  out = std::move(found->second);
  members.erase(found);
  return true;
}

}  // namespace

void Problems::add(const std::string& path, const std::string& what) {
  std::string source;
  for (std::string at = path;; at.resize(at.rfind('.'))) {
    if (const auto found = origins.find(at); found != origins.end()) {
      source = " [" + found->second + "]";
      break;
    }
    if (at.find('.') == std::string::npos) break;
  }
  lines_.emplace_back(path, (path.empty() ? "" : path + ": ") + what + source);
}

bool Problems::clean(const std::string& path) const {
  return std::none_of(lines_.begin(), lines_.end(), [&](const auto& line) {
    return line.first == path || line.first.starts_with(path + ".");
  });
}

void Problems::throw_if_any() const {
  if (lines_.empty()) return;
  if (lines_.size() == 1) throw_error<ConfigError>("config: ", lines_[0].second);
  std::string text = detail::concat("config: ", lines_.size(), " errors");
  for (const auto& [path, line] : lines_) text += "\n  " + line;
  throw ConfigError(text);
}

void ConfigSources::add(Json values, const std::string& source) {
  if (values.is_null()) return;  // an empty file
  if (!values.is_object()) {
    problems_.add("",
                  source + ": got " + describe(values) + ", expected sections such as trainer:");
    return;
  }
  translate_foreign_config(values, source, problems_);
  for (const RefusedKey& refused : refused_keys()) {
    Json value;
    if (!take(values, refused.path, value)) continue;
    const std::string path(refused.path);
    problems_.origins[path] = source;
    problems_.add(path, "not supported: " + std::string(refused.why));
  }
  for (const KeyAlias& alias : key_aliases()) {
    Json value;
    if (!take(values, alias.path, value) || alias.target.empty()) continue;
    const size_t dot = alias.target.find('.');
    const std::string_view section_name = alias.target.substr(0, dot);
    Json* there = values.find(section_name);
    Json& section =
        there != nullptr ? *there : values.set(std::string(section_name), Json::object());
    const std::string key(alias.target.substr(dot + 1));
    if (section.find(key) != nullptr) {
      problems_.origins[std::string(alias.path)] = source;
      problems_.add(std::string(alias.path), "stands for " + key + ", which is given as well");
    } else {
      section.set(key, std::move(value));
    }
  }
  merge(merged_, values, "", source);
}

void ConfigSources::add_override(const std::string& path, const std::string& text) {
  const std::vector<std::string> parts = split_path(path);
  const std::string source = "--" + path;
  if (parts.empty()) {
    problems_.add("", "got " + excerpt(source) + ", expected --section.key");
    return;
  }
  Json value;
  try {
    value = parse_yaml_value(text, source);
  } catch (const ConfigError& error) {
    problems_.add("", error.what());
    return;
  }
  for (size_t i = parts.size(); i-- > 0;) {
    Json wrapped = Json::object();
    wrapped.set(parts[i], std::move(value));
    value = std::move(wrapped);
  }
  add(std::move(value), "command line");
}

void ConfigSources::merge(Json& into, const Json& from, const std::string& path,
                          const std::string& source) {
  if (!from.is_object() || from.size() == 0) {
    // An empty section says nothing; an empty network (feedforward: {}) brings a removed one back.
    if (from.is_object() && into.is_object()) return;
    into = from;
    problems_.origins[path] = source;
    return;
  }
  if (!into.is_object()) into = Json::object();
  for (const auto& [key, value] : from.as_object()) {
    Json* member = into.find(key);
    merge(member != nullptr ? *member : into.set(key, Json()), value, child_path(path, key),
          source);
  }
}

std::string nearest_word(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    // Optimal string alignment: insertions, deletions, changes and swaps of neighbours.
    std::vector<std::vector<size_t>> d(word.size() + 1, std::vector<size_t>(candidate.size() + 1));
    for (size_t i = 0; i <= word.size(); ++i) {
      for (size_t j = 0; j <= candidate.size(); ++j) {
        if (i == 0 || j == 0) {
          d[i][j] = i + j;
          continue;
        }
        const size_t change = word[i - 1] == candidate[j - 1] ? 0 : 1;
        d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change});
        if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1])
          d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
    const size_t distance = d[word.size()][candidate.size()];
    if (distance >= best_distance) continue;
    best_distance = distance;
    best = candidate;
  }
  return best;
}

}  // namespace xlstm::train
