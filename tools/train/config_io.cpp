#include "tools/train/config_io.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <random>

#include "core/error.h"
#include "core/excerpt.h"
#include "tools/train/config_check.h"
#include "tools/train/config_fields.h"
#include "tools/train/config_sources.h"
#include "tools/train/config_table.h"
#include "tools/train/yaml.h"

namespace xlstm::train {
namespace {

const char* arch_of(const layers::ModelConfig& model) {
  return model.index() == 0 ? "xlstm" : "xlstm_large";
}

// "DD:HH:MM:SS", or any tail of it with at least one colon; -1 if it is nothing of the kind.
double parse_duration(const std::string& text) {
  double seconds = 0;
  int parts = 0;
  for (size_t begin = 0; begin <= text.size(); ++parts) {
    const size_t end = std::min(text.find(':', begin), text.size());
    int64_t value = 0;
    const auto result = std::from_chars(text.data() + begin, text.data() + end, value);
    if (result.ec != std::errc() || result.ptr != text.data() + end || value < 0 || value > 100000)
      return -1;
    seconds = seconds * (parts == 1 ? 24 : 60) + static_cast<double>(value);
    begin = end + 1;
  }
  return parts == 4 ? seconds : -1;
}

// Reads values into a configuration, key by key, and notes every complaint.
class Reader {
 public:
  explicit Reader(Problems& problems) : problems_(problems) {}

  // `rules` is where the keys' rules stand: the same path but for the model.
  template <class Config>
  void object(const Json& json, Config& config, const std::string& path, const std::string& rules,
              std::vector<std::string> known = {}) {
    if (json.is_null()) return;  // a section without content
    if (!json.is_object()) return wrong(path, json, "a section");
    for_each_field(config, [&](const char* key, auto&& member) {
      known.emplace_back(key);
      if (const Json* value = json.find(key))
        read(*value, member, child_path(path, key), child_path(rules, key));
    });
    for (const auto& [key, value] : json.as_object())
      if (std::find(known.begin(), known.end(), key) == known.end()) unknown(path, key, known);
  }

 private:
  void wrong(const std::string& path, const Json& json, const std::string& expected) {
    problems_.add(path, "got " + describe(json) + ", expected " + expected);
  }

  void unknown(const std::string& path, const std::string& key,
               const std::vector<std::string>& known) {
    std::string hint = nearest_word(key, known);
    if (hint.empty()) {
      for (const KeyRule& rule : key_rules()) {
        const size_t dot = rule.path.rfind('.');
        if (dot == std::string_view::npos || rule.path.substr(dot + 1) != key) continue;
        hint = rule.path;
        if (rule.path.starts_with("xlstm_large."))
          hint = "model." + hint.substr(12) + " of arch xlstm_large";
        else if (rule.path.starts_with("xlstm."))
          hint = "model." + hint.substr(6) + " of arch xlstm";
        break;
      }
    }
    problems_.add(child_path(path, excerpt(key, 80).substr(1, std::min<size_t>(key.size(), 80))),
                  "unknown key" + (hint.empty() ? "" : " (did you mean " + hint + "?)"));
  }

  template <class Number>
  bool in_range(Number value, const std::string& path, const std::string& rules) {
    const KeyRule* rule = find_rule(rules);
    const auto x = static_cast<double>(value);
    if (!std::isfinite(x)) {
      problems_.add(path, "got " + number_text(x) + ", expected a finite number");
      return false;
    }
    if (rule == nullptr || (x >= rule->min && x <= rule->max)) return true;
    problems_.add(path, "out of range, got " + number_text(x) + ", expected " +
                            number_text(rule->min) +
                            (rule->max < 1e15 ? " to " + number_text(rule->max) : " or more"));
    return false;
  }

