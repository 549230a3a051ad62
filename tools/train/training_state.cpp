#include "tools/train/training_state.h"

#include "core/hex.h"

namespace xlstm::train {
namespace {

uint64_t from_hex(const JsonField& field) {
  const std::optional<uint64_t> value = parse_hex(field.as_string());
  if (!value) field.fail("expected up to 16 hexadecimal digits");
  return *value;
}

Json numbers_to_json(const std::vector<double>& numbers) {
  Json json = Json::array();
  for (const double number : numbers) json.push_back(number);
  return json;
}

// Of checkpoints that have none: empty.
std::vector<double> numbers_from_json(const JsonField& field, const char* name) {
  std::vector<double> numbers;
  if (!field.has(name)) return numbers;
  for (const JsonField& number : field.at(name).as_array()) numbers.push_back(number.as_double());
  return numbers;
}

}  // namespace

Json to_json(const TrainingState& state) {
  Json json = Json::object();
  json.set("step", state.step);
  json.set("n_skipped", state.n_skipped);
  json.set("skipped_in_a_row", state.skipped_in_a_row);
  json.set("tokens_seen", state.tokens_seen);
  json.set("loss_scale", state.loss_scale);
  json.set("n_good", state.n_good);
  json.set("seconds", state.seconds);
  json.set("generator_seed", to_hex(state.generator.seed));
  json.set("generator_offset", to_hex(state.generator.offset));
  json.set("data_fingerprint", to_hex(state.data_fingerprint));
  json.set("best_validation_loss", state.best_validation_loss);
  json.set("best_step", state.best_step);
  if (std::isfinite(state.patience.best)) json.set("early_stopping_best", state.patience.best);
  json.set("early_stopping_waited", state.patience.n_waited);
  json.set("recent_losses", numbers_to_json(state.recent_losses));
  json.set("recent_norms", numbers_to_json(state.recent_norms));
  return json;
}

void add_rank(Json& json, const std::string& monitor, const CheckpointRank& rank) {
  Json monitored = Json::object();
  monitored.set("name", monitor);
  monitored.set("mode", rank.mode);
  if (std::isfinite(rank.value)) monitored.set("value", rank.value);
  json.set("monitored", std::move(monitored));
}

CheckpointRank rank_from_json(const Json& json) {
  CheckpointRank rank;
  const Json* monitored = json.find("monitored");
  if (monitored == nullptr || !monitored->is_object()) return rank;
  const Json *value = monitored->find("value"), *mode = monitored->find("mode");
  if (value != nullptr && value->is_number()) rank.value = value->as_double();
  if (mode != nullptr && mode->is_string()) rank.mode = mode->as_string();
  return rank;
}

TrainingState training_state_from_json(const Json& json, const std::string& source) {
  const JsonField field(json, source);
  TrainingState state;
  state.step = field.at("step").as_int(0);
  state.n_skipped = field.at("n_skipped").as_int(0, state.step);
  state.skipped_in_a_row = field.at("skipped_in_a_row").as_int(0, state.n_skipped);
  state.tokens_seen = field.at("tokens_seen").as_int(0);
  if (field.has("loss_scale")) state.loss_scale = field.at("loss_scale").as_double(0);
  if (field.has("n_good")) state.n_good = field.at("n_good").as_int(0);
  state.seconds = field.at("seconds").as_double(0);
  state.generator = {from_hex(field.at("generator_seed")), from_hex(field.at("generator_offset"))};
  state.data_fingerprint = from_hex(field.at("data_fingerprint"));
  state.best_validation_loss = field.at("best_validation_loss").as_double();
  state.best_step = field.at("best_step").as_int(-1, state.step);
  if (field.has("early_stopping_best"))
    state.patience.best = field.at("early_stopping_best").as_double();
  if (field.has("early_stopping_waited"))
    state.patience.n_waited = field.at("early_stopping_waited").as_int(0);
  state.recent_losses = numbers_from_json(field, "recent_losses");
  state.recent_norms = numbers_from_json(field, "recent_norms");
  return state;
}

}  // namespace xlstm::train
