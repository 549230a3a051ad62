// xlstm report
#include <iostream>
#include <memory>

#include "tools/commands.h"
#include "tools/train/run_report.h"

namespace xlstm::cli {

void add_report(CLI::App& app, Action& action) {
  auto folder = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("report", "write report.html of a run anew from its logs");
  command->footer("fit writes it at every checkpoint and at the end; this is for runs that died.");
  command->add_option("folder", *folder, "a run folder: runs/<name>/version_N")->required();
  command->callback([&action, folder] {
    action = [folder] {
      std::cout << "report: " << train::write_run_report(*folder, real_file_system()) << "\n";
      return 0;
    };
  });
}

}  // namespace xlstm::cli
