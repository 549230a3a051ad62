// The training loop: what happens between the steps.
#include <cmath>
#include <ostream>
#include <utility>

#include "core/checkpoint.h"
#include "core/fault_plan.h"
#include "core/log.h"
#include "optim/spike_detector.h"
#include "tools/train/config_io.h"
#include "tools/train/loss_plot.h"
#include "tools/train/metrics_log.h"
#include "tools/train/progress.h"
#include "tools/train/run_folder.h"
#include "tools/train/run_logs.h"
#include "tools/train/signals.h"
#include "tools/train/trainer_state.h"

namespace xlstm::train {
namespace {

std::string format(const char* pattern, double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, pattern, value);
  return buffer;
}

// A mean that forgets: follows the speed and the loss of about the last `span` steps.
class RunningMean {
 public:
  explicit RunningMean(double span) : keep_(1 - 1 / span) {}
  void add(double value) {
    weight_ = keep_ * weight_ + 1;
    sum_ = keep_ * sum_ + value;
  }
  double value() const { return weight_ > 0 ? sum_ / weight_ : 0; }

 private:
  double keep_, weight_ = 0, sum_ = 0;
};

void write_loss_plot(const std::string& run_folder, std::ostream& out, FileSystem& files) {
  Curve train{"training loss", "#1f77b4", {}}, valid{"validation loss", "#d62728", {}};
  for (const Json& row : MetricsLog::read(join_path(run_folder, "metrics.jsonl"), files)) {
    const Json *split = row.find("split"), *step = row.find("step"), *loss = row.find("loss");
    if (split == nullptr || step == nullptr || loss == nullptr || !loss->is_number()) continue;
    if (split->as_string() != "train" && split->as_string() != "valid") continue;
    Curve& curve = split->as_string() == "train" ? train : valid;
    curve.points.emplace_back(static_cast<double>(step->as_int()), loss->as_double());
  }
  const std::string path = join_path(run_folder, "loss.svg");
  files.write_file(path, plot_svg("Loss", "step", "nats per token", {train, valid}));
  out << plot_text(train) << "loss curve: " << path << "\n";
}

// What RunProgress says of how fit ended.
std::pair<const char*, const char*> state_of(StopReason reason) {
  switch (reason) {
    case StopReason::time_limit:
      return {"stopped", "after trainer.max_time"};
    case StopReason::terminated:
      return {"stopped", "by a signal of the system (SIGTERM or SIGUSR1)"};
    case StopReason::interrupted:
      return {"stopped", "by the user (SIGINT)"};
    case StopReason::early_stopping:
      return {"finished", "early, by early_stopping"};
    case StopReason::finished:
      break;
  }
  return {"finished", ""};
}

}  // namespace

// The loop's own helpers, kept out of the header.
class FitLoop {
 public:
  FitLoop(Trainer& trainer, Trainer::State& state)
      : trainer_(trainer),
        s_(state),
        out_(*state.services.out),
        clock_(*state.services.clock),
        display_(out_, state.services.is_terminal, clock_,
                 state.config.trainer.enable_progress_bar),
        loss_spikes_(state.config.trainer.spike_threshold),
        norm_spikes_(state.config.trainer.spike_threshold) {
    loss_spikes_.restore(state.progress.recent_losses);
    norm_spikes_.restore(state.progress.recent_norms);
  }

  FitReport run() {
    if (is_trial()) return train();
    s_.open_run_folder();
    s_.communicator->watch().set_folder(s_.run_folder);
    if (!s_.is_first()) return train();
    remove_unfinished_checkpoints(join_path(s_.run_folder, "checkpoints"), *s_.services.files);
    logs_.emplace(s_.run_folder, s_.progress.step, s_.config.trainer.logger,
                  describe_run(s_.config, s_.run_folder, *s_.model, s_.placement.device),
                  *s_.services.files, clock_);
    try {
      return train();
    } catch (const std::exception& error) {
      try {
        s_.collect_save(true);
        logs_->finish(progress_now("failed", error.what()));
      } catch (...) {
        // The error that ended the run is the one to report.
      }
      throw;
    }
  }

