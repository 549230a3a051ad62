#include "tools/train/run_report.h"

#include <cmath>

#include "core/error.h"
#include "core/fault.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"
#include "tools/train/build_info.h"
#include "tools/train/html.h"
#include "tools/train/report_chart.h"

namespace xlstm::train {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// What is wrong with the tags of a page, or "": every one must be closed, in order.
std::string complaint(const std::string& page) {
  std::vector<std::string> open;
  for (size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at + 1)) {
    const size_t end = page.find('>', at);
    if (end == std::string::npos) return "a tag without an end";
    const std::string tag = page.substr(at + 1, end - at - 1);
    if (contains(tag, "<")) return "a tag within a tag: " + tag;
    if (tag.starts_with("!DOCTYPE")) continue;
    const std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (tag.ends_with('/') || name == "meta" || name == "br" || name == "wbr") continue;
    if (!tag.starts_with('/')) {
      open.push_back(name);
      continue;
    }
    if (open.empty() || "/" + open.back() != tag) return "<" + tag + "> closes nothing";
    open.pop_back();
  }
  return open.empty() ? "" : "not closed: " + open.back();
}

Json record() {
  return parse_json(R"({
    "name": "<script>alert('x')</script> & \"q\"", "folder": "runs/<b>/version_0",
    "state": "failed", "detail": "loss is <NaN>", "step": 1234567, "total_steps": 2000000,
    "tokens_seen": 5000000, "seconds": 3725.0, "updated": "2026-11-27 00:00:00 UTC",
    "model": {"arch": "xlstm", "layer_map": "mmms", "width": 64, "vocabulary": 300,
      "parameters": 1000, "groups": [
        {"name": "blocks.0", "kind": "mLSTM", "tensors": 3, "parameters": 400, "bytes": 1600},
        {"name": "blocks.1", "kind": "sLSTM", "tensors": 4, "parameters": 600, "bytes": 2400}]},
    "memory": [{"what": "weights", "bytes": 4000}],
    "environment": {"command": "xlstm fit --trainer.name '<i>'", "version": "0.1.0",
      "host": "here"},
    "sessions": [{"started": "now", "from_step": 0, "to_step": 3, "state": "failed"}],
    "config": {"optimizer": {"lr": 0.5, "name": "adamw"}, "trainer": {"name": "</table>"}}
  })",
                    "record");
}

std::vector<Json> rows(int64_t n) {
  std::vector<Json> out;
  for (int64_t step = 1; step <= n; ++step) {
    Json train = Json::object();
    train.set("split", "train");
    train.set("step", step);
    train.set("loss", 3 + std::sin(static_cast<double>(step)));
    train.set("lr", 1e-3);
    train.set("grad_norm", 1.0);
    train.set("tokens_per_second", 1000.0);
    out.push_back(train);
    if (step % 2 != 0) continue;
    Json valid = Json::object();
    valid.set("split", "valid");
    valid.set("step", step);
    valid.set("loss", step == 4 ? Json() : Json(2.5));
    valid.set("perplexity", 12.0);
    out.push_back(valid);
    Json sample = Json::object();
    sample.set("split", "sample");
    sample.set("step", step);
    sample.set("prompt", "Once </section>");
    sample.set("text", "Once </section> upon <a href=\"x\"> äß\x01");
    out.push_back(sample);
  }
  return out;
}

TEST_CASE("a report has every section, is well-formed, and loads nothing") {
  const std::string page =
      run_report(record(), rows(10), {{"metrics.jsonl", 1234}, {"a b/<x>", -1}});
  CHECK(complaint(page) == "");
  for (const char* id : {"loss", "throughput", "learning-rate", "gradient-norm", "model", "memory",
                         "samples", "configuration", "environment", "files"})
    CHECK(contains(page, std::string("<section id=\"") + id + "\""));
  for (const char* part :
       {"failed at step 1,234,567", "loss is &lt;NaN&gt;", "01:02:05", "sLSTM<small>block 3",
        "3.91 KiB", "href=\"./a%20b/%3Cx%3E\"", "xlstm fit --trainer.name &#39;&lt;i&gt;&#39;",
        "prefers-color-scheme:dark", "width=device-width", "optimizer.<wbr>lr", "Step 10"})
    CHECK((contains(page, part) ? "" : part) == std::string());
  // adamw is the default, so it is no difference.
  CHECK_FALSE(contains(page, "optimizer.<wbr>name"));
  for (const char* part : {"<script", "http:", "https:", "src=", "@import", "url("})
    CHECK_FALSE(contains(page, part));
}

