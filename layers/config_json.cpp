#include "layers/config_fields.h"

namespace xlstm::layers {
namespace {

template <class Config>
Json object_of(const Config& config);

Json value_of(bool value) {
  return value;
}
Json value_of(int64_t value) {
  return value;
}
Json value_of(double value) {
  return value;
}
Json value_of(const std::string& value) {
  return value;
}
Json value_of(const std::vector<int64_t>& values) {
  Json array = Json::array();
  for (const int64_t value : values) array.push_back(value);
  return array;
}
Json value_of(const BlockPositions& value) {
  return value.all ? Json("all") : value_of(value.indices);
}
template <class Config>
Json value_of(const Config& nested) {
  return object_of(nested);
}
template <class T>
Json value_of(const std::optional<T>& value) {
  return value ? value_of(*value) : Json(nullptr);
}

// The two shorthands are not official keys: resolved configurations do not carry them.
template <class T>
bool left_out(const std::string& key, const T& value) {
  if constexpr (requires { value.has_value(); })
    return (key == "signature" || key == "num_layers") && !value.has_value();
  return false;
}

template <class Config>
Json object_of(const Config& config) {
  Json object = Json::object();
  for_each_field(config, [&object](const char* key, const auto& value) {
    if (!left_out(key, value)) object.set(key, value_of(value));
  });
  return object;
}

}  // namespace

Json config_json(const XlstmModelConfig& config) {
  return object_of(config);
}

Json config_json(const XlstmLargeConfig& config) {
  return object_of(config);
}

}  // namespace xlstm::layers
