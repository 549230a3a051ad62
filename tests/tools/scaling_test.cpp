// xlstm bench scaling: the model of cost against numbers worked out by hand, and the command.
#include "tools/bench/scaling.h"

#include <cmath>

#include "core/error.h"
#include "core/json.h"
#include "tests/catch.h"
#include "tests/tools/run_command.h"
#include "tools/bench/end_to_end.h"
#include "tools/bench/scaling_model.h"
#include "tools/bench/scaling_report.h"

namespace xlstm::bench {
namespace {

using Catch::Matchers::WithinRel;
using test::contains;
using testing::run_command;

// Hops of 10 and 20 microseconds, and nothing else that costs time beside the bytes.
Cluster plain_cluster() {
  Cluster c;
  c.protocols = {Protocol{.nvlink_us = 10, .network_us = 20}};
  return c;
}

// Three buckets of a million weights that become final 5, 7 and 9 ms after the step began.
Workload small_work() {
  Workload w;
  w.n_parameters = 3e6;
  w.tokens = 1000;
  w.compute_ms = 9;
  w.update_ms = 1;
  w.bucket_bytes = 4e6;
  return w;
}

// 1 GB/s and no latency: a collective on two GPUs takes half its megabytes in milliseconds.
Cluster slow_cluster() {
  Cluster c;
  c.nvlink_gb_s = 1;
  c.protocols = {Protocol{}};
  return c;
}

TEST_CASE("collectives take what the formulas say") {
  Cluster c = plain_cluster();
  const double bytes = 330e6;  // a millisecond of NVLink
  for (const Algorithm a : {Algorithm::ring, Algorithm::hierarchical, Algorithm::tree}) {
    c.algorithm = a;
    CHECK(collective_ms(bytes, 1, c) == 0);
  }
  c.algorithm = Algorithm::ring;
  CHECK_THAT(collective_ms(bytes, 2, c), WithinRel(0.5 + 0.01, 1e-12));
  CHECK_THAT(collective_ms(bytes, 8, c), WithinRel(7.0 / 8 + 0.07, 1e-12));
  // 14 hops in nodes and one between them; eight cards of 45 GB/s are more than NVLink has.
  CHECK_THAT(collective_ms(bytes, 16, c), WithinRel(15.0 / 16 + 0.14 + 0.02, 1e-12));
  c.network_gbit_s = 200;  // 180 GB/s a node: now they are less
  CHECK_THAT(collective_ms(bytes, 16, c), WithinRel(330.0 / 180 * 15 / 16 + 0.16, 1e-12));
  c.network_gbit_s = 400;
  c.algorithm = Algorithm::hierarchical;
  CHECK_THAT(collective_ms(bytes, 8, c), WithinRel(7.0 / 8 + 0.07, 1e-12));
  // An eighth of the bytes goes over each card of 45 GB/s, half of it.
  CHECK_THAT(collective_ms(bytes, 16, c),
             WithinRel(7.0 / 8 + 0.07 + 330.0 / 8 / 45 / 2 + 0.02, 1e-12));
  c.algorithm = Algorithm::tree;
  CHECK_THAT(collective_ms(bytes, 16, c), WithinRel(1 + 0.07 + 0.02, 1e-12));
  CHECK_THAT(collective_ms(bytes, 8 * 5, c), WithinRel(1 + 0.07 + 3 * 0.02, 1e-12));
  CHECK_THAT(small_sum_ms(16, c), WithinRel(2 * (0.07 + 0.02), 1e-12));
  CHECK(small_sum_ms(1, c) == 0);
}

TEST_CASE("each call takes the fastest of NCCL's protocols") {
  const Cluster c;
  // Eight bytes: the first protocol, seven hops. A gigabyte: the last one.
  CHECK_THAT(collective_ms(8, 8, c), WithinRel((6.6 + 7 * 0.6) / 1000, 1e-4));
  CHECK_THAT(collective_ms(1e9, 8, c),
             WithinRel(1e3 / 330 * 7 / 8 + (8.4 + 7 * 3.4) / 1000, 1e-12));
  // In between, 6.5 MB: 92 % of the bandwidth and 1.9 us a hop.
  CHECK_THAT(collective_ms(6.5e6, 8, c),
             WithinRel(6.5 / 330 / 0.92 * 7 / 8 + (14 + 7 * 1.9) / 1000, 1e-12));
}

TEST_CASE("calls run one by one, each when its bucket is ready") {
  CHECK(end_of_calls({}, {}) == 0);
  CHECK(end_of_calls({2, 4, 6}, {1, 1, 1}) == 7);  // always idle before the next
  CHECK(end_of_calls({2, 4, 6}, {3, 3, 1}) == 9);  // 2 to 5, 5 to 8, 8 to 9
}

TEST_CASE("a step worked out by hand") {
  const Prediction ddp = predict(small_work(), slow_cluster(), Strategy::ddp, 2);
  // Sum and gather take 2 ms each: 5 to 9, 9 to 13, 13 to 17, then the update.
  CHECK_THAT(ddp.step_ms, WithinRel(18.0, 1e-12));
  CHECK_THAT(ddp.communication_ms, WithinRel(12.0, 1e-12));
  CHECK_THAT(ddp.exposed_ms, WithinRel(8.0, 1e-12));
  CHECK_THAT(ddp.efficiency, WithinRel(10.0 / 18, 1e-12));
  CHECK_THAT(ddp.tokens_per_second, WithinRel(2000 / 0.018, 1e-12));
  // 5 to 7, 7 to 9, 9 to 11, half an update, and the copies of 2 MB a bucket: 1 ms each.
  const Prediction zero1 = predict(small_work(), slow_cluster(), Strategy::zero1, 2);
  CHECK_THAT(zero1.step_ms, WithinRel(14.5, 1e-12));
  CHECK_THAT(zero1.communication_ms, WithinRel(9.0, 1e-12));
  CHECK_THAT(zero1.exposed_ms, WithinRel(5.0, 1e-12));
  // Of two accumulated batches only the last one's backward pass, 3 ms, hides anything: 7, 8, 9.
  Workload two = small_work();
  two.n_accumulated = 2;
  CHECK_THAT(predict(two, slow_cluster(), Strategy::zero1, 2).step_ms,
             WithinRel(13 + 0.5 + 3, 1e-12));
  // Half the bytes: 6, 8 and 9 to 11 ms.
  Workload narrow = small_work();
  narrow.reduce_bytes = 2;
  CHECK_THAT(predict(narrow, slow_cluster(), Strategy::ddp, 2).step_ms, WithinRel(12.0, 1e-12));
  // Without copies the weights themselves are gathered.
  Workload wide = small_work();
  wide.copy_bytes = 0;
  CHECK_THAT(predict(wide, slow_cluster(), Strategy::zero1, 2).step_ms, WithinRel(17.5, 1e-12));
}

TEST_CASE("one GPU, or an infinitely fast network, costs nothing") {
  for (const Strategy s : {Strategy::ddp, Strategy::zero1}) {
    const Prediction one = predict(small_work(), slow_cluster(), s, 1);
    CHECK_THAT(one.step_ms, WithinRel(10.0, 1e-12));
    CHECK(one.communication_ms == 0);
    CHECK_THAT(one.efficiency, WithinRel(1.0, 1e-12));
    Cluster infinite = slow_cluster();
    infinite.nvlink_gb_s = infinite.network_gbit_s = 1e30;
    const Prediction many = predict(small_work(), infinite, s, 4096);
    const double update = s == Strategy::ddp ? 1 : 1.0 / 4096;
    CHECK_THAT(many.step_ms, WithinRel(9 + update, 1e-9));
    CHECK(many.exposed_ms < 1e-9);
  }
}

TEST_CASE("more GPUs never make a step of ddp shorter, nor all of them slower together") {
  const ScalingModel model = scaling_model(
      "large-1.4b", config_of("large-1.4b", "", {{"trainer.precision", "bf16-mixed"}}), {});
  for (const Algorithm a : {Algorithm::ring, Algorithm::hierarchical, Algorithm::tree}) {
    Cluster c;
    c.algorithm = a;
    Prediction before = predict(model.work, c, Strategy::ddp, 1);
    for (const int64_t n : parse_gpus("2..4096", c.gpus_per_node)) {
      CAPTURE(name_of(a), n);
      const Prediction now = predict(model.work, c, Strategy::ddp, n);
      CHECK(now.step_ms >= before.step_ms);
      CHECK(now.efficiency <= before.efficiency);
      CHECK(now.tokens_per_second > before.tokens_per_second);
      CHECK(now.exposed_ms <= now.communication_ms);
      before = now;
    }
  }
}

TEST_CASE("memory: moments and masters are shared out by zero1, and by it alone") {
  Workload w = small_work();
  w.n_parameters = 1e9;
  w.activation_bytes = 5e9;
  CHECK_THAT(memory_bytes(w, Strategy::ddp, 8), WithinRel(5e9 + 18e9, 1e-12));
  CHECK_THAT(memory_bytes(w, Strategy::zero1, 8), WithinRel(5e9 + 7.5e9, 1e-12));
  CHECK_THAT(memory_bytes(w, Strategy::zero1, 1), WithinRel(5e9 + 18e9, 1e-12));
  w.reduce_bytes = 2;  // rounded gradients lie beside the others
  CHECK_THAT(memory_bytes(w, Strategy::ddp, 8), WithinRel(5e9 + 20e9, 1e-12));
  w.copy_bytes = 0;
  CHECK_THAT(memory_bytes(w, Strategy::zero1, 8), WithinRel(5e9 + 11e9, 1e-12));
}

TEST_CASE("numbers of GPUs are doubled, or as they stand") {
  CHECK(parse_gpus("8..64", 8) == std::vector<int64_t>{8, 16, 32, 64});
  CHECK(parse_gpus("1..5", 8) == std::vector<int64_t>{1, 2, 4});
  CHECK(parse_gpus("8,64,512", 8) == std::vector<int64_t>{8, 64, 512});
  CHECK(parse_gpus("3", 8) == std::vector<int64_t>{3});
  for (const char* wrong : {"", "8,", "0", "8..", "64..8", "eight", "8..16..32", "12", "2097152"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(parse_gpus(wrong, 8), ConfigError);
  }
}

train::RunConfig mixed(const std::string& preset, Overrides overrides = {}) {
  overrides.emplace_back("trainer.precision", "bf16-mixed");
  return config_of(preset, "", overrides);
}

TEST_CASE("a step is the measured one, in proportion, or estimated, and says which") {
  const auto step_ms = [](const ScalingModel& m) { return m.work.compute_ms + m.work.update_ms; };
  const ScalingModel known = scaling_model("large-1.4b", mixed("large-1.4b"), {});
  CHECK_THAT(step_ms(known), WithinRel(253.0, 1e-9));
  CHECK_THAT(known.step_source, contains("measured on one H100"));
  CHECK_THAT(known.work.update_ms, WithinRel(1.419 * known.work.n_parameters / (1 << 27), 1e-9));
  const ScalingModel half =
      scaling_model("large-1.4b", mixed("large-1.4b", {{"data.batch_size", "4"}}), {});
  CHECK_THAT(half.work.compute_ms, WithinRel(known.work.compute_ms / 2, 1e-9));
  CHECK_THAT(half.step_source, contains("in proportion"));
  const ScalingModel other =
      scaling_model("large-1.4b", mixed("large-1.4b", {{"model.num_blocks", "12"}}), {});
  CHECK_THAT(other.step_source, contains("not measured"));
  CHECK(other.work.compute_ms < known.work.compute_ms);
  const ScalingModel again = scaling_model(
      "large-1.4b", mixed("large-1.4b", {{"trainer.activation_checkpointing", "true"}}), {});
  CHECK_THAT(again.work.compute_ms, WithinRel(known.work.compute_ms * 4 / 3, 1e-9));
  CHECK(again.work.activation_bytes < known.work.activation_bytes / 5);
  StepGiven given;
  given.step_ms = 200;
  given.update_ms = 20;
  given.activation_bytes = 1e9;
  const ScalingModel told = scaling_model("large-1.4b", mixed("large-1.4b"), given);
  CHECK_THAT(told.work.compute_ms, WithinRel(180.0, 1e-12));
  CHECK(told.work.activation_bytes == 1e9);
  given.update_ms = 200;
  CHECK_THROWS_AS(scaling_model("large-1.4b", mixed("large-1.4b"), given), ConfigError);
  CHECK_THROWS_AS(scaling_model("large-1.4b", config_of("large-1.4b", "", {}), {}), ConfigError);
}

TEST_CASE("the estimate of activations is what a step really keeps for each block") {
  const TemporaryDir dir;
  const auto peak = [&](const char* n_blocks) {
    const train::RunConfig config = config_of("large-407m", "",
                                              {{"model.embedding_dim", "128"},
                                               {"model.num_blocks", n_blocks},
                                               {"model.vocab_size", "300"},
                                               {"data.vocab_size", "300"},
                                               {"data.n_stories", "200"},
                                               {"data.batch_size", "8"},
                                               {"data.max_length", "256"},
                                               {"trainer.accelerator", "cpu"},
                                               {"trainer.default_root_dir", dir.path("runs")}});
    const double state = 16.0 * static_cast<double>(layers::count_parameters(config.model));
    return bench_train("t", config, 1).peak_bytes - state;
  };
  const double tokens = 8 * 256;
  const double estimated =
      4 * (activation_numbers(tokens, 128, 6, false) - activation_numbers(tokens, 128, 2, false));
  CHECK_THAT(peak("6") - peak("2"), WithinRel(estimated, 0.15));
}

// "32,795,000": to thousands.
std::string with_commas(double number) {
  std::string text = std::to_string(std::llround(number / 1000)) + ",000";
  for (size_t at = text.find(','); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

TEST_CASE("docs/distributed.md shows what the model says") {
  const std::string page = real_file_system().read_file(testing::data_path("docs/distributed.md"));
  const Cluster cluster;
  for (const char* preset : {"paper-120m", "large-1.4b", "large-7b"}) {
    Overrides options;
    if (std::string(preset) == "large-7b")
      options = {{"data.batch_size", "4"}, {"trainer.activation_checkpointing", "true"}};
    const ScalingModel model = scaling_model(preset, mixed(preset, options), {});
    for (const int64_t n : {8, 64, 256, 1024, 4096}) {
      std::string row = "| " + std::to_string(n), memory;
      for (const Strategy s : {Strategy::ddp, Strategy::zero1}) {
        const Prediction p = predict(model.work, cluster, s, n);
        char cells[64];
        std::snprintf(cells, sizeof cells, " | %.1f %% | %.1f %%", 100 * p.efficiency,
                      100 * p.exposed_ms / p.step_ms);
        row += " | " + with_commas(p.tokens_per_second) + cells;
        std::snprintf(cells, sizeof cells, "%s%.1f", memory.empty() ? "" : " / ", p.memory / 1e9);
        memory += cells;
      }
      CAPTURE(preset);
      CHECK_THAT(page, contains(row + " | " + memory + " |"));
    }
  }
}

TEST_CASE("xlstm bench scaling prints, writes and refuses") {
  const TemporaryDir dir;
  auto result =
      run_command({"bench", "scaling", "--gpus", "8,64", "--json", "s.json"}, dir.path(""));
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, contains("predicted, not measured"));
  const Json json = parse_json(real_file_system().read_file(dir.path("s.json")), "s.json");
  REQUIRE(json.find("models")->size() == 3);
  const Json& model = json.find("models")->as_array()[1];
  CHECK(model.find("name")->as_string() == "large-1.4b");
  REQUIRE(model.find("rows")->size() == 4);
  const Json& row = model.find("rows")->as_array()[3];
  CHECK(row.find("strategy")->as_string() == "zero1");
  CHECK(row.find("gpus")->as_int() == 64);
  char shown[32];
  std::snprintf(shown, sizeof shown, "%.0f", row.find("tokens_per_second")->as_double());
  CHECK_THAT(result.out, contains(shown));

  result = run_command(
      {"bench", "scaling", "--preset", "tiny", "--step_ms", "10", "--gpus", "2", "--markdown",
       "--nvlink_us", "1000", "--network_us", "1", "--nvlink_gb_s", "1e9", "--update_ms", "1"},
      dir.path(""));
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  // One bucket at the end of the backward pass: two hops of a millisecond, two more for the norm.
  CHECK_THAT(result.out, contains("| ddp | 2 | 14.0 |"));

  result = run_command({"bench", "scaling", "--preset", "tiny", "--measure", "--steps", "1",
                        "--gpus", "2", "--trainer.accelerator", "cpu"},
                       dir.path(""));
  INFO(result.out << result.err);
  CHECK(result.code == 0);
  CHECK_THAT(result.out, contains("measured now on cpu"));

  const std::vector<std::vector<std::string>> wrong = {
      {"--gpus", "12"},
      {"--preset", "huge"},
      {"--algorithm", "star"},
      {"--nvlink_gb_s", "0"},
      {"--network_gbit_s", "-1"},
      {"--network_efficiency", "1.5"},
      {"--gpus_per_node", "0"},
      {"--memory_gb", "0"},
      {"--step_ms", "100"},  // of which model?
      {"--preset", "large-1.4b", "--step_ms", "10"},
      {"--preset", "tiny", "--step_ms", "10", "--measure"},
      {"--preset", "tiny", "--config", "x.yaml"},
      {"--preset", "tiny", "--activation_gb", "-1"},
      {"--nvlink_us", "1"},
      {"--preset", "large-1.4b", "--trainer.precision", "32-true"},
      {"--trainer.bucket_mb", "0"}};
  for (std::vector<std::string> options : wrong) {
    CAPTURE(options);
    options.insert(options.begin(), {"bench", "scaling"});
    const auto refused = run_command(options, dir.path(""));
    INFO(refused.err);
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err, contains("expected"));
  }
}

}  // namespace
}  // namespace xlstm::bench