 private:
  FitReport train() {
    print_header();
    try_validation();
    const double start = step_began_ = clock_.seconds();
    tokens_before_ = s_.progress.tokens_seen;
    step_before_ = s_.progress.step;
    const int64_t last_step = s_.max_steps();
    if (s_.config.checkpoint.async && will_save(last_step)) s_.reserve_staging();
    SignalGuard signals;
    FitReport report;
    while (s_.progress.step < last_step) {
      vote(signals, start);
      s_.communicator->watch().set_step(s_.progress.step + 1);
      if (FaultPlan* plan = FaultPlan::of_environment()) plan->before_step(s_.progress.step + 1);
      s_.enqueue();
      take_reports(false, start, last_step);
      collect_save(false);
      if (hash_due()) log_hash(start, last_step);
      s_.monitored = {.train_loss = last_loss_};  // no validation at this step yet
      const auto [request, out_of_time] = decide(signals, start);
      if (request == StopRequest::terminate) report.reason = StopReason::terminated;
      if (request == StopRequest::interrupt) report.reason = StopReason::interrupted;
      if (report.reason != StopReason::finished) {
        take_reports(true, start, last_step);
        display_.finish();
        out_ << "stopping on a signal\n";
        break;
      }
      const bool last = out_of_time || s_.progress.step >= last_step;
      const bool saves = request == StopRequest::save_and_go_on || checkpoint_due();
      const bool validates = last || validation_due();
      if (validates || saves) take_reports(true, start, last_step);
      if (validates) validate_and_sample();
      const bool nowhere = validates && gets_nowhere();
      if (nowhere) report.reason = StopReason::early_stopping;
      if (out_of_time) report.reason = StopReason::time_limit;
      if (last || nowhere) break;
      if (saves) save_while_training();
      if (validates || saves) step_began_ = clock_.seconds();  // that was no training
    }
    display_.finish();
    finish(report, start);
    return report;
  }

  bool time_is_up(double start) const {
    const double limit = s_.config.trainer.max_time;
    return limit >= 0 && clock_.seconds() - start >= limit;
  }

  // What this rank wants goes with the step to the others.
  void vote(SignalGuard& signals, double start) {
    if (s_.world.size == 1) return;
    const StopRequest request = signals.poll();
    s_.vote = request == StopRequest::terminate        ? Votes::kTerminate
              : request == StopRequest::interrupt      ? Votes::kInterrupt
              : request == StopRequest::save_and_go_on ? Votes::kSave
                                                       : 0;
    if (s_.is_first() && time_is_up(start)) s_.vote += Votes::kTimeIsUp;
  }

  struct Decision {
    StopRequest request = StopRequest::none;
    bool out_of_time = false;
  };
  // With several ranks, what came back from all: the same on each of them.
  Decision decide(SignalGuard& signals, double start) {
    if (s_.world.size == 1) return {signals.poll(), time_is_up(start)};
    const Votes votes = std::exchange(votes_, Votes());
    return {votes.interrupt > 0   ? StopRequest::interrupt
            : votes.terminate > 0 ? StopRequest::terminate
            : votes.save > 0      ? StopRequest::save_and_go_on
                                  : StopRequest::none,
            votes.time_is_up > 0};
  }

  RunProgress progress_now(const std::string& state, const std::string& detail = "") const {
    RunProgress now;
    now.state = state;
    now.detail = detail;
    now.step = s_.progress.step;
    now.total_steps = s_.max_steps();
    now.tokens_seen = s_.progress.tokens_seen;
    now.seconds = s_.progress.seconds;
    if (evaluation_) now.validation_loss = evaluation_->loss;
    now.memory = memory_table(*s_.model, *s_.optimizer, s_.placement.device);
    return now;
  }

  double tokens_per_step() const {
    return static_cast<double>(s_.sequences_per_step() * s_.config.data.max_length);
  }

  int64_t validation_steps() const {
    return s_.config.trainer.val_check_interval.steps(s_.steps_per_epoch(),
                                                      s_.config.trainer.accumulate_grad_batches);
  }

  bool is_trial() const { return s_.config.trainer.fast_dev_run > 0; }

