// Reads TensorBoard event files back, by other code than wrote them: field by field, without a
// schema.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace xlstm::train {

// Bit by bit, from the definition.
inline uint32_t slow_crc32c(std::string_view bytes) {
  uint32_t value = 0xffffffffu;
  for (const char c : bytes)
    for (int bit = 0; bit < 8; ++bit) {
      const uint32_t in = (static_cast<unsigned char>(c) >> bit) & 1;
      value = (value >> 1) ^ (((value ^ in) & 1) != 0 ? 0x82f63b78u : 0);
    }
  return ~value;
}

struct Field {
  int number = 0;
  uint64_t value = 0;     // a varint or the bits of a fixed number
  std::string_view text;  // of a field with a length
};

inline uint64_t take_number(std::string_view& bytes, size_t n) {
  if (bytes.size() < n) throw std::runtime_error("cut short");
  uint64_t value = 0;
  for (size_t i = 0; i < n; ++i) value |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  bytes.remove_prefix(n);
  return value;
}

inline uint64_t take_varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const uint64_t byte = take_number(bytes, 1);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

class MessageReader {
 public:
  explicit MessageReader(std::string_view bytes) {
    while (!bytes.empty()) {
      const uint64_t key = take_varint(bytes);
      Field field;
      field.number = static_cast<int>(key >> 3);
      switch (key & 7) {
        case 0:
          field.value = take_varint(bytes);
          break;
        case 1:
          field.value = take_number(bytes, 8);
          break;
        case 5:
          field.value = take_number(bytes, 4);
          break;
        case 2: {
          const uint64_t size = take_varint(bytes);
          if (size > bytes.size()) throw std::runtime_error("length beyond the end");
          field.text = bytes.substr(0, size);
          bytes.remove_prefix(size);
          break;
        }
        default:
          throw std::runtime_error("kind of a field");
      }
      fields.push_back(field);
    }
  }
  const Field* find(int number) const {
    for (const Field& field : fields)
      if (field.number == number) return &field;
    return nullptr;
  }
  // The message in field a, in its field b, ...; empty if one is missing.
  std::string_view at(std::initializer_list<int> path) const {
    MessageReader here = *this;
    std::string_view text;
    size_t left = path.size();
    for (const int number : path) {
      const Field* field = here.find(number);
      if (field == nullptr) return {};
      text = field->text;
      if (--left > 0) here = MessageReader(text);
    }
    return text;
  }
  std::vector<Field> fields;
};

// The events of a file; throws if a check sum is wrong or a record is cut short.
inline std::vector<std::string> read_records(std::string_view file) {
  const auto unmasked = [](uint64_t masked) {
    const auto rotated = static_cast<uint32_t>(masked) - 0xa282ead8u;
    return (rotated << 15) | (rotated >> 17);
  };
  std::vector<std::string> records;
  while (!file.empty()) {
    const std::string_view length = file.substr(0, 8);
    const uint64_t size = take_number(file, 8);
    if (unmasked(take_number(file, 4)) != slow_crc32c(length)) throw std::runtime_error("length");
    if (size > file.size()) throw std::runtime_error("record beyond the end");
    records.emplace_back(file.substr(0, size));
    file.remove_prefix(size);
    if (unmasked(take_number(file, 4)) != slow_crc32c(records.back()))
      throw std::runtime_error("check sum");
  }
  return records;
}

// What a reader shows of the files of a run, read in their order.
struct EventFolder {
  std::map<std::string, std::map<int64_t, float>> scalars;      // by tag and step
  std::map<std::string, std::map<int64_t, std::string>> texts;  // the same
  std::map<std::string, std::string> hparams;  // content of the plugin's data, by tag

  void add_file(std::string_view bytes) {
    const std::vector<std::string> records = read_records(bytes);
    if (MessageReader(records.at(0)).at({3}) != "brain.Event:2")
      throw std::runtime_error("version");
    for (const std::string& record : records) add_event(MessageReader(record));
  }

 private:
  void add_event(const MessageReader& event) {
    const Field* step_field = event.find(2);
    const int64_t step = step_field != nullptr ? static_cast<int64_t>(step_field->value) : 0;
    if (event.find(7) != nullptr) {
      for (auto& [tag, values] : scalars) values.erase(values.lower_bound(step), values.end());
      for (auto& [tag, values] : texts) values.erase(values.lower_bound(step), values.end());
    }
    const Field* summary = event.find(5);
    if (summary == nullptr) return;
    for (const Field& field : MessageReader(summary->text).fields) {
      const MessageReader value(field.text);
      const std::string tag(value.at({1})), plugin(value.at({9, 1, 1}));
      if (plugin == "hparams") {
        hparams.emplace(tag, value.at({9, 1, 2}));
      } else if (plugin == "text") {
        texts[tag][step] = std::string(value.at({8, 8}));
      } else if (const Field* simple = value.find(2)) {
        const auto bits = static_cast<uint32_t>(simple->value);
        float number = 0;
        std::memcpy(&number, &bits, sizeof number);
        scalars[tag][step] = number;
      }
    }
  }
};

}  // namespace xlstm::train
