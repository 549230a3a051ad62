// Configuration files and command-line values, put together before anything is interpreted.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/json.h"

namespace xlstm::train {

// Complaints about a configuration, each with the place that the value came from.
class Problems {
 public:
  // "path: what [source]"
  void add(const std::string& path, const std::string& what);
  // No complaint about this key or anything below it.
  bool clean(const std::string& path) const;
  // ConfigError with all of them, if there are any.
  void throw_if_any() const;

  // Where values came from, by path; the nearest one above a path counts.
  std::map<std::string, std::string> origins;

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

inline std::string child_path(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

class ConfigSources {
 public:
  explicit ConfigSources(Problems& problems) : problems_(problems) {}

  // Later values win, key by key. Keys of other programs are translated or refused here.
  void add(Json values, const std::string& source);
  void add_override(const std::string& path, const std::string& text);
  const Json& merged() const { return merged_; }

 private:
  void merge(Json& into, const Json& from, const std::string& path, const std::string& source);

  Problems& problems_;
  Json merged_ = Json::object();
};

// The candidate that is a slip of the finger away from `word`, or "".
std::string nearest_word(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace xlstm::train
