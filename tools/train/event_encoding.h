// TensorBoard's events as bytes: protocol buffers written by hand, since only a dozen fields are
// needed, and the records that frame them. The numbers of the fields stand in event_encoding.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"

namespace xlstm::train {

// One record of an event file: length, check sum of the length, the event, its check sum.
std::string frame_record(std::string_view event);

// When an event happened: seconds since 1970, and the optimizer step.
struct EventTime {
  double wall_time = 0;
  int64_t step = 0;
};

// The first event of every file.
std::string version_event(double wall_time);
// Readers drop what earlier files of the folder have at this step or later.
std::string session_start_event(const EventTime& time);
std::string scalar_event(const EventTime& time,
                         const std::vector<std::pair<std::string, double>>& scalars);
std::string text_event(const EventTime& time, const std::string& tag, std::string_view text);

// The three events of the hparams table. `hparams` is an object without objects in it (flatten): a
// number, a bool or a text is kept, anything else stands as its JSON text.
std::string hparams_columns_event(double wall_time, const Json& hparams,
                                  const std::vector<std::string>& metric_tags);
std::string hparams_start_event(double wall_time, const Json& hparams,
                                const std::string& group_name);
std::string hparams_end_event(double wall_time, bool success);

// {"a": {"b": 1}} as {"a.b": 1}. Lists stay what they are.
Json flatten(const Json& object);

}  // namespace xlstm::train
