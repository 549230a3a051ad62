// data.stateful: truncated back-propagation through time with carried states.
#include <cmath>
#include <limits>
#include <map>

#include "core/allocator.h"
#include "core/autograd.h"
#include "core/ops/view.h"
#include "tests/catch.h"
#include "tests/tools/stateful_run.h"
#include "tools/train/carried_state.h"

namespace xlstm::train {
namespace {

// ---- the same tokens in one piece ----

// What the lanes of a run read in its first n_steps, one behind the other.
struct Lanes {
  std::vector<int64_t> inputs, targets;  // [lanes, n_steps * T]
  std::vector<uint8_t> reset;            // where the run begins anew, and at documents if it does
  std::vector<uint8_t> reset_each_step;  // in every step besides
  int64_t n_lanes, T, n_steps;
};

Lanes lanes_of(const RunConfig& config, const TrainingData& data, int64_t n_steps) {
  const int64_t B = config.data.batch_size, T = config.data.max_length;
  const int64_t n_micro = config.trainer.accumulate_grad_batches;
  Lanes all{{}, {}, {}, {}, B * n_micro, T, n_steps};
  const auto n = static_cast<size_t>(all.n_lanes * n_steps * T);
  all.inputs.resize(n), all.targets.resize(n), all.reset.resize(n), all.reset_each_step.resize(n);
  for (int64_t step = 0; step < n_steps; ++step)
    for (int64_t lane = 0; lane < all.n_lanes; ++lane) {
      const Batch batch = data.batch(step, lane / B);
      const int64_t row = lane % B;
      for (int64_t t = 0; t < T; ++t) {
        const auto at = static_cast<size_t>((lane * n_steps + step) * T + t);
        all.inputs[at] = batch.tokens.data<int64_t>()[row * (T + 1) + t];
        all.targets[at] = batch.tokens.data<int64_t>()[row * (T + 1) + t + 1];
        const bool document =
            batch.reset.defined() && batch.reset.data<uint8_t>()[row * T + t] != 0;
        all.reset[at] = document || (t == 0 && batch.fresh.data<uint8_t>()[row] != 0);
        all.reset_each_step[at] = all.reset[at] != 0 || t == 0;
      }
    }
  return all;
}

// The loss of every step from one forward pass over all of them.
std::vector<double> losses_in_one_piece(const layers::LanguageModel& model, const Lanes& lanes,
                                        const std::vector<uint8_t>& reset) {
  const autograd::NoGrad no_grad;
  const int64_t n = lanes.n_steps * lanes.T, V = model.n_vocab();
  const Tensor tokens = Tensor::from(lanes.inputs, {lanes.n_lanes, n});
  const Tensor logits = model.forward(tokens, {}, Tensor::from(reset, {lanes.n_lanes, n})).logits;
  const std::vector<double> values = logits.to_vector<double>();
  std::vector<double> losses(static_cast<size_t>(lanes.n_steps));
  for (int64_t lane = 0; lane < lanes.n_lanes; ++lane)
    for (int64_t i = 0; i < n; ++i) {
      const double* row = values.data() + (lane * n + i) * V;
      const double largest = *std::max_element(row, row + V);
      double sum = 0;
      for (int64_t v = 0; v < V; ++v) sum += std::exp(row[v] - largest);
      const int64_t target = lanes.targets[static_cast<size_t>(lane * n + i)];
      losses[static_cast<size_t>(i / lanes.T)] += largest + std::log(sum) - row[target];
    }
  for (double& loss : losses) loss /= static_cast<double>(lanes.n_lanes * lanes.T);
  return losses;
}

layers::ModelConfig large_model() {
  layers::XlstmLargeConfig large;
  large.embedding_dim = 16;
  large.num_heads = 2;
  large.num_blocks = 2;
  return large;
}

TEST_CASE("steps with carried states give the losses of one pass over the whole text") {
  struct Case {
    int64_t batch, n_micro, T, n_steps;
    bool large, document_reset, checkpointing;
    const char* precision;
  };
  const Case cases[] = {
      {1, 1, 1, 50, false, false, false, "32-true"},  // token by token
      {1, 1, 1, 50, true, false, false, "32-true"},  {2, 2, 24, 8, false, false, false, "32-true"},
      {3, 2, 7, 8, false, true, false, "32-true"},   {2, 2, 24, 8, true, true, false, "32-true"},
      {2, 1, 70, 5, false, false, true, "32-true"},  // longer than a chunk
      {2, 2, 24, 8, false, false, false, "64-true"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.batch, c.n_micro, c.T, c.large, c.document_reset, c.precision);
    StatefulRun run;
    run.freeze_weights();
    run.config.data.batch_size = c.batch;
    run.config.data.max_length = c.T;
    run.config.data.document_reset = c.document_reset;
    run.config.trainer.accumulate_grad_batches = c.n_micro;
    run.config.trainer.limit_train_batches = 6 * c.n_micro;
    run.config.trainer.activation_checkpointing = c.checkpointing;
    run.config.trainer.precision = c.precision;
    if (c.T == 1) run.config.trainer.limit_train_batches = 30;
    if (c.large) run.config.model = large_model();
    Trainer trainer(run.config, run.services());
    const Lanes lanes = lanes_of(run.config, run.data(), c.n_steps);
    // Weights that have learned nothing would hide the state behind them.
    for (Tensor& p : trainer.model().parameters())
      if (p.dim() == 2)
        for (int64_t i = 0; i < p.numel(); ++i) {
          if (p.dtype() == DType::f32) p.data<float>()[i] *= 4;
          if (p.dtype() == DType::f64) p.data<double>()[i] *= 4;
        }
    const std::vector<double> want = losses_in_one_piece(trainer.model(), lanes, lanes.reset);
    const std::vector<double> forgetful =
        losses_in_one_piece(trainer.model(), lanes, lanes.reset_each_step);
    double difference = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      CAPTURE(i);
      const double got = trainer.step().loss;
      CHECK(got == Approx(want[i]).epsilon(
                       run.config.trainer.precision == std::string("64-true") ? 1e-12 : 1e-5));
      difference = std::max(difference, std::abs(got - forgetful[i]));
    }
    CHECK(difference > 1e-3);  // so the states matter, by far more than rounding
  }
}

// ---- truncation ----

double norm_of_gradients(const layers::LanguageModel& model) {
  double sum = 0;
  for (const Tensor& p : model.parameters())
    for (const double g : p.grad().to_vector<double>()) sum += g * g;
  return std::sqrt(sum);
}

TEST_CASE("gradients end where a step begins, and memory does not grow with steps") {
  StatefulRun run;
  run.freeze_weights();
  run.config.trainer.accumulate_grad_batches = 1;
  run.config.trainer.precision = "64-true";
  run.config.data.prefetch = 0;
  Trainer trainer(run.config, run.services());
  trainer.step();
  const double got = trainer.step().grad_norm;

  const TrainingData data = run.data();
  const layers::LanguageModel& model = trainer.model();
  const auto norm = [&](bool truncated) {
    for (Tensor& p : trainer.model().parameters()) p.grad().fill(0);
    layers::ModelState state = batch_loss(model, data.batch(0, 0), {}, model.init_state(2)).state;
    if (truncated) state = state.detach();
    const BatchLoss loss = batch_loss(model, data.batch(1, 0), {}, state);
    autograd::backward(loss.loss);
    return norm_of_gradients(model);
  };
  CHECK(got == Approx(norm(true)).epsilon(1e-12));
  CHECK(got != Approx(norm(false)).epsilon(1e-6));

  trainer.step();
  const MemoryStats before = memory_stats(kCpu);
  for (int i = 0; i < 20; ++i) trainer.step();
  CHECK(memory_stats(kCpu).in_use_bytes == before.in_use_bytes);
}

TEST_CASE("carried states are outside the tape, in memory that stays where it is") {
  StatefulRun run;
  Trainer trainer(run.config, run.services());
  const layers::LanguageModel& model = trainer.model();
  CarriedState carried(model, 2, 2);
  const Tensor none = Tensor::zeros({2}, DType::u8);
  const Batch batch = run.data().batch(0, 1);
  const layers::ModelState first = carried.begin(1, none);
  for (const auto& [name, tensor] : first.named_tensors()) {
    CAPTURE(name);
    const std::vector<double> values = tensor.to_vector<double>();
    for (const double x : values) CHECK(x == values[0]);  // the start
  }
  const layers::ModelState after = batch_loss(model, batch, {}, first).state;
  carried.keep(1, after);
  const NamedTensors want = after.named_tensors();
  const layers::ModelState second = carried.begin(1, none);
  const NamedTensors got = second.named_tensors(), places = first.named_tensors();
  REQUIRE(got.size() == want.size());
  int n_on_tape = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    CAPTURE(got[i].first);
    CHECK(got[i].second.to_vector<double>() == want[i].second.to_vector<double>());
    n_on_tape += want[i].second.requires_grad();
    CHECK_FALSE(got[i].second.requires_grad());
    CHECK(got[i].second.raw() == places[i].second.raw());
  }
  CHECK(n_on_tape >= 6);  // all but m: its gradient is none
  // The other micro-batch has states of its own, and a fresh lane begins again.
  for (const auto& [name, tensor] : carried.begin(0, none).named_tensors())
    if (name.ends_with("cell.n")) CHECK(tensor.to_vector<double>()[0] == 0);
  const Tensor second_is_fresh = Tensor::from(std::vector<uint8_t>{0, 1}, {2});
  const NamedTensors mixed = carried.begin(1, second_is_fresh).named_tensors();
  const NamedTensors start = model.init_state(2).named_tensors();
  for (size_t i = 0; i < mixed.size(); ++i) {
    const auto row = [](const Tensor& t, int64_t b) {
      return ops::contiguous(ops::select(t.detach(), 0, b)).to_vector<double>();
    };
    CHECK(row(mixed[i].second, 0) == row(want[i].second, 0));
    CHECK(row(mixed[i].second, 1) == row(start[i].second, 1));
  }
}

