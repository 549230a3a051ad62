#include "tools/train/metrics_log.h"

#include "core/error.h"

namespace xlstm::train {

std::vector<Json> MetricsLog::read(const std::string& path, const FileSystem& files) {
  std::vector<Json> rows;
  if (!files.exists(path)) return rows;
  const std::string text = files.read_file(path);
  size_t start = 0;
  for (size_t end; (end = text.find('\n', start)) != std::string::npos; start = end + 1) {
    try {
      Json row = parse_json(std::string_view(text).substr(start, end - start), path);
      if (row.is_object()) rows.push_back(std::move(row));
    } catch (const FormatError&) {
      // A full disk cut it short; the lines around it are good.
    }
  }
  return rows;  // what follows the last newline was cut short by a crash
}

MetricsLog::MetricsLog(std::string path, int64_t last_step, FileSystem& files) {
  std::string kept;
  for (const Json& row : read(path, files)) {
    const Json* step = row.find("step");
    if (step == nullptr || !step->is_integer() || step->as_int() <= last_step)
      kept += to_text(row) + "\n";
  }
  files.write_file(path, kept);
  file_.emplace(std::move(path));
}

}  // namespace xlstm::train
