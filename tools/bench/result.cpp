#include "tools/bench/result.h"

#include <algorithm>

namespace xlstm::bench {
namespace {

constexpr double kNoLess = 0;

Json to_json(const Row& row) {
  Json json = Json::object();
  for (const auto& [key, text] : {std::pair<const char*, const std::string*>{"op", &row.op},
                                  {"sample", &row.sample},
                                  {"pass", &row.pass},
                                  {"device", &row.device},
                                  {"dtype", &row.dtype},
                                  {"variant", &row.variant},
                                  {"verified", &row.verified},
                                  {"failure", &row.failure}})
    json.set(key, *text);
  for (const auto& [key, value] : {std::pair<const char*, double>{"ms", row.ms.median},
                                   {"ms_low", row.ms.low},
                                   {"ms_high", row.ms.high},
                                   {"flops", row.flops},
                                   {"bytes", row.bytes},
                                   {"tokens", row.tokens},
                                   {"peak_bytes", row.peak_bytes},
                                   {"error", row.error}})
    json.set(key, value);
  json.set("n", row.ms.n);
  return json;
}

Row row_from_json(const JsonField& json) {
  Row row;
  for (const auto& [key, text] : {std::pair<const char*, std::string*>{"op", &row.op},
                                  {"sample", &row.sample},
                                  {"pass", &row.pass},
                                  {"device", &row.device},
                                  {"dtype", &row.dtype},
                                  {"variant", &row.variant},
                                  {"verified", &row.verified},
                                  {"failure", &row.failure}})
    *text = json.at(key).as_string();
  for (const auto& [key, value] : {std::pair<const char*, double*>{"ms", &row.ms.median},
                                   {"ms_low", &row.ms.low},
                                   {"ms_high", &row.ms.high},
                                   {"flops", &row.flops},
                                   {"bytes", &row.bytes},
                                   {"tokens", &row.tokens},
                                   {"error", &row.error}})
    *value = json.at(key).as_double(kNoLess);
  // Reports of earlier versions do not have it.
  if (json.has("peak_bytes")) row.peak_bytes = json.at("peak_bytes").as_double(kNoLess);
  row.ms.n = json.at("n").as_int(0);
  return row;
}

}  // namespace

Spread spread_of(std::vector<double> times) {
  if (times.empty()) return {};
  std::sort(times.begin(), times.end());
  const auto at = [&](size_t hundredth) { return times[(times.size() - 1) * hundredth / 100]; };
  return {at(50), at(20), at(80), static_cast<int64_t>(times.size())};
}

Json to_json(const Report& report) {
  Json json = Json::object();
  json.set("format", "xlstm bench 1");
  json.set("version", report.version);
  json.set("machine", report.machine);
  json.set("copy_bytes_per_second", report.ceilings.copy_bytes_per_second);
  json.set("product_flops_per_second", report.ceilings.product_flops_per_second);
  Json rows = Json::array();
  for (const Row& row : report.rows) rows.push_back(to_json(row));
  json.set("rows", std::move(rows));
  return json;
}

Report report_from_json(const Json& json, const std::string& source) {
  const JsonField root(json, source);
  const JsonField format = root.at("format");
  if (format.as_string() != "xlstm bench 1")
    format.fail("got \"" + format.as_string() + "\", expected \"xlstm bench 1\"");
  Report report;
  report.version = root.at("version").as_string();
  report.machine = root.at("machine").as_string();
  report.ceilings.copy_bytes_per_second = root.at("copy_bytes_per_second").as_double(kNoLess);
  report.ceilings.product_flops_per_second = root.at("product_flops_per_second").as_double(kNoLess);
  for (const JsonField& row : root.at("rows").as_array()) report.rows.push_back(row_from_json(row));
  return report;
}

}  // namespace xlstm::bench