// ---- stopping and going on ----

TEST_CASE("a run with carried states that was stopped goes on bit for bit, at ends of epochs too") {
  for (const bool large : {false, true}) {
    const auto configure = [large](StatefulRun& run) {
      if (large) run.config.model = large_model();
      if (!large) std::get<layers::XlstmModelConfig>(run.config.model).dropout = 0.1;
    };
    StatefulRun whole;
    configure(whole);
    Trainer unbroken(whole.config, whole.services());
    unbroken.fit();
    for (const int64_t stop : {2, 3, 4, 6}) {  // epochs end after 3 and 6
      CAPTURE(large, stop);
      StatefulRun parts;
      configure(parts);
      parts.config.trainer.max_steps = stop;
      {
        Trainer first(parts.config, parts.services());
        first.fit();
      }
      parts.config.trainer.max_steps = 12;
      Trainer second(parts.config, parts.services());
      second.resume("last");
      second.fit();
      CHECK(weight_bytes(second.model()) == weight_bytes(unbroken.model()));
      CHECK(carried_bytes(second) == carried_bytes(unbroken));
    }
  }
}

TEST_CASE("threads, prefetch and recomputed blocks change no bit of a run with carried states") {
  std::string first;
  for (const int64_t threads : {1, 2, 3}) {
    StatefulRun run;
    run.config.trainer.num_threads = threads;
    run.config.trainer.activation_checkpointing = threads == 2;
    run.config.data.prefetch = threads - 1;
    Trainer trainer(run.config, run.services());
    trainer.fit();
    const std::string bytes = weight_bytes(trainer.model()) + carried_bytes(trainer);
    if (first.empty()) first = bytes;
    CHECK(bytes == first);
  }
}