  bool validation_due() const {
    const int64_t epoch = (s_.progress.step - 1) / s_.steps_per_epoch() + 1;  // from 1
    return s_.progress.step % validation_steps() == 0 &&
           epoch % s_.config.trainer.check_val_every_n_epoch == 0;
  }

  bool checkpoint_due() const {
    if (!s_.config.trainer.enable_checkpointing) return false;
    const int64_t every = s_.config.checkpoint.every_n_train_steps;
    return every > 0 ? s_.progress.step % every == 0 : validation_due();
  }

  // What is wrong with a validation shall not be found after the first epoch.
  void try_validation() {
    const TrainerConfig& t = s_.config.trainer;
    if (t.num_sanity_val_steps == 0 || t.limit_val_batches == 0 || s_.progress.step > 0) return;
    static_cast<void>(trainer_.validate(
        t.limit_val_batches < 0 ? t.num_sanity_val_steps
                                : std::min(t.num_sanity_val_steps, t.limit_val_batches)));
  }

  // After a validation: whether early stopping ends the run.
  bool gets_nowhere() {
    const EarlyStoppingConfig& e = s_.config.early_stopping;
    const double value = s_.monitored.of(e.monitor);
    const bool ends = s_.progress.patience.exhausted(value, e.mode, e.min_delta, e.patience);
    if (!ends || s_.progress.step < s_.config.trainer.min_steps ||
        s_.epoch() < s_.config.trainer.min_epochs)
      return false;
    display_.print("stopping early: " + e.monitor + " has not improved on " +
                   format("%.4f", s_.progress.patience.best) + " for " +
                   std::to_string(s_.progress.patience.n_waited) + " validations");
    return true;
  }

  void log(const Json& row) {
    if (logs_) logs_->append(row);
  }

  void print_header() {
    out_ << "model: " << s_.model->arch() << ", " << s_.model->n_blocks() << " blocks ["
         << s_.model->layer_map() << "], width " << s_.model->width() << ", "
         << format_count(static_cast<double>(s_.model->n_parameters())) << " parameters\n"
         << "data: " << format_count(static_cast<double>(s_.data.n_train_tokens()))
         << " training and " << format_count(static_cast<double>(s_.data.n_valid_tokens()))
         << " validation tokens, vocabulary " << s_.data.tokenizer().n_vocab() << "\n"
         << "run: " << (is_trial() ? "a trial, nothing is written" : s_.run_folder) << ", "
         << s_.max_steps() << " steps of " << s_.sequences_per_step() << " x "
         << s_.config.data.max_length << " tokens";
    if (s_.world.size > 1)
      out_ << ", " << s_.world.size << " processes ("
           << (s_.parallel->shards_optimizer() ? "zero1" : "ddp") << ")";
    if (s_.progress.step > 0) out_ << ", continuing after step " << s_.progress.step;
    out_ << std::endl;
  }

  // The steps that have ended: all, or all but the one that a device works on.
  void take_reports(bool wait, double start, int64_t last_step) {
    for (const StepReport& report : s_.engine->finished(wait)) {
      const double now = clock_.seconds();
      const double seconds = std::max(now - step_began_, 1e-9);
      step_began_ = now;
      s_.progress.seconds += seconds;
      seconds_per_step_.add(seconds);
      take_report(report, start, last_step);
    }
  }

  void take_report(const StepReport& report, double start, int64_t last_step) {
    if (s_.world.size > 1 && report.votes != 0) votes_ = Votes(report.votes);
    if (report.skipped) {
      report_skip(report);
      return;
    }
    find_spike(report);
    loss_.add(report.loss);
    last_loss_ = report.loss;
    s_.monitored.train_loss = report.loss;
    const double per_step = seconds_per_step_.value();
    double left = static_cast<double>(last_step - report.step) * per_step;
    if (s_.config.trainer.max_time >= 0)
      left = std::min(left, s_.config.trainer.max_time - (clock_.seconds() - start));
    display_.update({.epoch = s_.epoch(),
                     .step = report.step,
                     .total_steps = last_step,
                     .steps_per_second = 1 / per_step,
                     .tokens_per_second = tokens_per_step() / per_step,
                     .loss = loss_.value(),
                     .lr = report.lr,
                     .seconds_left = std::max(0.0, left)});
    if (report.step % s_.config.trainer.log_every_n_steps == 0 || report.step == 1)
      log_step(report, per_step);
  }

