#include "optim/parameter.h"

#include <map>
#include <set>
#include <string_view>

namespace xlstm::optim {

bool decays(const std::string& name, bool decay_embedding) {
  const size_t dot = name.rfind('.');
  const std::string_view full = name;
  const std::string_view own = dot == std::string::npos ? full : full.substr(dot + 1);
  if (own.find("weight") == std::string_view::npos) return false;
  if (full.find("norm") != std::string_view::npos) return false;
  if (dot == std::string::npos) return true;
  const std::string_view path = full.substr(0, dot);
  const size_t before = path.rfind('.');
  const std::string_view owner = before == std::string_view::npos ? path : path.substr(before + 1);
  const bool is_embedding =
      owner == "token_embedding" || owner == "embedding" || owner == "embeddings";
  return !is_embedding || decay_embedding;
}

Parameters make_parameters(const NamedTensors& named, bool decay_embedding) {
  Parameters parameters;
  for (const auto& [name, value] : named)
    parameters.push_back({name, value, decays(name, decay_embedding)});
  check_parameters(parameters);
  return parameters;
}

void check_parameters(const Parameters& parameters) {
  std::set<std::string> names;
  std::map<const void*, std::string> owners;
  for (const auto& [name, value, decay] : parameters) {
    require<ConfigError>(!name.empty(), "optimizer: a parameter has no name");
    require<ConfigError>(names.insert(name).second, "optimizer: two parameters are called ", name);
    require<ShapeError>(value.defined(), "optimizer: parameter ", name, " is undefined");
    require<ShapeError>(value.dtype() == DType::f32 || value.dtype() == DType::f64,
                        "optimizer: parameter ", name, " must be float32 or float64, got ",
                        name_of(value.dtype()));
    require<ShapeError>(value.is_contiguous(), "optimizer: parameter ", name,
                        " must be contiguous, got strides ", to_string(value.strides()));
    if (value.numel() == 0) continue;
    const auto [other, is_new] = owners.try_emplace(value.raw(), name);
    require<ConfigError>(is_new, "optimizer: ", name, " and ", other->second,
                         " are one memory and would be updated twice (name a tied weight once)");
  }
}

}  // namespace xlstm::optim