// A copy of a checkpoint without some file, or without a key of its data section.
std::string changed_copy(const std::string& path, const std::string& left_out_file,
                         const std::string& left_out_key, const std::string& root) {
  const Checkpoint from = Checkpoint::open(path);
  CheckpointContents contents;
  contents.step = from.step();
  for (const char* name :
       {"model.safetensors", "optimizer.safetensors", "carried_state.safetensors"})
    if (from.has(name) && name != left_out_file)
      contents.tensor_files.push_back({name, from.load_tensors(name), from.tensor_metadata(name)});
  Json config = Json::object();
  const Json all = parse_json(from.read_text("config.json"), "config.json");
  for (const auto& [section, value] : all.as_object()) {
    if (section != "data") {
      config.set(section, value);
      continue;
    }
    Json data = Json::object();
    for (const auto& [key, member] : value.as_object())
      if (key != left_out_key) data.set(key, member);
    config.set(section, std::move(data));
  }
  contents.text_files = {{"train_state.json", from.read_text("train_state.json")},
                         {"config.json", to_text(config)},
                         {"tokenizer.json", from.read_text("tokenizer.json")}};
  return save_checkpoint(root, contents);
}

TEST_CASE("states are not dropped or made up when a run goes on") {
  StatefulRun run;
  run.config.trainer.max_steps = 2;
  const auto trained = [&](bool stateful) {
    run.config.data.stateful = stateful;
    Trainer trainer(run.config, run.services());
    trainer.fit();
    return find_latest_checkpoint(join_path(trainer.run_folder(), "checkpoints")).value();
  };
  const auto resume = [&](bool stateful, const std::string& path) {
    run.config.data.stateful = stateful;
    Trainer(run.config, run.services()).resume(path);
  };
  const std::string with = trained(true), without = trained(false);
  CHECK_NOTHROW(resume(true, with));
  CHECK_NOTHROW(resume(false, without));
  CHECK_FALSE(Checkpoint::open(without).has("carried_state.safetensors"));
  CHECK_THROWS_WITH(resume(true, without),
                    test::contains("data.stateful: got true, checkpoint has false"));
  CHECK_THROWS_WITH(resume(false, with),
                    test::contains("data.stateful: got false, checkpoint has true"));

  // Of a time before the key.
  const std::string older =
      changed_copy(without, "", "stateful", run.dir.path("older/version_0/checkpoints"));
  CHECK_NOTHROW(resume(false, older));
  CHECK_THROWS_WITH(resume(true, older),
                    test::contains("data.stateful: got true, checkpoint has false"));
  const std::string cut = changed_copy(with, "carried_state.safetensors", "",
                                       run.dir.path("cut/version_0/checkpoints"));
  CHECK_THROWS_AS(resume(true, cut), FormatError);
  CHECK_THROWS_WITH(resume(true, cut), test::contains("carried_state.safetensors: is missing"));

  run.config.data.stateful = true;
  Trainer trainer(run.config, run.services());
  CarriedState one(trainer.model(), 1, 2), two(trainer.model(), 2, 2);
  NamedTensors states = two.named_tensors();
  CHECK_NOTHROW(two.load(states, "file"));
  CHECK_THROWS_WITH(one.load(states, "file"), test::contains("file: blocks.0"));
  states.front().first = "blocks.7.conv";
  CHECK_THROWS_WITH(two.load(states, "file"), test::contains("is missing"));
  states.pop_back();
  CHECK_THROWS_WITH(two.load(states, "file"), test::contains("tensors, expected"));
}

