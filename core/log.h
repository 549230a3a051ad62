// Messages to the user on standard error, one line each.
#pragma once

#include <functional>
#include <string>

#include "core/error.h"

namespace xlstm {

enum class LogLevel : int { info, warning, error, silent };

using LogSink = std::function<void(LogLevel, const std::string& message)>;

// Messages below `lowest` are dropped; LogLevel::silent drops all. The first level is info.
void set_log_level(LogLevel lowest);
LogLevel log_level();

// Sends messages to `sink` instead of standard error (an empty one: back to standard error) and
// returns the former sink.
LogSink set_log_sink(LogSink sink);

// Safe from any thread; lines are never mixed.
void log_message(LogLevel level, const std::string& message);

template <class... Parts>
void log_info(const Parts&... parts) {
  if (log_level() <= LogLevel::info) log_message(LogLevel::info, detail::concat(parts...));
}
template <class... Parts>
void log_warning(const Parts&... parts) {
  if (log_level() <= LogLevel::warning) log_message(LogLevel::warning, detail::concat(parts...));
}
template <class... Parts>
void log_error(const Parts&... parts) {
  if (log_level() <= LogLevel::error) log_message(LogLevel::error, detail::concat(parts...));
}

}  // namespace xlstm