  using Text = const std::string&;
  void read(const Json& json, bool& out, Text path, Text) {
    if (!json.is_bool()) return wrong(path, json, "true or false");
    out = json.as_bool();
  }
  void read(const Json& json, int64_t& out, Text path, Text rules) {
    if (!json.is_integer()) return wrong(path, json, "an integer");
    if (in_range(json.as_int(), path, rules)) out = json.as_int();
  }
  void read(const Json& json, uint64_t& out, Text path, Text rules) {
    if (!json.is_integer()) return wrong(path, json, "an integer");
    if (in_range(json.as_int(), path, rules)) out = static_cast<uint64_t>(json.as_int());
  }
  void read(const Json& json, double& out, Text path, Text rules) {
    if (!json.is_number()) return wrong(path, json, "a number");
    if (in_range(json.as_double(), path, rules)) out = json.as_double();
  }
  void read(const Json& json, std::string& out, Text path, Text rules) {
    if (!json.is_string())
      return wrong(path, json, json.is_null() ? "text" : "text (put it in quotes)");
    const std::string& text = json.as_string();
    const KeyRule* rule = find_rule(rules);
    if (rule != nullptr && !rule->choices.empty() &&
        std::find(rule->choices.begin(), rule->choices.end(), text) == rule->choices.end()) {
      std::string choices;
      for (const std::string_view choice : rule->choices)
        choices += (choices.empty() ? "" : ", ") + std::string(choice);
      return problems_.add(path, "got " + excerpt(text) + ", expected one of " + choices +
                                     reason_for_refusal(path, text));
    }
    out = text;
  }
  template <class T>
  void read(const Json& json, std::vector<T>& out, Text path, Text rules) {
    // A single text may stand for a list of one.
    if (std::is_same_v<T, std::string> && json.is_string())
      return read(Json(Json::Array{json}), out, path, rules);
    if (!json.is_array()) return wrong(path, json, "a list such as [1, 2]");
    std::vector<T> values;
    for (const Json& element : json.as_array()) {
      const std::string element_path = detail::concat(path, '[', values.size(), ']');
      read(element, values.emplace_back(), element_path, rules);
    }
    out = std::move(values);
  }
  void read(const Json& json, layers::BlockPositions& out, Text path, Text rules) {
    out = {};
    if (json.is_string() && json.as_string() == "all")
      out.all = true;
    else if (json.is_array())
      read(json, out.indices, path, rules);
    else
      wrong(path, json, "a list of block indices, or all");
  }
  template <class T>
  void read(const Json& json, std::optional<T>& out, Text path, Text rules) {
    if (json.is_null()) {
      out.reset();
      return;
    }
    T value = out.value_or(T{});
    read(json, value, path, rules);
    out = std::move(value);
  }
  void read(const Json& json, Interval& out, Text path, Text) {
    if (json.is_integer() && json.as_int() >= 1)
      out = {.value = static_cast<double>(json.as_int()), .is_fraction = false};
    else if (json.type() == Json::Type::number && json.as_double() > 0 && json.as_double() <= 1)
      out = {.value = json.as_double(), .is_fraction = true};
    else
      wrong(path, json, "batches (an integer from 1) or a part of an epoch (0.0 < x <= 1.0)");
  }
  template <class T>
  void read(const Json& json, DurationField<T>& out, Text path, Text rules) {
    if (json.is_null()) {
      out.seconds = -1;
    } else if (json.is_string()) {
      const double seconds = parse_duration(json.as_string());
      if (seconds < 0) return wrong(path, json, "\"DD:HH:MM:SS\" or seconds");
      out.seconds = seconds;
    } else {
      read(json, out.seconds, path, rules);
    }
  }
  template <class T>
  void read(const Json& json, DevicesField<T>& out, Text path, Text rules) {
    // As in Lightning, -1 is all.
    const bool all = json == Json("auto") || json == Json(-1);
    if (all)
      out.n = 0;
    else if (json.is_integer() && json.as_int() > 0)
      read(json, out.n, path, rules);
    else
      wrong(path, json, "a number of devices from 1, or auto for all");
  }
  template <class T>
  void read(const Json& json, LimitField<T>& out, Text path, Text rules) {
    if (json.type() != Json::Type::number) return read(json, out.n, path, rules);
    if (json.as_double() != 1.0 && json.as_double() != 0.0)
      return wrong(path, json, "an integer, or 1.0 for all batches, or 0.0 for none");
    out.n = json.as_double() == 0.0 ? 0 : -1;
  }
  template <class T>
  void read(const Json& json, SeedField<T>& out, Text path, Text rules) {
    if (!json.is_bool()) return read(json, out.seed, path, rules);
    if (!json.as_bool()) return wrong(path, json, "an integer, or true for a random seed");
    out.seed = static_cast<int64_t>(std::random_device{}() & 0x7fffffffu);
  }
  template <class T>
  void read(const Json& json, CountField<T>& out, Text path, Text rules) {
    if (!json.is_bool()) return read(json, out.n, path, rules);
    out.n = json.as_bool() ? 1 : 0;
  }
  template <class T>
  void read(const Json& json, LoggerField<T>& out, Text path, Text rules) {
    // null is what Lightning writes for its default, which is to log.
    if (json.is_null() || (json.is_bool() && json.as_bool())) {
      const TrainerConfig standard;
      out.names = standard.logger;
    } else if (json.is_bool()) {
      out.names.clear();
    } else if (json.is_string() || json.is_array()) {
      read(json, out.names, path, rules);
    } else {
      wrong(path, json, "true, false, or a list such as [tensorboard, csv]");
    }
  }
  void read(const Json& json, layers::ModelConfig& out, Text path, Text) {
    if (json.is_null()) return;
    if (!json.is_object()) return wrong(path, json, "a section");
    std::string arch = arch_of(out);
    if (const Json* value = json.find("arch")) read(*value, arch, path + ".arch", "model.arch");
    if (arch == "xlstm_large")
      out = layers::XlstmLargeConfig{};
    else
      out = layers::XlstmModelConfig{};
    std::visit([&](auto& config) { object(json, config, path, arch, {"arch"}); }, out);
  }
  template <class Config>
  void read(const Json& json, Config& out, Text path, Text rules) {
    object(json, out, path, rules);
  }

