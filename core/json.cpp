#include "core/json.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "core/error.h"
#include "core/excerpt.h"

namespace xlstm {
namespace {

// Reads bytes and remembers how far it came, because the SAX events carry no offsets.
struct CountingIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at;
  const char** furthest;

  reference operator*() const { return *at; }
  CountingIterator& operator++() {
    ++at;
    *furthest = at;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at == other.at; }
  bool operator!=(const CountingIterator& other) const { return at != other.at; }
};

// Builds the value bottom-up on an explicit stack, so depth costs memory only up to the cap.
class Builder {
 public:
  Builder(std::string_view text, const std::string& source, const JsonLimits& limits)
      : source_(source), limits_(limits), begin_(text.data()), furthest_(text.data()) {}

  bool null() { return add(Json()); }
  bool boolean(bool value) { return add(Json(value)); }
  // Zero arrives here only as "-0"; as a number with a sign it keeps its meaning.
  bool number_integer(int64_t value) { return add(value == 0 ? Json(-0.0) : Json(value)); }
  bool number_unsigned(uint64_t value) {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      fail("integer outside int64, got " + std::to_string(value));
    return add(Json(static_cast<int64_t>(value)));
  }
  bool number_float(double value, const std::string& text) {
    if (text.find_first_of(".eE") == std::string::npos)
      fail("integer outside int64, got " + excerpt(text));
    return add(Json(value));
  }
  bool string(std::string& value) { return add(Json(std::move(value))); }
  bool binary(std::vector<uint8_t>&) { return false; }
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_array() { return close(); }
  bool end_object() { return close(); }
  bool key(std::string& value) {
    Level& level = stack_.back();
    if (!level.keys.insert(value).second) fail("duplicate key " + excerpt(value));
    level.key = std::move(value);
    return true;
  }
  template <class Exception>
  bool parse_error(size_t, const std::string& token, const Exception&) {
    fail("not valid JSON, got " + (token.empty() ? "end of text" : excerpt(token)));
  }

  CountingIterator first() { return {begin_, &furthest_}; }
  Json take() { return std::move(root_); }

 private:
  struct Level {
    Json value;
    std::string key;  // of the member being read
    std::unordered_set<std::string> keys;
  };

  [[noreturn]] void fail(const std::string& what) const {
    std::string path;
    for (const Level& level : stack_) {
      if (level.value.is_array())
        path += detail::concat('[', level.value.size(), ']');
      else if (!level.key.empty())
        path += (path.empty() ? "" : ".") + level.key;
    }
    throw_error<FormatError>(source_, ": byte ", furthest_ - begin_, ": ", what,
                             path.empty() ? "" : ", in " + excerpt(path, 200));
  }
  bool add(Json value) {
    if (++n_values_ > limits_.max_values)
      fail("too many values, expected at most " + std::to_string(limits_.max_values));
    if (stack_.empty())
      root_ = std::move(value);
    else if (Level& level = stack_.back(); level.value.is_array())
      level.value.as_array().push_back(std::move(value));
    else
      level.value.as_object().emplace_back(std::move(level.key), std::move(value));
    return true;
  }
  bool open(Json value) {
    if (static_cast<int64_t>(stack_.size()) >= limits_.max_depth)
      fail("nested too deeply, expected at most " + std::to_string(limits_.max_depth) + " levels");
    stack_.push_back({std::move(value), {}, {}});
    return true;
  }
  bool close() {
    Json value = std::move(stack_.back().value);
    stack_.pop_back();
    return add(std::move(value));
  }

