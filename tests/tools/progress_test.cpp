#include "tools/train/progress.h"

#include <sstream>

#include "tests/catch.h"
#include "tools/train/loss_plot.h"

namespace xlstm::train {
namespace {

struct FakeClock : Clock {
  double now = 0;
  double seconds() const override { return now; }
};

TEST_CASE("durations and counts are short and right") {
  CHECK(format_duration(-1) == "--:--");
  CHECK(format_duration(3723) == "01:02:03");
  CHECK(format_duration(2 * 86400 + 59) == "2d 00:00:59");
  CHECK(format_count(950) == "950");
  CHECK(format_count(12345) == "12.3k");
  CHECK(format_count(4.2e6) == "4.20M");
}

TEST_CASE("a progress line names epoch, steps, speed, time left, loss and learning rate") {
  const Progress p{.epoch = 2,
                   .step = 30,
                   .total_steps = 120,
                   .steps_per_second = 4,
                   .tokens_per_second = 8192,
                   .loss = 1.25,
                   .lr = 0.001,
                   .seconds_left = 22.5};
  CHECK(format_progress(p, true) ==
        "Epoch 2:  25%|##        | 30/120 [4.00 it/s, 8.2k tok/s, ETA 00:00:23] loss=1.2500 "
        "lr=1.00e-03");
}

TEST_CASE("off a terminal, whole lines at intervals; on one, one line that is redrawn") {
  FakeClock clock;
  std::ostringstream plain, terminal;
  ProgressDisplay lines(plain, false, clock, true, 10), bar(terminal, true, clock);
  for (int i = 0; i < 100; ++i) {
    clock.now = 0.25 * i;
    lines.update({.step = i, .total_steps = 100});
    bar.update({.step = i, .total_steps = 100});
  }
  bar.print("validation");
  lines.finish();
  bar.finish();
  const std::string text = plain.str(), drawn = terminal.str();
  CHECK(std::count(text.begin(), text.end(), '\n') == 4);  // at 0, 10, 20 s and the end
  CHECK(text.find('\r') == std::string::npos);
  CHECK(std::count(drawn.begin(), drawn.end(), '\n') == 2);
  CHECK(drawn.find("\r\033[Kvalidation\n") != std::string::npos);
}

TEST_CASE("the plot leaves out what is not finite and survives having nothing") {
  const Curve curve{"loss", "#c00", {{1, 5}, {2, NAN}, {3, 2}}};
  const std::string svg = plot_svg("a < b", "step", "loss", {curve});
  CHECK(svg.find("a &lt; b") != std::string::npos);
  CHECK(svg.find("nan") == std::string::npos);
  CHECK(svg.find("<circle") != svg.rfind("<circle"));
  CHECK(plot_svg("empty", "step", "loss", {}).find("no data") != std::string::npos);
  const std::string text = plot_text(curve, 20, 5);
  CHECK(std::count(text.begin(), text.end(), '*') == 2);
  CHECK(plot_text({}, 20, 5) == "(no data)\n");
}

}  // namespace
}  // namespace xlstm::train
