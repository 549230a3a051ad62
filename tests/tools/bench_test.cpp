// xlstm bench and xlstm selftest: what they find, write and refuse.
#include <algorithm>

#include "core/json.h"
#include "core/op_info.h"
#include "core/ops/elementwise.h"
#include "core/variant_log.h"
#include "tests/catch.h"
#include "tests/tools/run_command.h"
#include "tools/bench/check.h"
#include "tools/bench/end_to_end.h"
#include "tools/bench/op_bench.h"
#include "tools/bench/report.h"

namespace xlstm::bench {
namespace {

using testing::CommandResult;
using testing::run_command;

Row row_of(const char* op, double low, double median, double high) {
  Row row;
  row.op = op;
  row.sample = "a & b";
  row.pass = "forward";
  row.device = "cpu";
  row.dtype = "float32";
  row.variant = "portable";
  row.ms = {median, low, high, 5};
  row.flops = 2e9;
  row.bytes = 1e9;
  row.verified = "cpu, float64";
  row.error = 1e-7;
  row.peak_bytes = 3e6;
  return row;
}

Report report_of(const std::vector<Row>& rows) {
  return {"a machine", "0.1", {20e9, 100e9}, rows};
}

TEST_CASE("spreads are order statistics") {
  const Spread s = spread_of({5, 1, 4, 2, 3});
  CHECK(s.median == 3);
  CHECK(s.low == 1);
  CHECK(s.high == 4);
  CHECK(s.n == 5);
  CHECK(spread_of({}).n == 0);
}

TEST_CASE("three calls warm up before the first that counts") {
  Meter meter(kCpu);
  int64_t n_calls = 0, n_prepared = 0;
  const Spread ms = meter.measure([&] { ++n_prepared; }, [&] { ++n_calls; }, 1e-9, 60);
  CHECK(ms.n == 3);
  CHECK(n_calls == 3 + 3);
  CHECK(n_prepared == n_calls);
  n_calls = 0;
  CHECK(meter
            .measure(
                {}, [&] { ++n_calls; }, 60, 60)
            .n == 60);
  CHECK(n_calls == 60 + 22);
}

TEST_CASE("reports survive JSON, and damaged ones are refused by field") {
  const Report report = report_of({row_of("a", 1, 2, 3)});
  const Json json = to_json(report);
  const Report again = report_from_json(parse_json(to_text(json), "r.json"), "r.json");
  CHECK(to_json(again) == json);
  CHECK(again.rows.at(0).ms.high == 3);
  CHECK(again.rows.at(0).peak_bytes == 3e6);
  // Earlier reports do not have it.
  std::string text = to_text(json);
  const size_t at = text.find("\"peak_bytes\":"), end = text.find(',', at);
  text.erase(at, end + 1 - at);
  CHECK(report_from_json(parse_json(text, "r.json"), "r.json").rows.at(0).peak_bytes == 0);
  Json damaged = json;
  damaged.find("rows")->as_array()[0].set("ms", "fast");
  CHECK_THROWS_WITH(report_from_json(damaged, "r.json"), test::contains("r.json: rows[0].ms"));
  Json other = json;
  other.set("format", "something else");
  CHECK_THROWS_AS(report_from_json(other, "r.json"), FormatError);
}

TEST_CASE("a row is slower only if the spreads do not touch") {
  const Report base = report_of({row_of("a", 9, 10, 11), row_of("b", 9, 10, 11),
                                 row_of("c", 9, 10, 11), row_of("d", 9, 10, 11)});
  Row failed = row_of("d", 20, 20, 20);
  failed.failure = "wrong result";
  const Comparison found =
      compare(report_of({row_of("a", 10.9, 12, 13), row_of("b", 11.1, 12, 13), row_of("c", 4, 5, 6),
                         failed, row_of("new", 1, 1, 1)}),
              base);
  CHECK(found.n_compared == 3);
  CHECK(found.n_slower == 1);
  CHECK(found.text.find("ratio 1.200  SLOWER") != std::string::npos);
  CHECK(found.text.find("ratio 0.500  faster") != std::string::npos);
}

TEST_CASE("tables and pictures show rates against the ceilings") {
  Row failed = row_of("broken", 1, 1, 1);
  failed.failure = "wrong result";
  const Report report = report_of({row_of("a", 90, 100, 110), failed});
  const std::string table = markdown(report);
  CHECK(table.find("10.0 | 50 %") != std::string::npos);   // 1 GB in 100 ms of 20 GB/s
  CHECK(table.find("0.02 | 20 %") != std::string::npos);   // 2 GFLOP in 100 ms of 100 GFLOP/s
  CHECK(table.find("20 % | 3.0 |") != std::string::npos);  // 3 MB at once
  CHECK(table.find("failed") != std::string::npos);
  const std::string svg = roofline_svg(report);
  CHECK(svg.find("<circle") != std::string::npos);
  CHECK(svg.find("a &amp; b") != std::string::npos);
  CHECK(svg.find("broken") == std::string::npos);
  CHECK(roofline_svg(report_of({})).find("no data") != std::string::npos);
}

TEST_CASE("the work of a call is what its formulas say") {
  Generator g{1, 0};
  const OpInfo& mlstm = *find_op("mlstm");
  const OpSample sample = mlstm.samples(SampleSize::bench, DType::f32, g).at(0);
  // B8 T256 H4 K128 V128: 4 K V + 64 (K + V) a token and head.
  const double heads = 8 * 256 * 4;
  CHECK(work_of(mlstm, sample, Pass::forward).flops == heads * (4 * 128 * 128 + 64 * (128 + 128)));
  CHECK(work_of(mlstm, sample, Pass::backward).flops ==
        2 * work_of(mlstm, sample, Pass::forward).flops);
  const OpInfo& norm = *find_op("rms_norm");
  const OpSample x = norm.samples(SampleSize::bench, DType::f32, g).at(0);
  const double n = static_cast<double>(x.inputs[0].numel()),
               width = static_cast<double>(x.inputs[1].numel());
  CHECK(work_of(norm, x, Pass::forward).bytes == 4 * (2 * n + width));
  CHECK(work_of(norm, x, Pass::backward).bytes == 4 * (3 * n + 2 * width));
  const OpInfo& matmul = *find_op("matmul");
  const OpSample product = matmul.samples(SampleSize::bench, DType::f32, g).at(0);
  CHECK(work_of(matmul, product, Pass::forward).bytes ==
        4.0 * (2048 * 512 + 512 * 2048 + 2048 * 2048));
}

TEST_CASE("every large sample has a label of its own") {
  for (const OpInfo& op : op_table()) {
    if (op.large_samples == nullptr) continue;
    std::vector<std::string> labels;
    for (const LargeSample& sample : op.large_samples()) labels.push_back(sample.label);
    std::sort(labels.begin(), labels.end());
    INFO(op.name);
    CHECK(std::unique(labels.begin(), labels.end()) == labels.end());
  }
}

TEST_CASE("variants are collected while somebody listens") {
  const Tensor x = Tensor::zeros({3});
  {
    const VariantLog log;
    ops::exp(x);
    ops::exp(x);
    CHECK(log.names() == std::vector<std::string>{"portable"});
  }
  CHECK_FALSE(variants_are_noted());
}

Tensors wrong_by_a_little(const Tensors& in, const OpAttributes& a) {
  Tensors out = find_op("tanh")->forward(in, a);
  return {ops::scale(out[0], 1.001)};
}

TEST_CASE("a wrong kernel is found and gets no time") {
  OpInfo op = *find_op("tanh");
  Generator g{1, 0};
  const OpSample sample = op.samples(SampleSize::check, DType::f32, g).at(2);
  const Difference right =
      compare_with_reference(op, sample, run_with_gradients(op, op.forward, sample));
  CHECK(right.forward <= tolerance_of(op, DType::f32, Pass::forward));
  CHECK(right.backward <= tolerance_of(op, DType::f32, Pass::backward));
  const Difference wrong =
      compare_with_reference(op, sample, run_with_gradients(op, wrong_by_a_little, sample));
  CHECK(wrong.forward == Approx(1e-3).epsilon(0.01));
  CHECK(wrong.backward > tolerance_of(op, DType::f32, Pass::backward));
}

TEST_CASE("rows are verified, and one of another variant fails") {
  Meter meter(kCpu);
  std::vector<Row> rows;
  OpBenchOptions options;
  options.filter = "mlstm_step | B16";
  options.seconds = 0.01;
  const auto keep = [&](const Row& row) { rows.push_back(row); };
  bench_ops(options, meter, keep);
  REQUIRE(rows.size() == 1);  // no gradient
  CHECK(rows[0].failure.empty());
  CHECK(rows[0].variant == "portable");
  CHECK(rows[0].ms.median > 0);
  CHECK(rows[0].verified == "cpu, float64");
  // The result h, of 4 bytes a number; the state is updated in place.
  CHECK(rows[0].peak_bytes >= 4 * 16 * 4 * 64);
  CHECK(rows[0].peak_bytes < 4 * 16 * 4 * 64 * 64);
  options.variant = "spread";
  bench_ops(options, meter, keep);
  REQUIRE(rows.size() == 2);
  CHECK(rows[1].failure == "ran variant portable, asked for spread");
  CHECK(rows[1].ms.median == 0);
  options.filter = "add_rms_norm";
  options.variant = "reference";
  bench_ops(options, meter, keep);
  REQUIRE(rows.size() == 4);
  CHECK(rows[3].pass == "backward");
  CHECK(rows[3].variant == "reference");
  CHECK(rows[3].failure.empty());
  options.filter = "slstm | B1 T1";
  options.variant = "portable";
  bench_ops(options, meter, keep);
  REQUIRE(rows.size() == 6);
  CHECK(rows[4].failure.empty());
  CHECK(rows[5].failure.empty());
  options.variant = "reference";
  bench_ops(options, meter, keep);
  REQUIRE(rows.size() == 8);
  CHECK(rows[6].variant == "reference");
  CHECK(rows[6].failure.empty());
  CHECK(rows[6].ms.median > rows[4].ms.median);  // it is the twin that was timed
}

Tensors other_kernel_with_a_tape(const Tensors& in, const OpAttributes& a) {
  const Tensors out = find_op("tanh")->forward(in, a);
  note_variant(out[0].requires_grad() ? "with_a_tape" : "without_one");
  return out;
}

TEST_CASE("the kernel of a call without a tape is not that of one with it") {
  OpInfo op = *find_op("tanh");
  Generator g{1, 0};
  const OpSample sample = op.samples(SampleSize::check, DType::f32, g).at(2);
  CHECK(run_forward(op, other_kernel_with_a_tape, sample).forward_variant ==
        "portable+without_one");
  CHECK(run_with_gradients(op, other_kernel_with_a_tape, sample).forward_variant ==
        "portable+with_a_tape");
}

TEST_CASE("presets are valid configurations of the sizes they name") {
  for (const Preset& preset : presets()) {
    INFO(preset.name);
    const train::RunConfig config = config_of(preset.name, "", {});
    const double millions = static_cast<double>(layers::count_parameters(config.model)) / 1e6;
    const std::string name = preset.name;
    if (name == "didactic") CHECK(millions == Approx(8.4).epsilon(0.01));
    if (name == "paper-120m") CHECK(millions == Approx(120.4).epsilon(0.01));
    if (name == "paper-120m-mlstm") CHECK(millions == Approx(120.5).epsilon(0.01));
    if (name == "large-407m") CHECK(millions == Approx(407).epsilon(0.01));
    if (name == "large-1.4b") CHECK(millions == Approx(1421).epsilon(0.01));
    if (name == "large-7b") CHECK(millions == Approx(6865).epsilon(0.01));
  }
  CHECK_THROWS_WITH(config_of("huge", "", {}),
                    test::contains("got huge, expected one of didactic"));
}

TEST_CASE("the command times, writes, compares and refuses") {
  const TemporaryDir dir;
  CommandResult result =
      run_command({"bench", "--device", "cpu", "--filter", "add_rms_norm", "--seconds", "0.02",
                   "--json", "r.json", "--svg", "r.svg", "--markdown"},
                  dir.path(""));
  INFO(result.err);
  CHECK(result.code == 0);
  CHECK(result.out.find("| `add_rms_norm` |") != std::string::npos);
  FileSystem& files = real_file_system();
  CHECK(files.read_file(dir.path("r.svg")).find("<circle") != std::string::npos);
  Report report = report_from_json(parse_json(files.read_file(dir.path("r.json")), "r"), "r");
  REQUIRE(report.rows.size() == 2);
  // A base that was a hundred times as fast.
  for (Row& row : report.rows) {
    row.ms.low /= 100;
    row.ms.median /= 100;
    row.ms.high /= 100;
  }
  files.write_file(dir.path("fast.json"), to_text(to_json(report)));
  const std::vector<std::string> again = {"bench",    "--device",  "cpu",
                                          "--filter", "rms_norm",  "--seconds",
                                          "0.02",     "--compare", "fast.json"};
  result = run_command(again, dir.path(""));
  CHECK(result.code == 8);
  CHECK(result.out.find("2 rows compared, 2 slower") != std::string::npos);

  result = run_command({"bench", "--device", "cpu", "--list", "--filter", "slstm"}, dir.path(""));
  CHECK(result.code == 0);
  CHECK(result.out.find("slstm: portable, reference\n") != std::string::npos);
  CHECK(result.out.find("slstm | B8 T256 H4 D64\n") != std::string::npos);
  const std::vector<std::pair<std::vector<std::string>, int>> bad = {
      {{"bench", "--device", "tpu"}, 2},
      {{"bench", "--device", "cpu", "--dtype", "bfloat16"}, 2},
      {{"bench", "--device", "cpu", "--seconds", "0"}, 2},
      {{"bench", "--device", "cpu", "--compare", "none.json"}, 7},
      {{"bench", "--device", "cpu", "--filter", "no such op"}, 2},
      {{"bench", "--device", "cpu", "--filter", "mlstm_step", "--variant", "step"}, 9},
      {{"bench", "--device", "cpu", "--filter", "linear | one row", "--variant", "few_rows"}, 9},
      {{"bench", "train", "--preset", "huge", "--device", "cpu"}, 2},
      {{"bench", "train", "--device", "cpu", "--optimizer.speed", "3"}, 2},
      {{"bench", "generate", "--device", "cpu", "--batch", "0"}, 2},
      {{"selftest", "--device", "tpu"}, 2}};
  for (const auto& [arguments, code] : bad) {
    const CommandResult refused = run_command(arguments, dir.path(""));
    INFO(arguments.back() << ": " << refused.err);
    CHECK(refused.code == code);
    CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
  }
}

TEST_CASE("training steps and generation are timed end to end") {
  const TemporaryDir dir;
  CommandResult result = run_command(
      {"bench", "train", "--device", "cpu", "--preset", "tiny", "--steps", "3", "--json", "t.json"},
      dir.path(""));
  INFO(result.err);
  CHECK(result.code == 0);
  const std::string text = real_file_system().read_file(dir.path("t.json"));
  const Report report = report_from_json(parse_json(text, "t"), "t");
  REQUIRE(report.rows.size() == 1);
  CHECK(report.rows[0].tokens == 128);
  CHECK(report.rows[0].ms.n == 3);
  result = run_command({"bench", "generate", "--device", "cpu", "--preset", "tiny", "--batch", "2",
                        "--prompt_tokens", "9", "--new_tokens", "6"},
                       dir.path(""));
  INFO(result.err);
  CHECK(result.code == 0);
  CHECK(result.out.find("decode") != std::string::npos);
}

TEST_CASE("the self-test trusts the kernels of this CPU") {
  const TemporaryDir dir;
  const CommandResult result = run_command({"selftest", "--device", "cpu"}, dir.path(""));
  INFO(result.out);
  CHECK(result.code == 0);
  CHECK(result.out.find("NOT TRUSTED") == std::string::npos);
  CHECK(result.out.find("blas 14\n") != std::string::npos);
  CHECK(result.out.find(" kernels and types are trustworthy here, in ") != std::string::npos);
}

TEST_CASE("commands refuse kernel variants that do not exist") {
  const TemporaryDir dir;
  setenv("XLSTM_KERNEL_SLSTM", "fast", 1);
  const CommandResult result = run_command({"bench", "--device", "cpu", "--list"}, dir.path(""));
  unsetenv("XLSTM_KERNEL_SLSTM");
  CHECK(result.code == 2);
  CHECK(result.err.find("XLSTM_KERNEL_SLSTM: slstm has no such kernel variant, got \"fast\"") !=
        std::string::npos);
}

}  // namespace
}  // namespace xlstm::bench
