// One function per subcommand of `xlstm`. Each registers its options and what to run.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace xlstm::cli {

// What main runs once the arguments are parsed; returns the exit code.
using Action = std::function<int()>;

void add_fit(CLI::App& app, Action& action);
void add_validate(CLI::App& app, Action& action);
void add_generate(CLI::App& app, Action& action);
void add_eval(CLI::App& app, Action& action);
void add_tokenize(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_report(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_bench_scaling(CLI::App& bench, Action& action);
void add_selftest(CLI::App& app, Action& action);

// This process's own words, as typed.
const std::vector<std::string>& command_line();

// `--a.b.c value` and `--a.b.c=value` among the arguments that no option took. ConfigError for
// anything else.
std::vector<std::pair<std::string, std::string>> parse_overrides(
    const std::vector<std::string>& arguments);

// The documented exit code of the exception being handled (docs/errors.md).
int exit_code_of_current_exception(std::string& message);

}  // namespace xlstm::cli
