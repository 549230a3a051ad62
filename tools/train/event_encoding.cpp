#include "tools/train/event_encoding.h"

#include <bit>

#include "tools/train/crc32c.h"

namespace xlstm::train {
namespace {

template <class Unsigned>
void append_little_endian(std::string& out, Unsigned value) {
  for (size_t i = 0; i < sizeof value; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
}

// A protocol buffer being written. Fields may be in any order; numbers that are 0 may be left out
// but need not be.
class Message {
 public:
  Message& integer(int field, int64_t value) {
    key(field, 0);
    varint(static_cast<uint64_t>(value));
    return *this;
  }
  Message& number(int field, double value) {
    key(field, 1);
    append_little_endian(bytes_, std::bit_cast<uint64_t>(value));
    return *this;
  }
  Message& single(int field, float value) {
    key(field, 5);
    append_little_endian(bytes_, std::bit_cast<uint32_t>(value));
    return *this;
  }
  Message& text(int field, std::string_view value) {
    key(field, 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(int field, const Message& value) { return text(field, value.bytes_); }

  const std::string& bytes() const { return bytes_; }

 private:
  void key(int field, int kind) { varint(static_cast<uint64_t>(field << 3 | kind)); }
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(0x80 | (value & 0x7f));
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

// Event: 1 wall_time, 2 step, 3 file_version, 5 summary, 7 session_log.
Message event(const EventTime& time) {
  return Message().number(1, time.wall_time).integer(2, time.step);
}

constexpr int kFloat = 1, kString = 7;  // DataType of a TensorProto

// TensorProto: 1 dtype, 2 shape, 8 string_val. TensorShapeProto: 2 dim. Dim: 1 size.
Message tensor(int dtype, int64_t size) {
  return Message().integer(1, dtype).message(2, Message().message(2, Message().integer(1, size)));
}

// SummaryMetadata: 1 plugin_data, 4 data_class. PluginData: 1 plugin_name, 2 content.
Message metadata(std::string_view plugin, const Message& content) {
  constexpr int kTensorClass = 2;
  return Message()
      .message(1, Message().text(1, plugin).message(2, content))
      .integer(4, kTensorClass);
}

// A summary of one value that belongs to a plugin. Summary: 1 value. Value: 1 tag, 2 simple_value,
// 8 tensor, 9 metadata.
std::string plugin_event(const EventTime& time, std::string_view tag, const Message& about,
                         const Message& content) {
  const Message value = Message().text(1, tag).message(9, about).message(8, content);
  return event(time).message(5, Message().message(1, value)).bytes();
}

// What the plugin says stands in its metadata; the value itself is an empty tensor.
std::string hparams_event(double wall_time, std::string_view tag, int field,
                          const Message& message) {
  // HParamsPluginData: 1 version, 2 experiment, 3 session_start_info, 4 session_end_info.
  const Message content = Message().integer(1, 0).message(field, message);
  return plugin_event({wall_time, 0}, tag, metadata("hparams", content), tensor(kFloat, 0));
}

std::string as_text(const Json& value) {
  return value.is_string() ? value.as_string() : to_text(value);
}

void flatten_into(Json& out, const Json& value, const std::string& path) {
  if (!value.is_object()) {
    out.set(path, value);
    return;
  }
  for (const auto& [key, member] : value.as_object())
    flatten_into(out, member, path.empty() ? key : path + "." + key);
}

}  // namespace

std::string frame_record(std::string_view event) {
  std::string record;
  append_little_endian(record, static_cast<uint64_t>(event.size()));
  append_little_endian(record, masked_crc32c(record));
  record += event;
  append_little_endian(record, masked_crc32c(event));
  return record;
}

std::string version_event(double wall_time) {
  return Message().number(1, wall_time).text(3, "brain.Event:2").bytes();
}

std::string session_start_event(const EventTime& time) {
  constexpr int kStart = 1;  // SessionLog: 1 status
  return event(time).message(7, Message().integer(1, kStart)).bytes();
}

std::string scalar_event(const EventTime& time,
                         const std::vector<std::pair<std::string, double>>& scalars) {
  Message summary;
  for (const auto& [tag, value] : scalars)
    summary.message(1, Message().text(1, tag).single(2, static_cast<float>(value)));
  return event(time).message(5, summary).bytes();
}

std::string text_event(const EventTime& time, const std::string& tag, std::string_view text) {
  return plugin_event(time, tag + "/text_summary", metadata("text", Message()),
                      tensor(kString, 1).text(8, text));
}

std::string hparams_columns_event(double wall_time, const Json& hparams,
                                  const std::vector<std::string>& metric_tags) {
  // Experiment: 3 time_created_secs, 4 hparam_infos, 5 metric_infos. HParamInfo: 1 name, 4 type.
  // MetricInfo: 1 name. MetricName: 2 tag.
  constexpr int kText = 1, kBool = 2, kNumber = 3;
  Message experiment;
  experiment.number(3, wall_time);
  for (const auto& [name, value] : hparams.as_object())
    experiment.message(4, Message().text(1, name).integer(4, value.is_bool()     ? kBool
                                                             : value.is_number() ? kNumber
                                                                                 : kText));
  for (const std::string& tag : metric_tags)
    experiment.message(5, Message().message(1, Message().text(2, tag)));
  return hparams_event(wall_time, "_hparams_/experiment", 2, experiment);
}

std::string hparams_start_event(double wall_time, const Json& hparams,
                                const std::string& group_name) {
  // SessionStartInfo: 1 hparams (a map: entries of 1 key, 2 value), 4 group_name, 5
  // start_time_secs. Value: 2 number, 3 string, 4 bool.
  Message start;
  for (const auto& [name, value] : hparams.as_object()) {
    Message content;
    if (value.is_bool())
      content.integer(4, value.as_bool() ? 1 : 0);
    else if (value.is_number())
      content.number(2, value.as_double());
    else
      content.text(3, as_text(value));
    start.message(1, Message().text(1, name).message(2, content));
  }
  start.text(4, group_name).number(5, wall_time);
  return hparams_event(wall_time, "_hparams_/session_start_info", 3, start);
}

std::string hparams_end_event(double wall_time, bool success) {
  constexpr int kSuccess = 1, kFailure = 2;  // SessionEndInfo: 1 status, 2 end_time_secs
  const Message end = Message().integer(1, success ? kSuccess : kFailure).number(2, wall_time);
  return hparams_event(wall_time, "_hparams_/session_end_info", 4, end);
}

Json flatten(const Json& object) {
  Json out = Json::object();
  flatten_into(out, object, "");
  return out;
}

}  // namespace xlstm::train