// ---- steps that go wrong ----

// The loss of a step of which some lanes begin at the start.
double loss_of_step(const StatefulRun& run, const layers::LanguageModel& model, int64_t n_steps,
                    const std::vector<int64_t>& begun_anew) {
  Lanes lanes = lanes_of(run.config, run.data(), n_steps);
  for (const int64_t lane : begun_anew)
    lanes.reset[static_cast<size_t>((lane * n_steps + n_steps - 1) * lanes.T)] = 1;
  return losses_in_one_piece(model, lanes, lanes.reset).back();
}

// One epoch is long enough for the steps that follow.
void lengthen_epochs(StatefulRun& run) {
  run.freeze_weights();
  run.config.trainer.limit_train_batches = 40;
}

TEST_CASE("a skipped step carries states that are finite, and only those") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  // In the head: the loss is not a number, and no state has seen it.
  {
    StatefulRun run;
    lengthen_epochs(run);
    Trainer trainer(run.config, run.services());
    const double carried = loss_of_step(run, trainer.model(), 3, {});
    trainer.step();
    NamedTensors named = trainer.model().named_parameters();
    const auto head = std::find_if(named.begin(), named.end(),
                                   [](const auto& p) { return p.first == "lm_head.weight"; });
    REQUIRE(head != named.end());
    float& weight = head->second.data<float>()[0];
    const float good = std::exchange(weight, nan);
    CHECK(trainer.step().skipped);
    weight = good;
    CHECK(trainer.step().loss == Approx(carried).epsilon(1e-5));
  }
  // In the embedding of one token: the lanes that read it begin anew, the others go on.
  StatefulRun run;
  lengthen_epochs(run);
  Trainer trainer(run.config, run.services());
  const int64_t T = run.config.data.max_length;
  const Lanes lanes = lanes_of(run.config, run.data(), 2);
  std::map<int64_t, std::vector<int64_t>> readers;  // of each token, in the second step
  for (int64_t lane = 0; lane < 4; ++lane)
    for (int64_t t = 0; t < T; ++t) {
      std::vector<int64_t>& of = readers[lanes.inputs[static_cast<size_t>((lane * 2 + 1) * T + t)]];
      if (of.empty() || of.back() != lane) of.push_back(lane);
    }
  const auto token = std::find_if(readers.begin(), readers.end(),
                                  [](const auto& r) { return r.second.size() == 1; });
  REQUIRE(token != readers.end());
  const double carried = loss_of_step(run, trainer.model(), 3, {});
  const double want = loss_of_step(run, trainer.model(), 3, token->second);
  CHECK(std::abs(carried - want) > 1e-5 * want);
  trainer.step();
  const int64_t width = trainer.model().width();
  Tensor embedding = trainer.model().named_parameters().front().second;
  for (const auto& [name, parameter] : trainer.model().named_parameters())
    if (name == "token_embedding.weight") embedding = parameter;
  float& weight = embedding.data<float>()[token->first * width];
  const float good = std::exchange(weight, nan);
  CHECK(trainer.step().skipped);
  const std::string checkpoint = trainer.save();
  for (const auto& [name, tensor] :
       Checkpoint::open(checkpoint).load_tensors("carried_state.safetensors"))
    for (const double x : tensor.to_vector<double>()) REQUIRE(std::isfinite(x));
  weight = good;
  CHECK(trainer.step().loss == Approx(want).epsilon(1e-6));
}

