#include "core/fault_plan.h"

#include "core/error.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"

namespace xlstm {
namespace {

using test::contains;

TEST_CASE("a plan of faults says what, where and when") {
  const auto faults = parse_faults(
      "kill@rank=1,step=7; slow@call=3,seconds=0.5;exit@step=2,code=9;nan@step=4,of=loss;"
      "nan@step=5,element=12;skip_call@call=1;file@call=6,error=io");
  REQUIRE(faults.size() == 7);
  CHECK(faults[0] == PlannedFault{.kind = FaultKind::kill, .rank = 1, .step = 7});
  CHECK(faults[1] == PlannedFault{.kind = FaultKind::slow, .call = 3, .seconds = 0.5});
  CHECK(faults[2] == PlannedFault{.kind = FaultKind::exit, .step = 2, .code = 9});
  CHECK(faults[3] == PlannedFault{.kind = FaultKind::nan, .step = 4, .in_loss = true});
  CHECK(faults[4] == PlannedFault{.kind = FaultKind::nan, .step = 5, .element = 12});
  CHECK(faults[5] == PlannedFault{.kind = FaultKind::skip_call, .call = 1});
  CHECK(faults[6] == PlannedFault{.kind = FaultKind::file, .call = 6, .error = Fault::io_error});
}

TEST_CASE("a plan that makes no sense is refused, and says what is expected") {
  const struct {
    const char *text, *word;
  } rows[] = {
      {"die@step=1", "expected kill, stop"},
      {"kill", "expected step or call"},
      {"kill@", "expected step or call"},
      {"kill@step=1,call=2", "expected step or call"},
      {"kill@step", "step, got \"\""},
      {"kill@step=0", "a number from 1"},
      {"kill@step=-1", "a number from 1"},
      {"kill@step=1x", "got \"1x\""},
      {"kill@step=99999999999999999999", "a number from 1"},
      {"kill@step=1,step=1", "got it twice"},
      {"kill@step=1,code=3", "expected one of rank, step, call"},
      {"exit@step=1,code=256", "from 0 to 255"},
      {"slow@step=1,seconds=nan", "a number from 0"},
      {"slow@step=1,seconds=-1", "a number from 0"},
      {"nan@call=1", "key of nan"},
      {"nan@step=1,of=weights", "expected one of loss, gradient"},
      {"skip_call@step=1", "key of skip_call"},
      {"file@error=full", "expected call"},
      {"file@call=1,error=slow", "expected one of full, io, kill"},
      {"file@call=1;file@call=2", "got several"},
      {";", "kind of fault"},
      {"kill@step=1;;", "kind of fault"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    CHECK_THROWS_AS(parse_faults(row.text), ConfigError);
    CHECK_THROWS_WITH(parse_faults(row.text), contains(row.word));
  }
  CHECK(parse_faults("").empty());
}

TEST_CASE("faults strike their rank, step and call alone") {
  const auto faults = parse_faults(
      "throw@rank=1,step=3;throw@call=2;skip_call@call=3;other_size@call=4;nan@step=5,of=loss;"
      "nan@rank=1,step=6,element=8;nan@step=6,element=9");
  FaultPlan first(faults, 0), second(faults, 1);
  CHECK_NOTHROW(first.before_step(3));
  CHECK_NOTHROW(second.before_step(2));
  CHECK_THROWS_WITH(second.before_step(3), contains("before step 3"));
  using CallFault = FaultPlan::CallFault;
  CHECK(first.before_call() == CallFault::none);
  CHECK_THROWS_WITH(first.before_call(), contains("before collective call 2"));
  CHECK(first.before_call() == CallFault::skip);
  CHECK(first.before_call() == CallFault::other_size);
  CHECK(first.before_call() == CallFault::none);
  CHECK(first.loss_is_nan(5));
  CHECK_FALSE(first.loss_is_nan(6));
  CHECK(first.nan_gradients(6) == std::vector<int64_t>{9});
  CHECK(second.nan_gradients(6) == std::vector<int64_t>{8, 9});
  CHECK(FaultPlan(parse_faults("kill@step=1"), 0).nans().empty());
  CHECK(first.nans() == std::vector<PlannedFault>{faults[4], faults[6]});
  CHECK(second.nans() == std::vector<PlannedFault>{faults[4], faults[5], faults[6]});
}

TEST_CASE("the n-th call of the file system fails as planned, once") {
  const TemporaryDir dir;
  FaultPlan plan(parse_faults("file@rank=0,call=2,error=full"), 0);
  FileSystem& files = plan.files(real_file_system());
  CHECK(&files == &plan.files(real_file_system()));
  CHECK_NOTHROW(files.make_dirs(dir.path("a")));
  CHECK_THROWS_WITH(files.make_dirs(dir.path("b")), contains("No space left"));
  CHECK_NOTHROW(files.make_dirs(dir.path("b")));
  FaultPlan other(parse_faults("file@rank=1,call=1"), 0);
  CHECK(&other.files(real_file_system()) == &real_file_system());
}

}  // namespace
}  // namespace xlstm