  const std::string& source_;
  const JsonLimits& limits_;
  const char* begin_;
  const char* furthest_;
  int64_t n_values_ = 0;
  std::vector<Level> stack_;
  Json root_;
};

[[noreturn]] void wrong_type(const Json& value, const char* expected) {
  throw_error<FormatError>("json: got ", describe(value), ", expected ", expected);
}

void append_double(std::string& out, double value) {
  if (!(value - value == 0)) throw_error<FormatError>("json: cannot write ", value);
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
}

void append_string(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  if (!is_utf8(text)) throw_error<FormatError>("json: not UTF-8: ", excerpt(text));
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (byte < 32 || byte == 127) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_break(std::string& out, int indent, int level) {
  if (indent < 0) return;
  out += '\n';
  out.append(static_cast<size_t>(indent * level), ' ');
}

void append_value(std::string& out, const Json& value, int indent, int level) {
  bool first = true;
  const auto separate = [&] {
    if (!first) out += ',';
    first = false;
    append_break(out, indent, level + 1);
  };
  switch (value.type()) {
    case Json::Type::null:
      out += "null";
      return;
    case Json::Type::boolean:
      out += value.as_bool() ? "true" : "false";
      return;
    case Json::Type::integer:
      out += std::to_string(value.as_int());
      return;
    case Json::Type::number:
      append_double(out, value.as_double());
      return;
    case Json::Type::string:
      append_string(out, value.as_string());
      return;
    case Json::Type::array:
      out += '[';
      for (const Json& element : value.as_array()) {
        separate();
        append_value(out, element, indent, level + 1);
      }
      if (!first) append_break(out, indent, level);
      out += ']';
      return;
    case Json::Type::object:
      out += '{';
      for (const auto& [key, member] : value.as_object()) {
        separate();
        append_string(out, key);
        out += indent < 0 ? ":" : ": ";
        append_value(out, member, indent, level + 1);
      }
      if (!first) append_break(out, indent, level);
      out += '}';
      return;
  }
}

}  // namespace

const char* name_of(Json::Type type) {
  static constexpr const char* kNames[] = {"null",   "boolean", "integer", "number",
                                           "string", "array",   "object"};
  return kNames[static_cast<size_t>(type)];
}

std::string describe(const Json& value) {
  switch (value.type()) {
    case Json::Type::null:
      return "null";
    case Json::Type::string:
      return "string " + excerpt(value.as_string());
    case Json::Type::array:
    case Json::Type::object:
      return std::string(name_of(value.type())) + " of " + std::to_string(value.size());
    default:
      return std::string(name_of(value.type())) + " " + to_text(value);
  }
}

bool Json::as_bool() const {
  if (const bool* value = std::get_if<bool>(&value_)) return *value;
  wrong_type(*this, "boolean");
}

int64_t Json::as_int() const {
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return *value;
  wrong_type(*this, "integer");
}

double Json::as_double() const {
  if (const double* value = std::get_if<double>(&value_)) return *value;
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return static_cast<double>(*value);
  wrong_type(*this, "number");
}

const std::string& Json::as_string() const {
  if (const std::string* value = std::get_if<std::string>(&value_)) return *value;
  wrong_type(*this, "string");
}

const Json::Array& Json::as_array() const {
  if (const Array* value = std::get_if<Array>(&value_)) return *value;
  wrong_type(*this, "array");
}

const Json::Object& Json::as_object() const {
  if (const Object* value = std::get_if<Object>(&value_)) return *value;
  wrong_type(*this, "object");
}

Json::Array& Json::as_array() {
  return const_cast<Array&>(std::as_const(*this).as_array());
}
Json::Object& Json::as_object() {
  return const_cast<Object&>(std::as_const(*this).as_object());
}

const Json* Json::find(std::string_view key) const {
  const Object* members = std::get_if<Object>(&value_);
  if (members == nullptr) return nullptr;
  for (const auto& [name, value] : *members)
    if (name == key) return &value;
  return nullptr;
}

Json* Json::find(std::string_view key) {
  return const_cast<Json*>(std::as_const(*this).find(key));
}

Json& Json::set(std::string_view key, Json value) {
  if (is_null()) value_ = Object{};
  if (Json* member = find(key)) return *member = std::move(value);
  return as_object().emplace_back(std::string(key), std::move(value)).second;
}

Json& Json::push_back(Json value) {
  if (is_null()) value_ = Array{};
  return as_array().emplace_back(std::move(value));
}

size_t Json::size() const {
  if (const Array* elements = std::get_if<Array>(&value_)) return elements->size();
  if (const Object* members = std::get_if<Object>(&value_)) return members->size();
  return 0;
}

Json parse_json(std::string_view text, const std::string& source, const JsonLimits& limits) {
  require<FormatError>(static_cast<int64_t>(text.size()) <= limits.max_bytes, source,
                       ": JSON text too large, got ", text.size(), " bytes, expected at most ",
                       limits.max_bytes);
  // The parser takes a NUL byte for the end of the text and would ignore what follows.
  const size_t nul = text.find('\0');
  require<FormatError>(nul == std::string_view::npos, source, ": byte ", nul,
                       ": not valid JSON, got a NUL byte");
  Builder builder(text, source, limits);
  CountingIterator last = builder.first();
  last.at += text.size();
  nlohmann::json::sax_parse(builder.first(), last, &builder);
  return builder.take();
}

std::string to_text(const Json& value, int indent) {
  std::string out;
  append_value(out, value, indent, 0);
  return out;
}

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t k) -> uint32_t {
      return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u;
    };
    const uint32_t lead = byte(0);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    uint32_t code = lead & (0x7fu >> length);
    for (size_t k = 1; k < length; ++k) {
      if ((byte(k) & 0xc0u) != 0x80u) return false;
      code = code << 6 | (byte(k) & 0x3fu);
    }
    static constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    if (lead < 0xc0 || lead > 0xf4 || code < kSmallest[length] || code > 0x10ffff || surrogate)
      return false;
    i += length;
  }
  return true;
}

