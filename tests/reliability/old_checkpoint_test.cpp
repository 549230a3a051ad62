// Checkpoints of every format that was released: read, verified and continued by this version.
#include <cmath>
#include <filesystem>

#include "core/error.h"
#include "tests/reliability/proof.h"
#include "tests/reliability/small_run.h"

namespace xlstm::proof {
namespace {

struct Stored {
  const char* folder;
  int64_t step;
  double validation_loss;  // that the run of then has logged
};
constexpr Stored kStored[] = {{"tests/data/checkpoint_v1", 10, 5.576296806335449}};

TEST_CASE("a checkpoint of every format is verified, validated, continued and generated from") {
  Promise promise(17, "stored checkpoint verified, validated, continued and generated from");
  for (const Stored& stored : kStored) {
    CAPTURE(stored.folder);
    const TemporaryDir dir;
    const std::string run = dir.path("runs/old/version_0");
    real_file_system().make_dirs(run + "/checkpoints");
    const std::string name = "/step-000000010";
    const auto recursive = std::filesystem::copy_options::recursive;
    const std::string source = testing::data_path(stored.folder);
    std::filesystem::copy(source + name, run + "/checkpoints" + name, recursive);
    std::filesystem::copy(source + "/text", dir.path("text"), recursive);
    const auto does = [&](const std::string& arguments, std::string* output = nullptr) {
      Process command("'" + testing::command_path() + "' " + arguments, dir.path(),
                      dir.path("log"));
      const std::optional<int> code = command.wait(60);
      promise.point(code == 0, arguments + "\n" + command.output());
      if (output != nullptr) *output = command.output();
    };
    const std::string checkpoint = run + "/checkpoints" + name;
    promise.point(verify_checkpoint(checkpoint).empty(), "verify");
    promise.point(Checkpoint::open(checkpoint).step() == stored.step, "step");
    std::string output;
    does("validate --ckpt_path " + checkpoint, &output);
    // Other processors round otherwise.
    const size_t at = output.find("\"loss\": ");
    promise.point(at != std::string::npos &&
                      std::abs(std::atof(output.c_str() + at + 8) - stored.validation_loss) < 1e-3,
                  output);
    does("generate --ckpt_path " + checkpoint + " --prompt 'A story' --max_new_tokens 3");
    does("inspect " + checkpoint);
    does(
        "fit --ckpt_path last --trainer.name old --trainer.max_steps 14 --trainer.accelerator cpu");
    const auto last =
        train::resolve_checkpoint("last", dir.path("runs"), "old", real_file_system());
    promise.point(Checkpoint::open(last).step() == 14, last);
    // It was continued, and not begun anew: both moments know of fourteen updates.
    promise.point(real_file_system()
                          .read_file(join_path(last, "train_state.json"))
                          .find("\"tokens_seen\": 448") != std::string::npos,
                  "tokens seen");
  }
}

}  // namespace
}  // namespace xlstm::proof
