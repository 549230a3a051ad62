// xlstm bench and xlstm selftest on a GPU: rows name the kernels that they timed, --variant chooses
// them, and the self-test reaches every one.
#include <algorithm>
#include <cmath>

#include "core/file_system.h"
#include "core/op_info.h"
#include "tests/cuda_device.h"
#include "tests/tools/run_command.h"
#include "tools/bench/op_bench.h"
#include "tools/bench/trust.h"

namespace xlstm::bench {
namespace {

using test::has_cuda_device;
using testing::CommandResult;
using testing::run_command;

constexpr Device kCuda{DeviceType::cuda, 0};

std::vector<Row> rows_of(const std::string& filter, const std::string& variant,
                         DType dtype = DType::bf16) {
  Meter meter(kCuda);
  OpBenchOptions options;
  options.filter = filter;
  options.variant = variant;
  options.dtype = dtype;
  options.sizes = Sizes::small;
  options.seconds = 0.005;
  std::vector<Row> rows;
  bench_ops(options, meter, [&](const Row& row) { rows.push_back(row); });
  return rows;
}

TEST_CASE("rows name the kernel that was timed") {
  if (!has_cuda_device()) return;
  std::vector<Row> rows = rows_of("linear | one row of 1024", "");
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].failure.empty());
  CHECK(rows[0].variant == "few_rows");  // timed without a tape
  CHECK(rows[0].ms.median > 0);
  CHECK(rows[0].peak_bytes > 0);
  CHECK(rows[1].failure.empty());
  CHECK(rows[1].pass == "backward");
  CHECK(rows[1].variant.find("cublaslt") != std::string::npos);
  rows = rows_of("slstm | B8 T256 H4 D64", "");
  REQUIRE(rows.size() == 2);
  for (const Row& row : rows) {
    INFO(row.failure);
    CHECK(row.failure.empty());
    CHECK((row.variant == "small" || row.variant == "cluster"));  // cluster: Hopper
    CHECK(row.verified == "cpu, float64");
  }
}

TEST_CASE("a variant that is asked for runs, or the row fails") {
  if (!has_cuda_device()) return;
  for (const char* variant : {"small", "spread", "step"}) {
    for (const Row& row : rows_of("slstm | B8 T256 H4 D64", variant)) {
      INFO(variant << ", " << row.pass << ": " << row.failure);
      CHECK(row.failure.empty());
      CHECK(row.variant == variant);
      CHECK(row.ms.median > 0);
    }
  }
  std::vector<Row> rows = rows_of("slstm | B16 T512 H4 D192", "small");
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].failure.find("the kernel variant small was asked for and does not compute this, "
                             "got D 192 in 16 bits, expected 16 bits, D at most 128") !=
        std::string::npos);
  CHECK(rows[0].ms.median == 0);
  rows = rows_of("linear | one row of 1024", "few_rows");
  REQUIRE(rows.size() == 1);  // it has no backward
  INFO(rows[0].failure);
  CHECK(rows[0].failure.empty());
  CHECK(rows[0].variant == "few_rows");
  rows = rows_of("linear | one row of 1024", "cublaslt");
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].variant == "cublaslt");
  CHECK(rows[0].failure.empty());
  rows = rows_of("linear | 2048x512", "few_rows");
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].failure.find("another number of rows, expected 1 to 16") != std::string::npos);
  rows = rows_of("add_rms_norm", "spread");
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].failure == "ran variant portable, asked for spread");
}

TEST_CASE("composed twins run on the device in 16 bits") {
  if (!has_cuda_device()) return;
  for (const OpInfo& op : op_table()) {
    if (op.composed == nullptr) continue;
    Generator generator{20260101, 0};
    for (const OpSample& drawn : op.samples(SampleSize::check, DType::f32, generator)) {
      for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
        INFO(op.name << ", " << name_of(dtype) << ": " << drawn.label);
        const OpSample sample = placed(op, drawn, dtype, kCuda);
        const Results got = run_with_gradients(op, op.composed, sample);
        const Errors errors = errors_of(op, got, reference_of(op, sample), 1e-2);
        CHECK(errors.forward() <= (dtype == DType::f32 ? 1e-4 : 0.05));
        // Gradients that cancel, such as that of a norm over one feature, may be all rounding.
        CHECK((dtype == DType::f32 ? errors.backward() <= 1e-3 : std::isfinite(errors.backward())));
      }
    }
  }
}

TEST_CASE("the commands name, choose and refuse variants on the device") {
  if (!has_cuda_device()) return;
  const TemporaryDir dir;
  CommandResult result =
      run_command({"bench", "--device", "cuda", "--list", "--filter", "slstm"}, dir.path(""));
  CHECK(result.code == 0);
  CHECK(result.out.find("small (16 bits, D at most 128), spread (") != std::string::npos);
  result = run_command({"bench", "--device", "cuda", "--filter", "linear | one row of 1024",
                        "--variant", "few_rows", "--sizes", "small", "--seconds", "0.01"},
                       dir.path(""));
  INFO(result.out << result.err);
  CHECK(result.code == 0);
  CHECK(result.out.find("few_rows") != std::string::npos);
  result = run_command({"bench", "--device", "cuda", "--filter", "rms_norm", "--variant", "spread",
                        "--sizes", "small", "--seconds", "0.01"},
                       dir.path(""));
  CHECK(result.code == 9);
}

TEST_CASE("the self-test trusts this GPU, and has run every kernel") {
  if (!has_cuda_device()) return;
  const TemporaryDir dir;
  const CommandResult result = run_command({"selftest", "--device", "cuda"}, dir.path(""));
  INFO(result.out << result.err);
  CHECK(result.code == 0);
  CHECK(result.out.find("NOT TRUSTED") == std::string::npos);
  for (const OpInfo& op : op_table()) {
    if (op.any_type) continue;
    for (const KernelVariant& variant : variants_of(op, DeviceType::cuda)) {
      // A line of the op that names the variant.
      bool found = false;
      for (size_t at = 0; at < result.out.size();) {
        const size_t end = result.out.find('\n', at);
        const std::string line = result.out.substr(at, end - at);
        found = found || (line.starts_with(std::string(op.name) + " ") &&
                          line.find(variant.name) != std::string::npos);
        at = end == std::string::npos ? result.out.size() : end + 1;
      }
      INFO(op.name << ", " << variant.name);
      CHECK(found);
    }
  }
  // The last line tells the time it took.
  const size_t at = result.out.rfind(", in ");
  REQUIRE(at != std::string::npos);
  CHECK(std::stod(result.out.substr(at + 5)) < 120);
}

}  // namespace
}  // namespace xlstm::bench