JsonField JsonField::child(const Json& value, std::string path) const {
  JsonField field(value, source_);
  field.path_ = std::move(path);
  return field;
}

std::string JsonField::member_path(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

void JsonField::fail(const std::string& what) const {
  throw_error<FormatError>(source_, ": ", path_.empty() ? "" : path_.substr(0, 200) + ": ", what);
}

void JsonField::expect(bool condition, const char* expected) const {
  if (!condition) fail("got " + describe(*value_) + ", expected " + expected);
}

bool JsonField::as_bool() const {
  expect(value_->is_bool(), "boolean");
  return value_->as_bool();
}

int64_t JsonField::as_int(int64_t min, int64_t max) const {
  expect(value_->is_integer(), "integer");
  const int64_t value = value_->as_int();
  if (value < min || value > max)
    fail(detail::concat("out of range, got ", value, ", expected ", min, " to ", max));
  return value;
}

double JsonField::as_double(double min, double max) const {
  expect(value_->is_number(), "number");
  const double value = value_->as_double();
  if (!(value >= min && value <= max))
    fail(detail::concat("out of range, got ", value, ", expected ", min, " to ", max));
  return value;
}

const std::string& JsonField::as_string() const {
  expect(value_->is_string(), "string");
  return value_->as_string();
}

std::vector<JsonField> JsonField::as_array() const {
  expect(value_->is_array(), "array");
  std::vector<JsonField> fields;
  fields.reserve(value_->size());
  for (const Json& element : value_->as_array())
    fields.push_back(child(element, detail::concat(path_, '[', fields.size(), ']')));
  return fields;
}

std::vector<std::pair<std::string, JsonField>> JsonField::as_object() const {
  expect(value_->is_object(), "object");
  std::vector<std::pair<std::string, JsonField>> fields;
  fields.reserve(value_->size());
  for (const auto& [key, member] : value_->as_object())
    fields.emplace_back(key, child(member, member_path(key)));
  return fields;
}

JsonField JsonField::at(std::string_view key) const {
  expect(value_->is_object(), "object");
  const Json* member = value_->find(key);
  if (member == nullptr) fail("key " + excerpt(key) + " is missing");
  return child(*member, member_path(key));
}

bool JsonField::has(std::string_view key) const {
  expect(value_->is_object(), "object");
  return value_->find(key) != nullptr;
}

void JsonField::only_keys(std::initializer_list<std::string_view> known) const {
  expect(value_->is_object(), "object");
  for (const auto& [key, member] : value_->as_object()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    std::string expected;
    for (const std::string_view name : known)
      expected += (expected.empty() ? "" : ", ") + std::string(name);
    fail("unknown key " + excerpt(key) + ", expected one of " + expected);
  }
}

}  // namespace xlstm