TEST_CASE("texts from outside are never markup") {
  const std::string page = run_report(record(), rows(10), {});
  CHECK(contains(page, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;q&quot;"));
  CHECK(contains(page, "<b>Once &lt;/section&gt;</b> upon &lt;a href=&quot;x&quot;&gt; äß "));
  CHECK(contains(page, "&lt;/table&gt;"));
  CHECK(html("a\x01\x7f\n\t\xff") == "a  \n\t?");
  CHECK(html_address("javascript:x") == "./javascript%3Ax");
  CHECK(command_text({"xlstm", "--a=b", "it's", ""}) == "xlstm --a=b 'it'\\''s' ''");
}

TEST_CASE("a report of a long run is small, and one of nothing is a page too") {
  const std::string page = run_report(record(), rows(10000), {});
  CHECK(complaint(page) == "");
  CHECK(page.size() < 300000);
  CHECK(contains(page, "class=\"band s1\""));
  for (const Json& empty : {Json::object(), Json(), Json::array()}) {
    const std::string blank = run_report(empty, {}, {});
    CHECK(complaint(blank) == "");
    CHECK(contains(blank, "No values yet."));
  }
  // Members of other types than they should be.
  const Json odd = parse_json(
      R"({"name": 3, "state": [], "model": {"layer_map": 1, "groups": [1, {}]}, "memory": {},
          "sessions": [null], "config": [], "environment": 1, "step": "x"})",
      "");
  CHECK(complaint(run_report(odd, {Json::object(), parse_json(R"({"split": 1})", "")}, {})) == "");
}

TEST_CASE("charts keep the extremes of what they thin out") {
  ReportCurve curve{"loss", 1, {}};
  for (int i = 0; i < 5000; ++i) curve.points.emplace_back(i, i == 2500 ? 100 : 1);
  const std::string chart = report_chart("Loss", {curve}, true);
  CHECK(complaint(chart) == "");
  CHECK(contains(chart, ">100<"));
  CHECK(report_chart("Loss", {{"x", 1, {{1, 5.0}}}}, false).find("nan") == std::string::npos);
  CHECK(contains(report_chart("Loss", {{"x", 1, {{1, NAN}, {2, INFINITY}}}}, false), "No values"));
  CHECK(short_number(12345) == "12.3k");
  CHECK(short_number(0.00123) == "0.00123");
}

TEST_CASE("a report is written anew from a run's folder, or not at all") {
  const TemporaryDir dir;
  CHECK_THROWS_WITH(write_run_report(dir.path(), real_file_system()),
                    test::contains("metrics.jsonl"));
  dir.file("metrics.jsonl", "{\"split\":\"train\",\"step\":1,\"loss\":2.0}\n");
  const std::string path = write_run_report(dir.path(), real_file_system());
  const std::string page = real_file_system().read_file(path);
  CHECK(contains(page, "state not recorded"));
  CHECK(contains(page, html(dir.path())));
  FaultyFileSystem files(real_file_system());
  for (int64_t n = 0;; ++n) {
    files.fail_at(n, Fault::no_space);
    try {
      write_run_report(dir.path(), files);
    } catch (const FileError&) {
      CHECK(files.fired());
    }
    if (!files.fired()) break;
    CHECK(real_file_system().read_file(path) == page);
    REQUIRE(n < 100);
  }
}

}  // namespace
}  // namespace xlstm::train
