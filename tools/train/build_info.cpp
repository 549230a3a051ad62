#include "tools/train/build_info.h"

#include <omp.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <iterator>

#include "core/cuda/measure.h"
#include "core/error.h"

// Given by CMake for this file alone, so that a new commit compiles nothing else anew.
#ifndef XLSTM_BUILD_VERSION
#define XLSTM_BUILD_VERSION ""
#endif
#ifndef XLSTM_BUILD_COMMIT
#define XLSTM_BUILD_COMMIT ""
#endif
#ifndef XLSTM_BUILD_TYPE
#define XLSTM_BUILD_TYPE ""
#endif

namespace xlstm::train {
namespace {

std::string compiler() {
#if defined(__clang__)
  return "Clang " __clang_version__;
#elif defined(__GNUC__)
  return "GCC " __VERSION__;
#else
  return "";
#endif
}

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name") && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "";
}

std::vector<std::string> arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> all;
  for (std::string argument; std::getline(file, argument, '\0');) all.push_back(argument);
  return all;
}

std::string working_folder() {
  char path[4096];
  return ::getcwd(path, sizeof path) != nullptr ? path : "";
}

// Names of files may be any bytes; JSON takes UTF-8 alone.
std::string printable(std::string text) {
  if (is_utf8(text)) return text;
  for (char& c : text)
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  return text;
}

}  // namespace

std::string command_text(const std::vector<std::string>& arguments) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,+@%";
  std::string text;
  for (const std::string& argument : arguments) {
    if (!text.empty()) text += ' ';
    if (!argument.empty() && argument.find_first_not_of(kPlain) == std::string::npos) {
      text += argument;
      continue;
    }
    text += '\'';
    for (const char c : argument) text += c == '\'' ? "'\\''" : std::string(1, c);
    text += '\'';
  }
  return text;
}

std::string build_version() {
  return XLSTM_BUILD_VERSION " " XLSTM_BUILD_COMMIT;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[64];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text;
}

Json run_environment(Device device) {
  utsname system{};
  const bool known = ::uname(&system) == 0;
  Json out = Json::object();
  out.set("command", printable(command_text(arguments())));
  out.set("folder", printable(working_folder()));
  out.set("version", XLSTM_BUILD_VERSION);
  out.set("commit", XLSTM_BUILD_COMMIT);
  out.set("compiler", compiler());
  out.set("build", XLSTM_BUILD_TYPE);
  out.set("host", known ? printable(system.nodename) : "");
  out.set("system", known ? detail::concat(system.sysname, ' ', system.release, ' ', system.machine)
                          : std::string());
  out.set("processor", printable(processor()));
  out.set("threads", std::to_string(omp_get_max_threads()));
  out.set("device", device == kCpu
                        ? "cpu"
                        : detail::concat(to_string(device), ": ", cuda::facts_of(device).name));
  return out;
}

}  // namespace xlstm::train
