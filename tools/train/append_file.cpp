#include "tools/train/append_file.h"

#include "core/log.h"

namespace xlstm::train {

AppendFile::AppendFile(std::string path) : path_(std::move(path)), out_(path_, std::ios::app) {}

void AppendFile::append(std::string_view line) {
  // The folder may have been out of reach when the run began.
  if (!out_.is_open()) out_.open(path_, std::ios::app);
  if (cut_short_) out_ << '\n';
  out_ << line << '\n' << std::flush;
  cut_short_ = !out_;
  if (cut_short_) {
    if (!warned_) log_warning("cannot write ", path_, "; lines are lost, training goes on");
    warned_ = true;
    // What the stream still holds would come out later, in the middle of another line.
    out_.close();
  }
  out_.clear();
}

}  // namespace xlstm::train
