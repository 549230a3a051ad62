#include "tools/train/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>
#include <unordered_set>

#include "core/error.h"
#include "core/excerpt.h"

namespace xlstm::train {
namespace {

constexpr int kMaxDepth = 64;
constexpr int64_t kMaxValues = 1'000'000;
constexpr size_t kMaxBytes = size_t{16} << 20;

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words)
    if (text == word) return true;
  return false;
}

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// Integers of the core schema: [-+]?[0-9]+, 0x..., 0o...
bool parse_integer(std::string_view text, Json& out) {
  const bool negative = text.starts_with('-');
  std::string_view digits = text;
  if (negative || text.starts_with('+')) digits.remove_prefix(1);
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0o")) {
    base = text[1] == 'x' ? 16 : 8;
    digits = text.substr(2);
    if (digits.empty() || digits[0] == '-') return false;
  } else if (!all_digits(digits)) {
    return false;
  }
  int64_t value = 0;
  const std::string signed_digits = (negative ? "-" : "") + std::string(digits);
  const char* end = signed_digits.data() + signed_digits.size();
  const auto result = std::from_chars(signed_digits.data(), end, value, base);
  if (result.ec == std::errc::result_out_of_range)
    throw_error<ConfigError>("integer out of range, got ", excerpt(text));
  if (result.ec != std::errc() || result.ptr != end) return false;
  out = Json(value);
  return true;
}

// Numbers of the core schema: [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool parse_number(std::string_view text, Json& out) {
  std::string_view body = text;
  if (body.starts_with('-') || body.starts_with('+')) body.remove_prefix(1);
  const size_t exponent = body.find_first_of("eE");
  const std::string_view mantissa = body.substr(0, exponent);
  if (exponent != std::string_view::npos) {
    std::string_view digits = body.substr(exponent + 1);
    if (digits.starts_with('-') || digits.starts_with('+')) digits.remove_prefix(1);
    if (!all_digits(digits)) return false;
  }
  const size_t point = mantissa.find('.');
  const std::string_view whole = mantissa.substr(0, point);
  const std::string_view part =
      point == std::string_view::npos ? std::string_view() : mantissa.substr(point + 1);
  if (whole.empty() && part.empty()) return false;
  if ((!whole.empty() && !all_digits(whole)) || (!part.empty() && !all_digits(part))) return false;
  double value = 0;
  const auto result = std::from_chars(body.data(), body.data() + body.size(), value);
  if (result.ec == std::errc::result_out_of_range)
    throw_error<ConfigError>("number out of range, got ", excerpt(text));
  out = Json(text[0] == '-' ? -value : value);
  return true;
}

Json parse_scalar(std::string_view text) {
  if (one_of(text, {"", "~", "null", "Null", "NULL"})) return Json();
  if (one_of(text, {"true", "True", "TRUE"})) return true;
  if (one_of(text, {"false", "False", "FALSE"})) return false;
  Json value;
  if (parse_integer(text, value) || parse_number(text, value)) return value;
  return Json(text);
}

class Converter {
 public:
  explicit Converter(const std::string& source) : source_(source) {}

  Json convert(const YAML::Node& node, int depth) {
    if (++n_values_ > kMaxValues) fail(node, "too many values (do aliases repeat each other?)");
    if (depth > kMaxDepth) fail(node, "nested too deeply, expected at most 64 levels");
    const std::string& tag = node.Tag();
    if (!tag.empty() && tag != "?" && tag != "!")
      fail(node, "tags are not supported, got " + excerpt(tag));
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null:
        return Json();
      case YAML::NodeType::Scalar:
        return scalar(node);
      case YAML::NodeType::Sequence: {
        Json::Array elements;
        for (const auto& element : node) elements.push_back(convert(element, depth + 1));
        return elements;
      }
      case YAML::NodeType::Map:
        return map(node, depth);
    }
    return Json();
  }

 private:
  [[noreturn]] void fail(const YAML::Node& node, const std::string& what) const {
    const int line = node.Mark().line;
    throw_error<ConfigError>(source_, line >= 0 ? ":" + std::to_string(line + 1) : "", ": ", what);
  }
  Json scalar(const YAML::Node& node) const {
    check_text(node);
    if (node.Tag() == "!") return Json(node.Scalar());  // it was quoted
    try {
      return parse_scalar(node.Scalar());
    } catch (const ConfigError& error) {
      fail(node, error.what());
    }
  }
  // Escapes such as "\\ud800" can make what is no text.
  void check_text(const YAML::Node& node) const {
    if (!is_utf8(node.Scalar())) fail(node, "not a text: " + excerpt(node.Scalar()));
  }
  Json map(const YAML::Node& node, int depth) {
    Json::Object members;
    std::unordered_set<std::string> keys;
    for (const auto& member : node) {
      if (!member.first.IsScalar()) fail(member.first, "a key must be a plain word");
      const std::string& key = member.first.Scalar();
      check_text(member.first);
      if (!keys.insert(key).second) fail(member.first, "duplicate key " + excerpt(key));
      members.emplace_back(key, convert(member.second, depth + 1));
    }
    return members;
  }

  const std::string& source_;
  int64_t n_values_ = 0;
};