  void log_step(const StepReport& report, double per_step) {
    Json row = Json::object();
    row.set("split", "train");
    row.set("step", report.step);
    row.set("epoch", s_.epoch());
    row.set("loss", report.loss);
    row.set("lr", report.lr);
    row.set("grad_norm", report.grad_norm);
    row.set("tokens_seen", tokens_before_ + (report.step - step_before_) *
                                                static_cast<int64_t>(tokens_per_step()));
    row.set("tokens_per_second", tokens_per_step() / per_step);
    row.set("seconds", s_.progress.seconds);
    log(row);
  }

  bool hash_due() const {
    const int64_t every = s_.config.trainer.hash_every_n_steps;
    return every > 0 && s_.progress.step % every == 0;
  }

  void log_hash(double start, int64_t last_step) {
    take_reports(true, start, last_step);
    Json row = Json::object();
    row.set("split", "hash");
    row.set("step", s_.progress.step);
    row.set("weights_hash", trainer_.weights_hash());
    log(row);
    step_began_ = clock_.seconds();  // that was no training
  }

  void find_spike(const StepReport& report) {
    if (s_.config.trainer.spike_threshold == 0) return;
    const double loss = loss_spikes_.add(report.loss), norm = norm_spikes_.add(report.grad_norm);
    s_.progress.recent_losses = loss_spikes_.recent();
    s_.progress.recent_norms = norm_spikes_.recent();
    if (!loss_spikes_.is_spike(loss) && !norm_spikes_.is_spike(norm)) return;
    Json row = Json::object();
    row.set("split", "spike");
    row.set("step", report.step);
    row.set("loss", report.loss);
    row.set("loss_z", loss);
    row.set("grad_norm", report.grad_norm);
    row.set("grad_norm_z", norm);
    log(row);
    if (!s_.is_first()) return;
    display_.finish();
    log_warning("step ", report.step, ": ",
                loss_spikes_.is_spike(loss) ? "the loss" : "the gradient norm",
                " leaps out of the 128 steps before: loss ", report.loss, " (",
                format("%.1f", loss), " standard deviations above their mean), gradient norm ",
                report.grad_norm, " (", format("%.1f", norm), ")");
  }

  void report_skip(const StepReport& report) {
    Json row = Json::object();
    row.set("split", "skipped");
    row.set("step", report.step);
    row.set("reason", s_.guard.report());
    log(row);
    display_.print("step " + std::to_string(report.step) +
                   " skipped, weights untouched: " + s_.guard.report());
  }

  void validate_and_sample() {
    if (s_.config.trainer.limit_val_batches == 0) return;
    const Evaluation result = trainer_.validate();
    evaluation_ = result;
    s_.monitored.val_loss = result.loss;
    const bool best = s_.progress.best_step < 0 || result.loss < s_.progress.best_validation_loss;
    if (best) {
      s_.progress.best_validation_loss = result.loss;
      s_.progress.best_step = s_.progress.step;
    }
    Json row = Json::object();
    row.set("split", "valid");
    row.set("step", s_.progress.step);
    row.set("epoch", s_.epoch());
    row.set("loss", result.loss);
    row.set("perplexity", result.perplexity);
    row.set("n_tokens", result.n_tokens);
    log(row);
    display_.print("step " + std::to_string(s_.progress.step) + ": validation loss " +
                   format("%.4f", result.loss) + ", perplexity " +
                   format("%.3f", result.perplexity) + (best ? " (best so far)" : ""));
    if (s_.is_first()) sample();
    s_.wait_for_first("samples of text");
  }

  void sample() {
    if (s_.config.sample.prompts.empty()) return;
    GenerationOptions options = s_.config.sample.options;
    options.cuda_graph = s_.config.trainer.cuda_graph;
    GenerationStream stream(*s_.model, s_.data.tokenizer(), s_.config.sample.prompts, options);
    std::vector<std::string> texts = s_.config.sample.prompts;
    while (!stream.done())
      for (const auto& [line, text] : stream.next()) texts[static_cast<size_t>(line)] += text;
    for (size_t i = 0; i < texts.size(); ++i) {
      Json sample = Json::object();
      sample.set("split", "sample");
      sample.set("step", s_.progress.step);
      sample.set("prompt", s_.config.sample.prompts[i]);
      sample.set("text", texts[i]);
      log(sample);
      display_.print("  > " + texts[i]);
    }
  }

