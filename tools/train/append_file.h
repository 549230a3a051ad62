// A text file of lines that grows as a run goes on, and that never ends the run.
#pragma once

#include <fstream>
#include <string>
#include <string_view>

namespace xlstm::train {

class AppendFile {
 public:
  // Opens for appending, and makes the file if there is none.
  explicit AppendFile(std::string path);
  // Writes the line through to the file. A full disk costs the line, never the run: it is reported
  // once through the log. A line that was cut short is ended before the next one begins.
  void append(std::string_view line);

 private:
  std::string path_;
  std::ofstream out_;
  bool cut_short_ = false, warned_ = false;
};

}  // namespace xlstm::train
