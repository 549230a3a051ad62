// YAML in and out, by way of Json values.
#pragma once

#include <string>
#include <string_view>

#include "core/json.h"

namespace xlstm::train {

// One YAML document (or JSON, which is YAML) as a value; an empty text is null. Scalars follow the
// core schema of YAML 1.2: `1e-4` is a number, `yes` is a string. Duplicate keys, keys that are not
// scalars, tags, a second document, nesting deeper than 64 and aliases that blow up are
// ConfigErrors with source and line.
Json parse_yaml(std::string_view text, const std::string& source);

// The value of one argument: a collection or quoted string if it begins with [ { " or ', else a
// scalar, which may hold any characters.
Json parse_yaml_value(std::string_view text, const std::string& source);

// Block style, lists of scalars in one line. parse_yaml(to_yaml(x)) == x.
std::string to_yaml(const Json& value);

}  // namespace xlstm::train
