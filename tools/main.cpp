// The `xlstm` command.
#include <iostream>
#include <new>

#include "core/error.h"
#include "core/fault_plan.h"
#include "core/kernel_variant.h"
#include "tools/commands.h"

namespace xlstm::cli {
namespace {

std::vector<std::string> all_words;

}  // namespace

const std::vector<std::string>& command_line() {
  return all_words;
}

std::vector<std::pair<std::string, std::string>> parse_overrides(
    const std::vector<std::string>& arguments) {
  std::vector<std::pair<std::string, std::string>> overrides;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    require<ConfigError>(argument.starts_with("--") && argument.size() > 2, "arguments: got \"",
                         argument, "\", expected --key value (see --help)");
    const std::string body = argument.substr(2);
    if (const size_t equals = body.find('='); equals != std::string::npos) {
      overrides.emplace_back(body.substr(0, equals), body.substr(equals + 1));
    } else {
      require<ConfigError>(i + 1 < arguments.size(), "arguments: no value after ", argument,
                           ", expected ", argument, " VALUE");
      overrides.emplace_back(body, arguments[++i]);
    }
  }
  return overrides;
}

int exit_code_of_current_exception(std::string& message) {
  try {
    throw;
  } catch (const ConfigError& e) {
    message = e.what();
    return 2;
  } catch (const DeviceError& e) {
    message = e.what();
    return 2;
  } catch (const NonFiniteError& e) {
    message = e.what();
    return 4;
  } catch (const OutOfMemory& e) {
    message = e.what();
    return 5;
  } catch (const std::bad_alloc&) {
    message = "out of memory on cpu (use a smaller batch or model)";
    return 5;
  } catch (const CommError& e) {
    message = e.what();
    return 6;
  } catch (const FormatError& e) {
    message = e.what();
    return 7;
  } catch (const FileError& e) {
    message = e.what();
    return 7;
  } catch (const std::exception& e) {
    message = std::string("internal error: ") + e.what() + " (please report this)";
    return 70;
  }
}

bool is_command(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands({}))
    if (command->get_name() == name) return true;
  return false;
}

// What the parser says, and for a command that does not exist its name.
std::string parse_complaint(const CLI::App& app, const CLI::ParseError& error, int argc,
                            char** argv) {
  if (argc > 1 && argv[1][0] != '-' && !is_command(app, argv[1]))
    return std::string("no such command, got ") + argv[1] +
           ", expected fit, validate, generate, eval, tokenize, inspect, report, bench or selftest "
           "(see --help)";
  return std::string(error.what()) + " (see --help)";
}

}  // namespace xlstm::cli

int main(int argc, char** argv) {
  using namespace xlstm::cli;
  all_words.assign(argv, argv + argc);
  CLI::App app("xlstm: train and run xLSTM language models");
  app.require_subcommand(1);
  app.set_version_flag("--version", XLSTM_VERSION);
  Action action;
  add_fit(app, action);
  add_validate(app, action);
  add_generate(app, action);
  add_eval(app, action);
  add_tokenize(app, action);
  add_inspect(app, action);
  add_report(app, action);
  add_bench(app, action);
  add_selftest(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // --help and --version arrive here too, with code 0.
    if (e.get_exit_code() == 0) return app.exit(e);
    std::cerr << "xlstm: error: arguments: " << parse_complaint(app, e, argc, argv) << "\n";
    return 2;
  }
  try {
    xlstm::check_kernel_variables();
    xlstm::FaultPlan::of_environment();
    return action();
  } catch (...) {
    std::string message;
    const int code = exit_code_of_current_exception(message);
    std::cerr << "xlstm: error: " << message << "\n";
    return code;
  }
}
