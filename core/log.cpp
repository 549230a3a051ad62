#include "core/log.h"

#include <atomic>
#include <cstdio>
#include <mutex>
#include <utility>

namespace xlstm {
namespace {

std::atomic<LogLevel> lowest_level{LogLevel::info};
std::mutex sink_mutex;
LogSink current_sink;

void write_to_stderr(LogLevel level, const std::string& message) {
  const char* prefix = level == LogLevel::error     ? "error: "
                       : level == LogLevel::warning ? "warning: "
                                                    : "";
  const std::string line = prefix + message + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

void set_log_level(LogLevel lowest) {
  lowest_level = lowest;
}
LogLevel log_level() {
  return lowest_level;
}

LogSink set_log_sink(LogSink sink) {
  const std::lock_guard lock(sink_mutex);
  return std::exchange(current_sink, std::move(sink));
}

void log_message(LogLevel level, const std::string& message) {
  if (level < lowest_level.load()) return;
  const std::lock_guard lock(sink_mutex);
  if (current_sink)
    current_sink(level, message);
  else
    write_to_stderr(level, message);
}

}  // namespace xlstm