// Hears a document and keeps nothing.
class Listener : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// YAML::LoadAll would say how many documents there are, but never returns from some malformed ones.
void require_one_document(std::string_view text, const std::string& source) {
  std::istringstream stream{std::string(text)};
  YAML::Parser parser(stream);
  Listener listener;
  parser.HandleNextDocument(listener);
  require<ConfigError>(!parser, source, ": more than one YAML document, or text after the value");
}

// A string that reads back as itself without quotes.
bool is_plain(const std::string& text) {
  if (text.empty() || text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789_-./") != std::string::npos)
    return false;
  return text[0] != '-' && text[0] != '.' && parse_scalar(text).is_string();
}

std::string flow_text(const Json& value) {
  if (value.is_string() && is_plain(value.as_string())) return value.as_string();
  if (value.type() == Json::Type::number) {
    // Readers of YAML 1.1 take 1e-08 for a string, but 1.0e-08 for a number.
    std::string text = to_text(value);
    if (const size_t e = text.find('e'); text.find('.') > e) text.insert(e, ".0");
    return text;
  }
  if (!value.is_array()) return to_text(value);  // JSON is YAML
  std::string text = "[";
  for (const Json& element : value.as_array())
    text += (text.size() > 1 ? ", " : "") + flow_text(element);
  return text + "]";
}

void append_block(std::string& out, const Json& value, size_t indent) {
  for (const auto& [key, member] : value.as_object()) {
    out.append(indent, ' ');
    out += is_plain(key) ? key : to_text(Json(key));
    out += ':';
    if (member.is_object() && member.size() > 0) {
      out += '\n';
      append_block(out, member, indent + 2);
    } else {
      out += " " + flow_text(member) + "\n";
    }
  }
}

}  // namespace

Json parse_yaml(std::string_view text, const std::string& source) {
  require<ConfigError>(text.size() <= kMaxBytes, source, ": too large, got ", text.size(),
                       " bytes, expected at most ", kMaxBytes);
  require<ConfigError>(is_utf8(text), source, ": not UTF-8 text");
  // YAML forbids control characters, and the parser takes NUL bytes for another encoding.
  const auto control = std::find_if(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 32 && c != '\n' && c != '\r' && c != '\t';
  });
  require<ConfigError>(control == text.end(), source, ": control character at byte ",
                       control - text.begin());
  try {
    require_one_document(text, source);
    return Converter(source).convert(YAML::Load(std::string(text)), 0);
  } catch (const YAML::Exception& error) {
    throw_error<ConfigError>(source, ":", error.mark.line + 1, ": not valid YAML: ", error.msg);
  }
}

Json parse_yaml_value(std::string_view text, const std::string& source) {
  if (!text.empty() && std::string_view("[{\"'").find(text[0]) != std::string_view::npos)
    return parse_yaml(text, source);
  try {
    return parse_scalar(text);
  } catch (const ConfigError& error) {
    throw_error<ConfigError>(source, ": ", error.what());
  }
}

std::string to_yaml(const Json& value) {
  if (!value.is_object() || value.size() == 0) return flow_text(value) + "\n";
  std::string out;
  append_block(out, value, 0);
  return out;
}

}  // namespace xlstm::train