TEST_CASE("after a step that failed, all lanes are where they were or all begin anew") {
  int n_failed = 0, n_anew = 0, n_carried = 0;
  for (int64_t n = 1; n < 2000; n = n * 3 / 2 + 1) {
    StatefulRun run;
    lengthen_epochs(run);
    run.config.data.prefetch = 0;
    Trainer trainer(run.config, run.services());
    trainer.step();
    fail_allocation(n, kCpu);
    bool failed = false;
    try {
      trainer.step();
    } catch (const OutOfMemory&) {
      failed = true;
    }
    fail_allocation(0, kCpu);
    if (!failed) break;
    ++n_failed;
    // A step that fails in its update has consumed its batches.
    const int64_t next = trainer.steps_done() + 1;
    const double carried = loss_of_step(run, trainer.model(), next, {});
    const double anew = loss_of_step(run, trainer.model(), next, {0, 1, 2, 3});
    const double got = trainer.step().loss;
    const bool is_anew = got == Approx(anew).epsilon(1e-6);
    const bool is_carried = got == Approx(carried).epsilon(1e-6);
    CAPTURE(n, next, got, anew, carried);
    CHECK(is_anew != is_carried);
    n_anew += is_anew;
    n_carried += is_carried;
  }
  CHECK(n_failed > 5);
  CHECK(n_anew > 0);
  CHECK(n_carried > 0);
}

// ---- other keys ----

TEST_CASE("carried states go together with overfitting, several sources and trial runs") {
  StatefulRun run;
  run.freeze_weights();
  run.config.trainer.limit_train_batches = -1;
  run.config.trainer.overfit_batches = 4;
  {
    Trainer trainer(run.config, run.services());
    CHECK(trainer.steps_per_epoch() == 2);
    std::vector<double> losses;
    for (int i = 0; i < 6; ++i) losses.push_back(trainer.step().loss);
    CHECK(losses[0] != losses[1]);
    for (size_t i = 2; i < 6; ++i) CHECK(losses[i] == losses[i - 2]);
  }
  run.config.trainer.overfit_batches = 0;
  run.config.data.sources = {{run.dir.path("text"), 3}, {run.dir.path("text"), 1}};
  {
    Trainer trainer(run.config, run.services());
    const Lanes lanes = lanes_of(run.config, run.data(), 4);
    const std::vector<double> want = losses_in_one_piece(trainer.model(), lanes, lanes.reset);
    for (const double loss : want) CHECK(trainer.step().loss == Approx(loss).epsilon(1e-5));
  }
  run.config.data.batch_size = run.config.trainer.accumulate_grad_batches = 1;
  CHECK_THROWS_WITH(Trainer(run.config, run.services()),
                    test::contains("data.sources: got 2 sources, expected at most 1"));
  run.config.data.sources.clear();
  run.config.trainer.fast_dev_run = 1;
  Trainer trial(run.config, run.services());
  CHECK(trial.fit().steps == 1);
}

TEST_CASE("validation reads its sequences from the start, whatever training carries") {
  StatefulRun with, without;
  without.config.data.stateful = false;
  with.freeze_weights(), without.freeze_weights();
  Trainer first(with.config, with.services()), second(without.config, without.services());
  first.step(), second.step();
  CHECK(first.validate().loss == second.validate().loss);
  const double next = loss_of_step(with, first.model(), 2, {});
  CHECK(first.step().loss == Approx(next).epsilon(1e-5));  // nor does it touch the states
}

}  // namespace
}  // namespace xlstm::train
