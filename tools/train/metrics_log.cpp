#include "tools/train/metrics_log.h"

#include "core/log.h"

namespace xlstm::train {

std::vector<Json> MetricsLog::read(const std::string& path, const FileSystem& files) {
  std::vector<Json> rows;
  if (!files.exists(path)) return rows;
  const std::string text = files.read_file(path);
  size_t start = 0;
  for (size_t end; (end = text.find('\n', start)) != std::string::npos; start = end + 1) {
    if (end > start)
      rows.push_back(parse_json(std::string_view(text).substr(start, end - start), path));
  }
  return rows;  // what follows the last newline was cut short
}

MetricsLog::MetricsLog(std::string path, int64_t last_step, FileSystem& files)
    : path_(std::move(path)) {
  std::string kept;
  for (const Json& row : read(path_, files)) {
    const Json* step = row.find("step");
    if (step == nullptr || !step->is_integer() || step->as_int() <= last_step)
      kept += to_text(row) + "\n";
  }
  files.write_file(path_, kept);
  out_.open(path_, std::ios::app);
}

void MetricsLog::append(const Json& row) {
  out_ << to_text(row) << '\n' << std::flush;
  if (!out_ && !warned_) {
    warned_ = true;
    log_warning("cannot write ", path_, "; metrics are lost from here on");
  }
  out_.clear();
}

}  // namespace xlstm::train