  // A full disk must not end a run that could go on: the next save may succeed.
  void save_while_training() {
    const bool waits = !s_.config.checkpoint.async;
    try {
      waits ? static_cast<void>(trainer_.save()) : trainer_.async_save();
    } catch (const FileError& e) {
      log_warning("checkpoint of step ", s_.progress.step,
                  " not written, training goes on: ", e.what());
    }
    if (waits && logs_) logs_->update(progress_now("running"));
  }

  void collect_save(bool wait) {
    if (s_.collect_save(wait) && logs_) logs_->update(progress_now("running"));
  }

  // Whether a checkpoint will be written before the last step's.
  bool will_save(int64_t last_step) const {
    if (!s_.config.trainer.enable_checkpointing) return false;
    const int64_t given = s_.config.checkpoint.every_n_train_steps;
    const int64_t every = given > 0 ? given : validation_steps();
    return (s_.progress.step / every + 1) * every < last_step;
  }

  void finish_logs(const FitReport& report) {
    try {
      write_loss_plot(s_.run_folder, out_, *s_.services.files);
    } catch (const Error& e) {
      log_warning("loss.svg not written: ", e.what());
    }
    const auto [state, detail] = state_of(report.reason);
    if (logs_->finish(progress_now(state, detail)))
      out_ << "report: " << join_path(s_.run_folder, "report.html") << "\n";
  }

  void finish(FitReport& report, double start) {
    s_.complete_weights();
    report.steps = s_.progress.step;
    report.train_loss = last_loss_;
    report.validation = evaluation_;
    report.seconds = clock_.seconds() - start;
    report.run_folder = s_.run_folder;
    // The last checkpoint is what the run was for, so here a failure is an error.
    collect_save(true);
    if (s_.config.trainer.enable_checkpointing) out_ << "saved " << trainer_.save() << "\n";
    if (logs_) finish_logs(report);
    s_.wait_for_first("the end of the run");
    out_ << "trained " << report.steps << " steps, "
         << format_count(static_cast<double>(s_.progress.tokens_seen)) << " tokens in "
         << format_duration(s_.progress.seconds) << "; peak memory of tensors "
         << format_count(static_cast<double>(memory_stats(s_.placement.device).peak_bytes))
         << "B, of the process " << format_count(static_cast<double>(peak_process_bytes())) << "B\n"
         << std::flush;
  }

  Trainer& trainer_;
  Trainer::State& s_;
  std::ostream& out_;
  const Clock& clock_;
  ProgressDisplay display_;
  std::optional<RunLogs> logs_;
  RunningMean seconds_per_step_{20}, loss_{20};
  double step_began_ = 0;
  int64_t tokens_before_ = 0, step_before_ = 0;  // of this call
  std::optional<Evaluation> evaluation_;
  double last_loss_ = 0;
  optim::SpikeDetector loss_spikes_, norm_spikes_;
  Votes votes_;  // that came back and were not acted upon yet
};

FitReport Trainer::fit() {
  return FitLoop(*this, *state_).run();
}

void Trainer::State::wait_for_first(const char* what) {
  if (world.size == 1) return;
  const comm::CollectiveWatch::LongCall takes_long(communicator->watch());
  comm::barrier(*communicator, what);
}

void Trainer::State::open_run_folder() {
  if (!run_folder.empty()) return;
  if (is_first()) make_new_run_folder();
  if (world.size > 1) run_folder = comm::broadcast_text(*communicator, run_folder);
}

void Trainer::State::make_new_run_folder() {
  FileSystem& files = *services.files;
  run_folder = make_run_folder(config.trainer.default_root_dir, config.trainer.name, files);
  files.write_file(join_path(run_folder, "config.yaml"), run_config_to_yaml(config));
  files.write_file(join_path(run_folder, "tokenizer.json"), data.tokenizer().to_json());
}

}  // namespace xlstm::train
