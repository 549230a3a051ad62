// metrics.csv: the rows of metrics.jsonl as a table (RFC 4180), for spreadsheets and data frames.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/file_system.h"
#include "core/json.h"
#include "tools/train/append_file.h"

namespace xlstm::train {

class CsvLog {
 public:
  // Writes the rows there are under a header of all columns that are known here or come up in
  // them; whatever the file was before is replaced, atomically. FileError if that cannot be done.
  CsvLog(std::string path, std::vector<Json> rows, FileSystem& files);
  // Adds a line, or loses it (append_file.h). A key that is no column yet makes it one: the file is
  // written anew, with the rows that `all_rows` gives, this one among them.
  template <class AllRows>
  void append(const Json& row, const AllRows& all_rows) {
    if (has_columns(row)) {
      file_->append(csv_line(row));
    } else {
      rewrite(all_rows());
    }
  }

 private:
  bool has_columns(const Json& row) const;
  std::string csv_line(const Json& row) const;
  void rewrite(const std::vector<Json>& rows);

  std::string path_;
  FileSystem& files_;
  std::vector<std::string> columns_;
  std::optional<AppendFile> file_;
};

// A field as it stands in a CSV file: in quotes if it has a comma, a quote or a line break.
std::string csv_field(const std::string& text);

}  // namespace xlstm::train
