// The trainer: everything between a configuration and a trained model, as a class.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/comm/world.h"
#include "core/file_system.h"
#include "layers/language_model.h"
#include "tools/train/clock.h"
#include "tools/train/config.h"
#include "tools/train/evaluation.h"

namespace xlstm::train {

// What a trainer takes from outside. Everything is used, never owned, and must outlive the trainer.
struct TrainerServices {
  const Clock* clock = nullptr;  // default: the steady clock
  FileSystem* files = nullptr;   // default: real_file_system()
  std::ostream* out = nullptr;   // default: std::cout
  bool is_terminal = false;      // draw a live progress bar
  // Which process of a job this is; default: as the environment says. With several, every call of
  // a trainer is made by all of them; rank 0 alone prints, logs and saves.
  const comm::World* world = nullptr;
};

enum class StopReason { finished, time_limit, terminated, interrupted, early_stopping };

struct StepReport {
  int64_t step = 0;      // counted from 1
  double loss = 0;       // mean over the step's sequences
  double grad_norm = 0;  // before clipping
  double lr = 0;
  bool skipped = false;  // the gradient was not finite; nothing changed
  double votes = 0;      // of all ranks on what comes next (trainer_state.h)
};

struct FitReport {
  StopReason reason = StopReason::finished;
  int64_t steps = 0;  // of the whole run
  double train_loss = 0;
  std::optional<Evaluation> validation;  // the last one; none with limit_val_batches 0
  double seconds = 0;                    // of this call, validation included
  std::string run_folder;
};

class Trainer {
 public:
  struct State;  // trainer_state.h
  // Loads or trains the tokenizer, prepares the token files and builds the model. Nothing is
  // written but the token cache. ConfigError, FileError, FormatError; OutOfMemory, before anything
  // else, for a model that this machine cannot hold.
  explicit Trainer(const RunConfig& config, const TrainerServices& services = {});
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  // Continues exactly as if the run had never stopped. `ckpt_path` is a checkpoint, a run folder or
  // "last" (run_folder.h). ConfigError if the data, or a key that shapes the model or the order of
  // samples, differs from the checkpoint's.
  void resume(const std::string& ckpt_path);

  // Trains to the end, validating, sampling and saving as configured. SIGINT, SIGTERM and SIGUSR1
  // end it after the running step, with a checkpoint. NonFiniteError after too many skipped steps.
  FitReport fit();
  // The end of a job that went well, by every rank: no more steps, and the process may end.
  void close();

  // One optimizer step, and nothing else. Waits for it; fit() does not.
  StepReport step();
  // n of them, the next one queued while one runs, as fit() does; waits for the last.
  std::vector<StepReport> steps(int64_t n);
  Evaluation validate();
  Evaluation validate(int64_t n_batches);  // the first so many; -1: all
  // Writes a checkpoint of the current step into the run folder and returns its path (on rank 0;
  // elsewhere nothing, when it is written). FileError on rank 0; a save that was in flight is
  // waited for, and its FileError is a warning.
  std::string save();
  // The same, but only copies are made here: a thread of rank 0 writes them while training goes on.
  // One save is in flight at a time; the next one, save(), resume() and the destructor wait for it.
  // The copies take the host memory of weights and moments; where there is none, a warning says so
  // and the checkpoint is written before this returns. On a GPU the copies run beside what follows:
  // a step waits for them before it changes anything, and nobody else may write to the model before
  // the next step or wait_for_save().
  void async_save();
  int64_t bytes_to_save() const;  // of weights and moments, which async_save() copies
  bool is_saving() const;         // one is in flight and has not ended; all ranks ask
  // The path that async_save() has written, on rank 0, elsewhere empty as where none is in flight;
  // FileError if it failed.
  std::string wait_for_save();

  // XXH3 of all weights in full precision, 32 digits. All ranks call it; CommError, naming the
  // ranks that differ from rank 0, if they have not all the same.
  std::string weights_hash();

  const RunConfig& config() const;  // effective: sizes filled in
  layers::LanguageModel& model();
  const data::Tokenizer& tokenizer() const;
  const comm::World& world() const;
  int64_t steps_done() const;
  int64_t steps_per_epoch() const;
  int64_t max_steps() const;
  const std::string& run_folder() const;  // empty before fit, save or resume

 private:
  friend class FitLoop;
  std::unique_ptr<State> state_;
};

}  // namespace xlstm::train
