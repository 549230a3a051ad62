#include "tools/train/run_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "core/memory_owner.h"
#include "tools/train/config_io.h"
#include "tools/train/event_encoding.h"
#include "tools/train/html.h"
#include "tools/train/metrics_log.h"
#include "tools/train/progress.h"
#include "tools/train/report_chart.h"
#include "tools/train/report_style.h"

namespace xlstm::train {
namespace {

constexpr size_t kMostSamples = 24, kMostSampleBytes = 4000, kMostTableRows = 200;

// The member at "a.b", or null.
const Json& at(const Json& json, std::string_view path) {
  static const Json kNull;
  const Json* here = &json;
  for (size_t begin = 0; begin <= path.size() && here != nullptr;) {
    const size_t end = std::min(path.find('.', begin), path.size());
    here = here->find(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return here != nullptr ? *here : kNull;
}

std::string text_at(const Json& json, std::string_view path) {
  const Json& value = at(json, path);
  return value.is_string() ? value.as_string() : "";
}

double number_at(const Json& json, std::string_view path) {
  const Json& value = at(json, path);
  return value.is_number() ? value.as_double() : NAN;
}

const Json::Array& list_at(const Json& json, std::string_view path) {
  static const Json::Array kNone;
  const Json& value = at(json, path);
  return value.is_array() ? value.as_array() : kNone;
}

std::string fixed(double value, int digits) {
  if (!std::isfinite(value)) return "–";
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  return buffer;
}

// 1234567 as "1,234,567".
std::string grouped(double value) {
  if (!std::isfinite(value)) return "–";
  std::string digits = fixed(std::abs(value), 0);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return (value < 0 ? "-" : "") + digits;
}

std::string bytes_at(const Json& json, std::string_view path) {
  const Json& value = at(json, path);
  return value.is_integer() ? bytes_text(value.as_int()) : "–";
}

// The row's value of a split, by step.
std::vector<std::pair<double, double>> series(const std::vector<Json>& rows, std::string_view split,
                                              std::string_view key) {
  std::vector<std::pair<double, double>> out;
  for (const Json& row : rows) {
    if (text_at(row, "split") != split) continue;
    const double step = number_at(row, "step"), value = number_at(row, key);
    if (std::isfinite(step) && std::isfinite(value)) out.emplace_back(step, value);
  }
  return out;
}

double median(std::vector<std::pair<double, double>> values) {
  if (values.empty()) return NAN;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end(),
                   [](const auto& a, const auto& b) { return a.second < b.second; });
  return middle->second;
}

std::string section(const std::string& id, const std::string& title, const std::string& content) {
  return "<section id=\"" + id + "\"><h2>" + title + "</h2>\n" + content + "</section>\n";
}

std::string none(const std::string& what) {
  return "<p class=\"none\">" + what + "</p>";
}

std::string cell(const std::string& text, bool number = false) {
  return (number ? "<td class=\"n\">" : "<td>") + html(text) + "</td>";
}

// Names of many parts may be broken after a point, for narrow screens.
std::string row_of(const std::string& head, const std::string& cells) {
  std::string text;
  for (const char c : html(head)) text += c == '.' ? ".<wbr>" : std::string(1, c);
  return "<tr><th scope=\"row\">" + text + "</th>" + cells + "</tr>\n";
}

// A table in a box of its own, which scrolls. `heads` beginning with '#' are of numbers.
std::string table(const std::vector<std::string>& heads, const std::string& rows,
                  const char* kind = "") {
  std::string out =
      "<div class=\"scroll\" tabindex=\"0\"><table" + std::string(kind) + "><thead><tr>";
  for (const std::string& head : heads)
    out += head.starts_with('#') ? "<th scope=\"col\" class=\"n\">" + html(head.substr(1)) + "</th>"
                                 : "<th scope=\"col\">" + html(head) + "</th>";
  return out + "</tr></thead><tbody>\n" + rows + "</tbody></table></div>\n";
}

std::string tile(const std::string& value, const std::string& what) {
  return "<div class=\"tile\"><b>" + html(value) + "</b><span>" + html(what) + "</span></div>";
}

std::string head(const Json& record, const std::vector<Json>& rows) {
  const std::string state = text_at(record, "state"), detail = text_at(record, "detail");
  // The state is also a class of the style, so only known ones may pass.
  const bool known =
      state == "finished" || state == "running" || state == "stopped" || state == "failed";
  std::string says = known ? state : "state not recorded";
  if (state == "failed") says += " at step " + grouped(number_at(record, "step"));
  std::string out = "<div class=\"top\"><h1>" + html(text_at(record, "name")) +
                    "</h1><span class=\"state " + (known ? state : "stopped") + "\">" + html(says) +
                    "</span></div>\n<p class=\"sub\">";
  if (!detail.empty()) out += html(detail) + "<br>";
  out += html(text_at(record, "folder"));
  if (!text_at(record, "updated").empty()) out += " · as of " + html(text_at(record, "updated"));
  out += "</p>\n<div class=\"tiles\">";

  const auto train = series(rows, "train", "loss"), valid = series(rows, "valid", "loss");
  const double step = number_at(record, "step"), total = number_at(record, "total_steps");
  std::string steps = grouped(std::isfinite(step) ? step
                              : train.empty()     ? NAN
                                                  : train.back().first);
  out += tile(steps,
              std::isfinite(total) && total > step ? "of " + grouped(total) + " steps" : "steps");
  out += tile(fixed(train.empty() ? NAN : train.back().second, 4), "training loss, last");
  const auto best = std::min_element(
      valid.begin(), valid.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  out += tile(fixed(best == valid.end() ? NAN : best->second, 4),
              best == valid.end() ? "validation loss, best"
                                  : "validation loss, best (step " + grouped(best->first) + ")");
  out += tile(best == valid.end() ? "–" : short_number(std::exp(best->second)), "its perplexity");
  out += tile(short_number(number_at(record, "tokens_seen")), "tokens seen");
  out += tile(short_number(median(series(rows, "train", "tokens_per_second"))),
              "tokens per second, median");
  const double seconds = number_at(record, "seconds");
  out += tile(std::isfinite(seconds) ? format_duration(seconds) : "–", "training time");
  out += tile(short_number(number_at(record, "model.parameters")), "parameters");
  return out + "</div>\n";
}

std::string validations(const std::vector<Json>& rows) {
  std::vector<const Json*> valid;
  for (const Json& row : rows)
    if (text_at(row, "split") == "valid") valid.push_back(&row);
  if (valid.empty()) return "";
  std::string body;
  const size_t first = valid.size() > kMostTableRows ? valid.size() - kMostTableRows : 0;
  for (size_t i = first; i < valid.size(); ++i)
    body += row_of(grouped(number_at(*valid[i], "step")),
                   cell(fixed(number_at(*valid[i], "loss"), 4), true) +
                       cell(fixed(number_at(*valid[i], "perplexity"), 3), true) +
                       cell(grouped(number_at(*valid[i], "n_tokens")), true));
  const std::string title = first > 0
                                ? "The last " + std::to_string(kMostTableRows) + " validations"
                                : "Validations as a table";
  return "<details><summary>" + title + "</summary>" +
         table({"step", "#loss", "#perplexity", "#tokens"}, body) + "</details>\n";
}

std::string charts(const std::vector<Json>& rows) {
  const auto chart_section = [](const std::string& id, const std::string& content) {
    return "<section id=\"" + id + "\">" + content + "</section>\n";
  };
  std::string out =
      chart_section("loss", report_chart("Loss, nats per token",
                                         {{"training", 1, series(rows, "train", "loss")},
                                          {"validation", 2, series(rows, "valid", "loss"), true}},
                                         false) +
                                validations(rows));
  out += chart_section(
      "throughput",
      report_chart("Throughput, tokens per second",
                   {{"training", 1, series(rows, "train", "tokens_per_second")}}, true));
  out += "<div class=\"pair\">";
  out += chart_section(
      "learning-rate",
      report_chart("Learning rate", {{"lr", 1, series(rows, "train", "lr")}}, true, 200));
  out += chart_section(
      "gradient-norm",
      report_chart("Norm of the gradients before clipping",
                   {{"grad_norm", 1, series(rows, "train", "grad_norm")}}, true, 200));
  return out + "</div>\n";
}

std::string layer_map(const Json& record) {
  const std::string map = text_at(record, "model.layer_map");
  if (map.empty()) return none("Not recorded.");
  std::string out = "<ul class=\"map\" aria-label=\"blocks from the input to the output\">";
  for (size_t i = 0; i < std::min<size_t>(map.size(), 1024); ++i) {
    const bool slstm = map[i] == 's';
    out += std::string("<li class=\"") + (slstm ? "s" : "m") + "\">" + (slstm ? "sLSTM" : "mLSTM") +
           "<small>block " + std::to_string(i) + "</small></li>";
  }
  return out + "</ul>\n";
}

std::string model(const Json& record) {
  std::string out = layer_map(record);
  const Json::Array& groups = list_at(record, "model.groups");
  if (groups.empty()) return out;
  std::string body;
  double tensors = 0, parameters = 0;
  int64_t bytes = 0;
  for (const Json& group : groups) {
    tensors += number_at(group, "tensors");
    parameters += number_at(group, "parameters");
    if (at(group, "bytes").is_integer()) bytes += at(group, "bytes").as_int();
    body += row_of(text_at(group, "name"), cell(text_at(group, "kind")) +
                                               cell(grouped(number_at(group, "parameters")), true) +
                                               cell(bytes_at(group, "bytes"), true) +
                                               cell(grouped(number_at(group, "tensors")), true));
  }
  body += "<tr class=\"sum\"><th scope=\"row\">all</th>" + cell(text_at(record, "model.arch")) +
          cell(grouped(parameters), true) + cell(bytes_text(bytes), true) +
          cell(grouped(tensors), true) + "</tr>\n";
  out += "<p class=\"sub\">Width " + grouped(number_at(record, "model.width")) + ", vocabulary " +
         grouped(number_at(record, "model.vocabulary")) + ". Tied weights count once.</p>\n";
  return out + "<h3>Parameters</h3>" +
         table({"module", "block", "#parameters", "#bytes", "#tensors"}, body);
}

std::string memory(const Json& record) {
  std::string body;
  for (const Json& row : list_at(record, "memory"))
    body += row_of(text_at(row, "what"), cell(bytes_at(row, "bytes"), true));
  return body.empty() ? none("Not recorded.") : table({"what", "#size"}, body);
}

// No character is cut in two.
std::string shortened(const std::string& text) {
  if (text.size() <= kMostSampleBytes) return text;
  size_t end = kMostSampleBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + " …";
}

std::string samples(const std::vector<Json>& rows) {
  std::vector<const Json*> found;
  for (const Json& row : rows)
    if (text_at(row, "split") == "sample") found.push_back(&row);
  if (found.empty()) return none("No samples yet.");
  const size_t first = found.size() > kMostSamples ? found.size() - kMostSamples : 0;
  // The newest on top, in the order of the prompts; those of earlier steps folded away.
  std::string newest, earlier, group;
  for (size_t i = first; i < found.size(); ++i) {
    const double step = number_at(*found[i], "step");
    const std::string prompt = text_at(*found[i], "prompt"), text = text_at(*found[i], "text");
    if (group.empty()) group = "<h3>Step " + grouped(step) + "</h3>\n";
    group += "<blockquote>" +
             (text.starts_with(prompt) && prompt.size() < kMostSampleBytes
                  ? "<b>" + html(prompt) + "</b>" + html(shortened(text.substr(prompt.size())))
                  : html(shortened(text))) +
             "</blockquote>\n";
    if (i + 1 < found.size() && number_at(*found[i + 1], "step") == step) continue;
    if (i + 1 == found.size())
      newest = std::move(group);
    else
      earlier = std::move(group) + earlier;
    group.clear();
  }
  if (!earlier.empty())
    newest += "<details><summary>Earlier samples</summary><div>" + earlier + "</div></details>\n";
  return newest;
}

std::string short_json(const Json& value) {
  return shortened(value.is_string() ? value.as_string()
                   : value.is_null() ? "null"
                                     : to_text(value));
}

std::string configuration(const Json& record) {
  const Json& config = at(record, "config");
  if (!config.is_object()) return none("Not recorded.");
  RunConfig standard;
  if (text_at(config, "model.arch") == "xlstm_large") standard.model = layers::XlstmLargeConfig{};
  const Json defaults = flatten(run_config_to_json(standard)), flat = flatten(config);
  std::string body;
  for (const auto& [key, value] : flat.as_object()) {
    const Json* usual = defaults.find(key);
    if (usual != nullptr && *usual == value) continue;
    body +=
        row_of(key, cell(short_json(value)) + cell(usual != nullptr ? short_json(*usual) : "–"));
  }
  if (body.empty()) return none("Every key has its default.");
  return "<p class=\"sub\">Keys that differ from their defaults; all keys are in "
         "config.yaml.</p>\n" +
         table({"key", "here", "default"}, body, " class=\"wide\"");
}

std::string environment(const Json& record) {
  const Json& all = at(record, "environment");
  if (!all.is_object()) return none("Not recorded.");
  std::string out =
      "<pre tabindex=\"0\"><code>" + html(shortened(text_at(all, "command"))) + "</code></pre>\n";
  std::string body;
  const auto add = [&](const char* what, const std::string& value) {
    if (!value.empty()) body += row_of(what, cell(value));
  };
  add("in folder", text_at(all, "folder"));
  add("xlstm", text_at(all, "version"));
  add("commit", text_at(all, "commit"));
  add("compiler", text_at(all, "compiler"));
  add("build", text_at(all, "build"));
  add("host", text_at(all, "host"));
  add("system", text_at(all, "system"));
  add("device", text_at(all, "device"));
  add("processor", text_at(all, "processor"));
  add("threads", text_at(all, "threads"));
  out += "<h3>Program and machine</h3>" + table({"what", "value"}, body, " class=\"wide\"");
  const Json::Array& sessions = list_at(record, "sessions");
  if (sessions.empty()) return out;
  body.clear();
  const size_t first = sessions.size() > kMostTableRows ? sessions.size() - kMostTableRows : 0;
  for (size_t i = first; i < sessions.size(); ++i)
    body += row_of(text_at(sessions[i], "started"),
                   cell(grouped(number_at(sessions[i], "from_step")), true) +
                       cell(grouped(number_at(sessions[i], "to_step")), true) +
                       cell(text_at(sessions[i], "state")));
  return out + "<h3>Sessions</h3>" + table({"started", "#from step", "#to step", "state"}, body);
}

std::string file_list(const std::vector<ReportFile>& files) {
  if (files.empty()) return none("None.");
  std::string body;
  for (size_t i = 0; i < std::min(files.size(), kMostTableRows); ++i)
    body += "<tr><th scope=\"row\"><a href=\"" + html_address(files[i].first) + "\">" +
            html(files[i].first) + "</a></th>" +
            cell(files[i].second < 0 ? "" : bytes_text(files[i].second), true) + "</tr>\n";
  return table({"file", "#size"}, body);
}

std::vector<ReportFile> files_of(const std::string& folder, const FileSystem& files) {
  std::vector<ReportFile> found;
  for (const std::string& name : files.list(folder)) {
    const std::string path = join_path(folder, name);
    if (name.find(".tmp-") != std::string::npos || name == "report.html") continue;
    if (!files.is_dir(path)) {
      found.emplace_back(name, files.file_size(path));
      continue;
    }
    for (const std::string& inner : files.list(path))
      if (inner.find(".tmp-") == std::string::npos)
        found.emplace_back(name + "/" + inner + "/", -1);
  }
  return found;
}

}  // namespace

std::string run_report(const Json& record, const std::vector<Json>& rows,
                       const std::vector<ReportFile>& files) {
  std::string page =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>" +
      html(text_at(record, "name")) + " · xlstm run</title>\n<style>" + kReportStyle +
      "</style></head>\n<body><main>\n";
  page += head(record, rows) + charts(rows);
  page += section("model", "Model", model(record));
  page += section("memory", "Memory", memory(record));
  page += section("samples", "Samples", samples(rows));
  page += section("configuration", "Configuration", configuration(record));
  page += section("environment", "Environment", environment(record));
  page += section("files", "Files of the run", file_list(files));
  return page +
         "<footer>Written by xlstm; nothing in this page is loaded from elsewhere.</footer>\n"
         "</main></body></html>\n";
}

std::string write_run_report(const std::string& folder, FileSystem& files) {
  const std::string metrics = join_path(folder, "metrics.jsonl"),
                    record_path = join_path(folder, "run.json");
  require<FileError>(files.exists(metrics) || files.exists(record_path), "report: no run in ",
                     folder,
                     ", expected a folder with metrics.jsonl or run.json (runs/<name>/version_N)");
  Json record = Json::object();
  if (files.exists(record_path)) record = parse_json(files.read_file(record_path), record_path);
  if (text_at(record, "name").empty()) record.set("name", folder);
  const std::string path = join_path(folder, "report.html");
  files.write_file(path,
                   run_report(record, MetricsLog::read(metrics, files), files_of(folder, files)));
  return path;
}

}  // namespace xlstm::train