  Problems& problems_;
};

class Writer {
 public:
  template <class Config>
  static Json object(const Config& config) {
    Json json = Json::object();
    for_each_field(config, [&](const char* key, auto&& member) { json.set(key, write(member)); });
    return json;
  }

 private:
  static Json write(bool value) { return value; }
  static Json write(int64_t value) { return value; }
  static Json write(uint64_t value) { return static_cast<int64_t>(value); }
  static Json write(double value) { return value; }
  static Json write(const std::string& value) { return value; }
  template <class T>
  static Json write(const std::vector<T>& values) {
    Json::Array array;
    for (const T& value : values) array.push_back(write(value));
    return Json(std::move(array));
  }
  static Json write(const layers::BlockPositions& value) {
    return value.all ? Json("all") : write(value.indices);
  }
  template <class T>
  static Json write(const std::optional<T>& value) {
    return value ? write(*value) : Json();
  }
  static Json write(const Interval& interval) {
    return interval.is_fraction ? Json(interval.value) : Json(static_cast<int64_t>(interval.value));
  }
  template <class T>
  static Json write(const DurationField<T>& field) {
    return field.seconds < 0 ? Json() : Json(static_cast<double>(field.seconds));
  }
  template <class T>
  static Json write(const DevicesField<T>& field) {
    return field.n == 0 ? Json("auto") : Json(static_cast<int64_t>(field.n));
  }
  template <class T>
  static Json write(const LimitField<T>& field) {
    return field.n;
  }
  template <class T>
  static Json write(const SeedField<T>& field) {
    return field.seed;
  }
  template <class T>
  static Json write(const CountField<T>& field) {
    return field.n;
  }
  template <class T>
  static Json write(const LoggerField<T>& field) {
    return write(field.names);
  }
  static Json write(const layers::ModelConfig& model) {
    Json json;
    json.set("arch", arch_of(model));
    const Json keys = std::visit([](const auto& config) { return object(config); }, model);
    for (const auto& [key, value] : keys.as_object()) json.set(key, value);
    return json;
  }
  template <class Config>
  static Json write(const Config& config) {
    return object(config);
  }
};

RunConfig interpret(const Json& merged, Problems& problems) {
  RunConfig config;
  Reader(problems).object(merged, config, "", "");
  check_run_config(config, problems);
  problems.throw_if_any();
  return config;
}

}  // namespace

RunConfig load_run_config(const std::vector<std::string>& paths,
                          const std::vector<std::pair<std::string, std::string>>& overrides,
                          const FileSystem& files) {
  Problems problems;
  ConfigSources sources(problems);
  for (const std::string& path : paths) {
    const std::string text = files.read_file(path, int64_t{16} << 20);
    try {
      sources.add(path.ends_with(".json") ? parse_json(text, path) : parse_yaml(text, path), path);
    } catch (const ConfigError& error) {
      problems.add("", error.what());
    } catch (const FormatError& error) {
      problems.add("", error.what());
    }
  }
  for (const auto& [path, text] : overrides) sources.add_override(path, text);
  return interpret(sources.merged(), problems);
}

RunConfig run_config_from_json(const Json& config, const std::string& source) {
  Problems problems;
  ConfigSources sources(problems);
  sources.add(config, source);
  return interpret(sources.merged(), problems);
}

Json run_config_to_json(const RunConfig& config) {
  return Writer::object(config);
}

std::string run_config_to_yaml(const RunConfig& config) {
  return to_yaml(run_config_to_json(config));
}

}  // namespace xlstm::train
