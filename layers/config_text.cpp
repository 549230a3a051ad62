#include <array>
#include <charconv>

#include "layers/config_fields.h"

namespace xlstm::layers {
namespace {

class JsonText {
 public:
  template <class Config>
  void object(const Config& config) {
    text_ += "{";
    const std::string before = indent_;
    indent_ += "  ";
    bool first = true;
    for_each_field(config, [&](const char* key, const auto& value) {
      if (left_out(key, value)) return;
      text_ += (first ? "\n" : ",\n") + indent_ + "\"" + key + "\": ";
      first = false;
      write(value);
    });
    indent_ = before;
    text_ += "\n" + indent_ + "}";
  }

  std::string take() { return std::move(text_); }

 private:
  // The two shorthands are not official keys: resolved configurations do not carry them.
  template <class T>
  static bool left_out(const std::string& key, const T& value) {
    if constexpr (requires { value.has_value(); })
      return (key == "signature" || key == "num_layers") && !value.has_value();
    return false;
  }

  void write(bool value) { text_ += value ? "true" : "false"; }
  void write(int64_t value) { text_ += std::to_string(value); }
  void write(double value) {
    std::array<char, 32> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
    std::string digits(buffer.data(), end);
    if (digits.find_first_of(".en") == std::string::npos) digits += ".0";
    text_ += digits;
  }
  void write(const std::string& value) {
    text_ += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') text_ += '\\';
      text_ += c;
    }
    text_ += '"';
  }
  void write(const std::vector<int64_t>& values) {
    text_ += "[";
    for (size_t i = 0; i < values.size(); ++i)
      text_ += (i > 0 ? ", " : "") + std::to_string(values[i]);
    text_ += "]";
  }
  void write(const BlockPositions& value) {
    if (value.all) {
      text_ += "\"all\"";
    } else {
      write(value.indices);
    }
  }
  template <class T>
  void write(const std::optional<T>& value) {
    if (value) {
      write(*value);
    } else {
      text_ += "null";
    }
  }
  template <class Config>
  void write(const Config& config) {
    object(config);
  }

  std::string text_, indent_;
};

template <class Config>
std::string to_json(const Config& config) {
  JsonText json;
  json.object(config);
  return json.take();
}

}  // namespace

std::string config_text(const XlstmModelConfig& config) {
  return to_json(config);
}

std::string config_text(const XlstmLargeConfig& config) {
  return to_json(config);
}

}  // namespace xlstm::layers
