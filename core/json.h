// JSON values, a strict reader and a writer.
//
// Strict means: duplicate keys, text after the value, invalid UTF-8, NaN, infinities, integers
// outside int64, nesting deeper than the cap and oversized input are all FormatErrors that name the
// source, the byte offset and, where there is one, the key.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace xlstm {

class Json {
 public:
  enum class Type { null, boolean, integer, number, string, array, object };
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;  // in the order of insertion

  Json() = default;  // null
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(int value) : value_(static_cast<int64_t>(value)) {}
  Json(int64_t value) : value_(value) {}
  Json(double value) : value_(value) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}
  static Json array() { return Json(Array{}); }
  static Json object() { return Json(Object{}); }

  Type type() const { return static_cast<Type>(value_.index()); }
  bool is_null() const { return type() == Type::null; }
  bool is_bool() const { return type() == Type::boolean; }
  bool is_integer() const { return type() == Type::integer; }
  bool is_number() const { return type() == Type::integer || type() == Type::number; }
  bool is_string() const { return type() == Type::string; }
  bool is_array() const { return type() == Type::array; }
  bool is_object() const { return type() == Type::object; }

  // The value, or a FormatError "got <type>, expected <type>". Nothing is converted except that
  // as_double also takes an integer. For messages that name file and key, use JsonField.
  bool as_bool() const;
  int64_t as_int() const;
  double as_double() const;
  const std::string& as_string() const;
  const Array& as_array() const;
  const Object& as_object() const;
  Array& as_array();
  Object& as_object();

  // Member of an object by a linear search (iterate over as_object() for large ones); null pointer
  // if absent or if this is no object.
  const Json* find(std::string_view key) const;
  Json* find(std::string_view key);
  // Adds or replaces a member; a null value first becomes an object.
  Json& set(std::string_view key, Json value);
  // Appends to an array; a null value first becomes an array.
  Json& push_back(Json value);
  size_t size() const;  // elements of an array, members of an object, else 0

  bool operator==(const Json&) const = default;  // member order matters

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

const char* name_of(Json::Type type);  // "integer", "object", ...
// The type and the beginning of the value, for error messages: `string "abc"`.
std::string describe(const Json& value);

struct JsonLimits {
  int64_t max_bytes = int64_t{256} << 20;
  int64_t max_depth = 64;                 // nested arrays and objects
  int64_t max_values = int64_t{1} << 26;  // each takes about 40 bytes of memory
};

// `source` is what error messages call the text, normally the file's path.
Json parse_json(std::string_view text, const std::string& source, const JsonLimits& limits = {});

// indent < 0: one line without spaces; otherwise one member a line, nested by `indent` spaces.
// Doubles are written so that they read back to the same bits (also -0.0) and as numbers with a
// fraction or exponent. FormatError for NaN, infinities and strings that are not UTF-8.
std::string to_text(const Json& value, int indent = -1);

// True for well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

// A value together with where it stands, so that every complaint names the file and the key:
// `config.json: model.num_blocks: got string "3", expected integer`. Refers to the Json it was made
// from, which must outlive it. All errors are FormatErrors.
class JsonField {
 public:
  JsonField(const Json& value, std::string source) : value_(&value), source_(std::move(source)) {}

  const Json& json() const { return *value_; }
  const std::string& path() const { return path_; }  // "model.layers[3].name", "" for the root
  bool is_null() const { return value_->is_null(); }

  bool as_bool() const;
  int64_t as_int(int64_t min = std::numeric_limits<int64_t>::min(),
                 int64_t max = std::numeric_limits<int64_t>::max()) const;
  double as_double(double min = -std::numeric_limits<double>::infinity(),
                   double max = std::numeric_limits<double>::infinity()) const;
  const std::string& as_string() const;
  std::vector<JsonField> as_array() const;
  std::vector<std::pair<std::string, JsonField>> as_object() const;

  // Member of an object; it must be there.
  JsonField at(std::string_view key) const;
  // False when absent; an error if this is no object.
  bool has(std::string_view key) const;
  // Error if the object has any other key.
  void only_keys(std::initializer_list<std::string_view> known) const;
  // Throws "<source>: <path>: <what>".
  [[noreturn]] void fail(const std::string& what) const;

 private:
  JsonField child(const Json& value, std::string path) const;
  std::string member_path(std::string_view key) const;
  void expect(bool condition, const char* expected) const;

  const Json* value_;
  std::string source_;
  std::string path_;
};

}  // namespace xlstm
