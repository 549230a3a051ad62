// A tiny run whose recurrent states go from step to step.
#pragma once

#include <algorithm>
#include <vector>

#include "core/checkpoint.h"
#include "tests/tools/tiny_run.h"
#include "tools/train/training_data.h"

namespace xlstm::train {

class StatefulRun : public TinyRun {
 public:
  // Without dropout; epochs of three steps, so that 12 steps cross their ends.
  StatefulRun() {
    config.data.stateful = true;
    config.trainer.limit_train_batches = 6;
    std::get<layers::XlstmModelConfig>(config.model).dropout = 0;
  }

  void freeze_weights() {
    config.optimizer.lr = 0;
    config.trainer.max_steps = config.lr_scheduler.total_steps = 1000;
  }

  // The batches that the trainer reads.
  TrainingData data() const {
    const TrainerConfig& t = config.trainer;
    return TrainingData(config.data, t.accumulate_grad_batches,
                        static_cast<uint64_t>(config.seed_everything), dir.path("runs/cache"),
                        real_file_system(), {t.limit_train_batches, t.overfit_batches});
  }
};

// What lies in the newest checkpoint's file of states.
inline std::string carried_bytes(const Trainer& trainer) {
  const std::string checkpoint =
      find_latest_checkpoint(join_path(trainer.run_folder(), "checkpoints")).value();
  return real_file_system().read_file(join_path(checkpoint, "carried_state.safetensors"));
}

}  // namespace xlstm::train
